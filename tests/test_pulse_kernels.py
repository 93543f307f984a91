"""The pulse kernels equal their references, and enumerate the coincidences that the bits have."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.kernels import pulse_trains as trains
from hwloop.devices.kernels import pulses as kernels
from hwloop.devices.pulse_responses import relative_step
from hwloop.devices.pulses import Constant, Curve, Exponential, Linear, Pulsed, SoftBounds
from hwloop.devices.pulses import make_cells as cells_of
from hwloop.devices.seeds import Seed

BATCH, N_OUT, N_IN = 9, 6, 11
RESPONSES = [
    Constant(),
    Linear(0.3, 0.8),
    SoftBounds(),
    Exponential(0.5, -0.5, -1.2, 5.0, -0.1, 5.0),
    Curve((2.0, 1.0, 0.5, 0.1), (0.1, 0.3, 1.0, 1.5)),
]


def _vectors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((BATCH, N_IN)).astype(np.float32) * (rng.random((BATCH, N_IN)) < 0.7)
    y = rng.standard_normal((BATCH, N_OUT)).astype(np.float32)
    x[3], y[5] = 0, 0
    return x.astype(np.float32), y


def _trains(seed: int, stochastic: bool, flip: bool = False, own: str = "") -> tuple:
    """Return lengths, scales, filled, starts, codes, masks, counts by the kernels or references."""
    x, y = _vectors(seed)
    lengths, filled = np.zeros(BATCH, np.int64), np.zeros(BATCH, np.int64)
    scales = np.zeros((BATCH, 2))
    getattr(trains, "plan" + own)(x, y, 4.0, 20, True, True, lengths, scales, filled)
    rng = np.random.default_rng(seed + 1)
    room = int(filled @ lengths) if stochastic else 0
    across = rng.integers(0, 2**32, room, np.uint32)
    along = rng.integers(0, 2**32, N_OUT * int(lengths.sum()) if stochastic else 0, np.uint32)
    starts = np.zeros(BATCH * trains.SLOTS + 1, np.int64)
    codes = np.zeros(int(filled @ lengths) + 1, np.uint32)
    masks = np.zeros((BATCH, N_OUT), np.uint32)
    counts = np.zeros(BATCH, np.int64)
    getattr(trains, "columns" + own)(x, scales, lengths, across, starts, codes)
    getattr(trains, "rows" + own)(y, scales, lengths, along, flip, masks)
    getattr(trains, "tally" + own)(starts, masks, counts)
    return lengths, scales, filled, starts, codes[: starts[-1]], masks, counts


@pytest.mark.parametrize("stochastic", [True, False])
@pytest.mark.parametrize("flip", [True, False])
def test_trains_equal_their_references_bit_for_bit(stochastic: bool, flip: bool) -> None:
    for seed in range(5):
        got = _trains(seed, stochastic, flip)
        expected = _trains(seed, stochastic, flip, "_reference")
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        lengths, *_, counts = got
        assert lengths[3] == lengths[5] == counts[3] == counts[5] == 0
        assert counts.sum() > 0


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_marked(number: float) -> None:
    x, y = _vectors(0)
    y[4, 2] = number
    for plan in (trains.plan, trains.plan_reference):
        lengths, filled, scales = np.zeros(BATCH, int), np.zeros(BATCH, int), np.zeros((BATCH, 2))
        plan(x, y, 4.0, 20, True, True, lengths, scales, filled)
        assert lengths[4] == -1
        assert lengths[[0, 1, 2]].min() > 0


def _array(response: object, seed: int) -> tuple[np.ndarray, ...]:
    description = Pulsed(
        response=response, step=0.05, step_spread=0.3, asymmetry=0.1, bound_spread=0.1
    )
    cells = cells_of(description, N_OUT, N_IN, Seed(seed).at(0))
    w = np.random.default_rng(seed).uniform(-0.5, 0.5, (N_OUT, N_IN)).astype(np.float32)
    return w, cells.wear, cells.step.reshape(N_OUT, -1), cells.bound.reshape(N_OUT, -1)


@pytest.mark.parametrize("response", RESPONSES, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize(("sigma", "additive"), [(0.0, False), (0.4, False), (0.4, True)])
def test_coincide_equals_its_reference(response: object, sigma: float, additive: bool) -> None:
    *_, starts, codes, masks, counts = _trains(2, True)
    noise = np.random.default_rng(0).standard_normal(counts.sum() if sigma else 0)
    results = []
    for kernel in (kernels.coincide, kernels.coincide_reference):
        w, wear, step, bound = _array(response, 7)
        args = (response.kind, response.form(), sigma, additive, noise.astype(np.float32))
        kernel(w, wear, step, bound, *args, starts, codes, masks, 0, BATCH)
        results.append((w, wear))
    tolerance = 1e-6 if isinstance(response, Exponential) else 0
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][1].sum() == counts.sum()


@pytest.mark.parametrize("response", RESPONSES, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize(("sigma", "additive"), [(0.0, False), (0.4, False), (0.4, True)])
def test_pulse_equals_its_reference(response: object, sigma: float, additive: bool) -> None:
    rng = np.random.default_rng(0)
    columns = np.array([7, 0, 3])
    counts = rng.integers(-6, 7, (N_OUT, 3))
    noise = rng.standard_normal(np.abs(counts).sum() if sigma else 0).astype(np.float32)
    results = []
    for kernel in (kernels.pulse, kernels.pulse_reference):
        w, wear, step, bound = _array(response, 7)
        args = (response.kind, response.form(), sigma, additive, noise)
        kernel(w, wear, step, bound, *args, columns, counts)
        results.append((w, wear))
    tolerance = 1e-6 if isinstance(response, Exponential) else 0
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][1][:, columns], np.abs(counts))


def test_samples_are_applied_one_after_another_and_slot_after_slot() -> None:
    """Soft bounds make the order matter; here it is followed cell by cell, from the bits."""
    *_, starts, codes, masks, _ = _trains(4, True)
    response = SoftBounds()
    w, wear, step, bound = _array(response, 3)
    expected = w.astype(np.float64)
    kernels.coincide(
        w, wear, step, bound, response.kind, response.form(), 0.0, False,
        np.empty(0, np.float32),
        starts, codes, masks, 0, BATCH,
    )  # fmt: skip
    for b in range(BATCH):
        for t in range(trains.SLOTS):
            s = b * trains.SLOTS + t
            for code in codes[starts[s] : starts[s + 1]].astype(int):
                for i in np.flatnonzero(masks[b] >> np.uint32(t) & np.uint32(1)):
                    j, down = code // 2, (code % 2) ^ (masks[b, i] >> np.uint32(31))
                    v, d = expected[i, j], int(down)
                    move = step[i, 2 * j + d] * (1 - v / bound[i, 2 * j + d])
                    expected[i, j] = v - move if d else v + move
    np.testing.assert_allclose(w, expected, atol=1e-5)


@pytest.mark.parametrize("response", RESPONSES, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("down", [False, True])
def test_one_pulse_has_the_size_that_the_response_says(response: object, down: bool) -> None:
    w, wear, step, bound = _array(response, 5)
    before = w.copy()
    counts = np.full((N_OUT, N_IN), -1 if down else 1)
    none = np.empty(0, np.float32)
    kernels.pulse(
        w,
        wear,
        step,
        bound,
        response.kind,
        response.form(),
        0.0,
        False,
        none,
        np.arange(N_IN),
        counts,
    )
    high, low = bound[:, 0::2], bound[:, 1::2]
    move = step[:, int(down) :: 2] * relative_step(response, before, low, high, down)
    expected = np.clip(before - move if down else before + move, low, high)
    np.testing.assert_allclose(w, expected, rtol=0, atol=1e-6)
