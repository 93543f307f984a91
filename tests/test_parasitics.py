"""Parasitic resistance: against the circuit's own equations, and against what physics demands."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from hwloop.devices.parasitics import (
    Wires,
    currents,
    effective_conductance,
    effective_noise,
    power_W,
    read_noise_std,
    voltages,
)

EXACT = 1e-12
WIRES = Wires(word_ohm=2, bit_ohm=3, driver_ohm=40, sense_ohm=25, access_ohm=500)


def array(rows: int, columns: int, seed: int = 0, batch: int = 3) -> tuple[Any, Any]:
    """Return conductances of 1 to 100 uS, one in eight open, and voltages within +-0.2 V."""
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 1e-4, (rows, columns)) * (rng.random((rows, columns)) > 0.125)
    return g, rng.uniform(-0.2, 0.2, (batch, rows))


def circuit(g: Any, v: Any, wires: Wires) -> tuple[Any, Any, Any]:
    """Solve one input by a sparse LU of the whole circuit; return column currents, u and w.

    Unknown are all node voltages and the currents of all resistors between two nodes, each with
    its own law V_a - V_b - R I = 0: so resistors of 0 ohm need no special case.
    """
    m, n = g.shape
    u, w = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    resistors: list[tuple[int, int, float, float]] = []  # from, to (-1: none), ohm, volt in series
    for line, ohm in [(row, wires.word_ohm) for row in u] + [(row, wires.bit_ohm) for row in w.T]:
        resistors += [(a, b, ohm, 0.0) for a, b in zip(line[:-1], line[1:], strict=True)]
    for i, j in zip(*np.nonzero(g), strict=True):
        resistors.append((u[i, j], w[i, j], 1 / g[i, j] + wires.access_ohm, 0.0))
    first, last = wires.driven != "right", wires.driven != "left"
    for side in [u[:, 0]] * first + [u[:, -1]] * last:
        end = wires.driver_ohm + wires.word_ohm
        resistors += [(-1, a, end, x) for a, x in zip(side, v, strict=True)]
    sensed = len(resistors)
    for side in [w[0]] * (wires.sensed != "bottom") + [w[-1]] * (wires.sensed != "top"):
        resistors += [(a, -1, wires.sense_ohm + wires.bit_ohm, 0.0) for a in side]
    nodes, size, entries = 2 * m * n, 2 * m * n + len(resistors), []
    right = np.zeros(size)
    for k, (a, b, ohm, volt) in enumerate(resistors, nodes):
        entries.append((k, k, -ohm))
        right[k] = -volt
        entries += [(x, y, 1.0) for x, y in ((a, k), (k, a)) if a >= 0]
        entries += [(x, y, -1.0) for x, y in ((b, k), (k, b)) if b >= 0]
    i, j, values = zip(*entries, strict=True)
    x = spsolve(coo_array((values, (i, j)), shape=(size, size)).tocsc(), right)
    flow = x[nodes + sensed :].reshape(-1, n).sum(axis=0)
    return flow, x[:nodes][u], x[:nodes][w]


ohms = st.sampled_from([0.0, 0.3, 1.0, 20.0])
some_wires = st.builds(
    Wires,
    word_ohm=ohms,
    bit_ohm=ohms,
    driver_ohm=st.sampled_from([1.0, 300.0]),
    sense_ohm=st.sampled_from([1.0, 300.0]),
    access_ohm=st.sampled_from([0.0, 4000.0]),
    driven=st.sampled_from(["left", "right", "both"]),
    sensed=st.sampled_from(["bottom", "top", "both"]),
)


def simple(wires: Wires) -> Wires:
    """Return wires without a loop of 0 ohm, in which the current is undetermined."""
    return replace(
        wires,
        driven="left" if wires.driven == "both" and wires.word_ohm == 0 else wires.driven,
        sensed="top" if wires.sensed == "both" and wires.bit_ohm == 0 else wires.sensed,
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(some_wires.map(simple), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_equals_a_sparse_solve_of_the_whole_circuit(
    wires: Wires, rows: int, columns: int, seed: int
) -> None:
    g, v = array(rows, columns, seed, batch=1)
    flow, u, w = circuit(g, v[0], wires)
    word, bit = voltages(g, v, wires, tolerance=EXACT)
    scale = np.abs(v).max()
    assert np.abs(word[0] - u).max() < 1e-9 * scale
    assert np.abs(bit[0] - w).max() < 1e-9 * scale
    got = currents(g, v, wires, tolerance=EXACT)[0]
    assert np.abs(got - flow).max() <= 1e-9 * max(np.abs(flow).max(), 1e-9)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.0, 30.0), (30.0, 0.0)])
@pytest.mark.parametrize("segments", [(0.0, 1.0), (1.0, 0.0), (1.0, 2.0)])
def test_ends_without_resistance_are_exact(
    ends: tuple[float, float], segments: tuple[float, float]
) -> None:
    wires = Wires(word_ohm=segments[0], bit_ohm=segments[1], driver_ohm=ends[0], sense_ohm=ends[1])
    g, v = array(14, 11)
    expected = np.stack([circuit(g, x, wires)[0] for x in v])
    assert np.abs(currents(g, v, wires, tolerance=EXACT) - expected).max() < 1e-9 * expected.max()


@pytest.mark.parametrize(("rows", "columns"), [(40, 23), (23, 40), (1, 30), (30, 1)])
@pytest.mark.parametrize("ends", [("left", "bottom"), ("right", "top"), ("both", "both")])
def test_one_matrix_serves_every_input(rows: int, columns: int, ends: Any) -> None:
    wires = replace(WIRES, driven=ends[0], sensed=ends[1])
    g, v = array(rows, columns, batch=22)
    matrix = effective_conductance(g, wires, tolerance=EXACT)
    each = np.concatenate([currents(g, x[None], wires, tolerance=EXACT) for x in v])
    assert np.abs(v @ matrix - each).max() < 1e-9 * np.abs(each).max()
    for batch in (1, 5, 18, 22):  # one by one, in lanes (with a rest), and by the matrix
        some = currents(g, v[:batch], wires)
        assert np.abs(some - each[:batch]).max() < 1e-7 * np.abs(each).max()


@pytest.mark.parametrize("wires", [Wires(), Wires(driven="both", sensed="both")])
def test_wires_of_zero_ohm_leave_the_product(wires: Wires) -> None:
    g, v = array(19, 33, batch=40)
    np.testing.assert_allclose(currents(g, v, wires), v @ g, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(currents(g, v[:2], wires), v[:2] @ g, rtol=1e-12, atol=1e-18)
    series = effective_conductance(g, replace(wires, access_ohm=2000))
    np.testing.assert_allclose(series, g / (1 + 2000 * g), rtol=1e-12)


def test_one_cell_is_one_series_circuit() -> None:
    one = np.array([[1e-4]])
    assert effective_conductance(one, WIRES).item() == pytest.approx(1 / (10000 + 500 + 70))
    halved = replace(WIRES, driven="both", sensed="both")
    assert effective_conductance(one, halved).item() == pytest.approx(1 / (10000 + 500 + 35))


@pytest.mark.parametrize("ends", [("left", "bottom"), ("both", "top"), ("right", "both")])
def test_delivered_power_becomes_heat(ends: Any) -> None:
    wires = replace(WIRES, driven=ends[0], sensed=ends[1])
    g, v = array(17, 26)
    u, w = voltages(g, v, wires, tolerance=EXACT)
    heat = np.sum((u - w) ** 2 * g / (1 + g * wires.access_ohm), axis=(1, 2))
    heat += np.sum(np.diff(u, axis=2) ** 2, axis=(1, 2)) / wires.word_ohm
    heat += np.sum(np.diff(w, axis=1) ** 2, axis=(1, 2)) / wires.bit_ohm
    for column in {"left": [0], "right": [-1], "both": [0, -1]}[ends[0]]:
        heat += np.sum((v - u[:, :, column]) ** 2, axis=1) / (wires.driver_ohm + wires.word_ohm)
    for row in {"top": [0], "bottom": [-1], "both": [0, -1]}[ends[1]]:
        heat += np.sum(w[:, row] ** 2, axis=1) / (wires.sense_ohm + wires.bit_ohm)
    np.testing.assert_allclose(power_W(g, v, wires, tolerance=EXACT), heat, rtol=1e-9)
    many = np.tile(v, (5, 1))
    np.testing.assert_allclose(power_W(g, many, wires), np.tile(heat, 5), rtol=1e-6)


@pytest.mark.parametrize(
    ("ends", "mirrored"), [(("left", "bottom"), ("right", "top")), (("both", "top"),) * 2]
)
def test_reciprocity(ends: Any, mirrored: Any) -> None:
    """What drives and what senses may change places: the transposed array is the transpose."""
    g, _ = array(12, 31)
    here = replace(WIRES, driven=ends[0], sensed=ends[1])
    swapped = {"left": "top", "right": "bottom", "top": "left", "bottom": "right", "both": "both"}
    there = Wires(
        word_ohm=here.bit_ohm,
        bit_ohm=here.word_ohm,
        driver_ohm=here.sense_ohm,
        sense_ohm=here.driver_ohm,
        access_ohm=here.access_ohm,
        driven=swapped[ends[1]],  # type: ignore[arg-type]
        sensed=swapped[ends[0]],  # type: ignore[arg-type]
    )
    matrix = effective_conductance(g, here, tolerance=EXACT)
    back = effective_conductance(g.T.copy(), there, tolerance=EXACT)
    np.testing.assert_allclose(back.T, matrix, rtol=1e-8, atol=1e-9 * matrix.max())


@pytest.mark.parametrize("what", ["word_ohm", "bit_ohm", "driver_ohm", "sense_ohm", "access_ohm"])
def test_more_resistance_never_raises_the_whole_current(what: str) -> None:
    """Rayleigh's monotonicity law, for all drivers at 1 V."""
    g, _ = array(20, 20)
    all_on = np.ones((1, 20))
    totals = [
        currents(g, all_on, replace(WIRES, **{what: ohm})).sum() for ohm in (0, 1, 10, 100, 1000)
    ]
    assert (np.diff(totals) < 0).all()


