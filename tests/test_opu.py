"""The OPU: what it computes, with how much noise, what it refuses, and what it counts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hwloop.devices.base import Can, Unable
from hwloop.devices.ledger import Count, Ledger
from hwloop.devices.opu import OPU
from hwloop.devices.seeds import Seed
from hwloop.devices.technology import load

Floats = npt.NDArray[Any]
TERNARY = np.array(list(itertools.product([-1, 0, 1], repeat=5)), np.float32)


def opu(n_out: int = 64, n_in: int = 5, seed: int = 3, **settings: Any) -> OPU:
    return OPU(n_out=n_out, n_in=n_in, name="opu", seed=Seed(seed), **settings)


def expected(device: OPU, x: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of multiply(x), from the exact moments of every reading."""
    found, gain = device._references(), device._linear_gain
    mean, variance = np.zeros((2, len(x), device.n_out))
    for mask, sign in ((x == 1, 1), (x == -1, -1)):
        re, im = device.transmission().apply(mask.astype(np.float32))
        u, v = re[:, None] + found.re, im[:, None] + found.im
        seen, spread = device._camera.moments(gain * (u.astype(float) ** 2 + v**2))
        fit = found.fit.astype(float)
        mean += sign * ((fit * seen).sum(1) - found.offset)
        variance += (fit**2 * spread).sum(1)
    return mean * device._scale, variance * device._scale**2


@pytest.mark.parametrize("noise", [0.5, 1.0, 6.0])
def test_mean_and_variance_are_those_of_the_model(noise: float) -> None:
    device, x, n = opu(noise=noise), TERNARY[::20], 3000
    y = np.array([device.multiply(x) for _ in range(n)], float)
    mean, variance = expected(device, x)
    assert (abs(y.mean(0) - mean) < 5 * np.sqrt(variance / n)).all()
    fourth = ((y - y.mean(0)) ** 4).mean(0)
    assert (abs(y.var(0) - variance) < 5 * np.sqrt((fourth - variance**2) / n)).all()


def test_the_mean_is_the_product_but_for_rounding() -> None:
    """Rounding moves a reading by at most exp(-2 pi^2 a) / pi counts for noise of variance a."""
    device = opu()
    device.transmission()
    mean, _ = expected(device, TERNARY)
    camera = device._camera
    one = 1.02 * np.exp(-2 * np.pi**2 * camera.floor) / np.pi
    bound = 2 * one * abs(device._references().fit).sum(0) * device._scale
    assert (abs(mean - TERNARY @ device.matrix().T) < bound + 1e-6).all()


def test_noise_std_is_a_floor_for_every_output_and_every_ternary_input() -> None:
    for settings in ({}, {"noise": 0.3}, {"noise": 5.0}, {"exposure_counts": 20.0}):
        device = opu(**settings)
        floor = device.noise_std()
        assert floor is not None
        _, variance = expected(device, TERNARY)
        assert variance.min() > 0.98 * floor**2


def test_the_floor_is_not_idle() -> None:
    device = opu()
    floor = device.noise_std()
    assert floor is not None
    _, variance = expected(device, TERNARY)
    assert floor > 0.2 * np.sqrt(variance.min())


def test_noise_is_not_promised_where_it_may_fail() -> None:
    assert opu(noise=0.0).noise_std() is None
    assert opu(input_bits=4).noise_std() is None
    assert opu(exposure_counts=1000.0).noise_std() is None
    assert opu(n_in=2000).noise_std() is None
    assert opu(medium="lazy").noise_std() is None
    assert opu(n_in=2000, exposure_counts=0.5).noise_std() is not None


def test_matrix_is_gaussian_with_the_stated_std() -> None:
    from scipy.stats import kstest

    device = opu(n_out=400, n_in=100, scale=0.25)
    w = device.matrix().astype(float)
    std = 0.25 * np.sqrt(device._drift)
    assert abs(w.mean()) < 5 * std / np.sqrt(w.size)
    assert abs(w.std() / std - 1) < 5 / np.sqrt(2 * w.size)
    assert kstest(w.ravel() / std, "norm").pvalue > 1e-6
    # The drift moves the file's 5.5 % at most five-fold.
    assert abs(np.log(device._drift)) < 5 * 0.055
    assert opu(n_out=400, n_in=25)._std == 1 / 5


