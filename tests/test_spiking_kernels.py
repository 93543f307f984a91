"""Kernels of spiking networks and of the cochlea do exactly what their references do."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.kernels import cochlea, spiking

rng = np.random.default_rng(5)


def floats(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_gather(share):
    drives = floats(7, 33) * (rng.random((7, 33)) < share).astype(np.float32)
    w, variance, load = floats(33, 21), abs(floats(33, 21)), abs(floats(33))
    found = [np.empty((7, 21), np.float32) for _ in range(4)]
    got = spiking.gather(drives, w, variance, load, *found[:2])
    expected = spiking.gather_reference(drives, w, variance, load, *found[2:])
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert got == pytest.approx(expected, rel=1e-12)


def test_a_row_is_gathered_alike_in_any_batch():
    drives, w = floats(9, 33), floats(33, 21)
    whole, part = np.empty((9, 21), np.float32), np.empty((1, 21), np.float32)
    room = np.empty((9, 21), np.float32)
    spiking.gather(drives, w, w * w, w[:, 0].copy(), whole, room)
    spiking.gather(drives[4:5], w, w * w, w[:, 0].copy(), part, room[:1])
    np.testing.assert_array_equal(whole[4:5], part)


@pytest.mark.parametrize("top", [0.0, 127.0])
def test_convert(top):
    current, variance, noise = 40 * floats(7, 21), abs(floats(7, 21)), floats(7, 21)
    factor, out = abs(floats(7)), floats(7, 21)
    got, expected = out.copy(), out.copy()
    spiking.convert(current, variance, noise, 0.3, top, 0.7, factor, got)
    spiking.convert_reference(current, variance, noise, 0.3, top, 0.7, factor, expected)
    np.testing.assert_array_equal(got, expected)


def test_integrate():
    got, expected = floats(7, 21), None
    expected = got.copy()
    fired, also = np.empty((7, 21), np.float32), np.empty((7, 21), np.float32)
    for _ in range(20):
        current = floats(7, 21) + np.float32(0.2)
        spiking.integrate(got, current, 0.9, 1.5, fired)
        spiking.integrate_reference(expected, current, 0.9, 1.5, also)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(fired, also)
    assert 0 < fired.mean() < 1


def test_gammatone():
    poles = 0.95 * np.exp(1j * np.linspace(0.2, 2.0, 9))
    sound, edges = rng.standard_normal(120), np.array([0, 40, 41, 120])
    got, expected = np.empty((3, 9)), np.empty((3, 9))
    args = sound, poles.real.copy(), poles.imag.copy(), edges
    cochlea.gammatone(*args, got)
    cochlea.gammatone_reference(*args, expected)
    np.testing.assert_array_equal(got, expected)