def test_noise_is_the_derivative_of_the_current() -> None:
    g, v = array(13, 9)
    wires, step, cell = replace(WIRES, driven="right"), 1e-8, (8, 3)
    g[cell] = 5e-5
    sigma, up, down = np.zeros_like(g), g.copy(), g.copy()
    sigma[cell], up[cell], down[cell] = 1, g[cell] + step, g[cell] - step
    slope = currents(up, v, wires, tolerance=EXACT) - currents(down, v, wires, tolerance=EXACT)
    std = read_noise_std(g, sigma, v, wires, tolerance=EXACT)
    np.testing.assert_allclose(std, np.abs(slope) / (2 * step), rtol=1e-5, atol=1e-6 * std.max())


def test_noise_agrees_with_sampling_noisy_arrays() -> None:
    """2,000 arrays: a column's std has a standard error of 1.6 %, their mean one of 0.3 %."""
    rng = np.random.default_rng(5)
    g, wires = rng.uniform(1e-6, 1e-4, (32, 32)), Wires(word_ohm=4, bit_ohm=4)
    v, sigma = rng.uniform(0, 0.2, (1, 32)), 0.02 * g
    sampled = [currents(g + sigma * rng.standard_normal(g.shape), v, wires) for _ in range(2000)]
    ratio = read_noise_std(g, sigma, v, wires)[0] / np.std(sampled, axis=0)[0]
    assert np.abs(ratio - 1).max() < 5 * 0.016
    assert abs(ratio.mean() - 1) < 0.05
    ideal = np.sqrt(v**2 @ sigma**2)
    assert np.mean(ideal / np.std(sampled, axis=0)) > 1.1  # as if there were no wires: too much