def test_a_noiseless_opu_with_many_counts_is_linear() -> None:
    device = opu(n_out=200, noise=0.0, exposure_counts=15.0)
    x = TERNARY[100:140]
    y = device.multiply(x)
    bound = device._scale * abs(device._references().fit).sum(0)  # 2 masks, half a count each
    assert (abs(y - x @ device.matrix().T) <= bound + 1e-5).all()
    np.testing.assert_allclose(y, -device.multiply(-x), atol=1e-6)


def test_ternary_inputs_are_two_masks_of_five_frames() -> None:
    ledger = Ledger()
    device = OPU(n_out=8, n_in=5, ledger=ledger)
    device.multiply(TERNARY[:7])
    [step] = ledger.steps
    assert step.ops[0].depths == (("call", 1), ("frame", 70))
    assert device.can is Can.MULTIPLY
    with pytest.raises(Unable, match="fixed"):
        device.program(np.zeros((8, 5)))
    assert device.cost(Can.MULTIPLY, 301) == {"call": Count(2, 2), "frame": Count(3010, 3010)}


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bit_planes_carry_real_inputs(bits: int) -> None:
    device = opu(n_out=300, n_in=20, input_bits=bits, noise=0.0, exposure_counts=20.0)
    x = np.random.default_rng(0).standard_normal((6, 20))
    x[0] = 0
    y, w = device.multiply(x), device.matrix()
    unit = abs(x).max(1, keepdims=True) / (2**bits - 1)
    # Half a unit an input, and half a count a frame, weighted by the planes of both signs.
    error = unit / 2 * abs(w).sum(1)
    counts = device._scale * abs(device._references().fit).sum(0) / 2
    brightest = np.full(300, 6.0, np.float32)
    most = device._references().most_light(brightest, device._linear_gain)
    unsaturated = (most < 250).all(0)
    assert unsaturated.mean() > 0.9
    bound = error + 2 * (2**bits - 1) * unit * counts + 1e-5
    assert (abs(y - x @ w.T) < bound)[:, unsaturated].all()
    assert y.dtype == np.float64
    assert not y[0].any()
    frames = device.cost(Can.MULTIPLY, 6)["frame"]
    assert frames.work == frames.depth == 6 * 5 * 2 * bits


