"""Resistive cells: the statistics of writes, drift and reads, and weights as conductances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hwloop.devices.cells import Cells
from hwloop.devices.technology import load
from hwloop.devices.weight_mapping import WeightMapping, scales

PRESETS = [
    "pcm_hermes",
    "pcm_hermes_single",
    "pcm_joshi",
    "pcm_nandakumar",
    "rram_cmo",
    "rram_milo",
    "rram_neurram",
    "sonos",
]


def cells(stem: str) -> Cells:
    return Cells.of(load(stem), None, None)


@pytest.mark.parametrize(
    ("stem", "x", "std_uS"),
    [
        # Each polynomial worked out by hand from its source's coefficients.
        ("pcm_nandakumar", 0.0, 0.26348),
        ("pcm_nandakumar", 0.5, 0.26348 + 1.9650 / 2 - 1.1731 / 4),
        ("pcm_hermes", 1.0, 0.16603 + 4.71806 - 8.48101 + 4.68961),
        ("pcm_hermes_single", 0.5, 0.15782 + 2.32444 / 2 - 2.16311 / 4 + 0.68842 / 8),
        ("rram_neurram", 1.0, 0.348 + 16.030 - 43.853 + 45.393 - 16.815),
        ("rram_milo", 1.0, 4.782321 - 0.009107 * 225),
        ("rram_milo", 50 / 225, 4.782321 - 0.009107 * 50),
    ],
)
def test_the_std_of_a_write_is_the_published_one(stem: str, x: float, std_uS: float) -> None:
    cell = cells(stem)
    target = np.array([x * cell.g_max_S], np.float32)
    assert cell.programming_std(target)[0] == pytest.approx(std_uS * 1e-6, rel=1e-4)


def test_another_range_stretches_the_std_of_a_write_with_it() -> None:
    wide = Cells.of(load("pcm_nandakumar"), 0.0, 5e-5)
    narrow, half = cells("pcm_nandakumar"), np.array([0.5], np.float32)
    np.testing.assert_allclose(
        wide.programming_std(half * 5e-5), 2 * narrow.programming_std(half * 2.5e-5), rtol=1e-6
    )


def test_drift_exponents_follow_the_published_law() -> None:
    """Mean clip(-0.0155 ln x + 0.0244, .049, .1), std clip(-0.0125 ln x - 0.0059, .008, .045)."""
    cell, n = cells("pcm_nandakumar"), 100_000
    z = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    for x in (0.05, 0.1, 0.9):
        nu = cell.exponents(np.full(n, x * 2.5e-5, np.float32), z)
        assert nu is not None
        mean = min(max(-0.0155 * math.log(x) + 0.0244, 0.049), 0.1)
        std = min(max(-0.0125 * math.log(x) - 0.0059, 0.008), 0.045)
        assert (nu >= 0).all()
        # Folding at zero moves the mean by less than 1e-3 at these ratios of mean and std.
        assert nu.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(n) + 1e-3)
        assert nu.std() == pytest.approx(std, rel=0.05)


def test_hermes_laws_change_form_at_their_knee() -> None:
    law = cells("pcm_hermes").drift_mean
    assert law is not None
    x = np.array([0.05, 0.0944, 0.0946, 1.0], np.float32)
    low = [min(max(-0.0387 * math.log(v) - 0.0182, 0.072), 0.13) for v in (0.05, 0.0944)]
    high = [-0.0436 * v**2 - 0.0126 * v + 0.0736 for v in (0.0946, 1.0)]
    np.testing.assert_allclose(law(x), [*low, *high], rtol=1e-5)


def test_drift_is_a_power_of_time_from_the_reference_on() -> None:
    cell = cells("pcm_nandakumar")
    g, nu = np.array([1e-5], np.float32), np.array([0.06], np.float32)
    assert cell.drifted(g, nu, 0.0)[0] == g[0]
    day = cell.drifted(g, nu, 86_400.0)[0]
    assert day == pytest.approx(1e-5 * ((86_400 + 20) / 20) ** -0.06, rel=1e-5)


def test_read_noise_grows_with_the_root_of_the_log_of_time() -> None:
    cell, g = cells("pcm_nandakumar"), np.array([1.25e-5], np.float32)
    for age in (0.0, 3600.0):
        std = cell.read_std(g, g, age)
        assert std is not None
        q = min(0.0088 / 0.5**0.65, 0.2)
        growth = math.sqrt(math.log((age + 20 + 2.5e-7) / 5e-7))
        assert std[0] == pytest.approx(1.25e-5 * q * growth, rel=1e-5)
    assert cells("rram_milo").read_std(g, g, 0.0) is None


@pytest.mark.parametrize("stem", PRESETS)
def test_no_statistic_of_a_preset_is_negative_or_undefined(stem: str) -> None:
    cell = cells(stem)
    target = np.linspace(cell.g_min_S, cell.g_max_S, 1001, dtype=np.float32)
    found = [cell.programming_std(target)]
    for law in (cell.drift_mean, cell.drift_std, cell.read):
        if law is not None:
            found.append(law(target / np.float32(cell.g_max_S)))
    assert all(np.isfinite(f).all() and (f >= 0).all() for f in found)


@pytest.mark.parametrize("kind", ["differential", "balanced", "offset"])
@pytest.mark.parametrize(("levels", "slices"), [(0, 1), (16, 1), (2, 8), (4, 4), (5, 2)])
def test_the_cells_of_a_weight_add_up_to_it(kind, levels: int, slices: int) -> None:
    mapping = WeightMapping(kind, slices, levels)
    w = np.random.default_rng(0).uniform(-1, 1, (20, 30)).astype(np.float32)
    w[0, :3] = -1, 0, 1
    part = mapping.fractions(w)
    assert part.shape == (slices, mapping.cells, 20, 30)
    assert part.min() >= 0
    assert part.max() <= 1
    minus = part[:, 1] if kind != "offset" else mapping.reference(30)[:, 0]
    digits = part[:, 0] - minus
    got = sum(weight * digit for weight, digit in zip(mapping.weights, digits, strict=True))
    steps = {"differential": mapping.largest, "balanced": mapping.largest / 2}
    half_step = 0.5 / steps.get(kind, max(mapping.largest // 2, 1)) if levels else 0
    np.testing.assert_allclose(got, w, atol=half_step + 1e-6)
    if levels:
        on_a_level = part * (levels - 1)
        np.testing.assert_allclose(on_a_level, np.rint(on_a_level), atol=1e-4)


@pytest.mark.parametrize(("levels", "slices"), [(0, 1), (4, 4), (5, 2)])
@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_weight_zero_is_exactly_zero(kind, levels: int, slices: int) -> None:
    mapping = WeightMapping(kind, slices, levels)
    part = mapping.fractions(np.zeros((1, 1), np.float32))
    minus = part[:, 1] if kind == "differential" else mapping.reference(1)[:, 0]
    np.testing.assert_array_equal(part[:, 0], minus)


def test_scales_are_a_percentile_of_the_magnitudes() -> None:
    w = np.arange(-50, 51, dtype=np.float32).reshape(1, -1) * np.array([[1], [2]], np.float32)
    np.testing.assert_array_equal(scales(w, False, 100), [100, 100])
    np.testing.assert_array_equal(scales(w, True, 100), [50, 100])
    np.testing.assert_allclose(scales(w, True, 50), [25, 50], rtol=0.03)
    np.testing.assert_array_equal(scales(0 * w, True, 100), [1, 1])