def test_noise_is_less_than_the_effective_matrix_suggests() -> None:
    rng = np.random.default_rng(0)
    g, wires = rng.uniform(1e-6, 1e-4, (64, 64)), Wires(word_ohm=1, bit_ohm=1)
    v, sigma = rng.uniform(0, 0.2, (20, 64)), 0.02 * g
    shortcut = np.sqrt(v**2 @ (sigma * effective_conductance(g, wires) / g) ** 2)
    assert 1.04 < np.mean(shortcut / read_noise_std(g, sigma, v, wires)) < 1.06


@pytest.mark.parametrize(("n", "one_sign"), [(64, 1.04), (128, 1.12)])
def test_the_mean_noise_of_an_array_is_right_for_inputs_of_both_signs(n, one_sign) -> None:
    """And too much, by what the docstring says, for those of one."""
    rng = np.random.default_rng(0)
    g, wires = rng.uniform(1e-6, 1e-4, (n, n)), Wires(word_ohm=1, bit_ohm=1)
    sigma = 0.02 * g
    matrix, variance = effective_noise(g, sigma, wires)
    np.testing.assert_allclose(matrix, effective_conductance(g, wires), rtol=1e-6)
    for low, expected in ((-0.2, 1.0), (0.0, one_sign)):
        v = rng.uniform(low, 0.2, (8, n))
        ratio = np.sqrt(v**2 @ variance) / read_noise_std(g, sigma, v, wires)
        print(f"{n} x {n}, from {low:g} V: {ratio.mean():.3f}")
        assert ratio.mean() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("ends", [("left", "bottom"), ("right", "top"), ("both", "both")])
