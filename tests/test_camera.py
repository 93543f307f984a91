"""The camera: kernels against their references, its moments in exact arithmetic, lateration."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hwloop.devices.camera import Camera
from hwloop.devices.kernels import camera as kernels
from hwloop.devices.lateration import Lateration, brightest_fields
from hwloop.devices.medium import make_medium
from hwloop.devices.technology import load

CAMERA = Camera(floor=0.075, slope=0.033, black=4.0, top=255.0)
KEY = np.uint64(11)


def drawn(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("rows", "n"), [(1, 1), (3, 7), (2, 1024), (2, 2500)])
@pytest.mark.parametrize("gain", [0.3, 40.0])
def test_kernels_read_the_same_counts_as_their_references(rows: int, n: int, gain: float) -> None:
    re, im, z = 2 * drawn(0, rows, n), 2 * drawn(1, rows, n), drawn(2, rows, 5, n)
    ours, theirs = np.empty((2, rows, n), np.float32)
    one = (re, im, gain, 0.075, 0.033, 4.0, 255.0, np.ascontiguousarray(z[:, 0]))
    kernels.intensity(*one, ours)
    kernels.intensity_reference(*one, theirs)
    np.testing.assert_array_equal(ours, theirs)
    ours, theirs = np.tile(drawn(3, rows, n), (2, 1, 1))
    ref, fit, offset, weight = drawn(4, 2, 5, n), drawn(5, 5, n), drawn(6, n), drawn(7, rows)
    five = (re, im, *ref, fit, offset, gain, 0.075, 0.033, 4.0, 255.0, z, weight)
    kernels.lateral(*five, ours)
    kernels.lateral_reference(*five, theirs)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        Camera(floor=7.5, slope=3.3, black=4.0, top=255.0),
        Camera(floor=0.01, slope=0.0, black=1.3, top=15.0),
    ],
)
def test_moments_are_those_of_readings(camera: Camera) -> None:
    n = 40_000
    light = np.array([0.0, 0.25, 0.5, 1.0, 10.3, 100.7, 250.0, 252.0, 300.0])
    field = np.tile(np.sqrt(light).astype(np.float32), (n, 1))
    read = camera.read(field, np.zeros_like(field), 1.0, drawn(8, *field.shape)).astype(float)
    mean, variance = camera.moments(light)
    error = np.sqrt(np.maximum(variance, 1e-6) / n)
    assert (abs(read.mean(0) - camera.black - mean) < 5 * error + 1e-9).all()
    fourth = ((read - read.mean(0)) ** 4).mean(0)
    spread = np.sqrt(np.maximum(fourth - variance**2, 1e-6) / n)
    assert (abs(read.var(0) - variance) < 5 * spread + 1e-9).all()


def test_a_noiseless_camera_rounds() -> None:
    mean, variance = Camera(0.0, 0.0, 4.0, 255.0).moments(np.array([0.0, 3.4, 3.6, 999.0]))
    np.testing.assert_allclose(mean, [0, 3, 4, 251])
    assert (variance == 0).all()


def test_rounding_leaves_a_dark_pixel_less_noise_than_the_sensor_makes() -> None:
    dark = CAMERA.moments(np.zeros(1))[1][0]
    assert 0.06 < dark < CAMERA.floor
    assert CAMERA.least_variance(np.zeros(1, np.float32))[0] == pytest.approx(dark, rel=1e-12)


@pytest.mark.parametrize("black", [0.0, 1.3, 4.0])
@pytest.mark.parametrize("noise", [0.3, 1.0, 10.0])
def test_no_light_reads_with_less_than_the_least_variance(black: float, noise: float) -> None:
    camera = Camera.of(load("opu_gen3"), black, noise)
    most = np.array([0.0, 1.0, 7.2, 30.0, 150.0, 240.0, 400.0], np.float32)
    least = camera.least_variance(most)
    for limit, bound in zip(most, least, strict=True):
        found = camera.moments(np.linspace(0, limit, 3001))[1].min()
        assert found >= 0.99 * bound
        assert limit == 400 or found < 1.1 * bound + 0.01
    assert least[-1] == 0


def test_lateration_recovers_a_field_whatever_its_square() -> None:
    n, gain = 300, 1e6
    found = Lateration.draw(n, 5, 4.0, gain, KEY)
    exact = Camera(0.0, 0.0, 0.0, 1e12)
    re, im = drawn(9, 4, n), drawn(10, 4, n)
    out = np.zeros((4, n), np.float32)
    noise, weight = np.zeros((4, 5, n), np.float32), np.ones(4, np.float32)
    found.add(exact, re, im, gain, noise, weight, out)
    rounding = 0.5 * abs(found.fit).sum(0)
    assert (abs(out - re - im) < 1e-4 + rounding).all()


def test_references_have_the_law_of_light_and_the_stated_brightness() -> None:
    n = 20_000
    found = Lateration.draw(n, 5, 7.0, 1.0, KEY)
    assert not found.re[0].any()
    assert not found.im[0].any()
    power = (found.re[1:] ** 2 + found.im[1:] ** 2).astype(float)
    assert abs(power.mean() / 7.0 - 1) < 5 / np.sqrt(power.size)
    # An exponential has variance = mean^2; the relative error of that ratio has std sqrt(8 / n).
    assert abs(power.var() / power.mean() ** 2 - 1) < 5 * np.sqrt(8 / power.size)
    with pytest.raises(ValueError, match="at least 3 frames"):
        Lateration.draw(4, 2, 1.0, 1.0, KEY)


def test_the_brightest_field_is_hardly_more_than_that_of_the_brightest_mask() -> None:
    medium = make_medium(64, 7, KEY, "dense")
    masks = np.array(list(itertools.product([0, 1], repeat=7)), np.float32)
    most, bound = np.hypot(*medium.apply(masks)).max(0), brightest_fields(medium)
    assert (bound > most * (1 - 1e-6)).all()
    assert (bound < most * 1.03).all()
