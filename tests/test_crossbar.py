"""The crossbar: exact where nothing is noisy, and its noise proved against drawing every cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwloop.devices import Can, Seed
from hwloop.devices.crossbar import Crossbar

N_OUT, N_IN = 7, 13
EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
KINDS = ["differential", "balanced", "offset"]
draw = np.random.default_rng(5)
W = draw.normal(size=(N_OUT, N_IN)).astype(np.float32)
X = draw.normal(size=(9, N_IN)).astype(np.float32)
Y = draw.normal(size=(9, N_OUT)).astype(np.float32)


def make(w: np.ndarray = W, **settings: Any) -> Crossbar:
    device = Crossbar(n_out=w.shape[0], n_in=w.shape[1], name="c", seed=Seed(1), **settings)
    device.program(w)
    return device


@pytest.mark.parametrize("tiles", [{}, {"tile_rows": 5, "tile_columns": 12}])
@pytest.mark.parametrize("scaling", ["tensor", "column"])
@pytest.mark.parametrize("digits", [{}, {"levels": 16, "slices": 4}])
@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_it_is_the_matrix_however_it_is_mapped(kind, digits, scaling, tiles) -> None:
    if kind != "offset" or not digits:
        device = make(mapping=kind, scaling=scaling, **EXACT, **digits, **tiles)
        np.testing.assert_allclose(device.matrix(), W, atol=2e-4 if digits else 2e-6)
        np.testing.assert_allclose(device.multiply(X), X @ device.matrix().T, atol=1e-4)
        np.testing.assert_allclose(device.transpose(Y), Y @ device.matrix(), atol=1e-4)


def test_an_array_narrower_than_a_sliced_weight_is_refused_and_a_wider_one_holds_it() -> None:
    digits = {"mapping": "offset", "levels": 16, "slices": 4}
    device = make(tile_columns=8, tile_rows=5, **EXACT, **digits)
    np.testing.assert_allclose(device.multiply(X), X @ W.T, atol=2e-3)
    with pytest.raises(ValueError, match="one weight takes 8 columns.*an array has 7"):
        make(tile_columns=7, **EXACT, **digits)


@pytest.mark.parametrize("kind", KINDS)
def test_serial_drives_add_up_to_the_amplitude(kind) -> None:
    exact = EXACT | {"dac_bits": 8, "mapping": kind}
    serial, at_once = make(encoding="serial", **exact), make(encoding="amplitude", **exact)
    np.testing.assert_allclose(serial.multiply(X), at_once.multiply(X), atol=2e-5)
    np.testing.assert_allclose(serial.transpose(Y), at_once.transpose(Y), atol=2e-5)


def test_a_drive_is_rounded_to_its_bits_and_cut_at_its_range() -> None:
    device = make(**EXACT | {"dac_bits": 4, "input_range": 1.0})
    shown = np.rint(np.clip(X, -1, 1) * 7) / 7
    np.testing.assert_allclose(device.multiply(X), shown @ W.T, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_conversion_is_off_by_half_a_code_at_most_within_its_range(bits: int) -> None:
    device = make(**EXACT | {"adc_bits": bits})
    device.calibrate(x=X)
    full = abs((X / abs(X).max(1, keepdims=True)) @ W.T).max()
    half = 0.5 * full / (2 ** (bits - 1) - 1)
    error = abs(device.multiply(X) - X @ W.T) / abs(X).max(1, keepdims=True)
    assert error.max() <= half * (1 + 1e-4)
    assert error.max() > 0.5 * half


def test_calibration_sets_a_range_for_every_column_where_asked() -> None:
    plain, each = (make(**EXACT | {"adc_bits": 6}, adc_per_column=c) for c in (False, True))
    for device in (plain, each):
        device.calibrate(x=X, y=Y)
    errors = [abs(d.multiply(X) - X @ W.T).mean() for d in (plain, each)]
    assert errors[1] < errors[0]
    with pytest.raises(ValueError, match="adc_range fixes the ranges"):
        make(adc_range=10.0).calibrate(x=X)


def test_errors_of_the_converters_are_gains_that_matrix_knows_and_offsets() -> None:
    gains = make(**EXACT | {"adc_gain_std": 0.1})
    assert abs(gains.matrix() - W).max() > 0.01
    np.testing.assert_allclose(gains.multiply(X), X @ gains.matrix().T, atol=1e-5)
    shared = make(**EXACT | {"adc_gain_std": 0.1}, columns_per_adc=4).matrix() / W
    np.testing.assert_allclose(shared[:4], np.broadcast_to(shared[0, 0], (4, N_IN)), rtol=1e-4)
    assert abs(shared[4, 0] - shared[0, 0]) > 1e-3
    offsets = make(**EXACT | {"adc_offset_lsb": 0.5})
    moved = offsets.multiply(np.ones((2, N_IN), np.float32)) - offsets.matrix().sum(1)
    assert abs(moved[0]).max() > 0.01
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-5)


def by_every_cell(device: Crossbar, x: np.ndarray, times: int) -> np.ndarray:
    """Return outputs (times, n_out) for one x, the noise of every single cell drawn."""
    cells, g = device._cells, device._written.g
    now = cells.drifted(g, device._written.nu, device._age_s)
    std = cells.read_std(g, now, device._age_s)
    assert std is not None
    normal, full = np.random.default_rng(8).standard_normal, abs(x).max()
    out = np.empty((times, device.n_out), np.float32)
    for k in range(times):
        i = ((now + std * normal(now.shape, np.float32)) @ (x / full)) / cells.span_S
        if device.mapping == "offset":
            column = device._mapping.weights[0] * (i[0, 0, : device.n_out] - i[0, 0, -1])
        else:
            column = i[0, 0] - i[0, 1]
        out[k] = column * device._scale * full
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age_s", [0.0, 1e5])
def test_the_noise_at_the_outputs_is_that_of_every_cell(kind, age_s: float) -> None:
    """Mean, variance and covariance within five standard errors of both samples."""
    times = 20_000
    device = make(mapping=kind, adc_bits=0, dac_bits=0, scaling="column")
    device.wait(age_s)
    x = X[0]
    law = device.multiply(np.repeat(x[None], times, axis=0)).astype(np.float64)
    cells = by_every_cell(device, x, times).astype(np.float64)
    covariance = [np.cov(y.T) for y in (law, cells)]
    variance = np.diag(covariance[1])
    mean_error = np.sqrt(2 * variance / times)
    assert (abs(law.mean(0) - cells.mean(0)) < 5 * mean_error).all()
    assert (abs(law.mean(0) - x @ device.matrix().T) < 5 * mean_error).all()
    error = np.sqrt((np.outer(variance, variance) + covariance[1] ** 2) * 2 / times)
    assert (abs(covariance[0] - covariance[1]) < 5 * error).all()
    between = covariance[0][~np.eye(N_OUT, dtype=bool)]
    if kind == "offset":
        assert (between > 0).all(), "outputs share the noise of their reference column"


def test_one_noise_level_has_its_std_and_is_promised_where_nothing_hides_it() -> None:
    settings = EXACT | {"output_noise": 0.04, "scaling": "column", "input_range": 2.0}
    device, times = make(**settings), 20_000
    y = device.multiply(np.repeat(X[:1], times, axis=0))
    expected = 0.04 * 2.0 * abs(W).max(axis=1)
    np.testing.assert_allclose(y.std(0), expected, rtol=5 / np.sqrt(2 * times))
    assert device.noise_std() == pytest.approx(expected.min())
    planes = make(**settings | {"dac_bits": 4, "encoding": "serial"})
    assert planes.noise_std() == pytest.approx(expected.min() * 21**0.5 / 7)
    planes.wait(1e6)
    planes.compensate()
    y = planes.multiply(np.repeat(X[:1], times, axis=0))
    promised = planes.noise_std()
    assert promised is not None
    assert y.std(0).min() == pytest.approx(promised, rel=5 / np.sqrt(2 * times))
    for hidden in ({"adc_bits": 8}, {"input_range": None}, {"output_noise": 0.0}):
        assert make(**settings | hidden).noise_std() is None


def test_noise_does_not_depend_on_how_a_batch_is_cut(monkeypatch) -> None:
    whole = make().multiply(np.repeat(X, 3, axis=0))
    monkeypatch.setattr("hwloop.devices.crossbar.ROWS", 4)
    monkeypatch.setattr("hwloop.devices.crossbar_read.BLOCK", 3 * N_OUT)
    np.testing.assert_array_equal(make().multiply(np.repeat(X, 3, axis=0)), whole)


def test_state_holds_age_ranges_drift_and_compensation() -> None:
    one, other = make(), make(W * 0)
    one.calibrate(x=X, y=Y)
    one.wait(1e4)
    one.compensate(per_column=True)
    other.restore({k: v.copy() for k, v in one.state().items()})
    for _ in range(2):
        np.testing.assert_array_equal(one.multiply(X), other.multiply(X))
        np.testing.assert_array_equal(one.transpose(Y), other.transpose(Y))
    np.testing.assert_array_equal(one.matrix(), other.matrix())


def test_looking_at_a_device_changes_nothing() -> None:
    one, other = make(), make()
    for device in (one, other):
        if device is one:
            device.matrix()
            device.noise_std()
        device.wait(1e5)
    np.testing.assert_array_equal(one.multiply(X), other.multiply(X))
    np.testing.assert_array_equal(one.transpose(Y), other.transpose(Y))


def test_wires_weaken_the_matrix_and_both_ways_stay_adjoint() -> None:
    ohms = {"word_ohm": 50.0, "bit_ohm": 50.0, "driver_ohm": 200.0, "sense_ohm": 100.0}
    device = make(**EXACT, tile_rows=6, tile_columns=8, **ohms)
    assert 0.7 < abs(device.matrix()).sum() / abs(W).sum() < 0.99
    np.testing.assert_allclose(device.multiply(X), X @ device.matrix().T, atol=1e-4)
    np.testing.assert_allclose(device.transpose(Y), Y @ device.matrix(), atol=1e-4)
    series = make(**EXACT, access_ohm=1e4, scaling="column")
    g = 2.07e-5 * abs(W) / abs(W).max(1, keepdims=True)
    np.testing.assert_allclose(series.matrix(), W / (1 + g * 1e4), rtol=1e-4)


def test_it_can_all_but_update_and_says_so() -> None:
    assert Crossbar.can == Can.MULTIPLY | Can.TRANSPOSE | Can.PROGRAM


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"g_min_S": 3e-5}, r"g_min_S takes a conductance from 0 and below g_max_S, got 3e-05 S"),
        ({"levels": 32, "adc_bits": 4}, r"32 levels are more than adc_bits 4 resolves \(16 codes"),
        ({"mapping": "diferential"}, 'unknown mapping "diferential"; did you mean "differential"'),
        ({"slices": 2}, r"2 slices hold digits, so levels takes 2 and more"),
        ({"levels": 1}, r"levels takes 0 \(any conductance\) or 2 and more, got 1"),
        ({"levels": 2, "mapping": "offset"}, "offset weights take 3 levels and more"),
        ({"slices": 16, "levels": 4}, "16 slices of 4 levels are more than 24 bits"),
        ({"dac_bits": 1}, "one bit is the sign"),
        ({"encoding": "serial", "dac_bits": 0}, "serial drives show bits"),
        ({"stuck_on": 0.6, "stuck_off": 0.6}, "their sum is above 1"),
        ({"adc_bits": 8.0}, "adc_bits takes a whole number from 0 to 16, got 8.0"),
        ({"read_noise": -1.0}, "read_noise takes a number from 0 to 1e"),
        ({"word_ohm": -1.0}, "word_ohm takes a finite number from 0, got -1.0"),
        ({"technology": "ideal"}, 'technology ideal: unknown parameter "'),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(settings, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Crossbar(n_out=2, n_in=2, name="c", **settings)


def test_what_cannot_be_asked_is_said_in_a_sentence() -> None:
    device = make()
    with pytest.raises(ValueError, match="c: wait takes seconds from 0, got -1"):
        device.wait(-1)
    with pytest.raises(ValueError, match="c: w takes finite numbers"):
        device.program(np.full((N_OUT, N_IN), np.nan))
