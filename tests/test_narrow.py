"""The narrow accumulator: a scalar reference bit for bit, float32, and the study of its error."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.kernels import narrow as kernels
from hwloop.devices.layouts import Adder
from hwloop.devices.products import narrow, sequential
from hwloop.devices.rounding import quantise

SETTINGS = [
    Adder(8, 0, 1, 1, 0),
    Adder(8, 0, 0, 0, 0),
    Adder(12, 0, 1, 2, 0),
    Adder(12, 3, 2, 2, 1),
    Adder(16, 0, 0, 0, 0),
    Adder(16, 0, 2, 2, 0),
    Adder(16, 3, 1, 2, 0),
    Adder(16, 3, 0, 0, 1),
    Adder(24, 0, 4, 4, 0),
    Adder(24, 3, 1, 1, 1),
    Adder(24, 3, 0, 0, 1),
    Adder(9, 19, 3, 5, 0),
]


def operands(kind: str, rows: int = 5, length: int = 40, columns: int = 6) -> list[np.ndarray]:
    """Return bfloat16 factors: random ones, and those at which adders go wrong."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((rows, length)), rng.standard_normal((columns, length))
    if kind == "scales":
        a, b = (x * 2.0 ** rng.integers(-30, 30, x.shape) for x in (a, b))
    elif kind == "cancelling":
        a[:, 1::2], b[:, 1::2] = a[:, ::2], -b[:, ::2]
        a[:, 3::8] *= 1 + 2.0**-7
    elif kind == "zeros":
        a[0], a[1, ::3], b[:, ::4], b[2] = 0, 0, 0, -0.0
        a[3] = np.where(rng.random(length) < 0.5, 1e-40, a[3])  # subnormal: flushed
    elif kind == "powers":
        a = np.sign(a) * 2.0 ** rng.integers(-6, 6, a.shape)
        b = np.sign(b) * 2.0 ** rng.integers(-6, 6, b.shape)
    elif kind == "largest":
        a, b = np.full_like(a, 1.9921875) * np.sign(a), np.full_like(b, 1.9921875)
    return [quantise(x, "bf16") for x in (a, b)]


@pytest.mark.parametrize("kind", ["random", "scales", "cancelling", "zeros", "powers", "largest"])
@pytest.mark.parametrize("adder", SETTINGS, ids=str)
def test_the_kernel_is_the_scalar_reference_bit_for_bit(adder, kind):
    a, b = operands(kind)
    got, expected = (np.empty((len(a), len(b)), np.float32) for _ in range(2))
    across = np.ascontiguousarray(b.T)
    kernels.narrow(a, across, adder, got)
    kernels.narrow_reference(a, across, adder, expected)
    np.testing.assert_array_equal(got.view(np.uint32) << 1, expected.view(np.uint32) << 1)
    np.testing.assert_array_equal(got, expected)


def test_24_bits_rounded_at_every_step_are_float32():
    """A product of two bfloat16 numbers is exact in float32."""
    for kind in ("random", "scales", "cancelling", "powers"):
        a, b = operands(kind, 20, 300, 17)
        np.testing.assert_array_equal(narrow(a, b, Adder(24, 3, 0, 0, 1)), sequential(a, b))


def error(w: int, k: int, lam: int, guard: int = 0, positive: bool = False, n: int = 192) -> float:
    """Return the error of an n^3 product relative to its root mean square, in float64."""
    rng = np.random.default_rng(0)
    a, b = (quantise(rng.standard_normal((n, n)), "bf16") for _ in range(2))
    if positive:
        a, b = np.abs(a), np.abs(b)
    true = a.astype(np.float64) @ b.T.astype(np.float64)
    got = narrow(a, b, Adder(w, guard, k, lam, 0))
    return float(np.sqrt(np.mean((got - true) ** 2) / np.mean(true**2)))


STUDY = {
    8: (3.42e-2, 3.42e-2, 3.42e-2, 3.70e-2, 3.89e-2),
    12: (2.23e-3, 2.23e-3, 2.23e-3, 2.40e-3, 2.53e-3),
    16: (1.25e-4, 1.25e-4, 1.25e-4, 1.38e-4, 1.45e-4),
    24: (1.34e-7, 1.34e-7, 1.34e-7, 1.39e-7, 1.43e-7),
}
SCHEMES = [(0, 0), (1, 1), (1, 2), (2, 2), (4, 4)]


@pytest.mark.parametrize("w", STUDY)
def test_the_study_of_errors_is_reproduced(w):
    """Another sample of the same law: the prototype's figures within 15 %, their order kept."""
    found = [error(w, *scheme) for scheme in SCHEMES]
    assert found == pytest.approx(STUDY[w], rel=0.15)
    assert found[0] <= found[3] * 1.001 <= found[4] * 1.01
    assert found[4] / found[0] == pytest.approx(STUDY[w][4] / STUDY[w][0], abs=0.09)


@pytest.mark.parametrize(("w", "expected"), [(8, 0.21), (12, 1.7e-2), (16, 1.0e-3)])
def test_where_all_is_positive_cutting_decides_and_normalisation_does_nothing(w, expected):
    found = [error(w, *scheme, positive=True) for scheme in SCHEMES]
    assert found == pytest.approx([expected] * 5, rel=0.12)
    assert max(found) / min(found) < 1.01


def test_guard_bits_that_are_cut_after_the_sum_make_it_worse():
    """Magnitudes are cut after the addition, which pulls every sum towards zero."""
    assert error(16, 4, 4, guard=3) > 4 * error(16, 4, 4)


def test_a_column_adds_its_passes_in_float32():
    a, b = operands("random", 4, 64, 3)
    adder = Adder(12, 0, 1, 2, 0)
    halves = narrow(a[:, :32], b[:, :32], adder) + narrow(a[:, 32:], b[:, 32:], adder)
    np.testing.assert_array_equal(narrow(a, b, adder, column=32), halves)
    with pytest.raises(ValueError, match="no NaN and no infinity"):
        narrow(np.full((1, 2), np.nan, np.float32), b[:, :2], adder)