def test_inputs_that_mirrors_cannot_show_are_refused() -> None:
    device = opu()
    with pytest.raises(ValueError, match=r"inputs are -1, 0 or 1; got 0\.5.*input_bits"):
        device.multiply(np.full((1, 5), 0.5))
    with pytest.raises(ValueError, match="got nan"):
        device.multiply(np.full((1, 5), np.nan))
    with pytest.raises(ValueError, match="0 and 1 alone"):
        device.intensities(-np.ones((1, 5)))
    with pytest.raises(ValueError, match="finite"):
        opu(input_bits=2).multiply(np.full((1, 5), np.inf))
    assert not device.ledger.steps


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_in": 1_039_681}, "1,039,680 mirrors and 2,073,600 pixels.*1,039,681 inputs"),
        ({"n_out": 2_073_601}, "takes 5 inputs and 2,073,601 outputs"),
        ({"input_bits": 17}, "input_bits takes a whole number from 1 to 16, got 17"),
        ({"input_bits": 1.0}, "input_bits takes a whole number"),
        ({"noise": -1.0}, "noise takes a number from 0"),
        ({"exposure_counts": 0.0}, "exposure_counts takes a number"),
        ({"black_level_counts": 200.0}, "black_level_counts takes a number from 0 to 127.5"),
        ({"scale": 0.0}, "scale takes a number"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        opu(**settings)


def test_intensities_are_speckle_of_the_stated_mean() -> None:
    device, n = opu(n_out=20_000, n_in=40), 20_000
    x = np.zeros((2, 40), np.float32)
    x[0, :20] = 1
    seen = device.intensities(x) - device.black_level_counts
    light = seen[0].astype(float)
    assert abs(light.mean() / (device._drift * 10.0) - 1) < 5 / np.sqrt(n)
    assert abs(seen[1].mean()) < 5 * np.sqrt(0.075 / n) + 1e-3  # a dark frame
    # Exponential light, var = mean^2, and the noise of each reading.
    noise = 0.075 + 0.033 * light.mean() + 1 / 12
    assert abs(light.var() / (light.mean() ** 2 + noise) - 1) < 5 * np.sqrt(8 / n)
    assert (seen == np.rint(seen)).all()
    assert device.intensity_gain() == pytest.approx(device._drift * 10.0 / 20)


def test_too_long_an_exposure_compresses_and_stops_at_255() -> None:
    x = np.ones((1, 5), np.float32)
    device = opu(n_out=4000, exposure_counts=300.0)
    seen = device.intensities(x)
    assert seen.max() == 255
    assert (seen == 255).mean() > 0.5
    assert seen.mean() < 0.5 * device.intensity_gain() * 5
    assert opu(n_out=4000).intensities(x).max() < 255
    y, exact = device.multiply(x), x @ device.matrix().T
    slope = float((y * exact).sum() / (exact * exact).sum())
    assert slope < 0.7


def test_frozen_intensities_depend_on_the_mask_alone() -> None:
    device = opu(n_out=300, n_in=16)
    x = np.random.default_rng(1).integers(0, 2, (12, 16)).astype(np.float32)
    seen = device.intensities(x, frozen=True)
    np.testing.assert_array_equal(device.intensities(x, frozen=True), seen)
    np.testing.assert_array_equal(device.intensities(x[::-1], frozen=True)[::-1], seen)
    moving = device.intensities(x), device.intensities(x)
    assert (moving[0] != moving[1]).mean() > 0.2
    assert (seen != moving[0]).mean() > 0.2
    assert device.ledger.samples("free") == 12 * 5


def test_the_gain_belongs_to_one_power_up() -> None:
    factors = [opu(seed=s)._drift for s in range(400)]
    assert len(set(factors)) == 400
    # Two power-ups differ by the r.m.s. that the file states.
    change = np.log(factors[::2]) - np.log(factors[1::2])
    rms = load("opu_gen3").parameter("gain_drift")
    assert abs(np.sqrt((change**2).mean()) / rms - 1) < 5 / np.sqrt(2 * 200)
    device = opu()
    w = device.matrix()
    device.multiply(TERNARY)
    np.testing.assert_array_equal(device.matrix(), w)


def test_results_depend_on_the_seed_and_the_operation_alone() -> None:
    one, other = opu(), opu()
    OPU(n_out=3, n_in=2, name="another", seed=Seed(3)).multiply(np.ones((1, 2)))
    other.noise_std()
    other.matrix()
    np.testing.assert_array_equal(one.multiply(TERNARY), other.multiply(TERNARY))
    assert (one.multiply(TERNARY) != opu().multiply(TERNARY)).any()
    assert (opu(seed=4).matrix() != one.matrix()).all()


@pytest.mark.parametrize("medium", ["dense", "lazy", "stream", "structured"])
def test_state_and_restore_go_on_bit_for_bit(medium: Any) -> None:
    device, again = opu(medium=medium), opu(medium=medium)
    fresh = device.state()
    device.multiply(TERNARY[40:50])
    state = device.state()
    after = device.multiply(TERNARY[60:])
    again.restore(state)
    np.testing.assert_array_equal(again.multiply(TERNARY[60:]), after)
    again.restore(fresh)
    np.testing.assert_array_equal(
        again.multiply(TERNARY[100:]), opu(medium=medium).multiply(TERNARY[100:])
    )


def test_the_whole_machine_can_be_built_and_priced() -> None:
    """1500 TeraOPS: 2 operations for each complex weight (arXiv 2107.11814), at 30 W."""
    device = opu(n_out=2_073_600, n_in=1_039_680)
    assert device._medium is None
    assert list(device.state()) == ["operations"]
    technology = load(device.technology)
    frame = technology.event("frame", device.n_out, device.n_in)
    assert frame.energy_J is not None
    assert frame.latency_s is not None
    assert technology.idle_W * frame.latency_s + frame.energy_J == pytest.approx(0.0882, abs=5e-5)
    operations_s = 2 * device.n_out * device.n_in / frame.latency_s
    assert abs(operations_s / 1e12 - 1466) < 1
    assert device.cost(Can.MULTIPLY, 1)["frame"].work == 10


@pytest.mark.parametrize("bits", [1, 3])
def test_without_signs_half_the_frames_show_the_same(bits):
    both, plus = opu(input_bits=bits, noise=0.0), opu(input_bits=bits, noise=0.0, signed=False)
    x = np.eye(5, dtype=np.float32)[[0, 2, 4]]
    np.testing.assert_allclose(plus.multiply(x), both.multiply(x), atol=0.2)
    frames = [d.cost(Can.MULTIPLY, 3)["frame"].work for d in (both, plus)]
    assert frames == [3 * 2 * bits * 5, 3 * bits * 5]
    with pytest.raises(ValueError, match="signed is false, so inputs are 0 and above; got -1"):
        plus.multiply(-x)
    if bits == 1:
        floors = [opu(signed=signed).noise_std() for signed in (True, False)]
        assert floors[0] == pytest.approx(floors[1] * np.sqrt(2))
