"""Around the arrays: converters of both kinds, ways to show an input, rows in groups, sides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hwloop.devices import Can, Ledger, Seed
from hwloop.devices.converters import edges_of
from hwloop.devices.crossbar import Crossbar
from hwloop.devices.kernels import crossbar as kernels
from hwloop.devices.parasitics import Wires, currents, effective_conductance, power_W

EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
rng = np.random.default_rng(9)
W = rng.uniform(-1, 1, (6, 24)).astype(np.float32)
X = rng.uniform(-1, 1, (4, 24)).astype(np.float32)
Y = rng.uniform(-1, 1, (4, 6)).astype(np.float32)


def make(w: np.ndarray = W, **settings: Any) -> Crossbar:
    device = Crossbar(n_out=w.shape[0], n_in=w.shape[1], name="c", seed=Seed(1), **settings)
    device.program(w)
    return device


# ---- converters -------------------------------------------------------------------


def test_a_ramp_s_errors_are_a_random_walk_between_fitted_ends() -> None:
    """Std of code k among n equal steps: sigma sqrt(k (n - k) / n), Brownian bridge."""
    sigma, n, many = 0.02, 255, 4000
    edges = edges_of("ramp", 8, sigma, many, np.random.default_rng(0)).astype(float)
    off = edges + 128.5 - np.arange(256)
    assert abs(off[:, [0, -1]]).max() < 1e-4
    k = np.array([16, 64, 128, 200])
    expected = sigma * np.sqrt(k * (n - k) / n)
    np.testing.assert_allclose(off[:, k].std(axis=0), expected, rtol=5 / math.sqrt(2 * many))


def test_a_sar_s_code_widths_are_worst_where_most_bits_change() -> None:
    """At code 2^k: the bit's 2^k elements against the 2^k - 1 of those below, less the fit."""
    sigma, many = 0.01, 4000
    edges = edges_of("sar", 8, sigma, many, np.random.default_rng(0)).astype(float)
    width = np.diff(edges, axis=1) - 1
    for code in (128, 64, 32):
        expected = sigma * math.sqrt(2 * code - 1)
        std = width[:, code - 1].std()
        assert std == pytest.approx(expected, rel=5 / math.sqrt(2 * many) + 0.01)
    assert width[:, 127].std() > 5 * width[:, 128].std()


@pytest.mark.parametrize("kind", ["sar", "ramp"])
def test_search_is_its_reference_and_finds_the_code_whose_edges_hold_the_signal(kind) -> None:
    draw = np.random.default_rng(3)
    rows, n, bits = 6, 40, 6
    edges = edges_of(kind, bits, 0.05, 7, draw)
    adc = (np.arange(n) % 7).astype(np.int32)
    current = draw.normal(size=(rows, n)).astype(np.float32)
    z, v = (draw.normal(size=(rows, n)).astype(np.float32) for _ in range(2))
    std, inverse, offset = (abs(draw.normal(size=n)).astype(np.float32) for _ in range(3))
    inverse *= 12
    one = np.ones(n, np.float32), np.ones(rows, np.float32)
    for noise in (z, z[:0]):
        rest = noise, abs(v)[: len(noise)], std, inverse, offset, edges, adc, *one
        got, expected, more = current.copy(), current.copy(), current.copy()
        kernels.search(got, *rest, got[:0])
        kernels.search_reference(expected, *rest, got[:0])
        assert (got != expected).mean() < 0.01  # a multiply-add may move what stands on an edge
        np.testing.assert_allclose(got, expected, atol=1)
        total = current.copy()
        kernels.search(more, *rest, total)
        np.testing.assert_array_equal(total, current + more)
    signal = current * inverse + offset
    if kind == "ramp":
        code = (signal[:, :, None] >= edges[adc][None, :, 1:]).sum(axis=2) - 32
        np.testing.assert_allclose(got, np.maximum(code, -31), atol=1)
        assert (got == np.maximum(code, -31)).mean() > 0.99


def test_converters_without_mismatch_are_the_plain_ones() -> None:
    settings = EXACT | {"adc_bits": 6, "output_noise": 0.02}
    plain = make(**settings).multiply(X)
    fine = make(**settings, adc_mismatch=1e-9).multiply(X)
    assert (plain != fine).mean() < 0.05  # what rounds half to even
    np.testing.assert_allclose(plain, fine, atol=0.5)


