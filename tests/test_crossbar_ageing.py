"""How cells stray with time, published models against the device; and faults of whole lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices import Seed, technology
from hwloop.devices.cells import Cells
from hwloop.devices.crossbar import Crossbar
from hwloop.devices.technology import load

DAY = 86_400.0
QUIET = {"read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
MANY = 200_000


def strayed(stem: str, x: float, age_s: float) -> np.ndarray:
    """Return the conductances in uS of many cells written to x, a time after the write."""
    cell, normal = Cells.of(load(stem), None, None), np.random.default_rng(4).standard_normal
    target = np.full(MANY, x * cell.g_max_S, np.float32)
    g = target + cell.programming_std(target) * normal(MANY, np.float32)
    return cell.relaxed(g, target, normal(MANY, np.float32), age_s, 1.0).astype(float) * 1e6


NEURRAM = {
    0.0: (0.348, 16.030, -43.853, 45.393, -16.815),
    DAY - 1: (0.701, 22.086, -50.773, 47.095, -16.458),
    2 * DAY - 1: (0.782, 20.274, -43.507, 37.062, -11.934),
}


@pytest.mark.parametrize("age_s", NEURRAM)
@pytest.mark.parametrize("x", [0.4, 0.9])
def test_neurram_cells_spread_as_published_after_a_second_a_day_and_two(x, age_s) -> None:
    """The fit counts from the write, hwloop from the first measurement a second later."""
    std = sum(c * x**k for k, c in enumerate(NEURRAM[age_s]))
    g = strayed("rram_neurram", x, age_s)
    assert g.std() == pytest.approx(std, rel=5 / math.sqrt(2 * MANY) + 1e-3)
    assert g.mean() == pytest.approx(40 * x, abs=5 * std / math.sqrt(MANY))


def test_between_measurements_the_std_goes_with_the_logarithm_of_time_and_beyond_too() -> None:
    found = Cells.of(load("rram_neurram"), None, None).retention
    assert found is not None
    x = np.array([0.9], np.float32)
    at = [found.std(x, t)[0] for t in (1, math.sqrt(DAY), DAY, 2 * DAY, 4 * DAY)]
    assert at[1] == pytest.approx((at[0] + at[2]) / 2, rel=1e-5)
    assert at[4] - at[3] == pytest.approx(max(at[3] - at[2], 0), rel=1e-3)
    assert found.std(np.array([0.25], np.float32), 1e9) == found.std(
        np.array([0.25], np.float32), 2 * DAY
    ), "where the last measurement is below the one before, the std does not fall on"


@pytest.mark.parametrize("age_s", [0.0, 3599.0])
def test_cmo_cells_relax_with_the_logarithm_of_time(age_s: float) -> None:
    """Mean -0.089 ln t + 49.924 g / 50, std 0.042 ln t + 0.412, in uS, t in seconds."""
    g0, log = 0.5 * 88.19, math.log(age_s + 1)
    std = 0.04201137 * log + 0.41183342
    mean = -0.08900206 * log + 49.92383444 / 50 * g0 if age_s else g0
    g = strayed("rram_cmo", 0.5, age_s)
    assert g.std() == pytest.approx(std, rel=5 / math.sqrt(2 * MANY) + 1e-3)
    assert g.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(MANY))


@pytest.mark.parametrize(
    ("days", "a", "b"), [(0, 19.88665, 176.3115), (2, 28.72753, 193.56834), (3, 31.04318, 198.903)]
)
def test_sonos_cells_stray_over_days_as_measured(days: int, a: float, b: float) -> None:
    """Std A (1 - exp(-I / B)) in nA; the mean of day 2 moves by a polynomial, worked out here."""
    current, age_s = 800.0, days * DAY - (1 if days else 0)
    std = a * (1 - math.exp(-current / b))
    i = strayed("sonos", current / 1600, age_s) * 100  # 16 uS are 1600 nA
    assert i.std() == pytest.approx(std, rel=5 / math.sqrt(2 * MANY) + 1e-3)
    if days == 2:
        coefficients = [6.60925e-01, 8.60627e-03, -1.72936e-04, 7.44096e-07, -5.94866e-09]
        coefficients += [2.36734e-11, -4.83740e-14, 5.56072e-17, -3.65397e-20, 1.28405e-23]
        coefficients += [-1.87450e-27]
        shift = sum(c * current**k for k, c in enumerate(coefficients))
        assert i.mean() == pytest.approx(current + shift, abs=5 * std / math.sqrt(MANY) + 0.05)


def test_sonos_reads_are_as_noisy_as_measured() -> None:
    cell = Cells.of(load("sonos"), None, None)
    g = np.array([8e-6], np.float32)
    std = cell.read_std(g, g, 0.0)
    assert std is not None
    assert std[0] * 1e8 == pytest.approx(12.58037 * (1 - math.exp(-800 / 215.36557)), rel=1e-5)


def test_cmo_reads_are_as_noisy_as_in_their_model() -> None:
    cell, t = Cells.of(load("rram_cmo"), None, None), 1e4
    g = np.array([5e-5], np.float32)
    std = cell.read_std(g, g, t - 1)
    assert std is not None
    expected = 0.02773 * math.log10(50) * math.sqrt(math.log((t + 1e-6) / 2e-6))
    assert std[0] * 1e6 == pytest.approx(expected, rel=1e-5)


def test_joshi_s_writes_are_as_wide_as_measured() -> None:
    cell = Cells.of(load("pcm_joshi"), None, None)
    for g in (0.25, 10.0, 25.0):
        std = cell.programming_std(np.array([g * 1e-6], np.float32))[0] * 1e6
        assert std == pytest.approx(-0.00178767 * g * g + 0.07585724 * g + 0.28638599, rel=1e-4)


def test_one_device_a_cell_drifts_and_reads_by_its_own_law() -> None:
    """The one-device HERMES model of aihwkit at half of g_max, and below its knees."""
    cell = Cells.of(load("pcm_hermes_single"), None, None)
    assert cell.drift_std is not None
    assert cell.read is not None
    x = np.array([0.1, 0.5], np.float32)
    low = min(max(-0.0120 * math.log(0.1) - 0.0023, 0.0124), 0.04)
    np.testing.assert_allclose(
        cell.drift_std(x), [low, -0.0165 * 0.25 + 0.0116 * 0.5 + 0.0104], rtol=1e-5
    )
    low = min(max(-0.0078 * math.log(0.1) + 0.0038, 0.0179), 0.04)
    high = 0.0664 * 0.125 - 0.1352 * 0.25 + 0.0768 * 0.5 + 0.0088
    np.testing.assert_allclose(cell.read(x), [low, high], rtol=1e-5)
    assert cell.drift_reference_s == 200


def make(w: np.ndarray, **settings: Any) -> Crossbar:
    device = Crossbar(n_out=w.shape[0], n_in=w.shape[1], name="c", seed=Seed(3), **settings)
    device.program(w)
    return device


HALF = np.full((100, 100), 0.5, np.float32)
HALF[0, 0] = 1.0


def test_a_device_strays_from_its_weights_and_a_new_write_brings_it_back() -> None:
    device = make(HALF, technology="rram_neurram", **QUIET)
    fresh = device.matrix()
    device.wait(2 * DAY)
    old = device.matrix()
    assert (old - HALF).std() > 1.1 * (fresh - HALF).std()
    assert np.corrcoef((fresh - HALF).ravel(), (old - HALF).ravel())[0, 1] > 0.3
    device.program(HALF)
    assert (device.matrix() - HALF).std() == pytest.approx((fresh - HALF).std(), rel=0.05)
    kept = make(HALF, technology="rram_neurram", retention=0.0, **QUIET)
    before = kept.matrix()
    kept.wait(2 * DAY)
    np.testing.assert_array_equal(kept.matrix(), before)


def test_state_holds_how_cells_stray() -> None:
    one, other = (make(w, technology="rram_neurram") for w in (HALF, HALF * 0))
    one.wait(DAY)
    other.restore({k: v.copy() for k, v in one.state().items()})
    np.testing.assert_array_equal(one.matrix(), other.matrix())


def test_dead_lines_are_those_of_one_array() -> None:
    """A dead word line silences one input in one array; a dead bit line one column of it."""
    exact = QUIET | {"programming_noise": 0.0, "tile_rows": 25, "tile_columns": 40}
    w = np.ones((100, 100), np.float32)
    rows = make(w, dead_word_lines=0.2, **exact).matrix() == 0
    blocks = rows.reshape(5, 20, 100)  # 20 outputs an array
    assert (blocks == blocks[:, :1]).all(), "a word line is dead for all columns of its array"
    assert abs(blocks[:, 0].mean() - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 500)
    assert (blocks[0] != blocks[1]).any()
    columns = make(w, dead_bit_lines=0.2, **exact).matrix() == 0
    parts = columns.reshape(100, 4, 25)
    assert (parts == parts[:, :, :1]).all()
    assert abs(parts[:, :, 0].mean() - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 400)


def test_writes_differ_from_cycle_to_cycle_and_devices_from_one_another() -> None:
    """Variances of the two add up; what stays over many writes is that of the devices."""
    device = make(HALF, device_std=0.1, **QUIET)
    writes = []
    for _ in range(60):
        device.program(HALF)
        writes.append(device.matrix())
    apart = np.var(writes, axis=0, ddof=1).mean()
    between = np.mean(writes, axis=0).var() - apart / 60
    x = 0.5
    prog = (0.16603 + 4.71806 * x - 8.48101 * x**2 + 4.68961 * x**3) / 20.7
    assert between == pytest.approx(0.25 * 0.1**2, rel=0.08)
    # The cell at zero of each pair is cut off below: half of its own std, less its mean.
    zero = (0.16603 / 20.7) ** 2 * (0.5 - 0.5 / math.pi)
    assert apart == pytest.approx((prog**2 + zero) * (1 + 0.1**2), rel=0.08)


def test_one_s_own_cells_are_one_file(tmp_path: Path) -> None:
    """A shipped file with other cells: new physics without a line of code."""
    text = (Path(str(technology.__file__)).parent / "rram_neurram.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace("value = 4e-05", "value = 8e-05").replace("1.603e-05", "2e-05"))
    cell = Cells.of(load(str(mine)), None, None)
    std = cell.programming_std(np.array([8e-5], np.float32))[0] * 1e6
    assert std == pytest.approx(0.348 + 20 - 43.853 + 45.393 - 16.815, rel=1e-4)
    g = make(HALF, technology=str(mine), **QUIET)._written.g[0, 0].ravel()[1:]
    x = 0.5
    std = 0.348 + 20 * x - 43.853 * x**2 + 45.393 * x**3 - 16.815 * x**4
    assert g.mean() * 1e6 == pytest.approx(40, abs=5 * std / 100)
    assert g.std() * 1e6 == pytest.approx(std, rel=5 / math.sqrt(2e4))
    other = tmp_path / "other.toml"
    other.write_text(text.replace("[1.0, 86400.0, 172800.0]", "[1.0, 86400.0, 3600.0]"))
    with pytest.raises(ValueError, match="retention_time takes two times and more, ascending"):
        make(HALF, technology=str(other))
