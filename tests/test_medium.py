"""The optical medium: Gaussian in law, the same matrix in every call, of any size."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hwloop.devices.medium import KINDS, Dense, Lazy, Medium, Stream, Structured, make_medium
from hwloop.devices.seeds import Seed

KEY = Seed(5).child("medium").key()


def rows(batch: int, n: int) -> Any:
    return np.random.default_rng(batch + n).standard_normal((batch, n)).astype(np.float32)


def intensity(medium: Medium, x: Any) -> Any:
    re, im = medium.apply(x)
    return re.astype(float) ** 2 + im.astype(float) ** 2


def assert_exponential(p: Any) -> None:
    """Variance over squared mean is 1, to five standard errors of 2 / sqrt(n); KS likewise."""
    assert abs(p.var() / p.mean() ** 2 - 1) < 10 / math.sqrt(p.size)
    assert stats.kstest(p / p.mean(), "expon").pvalue > 6e-7


@pytest.mark.parametrize("kind", ["dense", "lazy"])
def test_entries_are_circular_complex_gaussians(kind: str) -> None:
    """Five standard errors throughout; the parts are N(0, 1/2) and uncorrelated."""
    re, im = (part.astype(float) for part in make_medium(4096, 128, KEY, kind).matrix())
    n = re.size
    for part in (re, im):
        assert abs(part.mean()) < 5 * math.sqrt(0.5 / n)
        assert abs(part.var() - 0.5) < 5 * 0.5 * math.sqrt(2 / n)
        assert stats.kstest(part.ravel() * math.sqrt(2), "norm").pvalue > 6e-7
    for a, b in ((re, im), (re[1:], re[:-1]), (re[:, 1:], re[:, :-1]), (re[64:], im[:-64])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / math.sqrt(a.size)
    assert_exponential((re**2 + im**2).ravel())


@pytest.mark.parametrize("kind", ["dense", "lazy"])
def test_singular_values_fill_the_law_of_marchenko_and_pastur(kind: str) -> None:
    """At the edges, where hidden linear structure would show, eigenvalues follow Tracy and Widom.

    Their law for complex matrices has mean -1.771 and standard deviation 0.902; five of those.
    """
    m, n = 1024, 256
    re, im = make_medium(m, n, KEY, kind).matrix()
    values = np.linalg.svd(re + 1j * im, compute_uv=False).astype(float) ** 2
    for value, side in ((values[0], 1), (values[-1], -1)):
        edge = math.sqrt(m) + side * math.sqrt(n)
        scale = edge * abs(1 / math.sqrt(n) + side / math.sqrt(m)) ** (1 / 3)
        assert abs(side * (value - edge**2) / scale + 1.771) < 5 * 0.902


@pytest.mark.parametrize("kind", KINDS)
def test_intensities_and_the_optical_kernel(kind: str) -> None:
    """E|Rx|²|Ry|² = |x|²|y|² + (x . y)², and |Rx|² is exponential: five standard errors."""
    medium = make_medium(2**16, 64, KEY, kind)
    x = rows(3, 64)
    p = intensity(medium, x)
    for i in range(3):
        assert_exponential(p[i] / (x[i] @ x[i]))
        assert abs(p[i].mean() / (x[i] @ x[i]) - 1) < 5 / math.sqrt(p.shape[1])
        for j in range(i):
            product = p[i] * p[j]
            expected = (x[i] @ x[i]) * (x[j] @ x[j]) + (x[i] @ x[j]) ** 2
            error = product.std() / math.sqrt(product.size)
            assert abs(product.mean() - expected) < 5 * error


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_one_linear_map(kind: str) -> None:
    medium = make_medium(300, 200, KEY, kind)
    assert (medium.kind, medium.exact) == (kind, kind != "structured")
    a, b = rows(2, 200)[:, None]
    first = np.array([medium.apply(v) for v in (a, b)])
    both = np.array(medium.apply(2 * a - 3 * b))
    np.testing.assert_allclose(both, 2 * first[0] - 3 * first[1], atol=3e-4)
    np.testing.assert_allclose(medium.apply(a), first[0], atol=1e-4)
    re, im = medium.matrix()
    np.testing.assert_allclose([a @ re.T, a @ im.T], first[0], atol=1e-4)
    assert medium.apply(a[:0])[0].shape == (0, 300)
    assert first.dtype == np.float32


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 130])
@pytest.mark.parametrize("size", [(1, 1), (100, 1500), (64, 1024), (300, 2100), (1000, 10)])
def test_stream_has_the_bits_of_dense(batch: int, size: tuple[int, int]) -> None:
    dense, stream = Dense(*size, KEY), Stream(*size, KEY)
    x = rows(batch, size[1])
    np.testing.assert_array_equal(stream.apply(x), dense.apply(x))
    np.testing.assert_array_equal(stream.matrix(), dense.matrix())
    np.testing.assert_array_equal(dense.apply(np.eye(size[1]))[1].T, dense.matrix()[1])


@pytest.mark.parametrize("kind", KINDS)
def test_more_outputs_leave_the_first_ones_as_they_are(kind: str) -> None:
    x = rows(5, 700)
    few = np.array(make_medium(90, 700, KEY, kind).apply(x))
    many = np.array(make_medium(1100, 700, KEY, kind).apply(x))[:, :, :90]
    if kind == "lazy":  # its last product is one BLAS call, whose rounding follows its size
        np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(few, many)


def test_more_inputs_leave_the_entries_as_they_are() -> None:
    few, many = Stream(70, 300, KEY).matrix(), Stream(70, 1300, KEY).matrix()
    np.testing.assert_array_equal(few, np.array(many)[:, :, :300])


def test_keys_give_unrelated_matrices() -> None:
    """Five standard errors."""
    a, b = Stream(512, 512, KEY).matrix()[0], Stream(512, 512, KEY + np.uint64(1)).matrix()[0]
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / 512


def test_lazy_does_not_depend_on_the_cut_into_batches() -> None:
    x = rows(12, 400)
    whole, single = Lazy(500, 400, KEY), Lazy(500, 400, KEY)
    expected = np.array([single.apply(v[None]) for v in x])[:, :, 0].swapaxes(0, 1)
    np.testing.assert_allclose(whole.apply(x), expected, atol=5e-4)


def test_lazy_depends_on_the_order_of_the_inputs() -> None:
    a, b = rows(2, 400)[:, None]
    one, other = Lazy(500, 400, KEY), Lazy(500, 400, KEY)
    one.apply(b)
    assert abs(one.apply(a)[0] - other.apply(a)[0]).max() > 1


def test_lazy_holds_a_direction_once() -> None:
    medium = Lazy(50, 4000, KEY)
    x = rows(3, 4000)
    x = np.concatenate([x, x, x[:1] - 7 * x[1:2], np.zeros_like(x[:1]), 1e-20 * x])
    medium.apply(x)
    medium.apply(x[::-1].copy())
    assert len(medium.state()["basis"]) == 3
    near = x[:1].copy()
    near[0, 5] += 0.1
    medium.apply(near)
    basis = medium.state()["basis"]
    assert len(basis) == 4
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=4e-6)


def test_lazy_is_exact_for_inputs_chosen_by_its_answers() -> None:
    """The second input is the first answer: its own answer is still i.i.d. (five errors)."""
    n = 2**14
    medium = Lazy(n, n, KEY)
    first = np.array(medium.apply(rows(1, n)))[:, 0]
    second = np.array(medium.apply(first[:1]))[:, 0]
    assert_exponential((second.astype(float) ** 2).sum(0))
    assert (second**2).sum() / n == pytest.approx((first[0] ** 2).sum(), rel=5 / math.sqrt(n))
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 5 / math.sqrt(n)


def test_lazy_state_comes_back() -> None:
    medium = Lazy(300, 200, KEY)
    x = rows(9, 200)
    medium.apply(x[:5])
    other = Lazy(300, 200, KEY)
    other.restore(medium.state())
    np.testing.assert_array_equal(other.apply(x), medium.apply(x))
    assert Dense(3, 3, KEY).state() == {}
    Dense(3, 3, KEY).restore({})


def sparse(n: int, values: list[float]) -> Any:
    x = np.zeros(n)
    x[np.random.default_rng(1).choice(n, len(values), replace=False)] = values
    return x


LONG = 2**14
INPUTS = {
    "dense": rows(1, LONG)[0],
    "binary": np.random.default_rng(2).integers(0, 2, LONG),
    "one-hot": sparse(LONG, [1]),
    "two-hot": sparse(LONG, [1, 1]),
    "ternary": sparse(LONG, [1, -1] * 5),
    "constant": np.ones(LONG),
    "alternating": np.resize([1, -1], LONG),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("n_in", [LONG, LONG - 3000])
def test_structured_intensities_are_exponential(name: str, n_in: int) -> None:
    """For inputs hard on Hadamard: variance over squared mean within 5 % (6 errors), and KS."""
    x = INPUTS[name][None, :n_in]
    if not x.any():
        x = x + np.eye(1, n_in)
    p = intensity(Structured(4 * LONG, n_in, KEY), x)[0]
    assert p.mean() == pytest.approx((x.astype(float) ** 2).sum(), rel=1e-4)  # an isometry
    assert p.var() / p.mean() ** 2 == pytest.approx(1, rel=0.05)
    assert stats.kstest(p / p.mean(), "expon").pvalue > 6e-7


def test_structured_blocks_do_not_repeat() -> None:
    """Outputs beyond n have signs and phases of their own; five standard errors."""
    re, im = Structured(3 * LONG, LONG, KEY).apply(INPUTS["binary"][None])
    blocks = np.concatenate([re.reshape(3, LONG), im.reshape(3, LONG)])
    apart = np.corrcoef(blocks) - np.eye(6)
    assert abs(apart).max() < 5 / math.sqrt(LONG)


@pytest.mark.parametrize(
    ("hints", "kind"),
    [
        ({"n_out": 2**10, "n_in": 2**10, "rank_hint": 1}, "dense"),
        ({"n_out": 2**20, "n_in": 2**20}, "structured"),
        ({"n_out": 2**20, "n_in": 2**20, "rank_hint": 10}, "lazy"),
        ({"n_out": 2**20, "n_in": 2**20, "rank_hint": 10**4}, "structured"),
        ({"n_out": 2**20, "n_in": 2**10, "batch_hint": 64}, "stream"),
        ({"n_out": 2**20, "n_in": 2**20, "batch_hint": 64}, "structured"),
    ],
)
def test_auto_takes_the_first_that_fits(hints: Any, kind: str) -> None:
    assert make_medium(key=KEY, **hints).kind == kind


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.apply(np.ones((2, 9))), r"x takes \(batch, 8\), got \(2, 9\)"),
        (lambda m: m.apply(np.ones(8)), r"x takes \(batch, 8\), got \(8,\)"),
        (lambda m: m.apply(np.ones((2, 8)) * 1j), "takes real x, got complex"),
        (lambda m: m.apply(np.full((2, 8), np.nan)), "takes finite x"),
        (lambda m: m.restore({"basis": np.ones(3)}), r"dense medium has no state, got \['basis'\]"),
        (lambda m: make_medium(8, 8, KEY, "glass"), "lazy, structured or auto, got 'glass'"),
        (lambda m: make_medium(0, 8, KEY), "n_out of a medium takes 1 to"),
        (lambda m: make_medium(8, 8, -1), "key of a medium takes 0 to"),
        (lambda m: Dense(2**14, 2**14, KEY), r"at most 2\*\*26 entries, got 16384 x 16384"),
        (lambda m: Stream(2**15, 2**15, KEY).matrix(), r"matrix\(\) takes at most 2\*\*28"),
        (lambda m: Lazy(8, 8, KEY).restore({}), r"is 'basis', got \[\]"),
        (lambda m: Lazy(8, 8, KEY, 200).apply(np.eye(8)), "holds 2 directions in its budget"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(Dense(8, 8, KEY))


def test_torch_rows_are_taken() -> None:
    torch = pytest.importorskip("torch")
    medium = Dense(8, 8, KEY)
    np.testing.assert_array_equal(medium.apply(torch.eye(8)), medium.apply(np.eye(8)))
    with pytest.raises(ValueError, match="got complex"):
        medium.apply(torch.eye(8) * 1j)


def test_importing_does_not_load_numba() -> None:
    code = "import sys, hwloop.devices.medium; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
