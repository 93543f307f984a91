"""Encoders: what comes out again, to within what, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwloop.devices.encoders import (
    BitPlanes,
    FixedPoint,
    Threshold,
    Thresholds,
    signed_planes,
)

REALS = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)
PLANES = st.integers(1, 16)
fixed = settings(deadline=None, derandomize=True)


def masked(bits: npt.NDArray[Any]) -> bool:
    return bits.dtype == np.uint8 and not (bits > 1).any()


@fixed
@given(REALS, st.floats(-1e6, 1e6))
def test_threshold_says_which_side(x: Any, at: float) -> None:
    bits = Threshold(at).encode(x)
    assert masked(bits)
    np.testing.assert_array_equal(bits == 1, x > at)
    np.testing.assert_array_equal(Threshold(at, above=False).encode(x) == 1, x < at)


@fixed
@given(REALS, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_thresholds_count_up_and_come_back(x: Any, at: list[float]) -> None:
    encoder = Thresholds(sorted(at))
    bits = encoder.encode(x)
    assert masked(bits)
    assert bits.shape == (len(x), x.shape[1] * len(at))
    np.testing.assert_array_equal(encoder.decode(bits), np.searchsorted(sorted(at), x, "left"))
    rows = Thresholds(np.tile(sorted(at), (x.shape[1], 1)))
    np.testing.assert_array_equal(rows.encode(x), bits)


@fixed
@given(st.data(), st.integers(1, 32))
def test_bit_planes_come_back(data: Any, bits: int) -> None:
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    numbers = data.draw(arrays(np.int64, shape, elements=st.integers(0, 2**bits - 1)))
    planes = BitPlanes(bits)
    row, column = planes.concatenate(numbers), planes.separate(numbers)
    assert masked(row)
    assert masked(column)
    assert row.shape == (len(numbers), numbers.shape[1] * bits)
    assert column.shape == (len(numbers) * bits, numbers.shape[1])
    np.testing.assert_array_equal(planes.decode(row), numbers)
    np.testing.assert_array_equal(planes.mix(column.astype(float)), numbers)
    np.testing.assert_array_equal(planes.encode(numbers.astype(float)), row)


@pytest.mark.parametrize("kind", [float, np.float32, int])
def test_planes_go_through_a_linear_map(kind: Any) -> None:
    draw = np.random.default_rng(0)
    w, x = draw.integers(-9, 9, (3, 7)).astype(kind), draw.integers(0, 256, (4, 7))
    planes = BitPlanes(8)
    through = planes.mix(planes.separate(x).astype(kind) @ w.T)
    np.testing.assert_allclose(through, x @ w.T, rtol=1e-6)
    assert through.dtype == (np.float64 if kind is float else np.float32)


def test_decay_weighs_the_planes() -> None:
    planes, y = BitPlanes(3), np.arange(12.0).reshape(6, 2)
    np.testing.assert_allclose(planes.mix(y, 0.1), [[0.96, 5.4], [27.6, 32.04]])
    joined = planes.join(y, 1.0)
    assert joined.shape == (2, 6)
    np.testing.assert_array_equal(joined, 4 * y.reshape(2, 6))


@fixed
@given(REALS, PLANES)
def test_fixed_point_comes_back_to_half_a_unit(x: Any, bits: int) -> None:
    encoder = FixedPoint(bits)
    masks, weights = encoder.encode(x)
    assert masked(masks)
    assert masks.shape == (2 * bits * len(x), x.shape[1])
    assert weights.shape == (2 * bits, len(x))
    unit = abs(x).max(1, keepdims=True) / (2**bits - 1)
    error = abs(encoder.decode(masks.astype(float), weights) - x)
    assert (error <= 0.5 * unit * 1.001 + 1e-33).all()
    planes = masks.reshape(2, bits, *x.shape)
    assert not (planes[0].any(0) & planes[1].any(0)).any()


@fixed
@given(REALS, PLANES)
def test_planes_of_one_at_a_time_are_the_same(x: Any, bits: int) -> None:
    masks, weights = FixedPoint(bits).encode(x)
    for k, (mask, weight) in enumerate(signed_planes(x, bits)):
        np.testing.assert_array_equal(mask, masks[k * len(x) : (k + 1) * len(x)])
        np.testing.assert_array_equal(weight[:, 0], weights[k])


def test_fixed_point_is_exact_where_it_can_be_and_goes_through_a_linear_map() -> None:
    draw = np.random.default_rng(0)
    w, x = draw.standard_normal((3, 7)), draw.integers(-15, 16, (5, 7)) / 8
    x[:, 0] = 15 / 8  # the unit is 1 / 8
    masks, weights = FixedPoint(4).encode(x)
    np.testing.assert_allclose(FixedPoint(4).decode(masks @ w.T, weights), x @ w.T, atol=1e-6)
    masks, weights = FixedPoint(4).encode(np.zeros((1, 3)))
    assert not masks.any()
    assert not weights.any()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Threshold(0.5).encode([[np.nan]]), "finite numbers, got inf or nan"),
        (lambda: Threshold(0.5).encode([0.1]), r"takes \(batch, n\), got \(1,\)"),
        (lambda: Threshold(0.5).encode([["a"]]), "real numbers, got <U1"),
        (lambda: Threshold(0.5).encode([[1j]]), "real numbers, got complex128"),
        (lambda: Threshold([0.5, 1]).encode([[1.0]]), r"\(2,\) thresholds for 1 features"),
        (lambda: Thresholds([2, 1]).encode([[1.0]]), "rising thresholds"),
        (lambda: Thresholds([]).encode([[1.0]]), "rising thresholds"),
        (lambda: Thresholds([[1.0]]).encode([[1.0, 2.0]]), "1 rows for 2 features"),
        (lambda: Thresholds([1, 2]).decode([[1, 0, 1]]), "not a multiple of 2"),
        (lambda: BitPlanes(2).separate([[4]]), "whole numbers from 0 to 3"),
        (lambda: BitPlanes(2).separate([[-1]]), "whole numbers from 0 to 3"),
        (lambda: BitPlanes(2).concatenate([[0.67]]), "scale and round the input"),
        (lambda: BitPlanes(2).decode([[1, 0, 1]]), "not a multiple of 2"),
        (lambda: BitPlanes(2).mix(np.ones((3, 1))), "3 rows are not a multiple of 2 planes"),
        (lambda: BitPlanes(2).mix(np.ones((2, 1)), 0.0), r"decay takes a number in \(0, 1\]"),
        (lambda: BitPlanes(0), "bits takes a whole number from 1 to 32, got 0"),
        (lambda: FixedPoint(17), "bits takes a whole number from 1 to 16, got 17"),
        (lambda: FixedPoint(2).encode([[1e39]]), "range of float32"),
        (lambda: FixedPoint(2).encode([[np.inf]]), "finite"),
        (lambda: FixedPoint(2).decode(np.ones((3, 1)), np.ones((4, 1))), "of 4 rows"),
    ],
)
def test_what_planes_cannot_hold_is_refused(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


def test_torch_tensors_are_taken() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(Threshold(0.5).encode(torch.tensor([[0.2, 0.9]])), [[0, 1]])
