"""The kernels of parasitic resistance against their numpy references, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwloop.devices import parasitic_array
from hwloop.devices.kernels import parasitic_lanes, parasitics
from hwloop.devices.kernels.parasitic_lanes import LANES
from hwloop.devices.parasitics import (
    Unconverged,
    Wires,
    currents,
    effective_conductance,
    power_W,
    read_noise_std,
    voltages,
)

M, N = 21, 34
WIRES = Wires(word_ohm=5, bit_ohm=3, driver_ohm=10)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def ladders(rng: np.random.Generator, both: bool) -> tuple[Any, Any, Any]:
    """Return g (M, N), the word lines' coefficients (3, N, M) and the bit lines' (3, M, N)."""
    g = rng.uniform(0, 1e-3, (M, N)) * (rng.random((M, N)) > 0.2)
    word, bit = np.empty((3, N, M)), np.empty((3, M, N))
    parasitics.ladder_reference(g.T, 4.0, 50.0, both, *word)
    parasitics.ladder_reference(g, 2.0, 0.0, both, *bit)
    return g, word, bit


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(("segment", "end"), [(0.0, 0.0), (0.0, 9.0), (1.5, 0.0), (1.5, 80.0)])
def test_ladder_and_climb(rng: np.random.Generator, both: bool, segment: float, end: float) -> None:
    g = rng.uniform(0, 1e-2, (M, N)) * (rng.random((M, N)) > 0.2)
    ours, theirs = np.empty((2, 3, M, N))
    parasitics.ladder(g, segment, end, both, *ours)
    parasitics.ladder_reference(g, segment, end, both, *theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=0)
    f, held, u, v = rng.random((M, N)), rng.random(N), np.empty((M, N)), np.empty((M, N))
    parasitics.climb(*ours, f, held, u)
    parasitics.climb_reference(*ours, f, held, v)
    np.testing.assert_allclose(u, v, rtol=1e-13)


@pytest.mark.parametrize("both", [False, True])
def test_one(rng: np.random.Generator, both: bool) -> None:
    g, word, bit = ladders(rng, both)
    v, results = rng.random(M), []
    for solve in (parasitics.one, parasitics.one_reference):
        steps, kept = np.zeros((50, 2)), np.zeros((3, M, N))
        u, w = np.empty((M, N)), np.empty((M, N))
        gt, work = np.ascontiguousarray(g.T), np.empty((4, M, N))
        taken, residual = solve(g, gt, word, bit, v, 1e-9, steps, kept, work, u, w)
        results.append((taken, residual, steps, kept, u, w))
    (taken, residual, *ours), (taken_, residual_, *theirs) = results
    assert taken == taken_ > 3
    assert residual == pytest.approx(residual_, rel=1e-3)
    assert residual < 1e-9
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize("both", [False, True])
def test_many(rng: np.random.Generator, both: bool) -> None:
    g, word, bit = ladders(rng, both)
    word = np.ascontiguousarray(word.transpose(0, 2, 1))
    v, s, results = rng.random((M, LANES)), rng.random((N, LANES)), []
    response, mode, weight = rng.random((M, N)), rng.random((M, N)), rng.random(LANES)
    kernels: Any = (
        (parasitic_lanes.guess, parasitic_lanes.many, parasitic_lanes.across),
        (
            parasitic_lanes.guess_reference,
            parasitic_lanes.many_reference,
            parasitic_lanes.across_reference,
        ),
    )
    for most in (1, 6, 7, 60):
        results = []
        for guess, many, across in kernels:
            w, last, front = np.full((3, M, N, LANES), np.nan)
            guess(response, s, mode, weight, w)
            flows = np.empty((M, LANES)), np.empty((N, LANES))
            end = many(g, word, bit, v, s, 0.5, 1e-9, most, w, last, front, *flows)
            across(g, word, v, w, front)
            results.append((*end, w.copy(), front.copy(), *flows))
        (taken, change, *ours), (taken_, change_, *theirs) = results
        assert taken == taken_ <= most
        assert change == pytest.approx(change_, rel=1e-3)
        assert change < 1e-9 or taken == most
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize(
    ("field", "value"),
    [("word_ohm", -1.0), ("bit_ohm", np.nan), ("sense_ohm", np.inf), ("access_ohm", "2")],
)
def test_wires_refuse(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} takes a finite number from 0, got"):
        Wires(**{field: value})


def test_wires_refuse_unknown_ends() -> None:
    with pytest.raises(ValueError, match="driven takes left, right or both, got 'top'"):
        Wires(driven="top")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sensed takes bottom, top or both, got 'left'"):
        Wires(sensed="left")  # type: ignore[arg-type]


READS: list[Callable[[Any, Any], Any]] = [
    lambda g, v: currents(g, v, WIRES),
    lambda g, v: voltages(g, v, WIRES),
    lambda g, v: power_W(g, v, WIRES),
    lambda g, v: read_noise_std(g, np.ones((4, 5)), v, WIRES),
]


@pytest.mark.parametrize("read", READS)
def test_reads_refuse(read: Callable[[Any, Any], Any]) -> None:
    g, v = np.ones((4, 5)), np.ones((2, 4))
    wrong = g.copy()
    wrong[2, 1] = -1e-6
    with pytest.raises(
        ValueError, match=r"g_S takes finite numbers from 0, got -1e-06 at \(2, 1\)"
    ):
        read(wrong, v)
    with pytest.raises(ValueError, match=r"g_S takes \(rows, columns\), got \(4,\)"):
        read(np.ones(4), v)
    with pytest.raises(ValueError, match=r"v_V takes \(batch, 4\), got \(2, 5\)"):
        read(g, np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"v_V takes finite numbers, got nan at \(1, 3\)"):
        read(g, np.array([[0, 0, 0, 0], [0, 0, 0, np.nan]]))


def test_other_arguments_refuse() -> None:
    g, v = np.ones((4, 5)), np.ones((2, 4))
    with pytest.raises(ValueError, match=r"sigma_S takes \(4, 5\) like g_S, got \(5, 4\)"):
        read_noise_std(g, g.T, v, WIRES)
    with pytest.raises(ValueError, match="sigma_S takes finite numbers from 0, got nan"):
        read_noise_std(g, g * np.nan, v, WIRES)
    with pytest.raises(ValueError, match="tolerance takes a number from 1e-13 to below 1, got 0"):
        currents(g, v, WIRES, tolerance=0)
    with pytest.raises(ValueError, match="max_steps takes a whole number from 1, got 0"):
        effective_conductance(g, WIRES, max_steps=0)


@pytest.mark.parametrize("batch", [1, 12, 30])
def test_says_where_it_stands_when_steps_do_not_suffice(
    rng: np.random.Generator, batch: int
) -> None:
    g, v = rng.uniform(0, 1e-2, (30, 30)), rng.random((batch, 30))
    says = (
        r"the parasitic solve of 30 x 30 cells stands at a residual of \d\.\de-\d+ after 2 steps, "
        r"above 1\.0e-08: raise max_steps or tolerance, or lower"
    )
    with pytest.raises(Unconverged, match=says):
        currents(g, v, WIRES, max_steps=2)
    assert np.isfinite(currents(g, v, WIRES)).all()


def test_a_hopeless_array_still_converges(rng: np.random.Generator) -> None:
    """Wires of kiloohms: hardly anything arrives, and that little is right."""
    g, v = rng.uniform(1e-4, 1e-3, (60, 50)), rng.random((50, 60))
    wires = Wires(word_ohm=1e4, bit_ohm=1e4, driven="both")
    each = np.concatenate([currents(g, x[None], wires, tolerance=1e-12) for x in v])
    assert np.abs(currents(g, v, wires) - each).max() < 1e-5 * np.abs(each).max()
    assert np.abs(each).max() < 0.01 * np.abs(v @ g).max()


def test_solving_the_slowest_mode_beforehand_saves_steps(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    g, wires = rng.uniform(1e-6, 1e-4, (100, 110)), Wires(word_ohm=4, bit_ohm=4)
    effective_conductance(g, wires, tolerance=1e-6, max_steps=4)
    monkeypatch.setattr(parasitic_array, "_MODE_ERROR", 0.0)
    with pytest.raises(Unconverged):
        effective_conductance(g, wires, tolerance=1e-6, max_steps=5)
    effective_conductance(g, wires, tolerance=1e-6, max_steps=6)