@pytest.mark.parametrize("kind", ["sar", "ramp"])
def test_mismatch_costs_accuracy_and_shared_converters_err_alike(kind: str) -> None:
    settings = EXACT | {"adc_bits": 7, "adc_kind": kind}
    errors = [
        abs(make(**settings, adc_mismatch=m).multiply(X) - X @ W.T).mean() for m in (0, 0.02, 0.2)
    ]
    assert errors[0] < errors[1] < errors[2]
    device = make(**settings, adc_mismatch=0.1, columns_per_adc=3)
    [only] = device._of(Can.MULTIPLY)
    assert only.edges is not None
    assert len(only.edges) == 2
    same = make(**settings, adc_mismatch=0.1, columns_per_adc=3)
    np.testing.assert_array_equal(device.multiply(X), same.multiply(X))


def test_the_first_batch_after_a_write_calibrates_where_asked() -> None:
    settings = EXACT | {"adc_bits": 6, "adc_per_column": True}
    ledger = Ledger()
    asked, told = make(calibrated=True, ledger=ledger, **settings), make(**settings)
    told.calibrate(x=X, y=Y)
    for _ in range(2):
        np.testing.assert_array_equal(asked.multiply(X), told.multiply(X))
        np.testing.assert_array_equal(asked.transpose(Y), told.transpose(Y))
    times = {step.ops[0].verb: tally.times for step, tally in ledger.steps.items()}
    assert times == {"PROGRAM": 1, "CALIBRATE": 2, "MULTIPLY": 2, "TRANSPOSE": 2}
    other = make(W * 0, calibrated=True, **settings)
    other.restore({k: v.copy() for k, v in asked.state().items()})
    np.testing.assert_array_equal(other.multiply(0.1 * X), asked.multiply(0.1 * X))
    asked.program(2 * W)
    told.program(2 * W)
    told.calibrate(x=0.1 * X)
    np.testing.assert_array_equal(asked.multiply(0.1 * X), told.multiply(0.1 * X))


# ---- inputs -----------------------------------------------------------------------


def test_pulses_amount_to_the_amplitude_and_are_converted_once() -> None:
    exact = EXACT | {"dac_bits": 6}
    pulses, amplitude = (make(encoding=e, **exact) for e in ("pulses", "amplitude"))
    np.testing.assert_allclose(pulses.multiply(X), amplitude.multiply(X), atol=1e-5)
    np.testing.assert_allclose(pulses.transpose(Y), amplitude.transpose(Y), atol=1e-5)
    one, other = (d.cost(Can.MULTIPLY, 3) for d in (pulses, amplitude))
    assert one["adc"] == other["adc"]
    assert one["dac"].work == 31 * other["dac"].work
    assert one["dac"].depth == 31 * other["dac"].depth


def told(device: Crossbar, x: np.ndarray) -> float:
    """Return the cells that one multiply counted as read."""
    before = set(device.ledger.steps)
    device.multiply(x)
    [step] = set(device.ledger.steps) - before
    events = [event for event, _ in step.ops[0].depths]
    return device.ledger.steps[step].work[0][events.index("cell_read")]


@pytest.mark.parametrize("encoding", ["amplitude", "serial", "pulses"])
def test_a_read_counts_what_its_cells_take(encoding: str) -> None:
    """Joules by hand: V^2 G t of every cell and drive, over that of a cell in the middle."""
    device = make(technology="rram_milo", encoding=encoding, **EXACT | {"dac_bits": 5})
    codes = np.rint(X / abs(X).max(1, keepdims=True) * 15) / 15
    count = np.rint(abs(codes) * 15).astype(int)
    drives = {
        "amplitude": codes**2,
        "serial": sum((count >> k & 1) for k in range(4)),
        "pulses": count,
    }[encoding]
    joules = (drives @ device._written.g[0].sum(axis=(0, 1)) * 0.25 * 1e-8).sum()
    price = 0.25 * 137.5e-6 * 1e-8
    assert told(device, X) == pytest.approx(joules / price, rel=1e-5)


def test_cells_alone_take_more_than_all_of_an_array_behind_wires() -> None:
    """Dirichlet's principle: resistance in series only lowers what fixed voltages deliver."""
    ohms = {"word_ohm": 30.0, "bit_ohm": 30.0, "driver_ohm": 100.0}
    device = make(abs(W), technology="rram_milo", input_range=1.0, **EXACT, **ohms)
    counted = told(device, X[:1]) * 137.5e-6 * 0.25
    g = device._written.g[0].transpose(2, 1, 0).reshape(24, -1)
    exact = power_W(g, 0.5 * X[:1], Wires(**ohms))[0]
    assert 0.5 * counted < exact < counted