def test_the_noise_of_one_driven_row_is_its_exact_one(ends: Any) -> None:
    """To first order, but for what the other columns' cells add through the word lines."""
    wires = replace(WIRES, driven=ends[0], sensed=ends[1])
    g, _ = array(14, 9)
    sigma = np.random.default_rng(1).uniform(0, 1e-6, g.shape)
    _, variance = effective_noise(g, sigma, wires)
    exact = read_noise_std(g, sigma, np.eye(14), wires)
    np.testing.assert_allclose(np.sqrt(variance), exact, rtol=2e-2, atol=1e-3 * exact.max())
    with pytest.raises(ValueError, match=r"sigma_S takes \(14, 9\) like g_S, got \(9, 14\)"):
        effective_noise(g, sigma.T, wires)


def test_agrees_with_badcrossbar() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = pytest.importorskip("badcrossbar", exc_type=ImportError)
        g, v = array(24, 37)
        g = np.maximum(g, 1e-6)
        out = bad.compute(v.T, 1 / g, r_i_word_line=1.5, r_i_bit_line=0.7).currents.output
    ours = currents(g, v, Wires(word_ohm=1.5, bit_ohm=0.7))
    assert np.abs(ours - out).max() < 1e-6 * np.abs(out).max()


def test_keeps_the_array_type() -> None:
    torch = pytest.importorskip("torch")
    g, v = (x.astype(np.float32) for x in array(9, 8, batch=2))
    assert currents(g, v, WIRES).dtype == effective_conductance(g, WIRES).dtype == np.float32
    there = currents(torch.tensor(g), torch.tensor(v), WIRES)
    assert there.dtype == torch.float32
    np.testing.assert_array_equal(there.numpy(), currents(g, v, WIRES))


def test_an_open_array_carries_nothing() -> None:
    assert not currents(np.zeros((4, 5)), np.ones((1, 4)), WIRES).any()
    assert not effective_conductance(np.zeros((4, 5)), WIRES).any()
