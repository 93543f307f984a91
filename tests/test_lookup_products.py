"""Products that are looked up: kernels, trees, and what an engine of them does."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import Can, MatrixEngine, Seed
from hwloop.devices.kernels import lookup as kernels
from hwloop.devices.lookup_products import grow, looked_up
from hwloop.devices.technology import load

rng = np.random.default_rng(0)


def clustered(rows: int = 800, n: int = 32) -> np.ndarray:
    """Return rows near 12 centres: what a code of 4 bits a piece can say."""
    centres = np.random.default_rng(5).standard_normal((12, n))
    return (centres[rng.integers(0, 12, rows)] + 0.05 * rng.standard_normal((rows, n))).astype("f4")


def test_the_kernels_are_their_references():
    x = rng.standard_normal((50, 20)).astype(np.float32)
    columns = rng.integers(0, 20, (5, 4)).astype(np.int32)
    thresholds = rng.standard_normal((5, 15)).astype(np.float32)
    tables = rng.standard_normal((5, 16, 7)).astype(np.float32)
    codes = [np.empty((50, 5), np.uint8) for _ in range(2)]
    sums = [np.empty((50, 7), np.float32) for _ in range(2)]
    for encode, add, c, s in zip(
        (kernels.encode, kernels.encode_reference),
        (kernels.add_rows, kernels.add_rows_reference),
        codes,
        sums,
        strict=True,
    ):
        encode(x, columns, thresholds, c)
        add(c, tables, s)
    np.testing.assert_array_equal(*codes)
    np.testing.assert_array_equal(*sums)
    assert len(np.unique(codes[0])) > 8


def test_a_product_is_that_of_what_the_codes_stand_for():
    x, w = clustered(), rng.standard_normal((9, 32)).astype(np.float32)
    trees = grow(x, 4)
    got = looked_up(trees.encode(x), trees.tables(w))
    np.testing.assert_allclose(got, trees.approximate(x) @ w.T, rtol=1e-4, atol=1e-4)


def test_clusters_are_found_and_more_trees_say_more():
    x, fresh = clustered(), clustered()
    error = [
        ((grow(x, trees).approximate(fresh) - fresh) ** 2).mean() / fresh.var()
        for trees in (1, 4, 16)
    ]
    assert 0.5 > error[0] > error[1] > error[2]
    assert error[1] < 0.02
    noise = rng.standard_normal((800, 32)).astype(np.float32)
    left = [((grow(noise, t).approximate(noise) - noise) ** 2).mean() for t in (2, 8, 32)]
    assert left[0] > left[1] > left[2]
    assert left[2] < 0.05  # sixteen levels for a single number


def test_trees_beat_random_cuts():
    x = clustered()
    trees = grow(x, 4)
    wild = grow(rng.permutation(x.ravel()).reshape(x.shape), 4)
    codes, random = trees.encode(x), wild.encode(x)

    def within(c: np.ndarray) -> float:
        found = 0.0
        for t in range(4):
            for leaf in range(16):
                piece = x[c[:, t] == leaf][:, 8 * t : 8 * t + 8]
                found += ((piece - piece.mean(0)) ** 2).sum() if len(piece) else 0
        return found

    assert within(codes) < 0.5 * within(random)


def test_an_engine_looks_products_up_and_keeps_what_it_learned():
    x, w = clustered(), rng.standard_normal((16, 32)).astype(np.float32)
    device, other = (
        MatrixEngine(n_out=16, n_in=32, name="d", seed=Seed(0), arithmetic="lookup")
        for _ in range(2)
    )
    device.program(w)
    device.calibrate(x)
    y, true = device.multiply(x), x @ w.T
    assert ((y - true) ** 2).mean() < 0.02 * (true**2).mean()
    np.testing.assert_array_equal(device.matrix(), w)
    np.testing.assert_allclose(device.transpose(true), true @ w, rtol=1e-5, atol=1e-4)
    other.restore({k: v.copy() for k, v in device.state().items()})
    np.testing.assert_array_equal(other.multiply(x), y)
    device.update(np.ones((1, 16), np.float32), np.ones((1, 32), np.float32), 0.5)
    true = x @ (w + 0.5).T
    assert ((device.multiply(x) - true) ** 2).mean() < 0.02 * (true**2).mean()


def test_its_cost_is_additions_and_comparisons():
    device = MatrixEngine(n_out=16, n_in=32, arithmetic="lookup", codebooks=4)
    cost = device.cost(Can.MULTIPLY, 10)
    assert cost["add_fp32"].work == 10 * 4 * 16
    assert cost["compare"].work == 10 * 4 * 4
    for event in cost:
        assert load(device.technology).event(event, 16, 32).source


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="d: codebooks takes 0 to 8, got 9"):
        MatrixEngine(n_out=2, n_in=8, name="d", arithmetic="lookup", codebooks=9)
    device = MatrixEngine(n_out=2, n_in=8, name="d", arithmetic="lookup")
    with pytest.raises(ValueError, match="d: look-ups are fitted to at least 16 rows, got 3"):
        device.multiply(np.ones((3, 8)))
    with pytest.raises(ValueError, match="d: calibrate fits look-ups"):
        MatrixEngine(n_out=2, n_in=8, name="d").calibrate(np.ones((20, 8)))