# ---- arrays -----------------------------------------------------------------------


@pytest.mark.parametrize("mapping", ["differential", "offset"])
@pytest.mark.parametrize("rows", [{}, {"tile_rows": 10}])
def test_rows_in_groups_add_up_to_the_array(rows: dict[str, int], mapping: Any) -> None:
    plain, grouped = (make(mapping=mapping, rows_at_once=k, **EXACT, **rows) for k in (None, 4))
    np.testing.assert_allclose(grouped.multiply(X), plain.multiply(X), atol=1e-5)
    np.testing.assert_allclose(grouped.transpose(Y), plain.transpose(Y), atol=1e-5)
    np.testing.assert_allclose(grouped.matrix(), plain.matrix(), atol=1e-6)
    groups, whole = (6, 1) if not rows else (3 + 3 + 1, 3)
    for verb in (Can.MULTIPLY, Can.TRANSPOSE):
        passes = grouped._of(verb)
        assert grouped.cost(verb, 1)["adc"].work == sum(len(p.gain) for p in passes)
    one, all_ = (d.cost(Can.MULTIPLY, 1) for d in (grouped, plain))
    assert one["adc"].work * whole == all_["adc"].work * groups
    assert one["dac"].work == all_["dac"].work
    assert one["adc"].depth == all_["adc"].depth * (6 if not rows else 3)


def test_selected_rows_see_only_the_wire_of_the_others() -> None:
    """Against the circuit with the other rows' transistors open, group by group."""
    ohms = {"word_ohm": 20.0, "bit_ohm": 40.0, "driver_ohm": 50.0, "sense_ohm": 10.0}
    device = make(rows_at_once=8, access_ohm=1e3, **EXACT, **ohms)
    g, x = device._written.g[0].astype(float), X[:1] / abs(X[:1]).max()
    array = g.transpose(2, 1, 0).reshape(24, -1)
    total = np.zeros(12)
    for first in range(0, 24, 8):
        part = np.zeros_like(array)
        part[first : first + 8] = array[first : first + 8]
        total += currents(part, x, Wires(**ohms, access_ohm=1e3))[0]
    pairs = total.reshape(6, 2)
    expected = (pairs[:, 0] - pairs[:, 1]) / device._cells.span_S * device._scale
    np.testing.assert_allclose(device.multiply(x)[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(device.transpose(Y), Y @ device.matrix(), atol=1e-4)
    whole = make(access_ohm=1e3, **EXACT, **ohms)
    loss = [abs(d.matrix() - W).mean() for d in (device, whole)]
    assert loss[0] < 0.8 * loss[1], "fewer rows at once share less of the bit line's resistance"


def test_an_array_that_cannot_be_solved_says_how_far_it_came_and_what_to_change() -> None:
    w = rng.uniform(-1, 1, (60, 64)).astype(np.float32)
    with pytest.raises(ValueError, match="c: the parasitic solve of 64 x 120 cells stands at a "):
        make(w, **EXACT, word_ohm=1e7, bit_ohm=1e7).matrix()
    with pytest.raises(ValueError, match="lower word_ohm or bit_ohm, g_max_S, or the array by"):
        make(w, **EXACT, word_ohm=1e7, bit_ohm=1e7).multiply(w[:, :64])


@pytest.mark.parametrize(("driven", "sensed"), [("right", "top"), ("both", "both")])
def test_lines_are_driven_and_sensed_where_the_settings_say(driven: Any, sensed: Any) -> None:
    ohms = {"word_ohm": 50.0, "bit_ohm": 50.0, "driver_ohm": 20.0}
    device = make(driven=driven, sensed=sensed, **EXACT, **ohms)
    g = device._written.g[0].transpose(2, 1, 0).reshape(24, -1).astype(float)
    matrix = effective_conductance(g, Wires(**ohms, driven=driven, sensed=sensed))
    pairs = matrix.reshape(24, 6, 2)
    expected = (pairs[:, :, 0] - pairs[:, :, 1]).T / device._cells.span_S * device._scale[0]
    np.testing.assert_allclose(device.matrix(), expected, atol=1e-5)
    assert abs(device.matrix() - make(**EXACT, **ohms).matrix()).max() > 1e-3
