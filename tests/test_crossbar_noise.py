"""Traps, heat and curved cells: each against the circuit, cell by cell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, norm

from hwloop.devices import Seed
from hwloop.devices.crossbar import Crossbar

EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
rng = np.random.default_rng(6)
W = rng.uniform(-1, 1, (5, 128)).astype(np.float32)
X = rng.uniform(-1, 1, (1, 128)).astype(np.float32)
X /= abs(X).max()
TIMES = 20_000


def make(w: np.ndarray = W, **settings: Any) -> Crossbar:
    device = Crossbar(n_out=w.shape[0], n_in=w.shape[1], name="c", seed=Seed(1), **settings)
    device.program(w)
    return device


def switching(device: Crossbar, times: int, x: np.ndarray = X) -> np.ndarray:
    """Return outputs (times, n_out) for x, every single trap filled or not at every read."""
    g, draw = device._written.g, np.random.default_rng(2)
    traps = device._noise.traps
    assert traps is not None
    out = np.empty((times, device.n_out))
    for k in range(times):
        filled = traps & (draw.random(g.shape, np.float32) < device.telegraph_duty)
        now = g * np.where(filled, 1 - device.telegraph, 1)
        out[k] = (now[0, 0] - now[0, 1]) @ x[0] / device._cells.span_S * device._scale
    return out


@pytest.mark.parametrize("duty", [0.5, 0.2])
def test_telegraph_noise_has_the_mean_variance_and_covariance_of_its_cells(duty: float) -> None:
    """Within five standard errors: the two-level law is folded into one Gaussian an output."""
    traps = {"telegraph": 0.3, "telegraph_share": 0.5, "telegraph_duty": duty}
    device = make(scaling="column", **EXACT, **traps)
    law = device.multiply(np.repeat(X, TIMES, axis=0)).astype(float)
    cells = switching(device, TIMES)
    covariance = [np.cov(y.T) for y in (law, cells)]
    variance = np.diag(covariance[1])
    assert (abs(law.mean(0) - cells.mean(0)) < 5 * np.sqrt(2 * variance / TIMES)).all()
    np.testing.assert_allclose(X @ device.matrix().T, law.mean(0)[None], atol=0.02)
    error = np.sqrt((np.outer(variance, variance) + covariance[1] ** 2) * 2 / TIMES)
    assert (abs(covariance[0] - covariance[1]) < 5 * error).all()
    assert (variance > 0).all()


def test_many_traps_are_as_good_as_gaussian_and_one_is_not() -> None:
    """What the fold leaves out is the shape: on 128 lines it cannot be told, on one it is all."""
    many = switching(make(**EXACT, telegraph=0.3), 4000)[:, 0]
    one = switching(
        make(np.ones((1, 1), np.float32), **EXACT, telegraph=0.3), 4000, np.ones((1, 1))
    )
    distance = [kstest((y - y.mean()) / y.std(), norm.cdf).statistic for y in (many, one[:, 0])]
    print(f"largest distance to a Gaussian: 128 lines {distance[0]:.3f}, one {distance[1]:.3f}")
    assert distance[0] < 1.63 / math.sqrt(4000)  # not rejected at one per cent
    assert distance[1] > 0.2


def test_heat_adds_johnson_s_noise_whatever_is_driven() -> None:
    """4 k T G over a bandwidth of 1 / (2 t), of both cells of every pair in a column."""
    volts, seconds, kelvin = 0.5, 1e-8, 400.0
    device = make(technology="pcm_nandakumar", temperature_K=kelvin, input_range=1.0, **EXACT)
    g = device._written.g[0].sum(axis=(0, 2)).astype(float)
    density = 4 * 1.380649e-23 * kelvin * g / (2 * seconds)
    expected = np.sqrt(density) / (volts * 2.5e-5) * abs(W).max()
    for x in (0 * X, X):
        y = device.multiply(np.repeat(x, TIMES, axis=0)).astype(float)
        np.testing.assert_allclose(y.std(0), expected, rtol=5 / math.sqrt(2 * TIMES))


def test_the_noise_of_more_pulses_averages_out() -> None:
    hot = {"technology": "pcm_nandakumar", "temperature_K": 400.0, "input_range": 1.0}
    stds = [
        make(**hot, **EXACT | {"dac_bits": 7, "encoding": e})
        .multiply(np.zeros((TIMES, 128), np.float32))
        .std(axis=0)
        for e in ("amplitude", "pulses")
    ]
    np.testing.assert_allclose(stds[0] / stds[1], math.sqrt(63), rtol=0.05)


def milo(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the current of each cell: I = G V + NL2 V^2 + NL3 V^3, as CrossSim 3.2 states it."""
    log = np.log10(g)
    nl2 = 0.0001388 * log**3 + 0.001541 * log**2 + 0.005711 * log + 0.007063
    nl3 = 8.871e-5 * log**2 + 6.7919e-4 * log + 1.2968e-3
    return np.asarray(g * v + nl2 * v**2 + nl3 * v**3)


