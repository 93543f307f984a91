"""Published pulsed devices as technology files, and series of a user's own measurement."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hwloop.devices import Seed
from hwloop.devices.pulse_cells import make_cells, step_size, symmetry_point
from hwloop.devices.pulse_responses import measured
from hwloop.devices.pulsed_crossbar import PulsedCrossbar
from hwloop.devices.pulses import Pulsed, pulse
from hwloop.devices.technology import load, names

PRESETS = sorted(stem for stem in names() if "pulse_step" in load(stem).parameters)


def device(technology: str, **more) -> PulsedCrossbar:
    return PulsedCrossbar(n_out=6, n_in=4, name="d", seed=Seed(1), technology=technology, **more)


def even(technology: str) -> Pulsed:
    """Return the mean cell of a technology: no spread, no noise."""
    flat = dict.fromkeys(
        ("step_spread", "asymmetry_spread", "cycle_noise", "write_noise", "bound_spread"), 0.0
    )
    return device(technology, **flat)._pulsed


@pytest.mark.parametrize("technology", PRESETS)
def test_every_preset_makes_a_device_that_is_priced(technology):
    one = device(technology)
    one.program(np.full((6, 4), 0.1))
    before = one.matrix()
    one.update(np.ones((3, 6)), np.ones((3, 4)), 0.5)
    assert (one.matrix() != before).any()
    for verb in one.can:
        for event in one.cost(verb, 2):
            assert load(technology).event(event, 6, 4).source


@pytest.mark.parametrize(
    ("technology", "states"),
    [("rpu_gokmen", 1200), ("rpu_idealized", 10_000), ("ecram_tang", 1000)],
)
def test_a_preset_has_the_published_number_of_states(technology, states):
    cells = even(technology)
    assert (cells.w_max - cells.w_min) / cells.step == pytest.approx(states, rel=0.05)


@pytest.mark.parametrize("technology", ["ecram_tang", "ecram_kim", "reram_gong_soft_bounds"])
def test_steps_up_and_down_are_equal_at_zero_where_the_fit_is_shifted_to_that(technology):
    description = even(technology)
    cells = make_cells(description, 1, 1, Seed().at(0))
    assert symmetry_point(cells, description) == 0
    w = np.array([[0.5]], np.float32)
    assert step_size(w, cells, description, False) < step_size(w, cells, description, True)


def test_the_exponential_preset_steps_as_the_fit_of_gong_says():
    """ReRamES: dw_min 0.00135, down less by 0.259359; A 1.18445 up, 0.081404 down, gamma 5."""
    description = even("reram_gong")
    cells = make_cells(description, 1, 1, Seed().at(0))
    for w in (-0.9, -0.3, 0.0, 0.4, 0.9):
        z = -0.5 * w - 0.5
        up = 0.00135 * (1 + 1.18445 * np.exp(5 * z))
        down = 0.00135 * (1 - 0.259359) * (1 + 0.081404 * np.exp(-5 * z))
        at = np.array([[w]], np.float32)
        assert step_size(at, cells, description, False) == pytest.approx(up, rel=1e-5)
        assert step_size(at, cells, description, True) == pytest.approx(down, rel=1e-5)


def test_a_field_overrides_its_preset_and_the_rest_stays():
    one, other = device("reram_array_om"), device("reram_array_om", step=0.02, w_max=0.5)
    assert one._pulsed.lognormal_step
    assert one._pulsed.step == pytest.approx(0.0949)
    assert (other._pulsed.step, other._pulsed.w_max, other._pulsed.w_min) == (0.02, 0.5, -0.5)
    assert other._pulsed.cycle_noise == one._pulsed.cycle_noise == pytest.approx(0.4158)
    soft = device("reram_gong_soft_bounds", w_max=0.25)._pulsed
    assert (soft.w_min, soft.step) == pytest.approx((-0.15, 0.0004))
    assert soft.write_noise == pytest.approx(0.0224)
    assert soft.cycle_noise == pytest.approx(3.75)
    assert device("reram_gong", response="constant")._pulsed.response.form().tolist() == [0, 0]


def test_write_noise_is_drawn_at_each_pulse_and_stays_between():
    """Reads of untouched cells do not change; those of pulsed cells have the stated variance."""
    one = PulsedCrossbar(
        n_out=200, n_in=50, name="d", response="constant", write_noise=0.1, read_noise=0.0
    )
    one.program(np.zeros((200, 50)))
    first = one.matrix()
    assert abs(first.std() / 0.1 - 1) < 5 / np.sqrt(2 * first.size)
    x = np.zeros((1, 50))
    x[0, :25] = 1
    one.update(np.ones((1, 200)), x, 0.001)
    pulsed = one.wear()[0] > 1
    assert pulsed.any()
    assert not pulsed[:, 25:].any()
    np.testing.assert_array_equal(one.matrix()[~pulsed], first[~pulsed])
    again = one.matrix()[pulsed] - 0.001
    assert abs(again.std() / 0.1 - 1) < 5 / np.sqrt(2 * again.size)
    assert abs(np.corrcoef(again, first[pulsed])[0, 1]) < 5 / np.sqrt(again.size)


def _series(n: int, step: float, up: bool, bend: float) -> np.ndarray:
    """Return conductances after 0 to n pulses whose step shrinks as 1 - bend * g towards 20 uS."""
    g = [0.0 if up else 1.0]
    for _ in range(n):
        g.append(g[-1] + (step * (1 - bend * g[-1]) if up else -step * (1 - bend * (1 - g[-1]))))
    return 2e-6 + 18e-6 * np.clip(g, 0, 1)


def test_a_measured_series_comes_back_pulse_by_pulse():
    """Pulses sent to a cell of the measured response retrace the series, within 2 % of its range.

    The series differ up and down and end where the other begins; read noise is smoothed away.
    """
    noise = np.random.default_rng(0)
    up, down = _series(140, 0.02, True, 0.9), _series(200, 0.03, False, 0.97)
    low, high = max(up.min(), down.min()), min(up.max(), down.max())
    response, step = measured(
        up + 5e-8 * noise.standard_normal(up.size), down + 5e-8 * noise.standard_normal(down.size)
    )
    description = Pulsed(response=response, step=step)
    cells = make_cells(description, 1, 1, Seed().at(0))
    for series, sign in ((up, 1), (down, -1)):
        w = np.full((1, 1), -sign, np.float32)
        inside = series[(series >= low) & (series <= high)]
        got = [float(w[0, 0])]
        for k in range(len(inside) - 1):
            pulse(w, [0], [[sign]], cells, description, Seed().at(k))
            got.append(float(w[0, 0]))
        expected = 2 * (inside - low) / (high - low) - 1
        start = expected[0] - got[0]
        assert np.abs(np.array(got) + start - expected).max() < 0.04


OWN = """
name = "my device"
description = "measured in my laboratory"
idle_W = "unknown"
idle_source = "mine"
[parameter.columns_per_adc]
value = 8
unit = "1"
source = "mine"
[pulsing]
{}
source = "my thesis"
"""
LISTS = "up_S = [1e-6, 2e-6, 3e-6, 4e-6]\ndown_S = [4e-6, 3e-6, 2e-6, 1e-6]"


def test_a_file_of_ones_own_holds_the_series_or_names_a_table(tmp_path):
    (tmp_path / "series.csv").write_text("up_S,down_S\n1e-6,4e-6\n2e-6,3e-6\n3e-6,2e-6\n4e-6,\n")
    steps = []
    for what in (LISTS, 'file = "series.csv"'):
        path = tmp_path / f"{len(steps)}.toml"
        path.write_text(OWN.format(what))
        one = device(str(path))
        assert one._pulsed.response.kind == 2
        steps.append(one._pulsed.step)
    assert steps[0] == pytest.approx(2 / 3)  # three even steps over a range of 2
    assert device(str(tmp_path / "0.toml"), w_max=0.5)._pulsed.step == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("", "takes up_S and down_S, or the name of a file"),
        (LISTS + '\nfile = "a.csv"', "takes up_S and down_S, or the name of a file"),
        ('file = "absent.csv"', "absent.csv cannot be read: No such file"),
        ('file = "odd.csv"', "odd.csv takes numbers under a line with the names up_S and down_S"),
        (LISTS.splitlines()[0], "down_S is missing"),
        (LISTS.replace("2e-6", "-1"), "up_S takes conductances, finite numbers from 0"),
        (LISTS.replace("[4e-6, 3e-6, 2e-6, 1e-6]", "[1e-6, 2e-6, 4e-6]"), "a series that falls"),
        (LISTS.replace("[1e-6, 2e-6, 3e-6, 4e-6]", "[1e-6, 2e-6]"), "three numbers or more"),
    ],
)
def test_a_series_that_is_none_is_named(tmp_path, what, says):
    (tmp_path / "odd.csv").write_text("up,down\n1,2\n")
    path = tmp_path / "own.toml"
    path.write_text(OWN.format(what))
    with pytest.raises(ValueError, match=re.escape(says)):
        load(str(path))


@pytest.mark.parametrize("response", ["measured", "exponential"])
def test_a_response_without_its_numbers_is_refused(response):
    with pytest.raises(ValueError, match=f"d: response {response} takes a technology with"):
        device("rram_milo", response=response)


def test_the_lognormal_step_has_the_stated_logarithm():
    description = Pulsed(step_spread=0.7, lognormal_step=True)
    step = make_cells(description, 100, 100, Seed(3).at(0)).step[..., 0]
    log = np.log(step / description.step)
    assert abs(log.mean()) < 5 * 0.7 / 100
    assert abs(log.std() / 0.7 - 1) < 5 / np.sqrt(2e4)
