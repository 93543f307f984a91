"""Converters of a crossbar: kernels against their references, ranges, and the expected price."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.converters import expected_adc, range_of
from hwloop.devices.kernels import crossbar as kernels

draw = np.random.default_rng(2)
ROWS, N = 5, 67


def floats(*shape: int) -> np.ndarray:
    return draw.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("levels", [0, 1, 127])
@pytest.mark.parametrize("reach", [0.0, 0.7])
def test_drive(reach: float, levels: int) -> None:
    x = floats(ROWS, N)
    x[2] = 0
    got, expected = ((np.empty(ROWS, np.float32), np.empty_like(x)) for _ in range(2))
    load, none = abs(floats(N)), np.empty(0, np.float32)
    spent = kernels.drive(x, reach, levels, *got, load)
    assert spent == pytest.approx(kernels.drive_reference(x, reach, levels, *expected, load))
    assert kernels.drive(x, reach, levels, *got, none) == 0
    assert spent == pytest.approx(float((expected[1] ** 2 @ load).sum()), rel=1e-5)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_allclose(got[1], expected[1], atol=2e-7)
    assert abs(got[1]).max() <= 1
    if reach == 0:
        step = 0.5 / levels if levels else 1e-6
        np.testing.assert_allclose(got[1] * got[0][:, None], x, atol=step * abs(x).max() + 1e-6)


@pytest.mark.parametrize("top", [0.0, 127.0])
@pytest.mark.parametrize("noise", ["none", "level", "cells"])
@pytest.mark.parametrize("adds", [False, True])
def test_convert(adds: bool, noise: str, top: float) -> None:
    none = np.empty((0, N), np.float32)
    current, offset, gain = floats(ROWS, N), floats(N), floats(N)
    z = none if noise == "none" else floats(ROWS, N)
    variance = abs(floats(ROWS, N)) if noise == "cells" else none
    inverse, factor = abs(floats(N)) * 60, abs(floats(ROWS))
    before = floats(ROWS, N) if adds else none
    rest = z, variance, abs(floats(N)), inverse, offset, top, gain, factor
    now, got = current.copy(), before.copy()
    kernels.convert(now, *rest, got)
    expected_now, expected = current.copy(), before.copy()
    kernels.convert_reference(expected_now, *rest, expected)
    np.testing.assert_allclose(now, expected_now, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)
    assert abs(now - current).max() > 0
    if top:
        assert (abs(now) <= top * abs(gain) * factor[:, None] * (1 + 1e-5)).all()


def test_a_range_holds_what_a_column_can_carry_but_no_more_than_four_of_its_rms() -> None:
    w = np.zeros((3, 100), np.float32)
    w[0, :3] = 1, -1, 0.5
    w[1] = 0.1
    np.testing.assert_allclose(range_of(w, True), [2.5, 4.0, 1e-3])
    np.testing.assert_allclose(range_of(w, False), [4, 4, 4])


@pytest.mark.parametrize(
    ("bits", "rate_Hz", "node_nm", "pJ", "um2"),
    [(8, 1e8, 22, 0.85, 2200), (8, 1e8, 32, 1.71, 3940), (8, 1e8, 65, 6.49, 11_900)]
    + [(6, 1e8, 32, 1.07, None), (10, 1e8, 32, 3.31, None), (8, 1.28e9, 32, 1.93, None)],
)
def test_the_expected_converter_is_the_survey_s(bits, rate_Hz, node_nm, pJ, um2) -> None:
    """Golden values of the regression of Andrulis et al., arXiv:2404.06553, to their digits."""
    adc = expected_adc(bits, rate_Hz, node_nm * 1e-9)
    assert adc.energy_J == pytest.approx(pJ * 1e-12, rel=6e-3)
    if um2 is not None:
        assert adc.area_m2 == pytest.approx(um2 * 1e-12, rel=6e-3)


def test_the_expected_converter_is_near_a_published_one() -> None:
    """Kull, ISSCC 2013, as ISAAC uses it: 8 bits, 1.2 GS/s, 32 nm, 1.67 pJ."""
    deviation = expected_adc(8, 1.28e9, 32e-9).energy_J / 1.67e-12 - 1
    print(f"expected energy against the published converter: {deviation:+.0%}")
    assert abs(deviation) < 0.17


def test_an_impossible_converter_is_refused() -> None:
    with pytest.raises(ValueError, match="an ADC takes bits, rate_Hz and node_m above 0"):
        expected_adc(0, 1e8, 22e-9)