CURVED = {"technology": "rram_milo", "curvature": 1.0, "input_range": 1.0, "drift": 0.0}


@pytest.mark.parametrize("mapping", ["differential", "balanced"])
@pytest.mark.parametrize("encoding", ["amplitude", "serial", "pulses"])
def test_curved_cells_pass_what_their_law_says(encoding: str, mapping: str) -> None:
    """Every cell's current, summed by hand: pulses show them all of the full voltage."""
    bits = 0 if encoding == "amplitude" else 6
    settings = EXACT | {"dac_bits": bits, "encoding": encoding, "mapping": mapping}
    device = make(**CURVED, **settings)
    g, span = device._written.g[0].astype(float), 175e-6

    def passed(v: np.ndarray) -> np.ndarray:
        i = milo(g, 0.5 * v).sum(axis=-1)
        return np.asarray((i[0] - i[1]) / (0.5 * span) * device._scale)

    if encoding == "amplitude":
        expected = passed(X[0])
    else:
        count, sign = np.rint(abs(X[0]) * 31).astype(int), np.sign(X[0])
        if encoding == "pulses":
            expected = sum(passed(sign * (count > k)) for k in range(31)) / 31
        else:
            expected = sum(2**k * passed(sign * (count >> k & 1)) for k in range(5)) / 31
    got = device.multiply(X)[0]
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-3 * abs(expected).max())
    straight = make(**CURVED | {"curvature": 0.0}, **settings).multiply(X)[0]
    assert abs(got - straight).max() > 0.02 * abs(straight).max()


def test_curved_cells_are_read_backwards_by_the_same_law() -> None:
    device = make(**CURVED, **EXACT)
    y = np.random.default_rng(0).uniform(-1, 1, (1, 5)).astype(np.float32)
    y /= abs(y).max()
    i = milo(device._written.g[0].astype(float), 0.5 * y[0][:, None]).sum(axis=1)
    expected = (i[0] - i[1]) / (0.5 * 175e-6) * device._scale[0]
    np.testing.assert_allclose(device.transpose(y)[0], expected, rtol=1e-3, atol=1e-3)


def test_calibration_knows_what_curved_cells_pass() -> None:
    device = make(**CURVED, **EXACT | {"adc_bits": 8})
    device.calibrate(x=X)
    exact = make(**CURVED, **EXACT).multiply(X)[0]
    lsb = abs(exact).max() / 127
    assert abs(device.multiply(X)[0] - exact).max() <= 0.51 * lsb


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"curvature": 1.0}, "pcm_hermes states no curve of its cells' current.*set curvature to"),
        ({**CURVED, "mapping": "offset"}, "curved cells take a pair of cells"),
        ({**CURVED, "word_ohm": 1.0}, "curved cells behind resistances is no linear circuit"),
        ({"temperature_K": 300.0}, "pcm_hermes states no drive_voltage and drive_time"),
        ({"telegraph": 1.5}, "telegraph takes a number from 0 to 1, got 1.5"),
        (
            {"calibrated": True, "adc_range": 3.0},
            "calibrated sets the ranges of ADCs",
        ),
        ({"adc_mismatch": 0.1, "adc_bits": 0}, "adc_bits takes 2 to 12, got 0"),
        ({"encoding": "pulses", "dac_bits": 0}, "pulses drives show a whole number of pulses"),
        ({"adc_kind": "flash"}, 'unknown adc_kind "flash"'),
        ({"driven": "top"}, 'unknown driven "top"'),
        ({"rows_at_once": 0}, "rows_at_once takes a whole number from 1"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Crossbar(n_out=2, n_in=2, name="c", **settings)
