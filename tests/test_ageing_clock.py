"""Heat and ageing: what a time at one temperature is worth at another, published and worked out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices import Crossbar, Seed
from hwloop.devices.ageing_clock import BOLTZMANN_eV_K, Clock
from hwloop.devices.cells import Cells
from hwloop.devices.technology import load, parse
from hwloop.sim.console import chips
from hwloop.sim.deploy import deploy
from hwloop.sim.deploy_report import chips_of, sentences
from hwloop.sim.experiment import parse as experiment
from hwloop.sim.prepare import prepare_all

OWN_K, HOT_K, DAY_S, YEAR_S = 298.15, 358.15, 86_400.0, 365.25 * 86_400.0
QUIET: dict[str, Any] = {"read_noise": 0.0, "adc_bits": 0, "dac_bits": 0, "thermal_noise": 0.0}
PCM, SONOS = (Cells.of(load(stem), None, None).clock for stem in ("pcm_nandakumar", "sonos"))
assert PCM is not None
assert SONOS is not None
RNG = np.random.default_rng(5)
W, X = (RNG.normal(size=shape).astype(np.float32) for shape in ((6, 40), (9, 40)))


def text_of(stem: str) -> str:
    return resources.files("hwloop.devices.technology").joinpath(f"{stem}.toml").read_text()


def make(temperature_K: float, **settings: Any) -> Crossbar:
    made = {"technology": "pcm_nandakumar", "name": "c", "seed": Seed(1)} | settings
    device = Crossbar(n_out=6, n_in=40, temperature_K=temperature_K, **made)
    device.program(W)
    return device


# ---- the laws ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy_eV", "own_C", "hot_C", "published"),
    [(1.2, 60.0, 100.0, 88.29574588), (0.323, 35.0, 70.0, 3.46)],
)
def test_published_acceleration_factors(
    energy_eV: float, own_C: float, hot_C: float, published: float
) -> None:
    """The documentation of reliability 0.8 (acceleration_factor), and ReliaWiki on Yang (2007)."""
    clock = Clock(own_C + 273.15, energy_eV, None, 0.0, math.inf)
    factor = clock.after(0.0, 1.0, hot_C + 273.15, 1.0)
    assert factor == pytest.approx(published, rel=2e-3)


def test_a_decade_of_time_is_one_step_of_temperature_to_charge_that_is_trapped() -> None:
    step = 1 / (1 / OWN_K - BOLTZMANN_eV_K * math.log(10) / 1.68)
    assert SONOS.after(0.0, DAY_S, step, 1.0) == pytest.approx(10 * DAY_S)
    assert SONOS.after(7.0, DAY_S, step, 1.0) == pytest.approx(10 * DAY_S + 7.0)
    assert step - OWN_K == pytest.approx(10.88, abs=0.01)


def relaxed(*history: tuple[float, float]) -> float:
    """Return the eV of barriers that are passed after (seconds, kelvin), by adding up all rates."""
    energy_eV = np.linspace(0, 2.5, 200_001)
    passed = sum(t / 1e-13 * np.exp(-energy_eV / (BOLTZMANN_eV_K * k)) for t, k in history)
    return float(np.trapezoid(-np.expm1(-passed), energy_eV))


@pytest.mark.parametrize("hot_K", [233.15, 318.15, HOT_K, 398.15])
@pytest.mark.parametrize("wait_s", [1.0, DAY_S, 10 * YEAR_S])
def test_equal_times_leave_equally_many_barriers_of_a_flat_spectrum(hot_K, wait_s) -> None:
    """Against the kinetics themselves; a clock that were blind to heat would be 4 to 25 % off."""
    worth = PCM.after(0.0, wait_s, hot_K, 20.0)
    found, expected = relaxed((20.0 + worth, OWN_K)), relaxed((20.0, OWN_K), (wait_s, hot_K))
    assert found == pytest.approx(expected, rel=0.005)
    if hot_K == HOT_K and wait_s == DAY_S:
        assert relaxed((20.0 + wait_s, OWN_K)) < 0.87 * expected
        assert worth / YEAR_S == pytest.approx(11.14, abs=0.01)


@pytest.mark.parametrize("clock", [PCM, SONOS], ids=["PCM", "SONOS"])
def test_waits_add_up_and_heat_and_time_only_age(clock: Clock) -> None:
    whole = clock.after(5.0, 3 * DAY_S, HOT_K, 20.0)
    parts = clock.after(clock.after(5.0, DAY_S, HOT_K, 20.0), 2 * DAY_S, HOT_K, 20.0)
    assert parts == pytest.approx(whole, rel=1e-9)
    heats = [clock.after(0.0, DAY_S, k, 20.0) for k in (250.0, 280.0, OWN_K, 330.0, HOT_K, 395.0)]
    assert heats == sorted(heats)
    assert heats[0] < 0.1 * heats[2] < heats[2] == DAY_S < 0.1 * heats[3]
    times = [clock.after(0.0, t, HOT_K, 20.0) for t in (0.0, 1e-3, 1.0, 60.0, YEAR_S)]
    assert times == sorted(times)
    assert times[0] == pytest.approx(0.0, abs=1e-9)


# ---- on a crossbar ----------------------------------------------------------------


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a technology whose cells all drift with one exponent, 0.06, from 20 s on."""
    kept = [p for p in text_of("pcm_nandakumar").split("\n\n") if "parameter.drift_" not in p]
    for name, value, unit in (("reference", 20.0, "s"), ("mean_constant", 0.06, "1")):
        kept.append(
            f'[parameter.drift_{name}]\nvalue = {value}\nunit = "{unit}"\nsource = "a test"'
        )
    path: Path = tmp_path_factory.mktemp("technology") / "equal.toml"
    path.write_text("\n\n".join(kept) + "\n")
    return str(path)


@pytest.mark.parametrize("kelvin", [260.0, HOT_K])
def test_phase_change_cells_kept_hot_drift_with_an_exponent_that_goes_with_the_heat(
    kelvin: float, equal: str
) -> None:
    """T ln(t / tau) moves k T a unit of ln t, so the power law's exponent is nu T / T0."""
    device = make(kelvin, technology=equal, programming_noise=0.0, **QUIET)
    means = []
    device.wait(YEAR_S)
    for _ in range(2):
        means.append(abs(device.matrix()).sum())
        device.wait(9 * YEAR_S)
    exponent = -math.log(means[1] / means[0]) / math.log(10)
    assert exponent == pytest.approx(0.06 * kelvin / OWN_K, rel=2e-4)


def test_the_own_temperature_leaves_every_bit_and_another_does_not() -> None:
    cold, own, hot = (make(k, thermal_noise=0.0) for k in (0.0, OWN_K, HOT_K))
    for device in (cold, own, hot):
        device.wait(DAY_S)
        device.compensate()
    np.testing.assert_array_equal(own.multiply(X), cold.multiply(X))
    assert not np.array_equal(hot.multiply(X), cold.multiply(X))


def test_straying_cells_kept_hot_are_those_that_were_kept_longer() -> None:
    hot, old = (make(k, technology="sonos", **QUIET) for k in (313.15, 0.0))
    hot.wait(DAY_S)
    old.wait(DAY_S * math.exp(1.68 / BOLTZMANN_eV_K * (1 / OWN_K - 1 / 313.15)))
    np.testing.assert_allclose(hot.matrix(), old.matrix(), rtol=1e-5, atol=1e-6)
    fresh = make(0.0, technology="sonos", **QUIET)
    fresh.wait(DAY_S)
    assert abs(fresh.matrix() - old.matrix()).max() > 0.01


def test_flicker_of_reads_sums_over_the_time_itself(equal: str) -> None:
    """The std of a read over the conductance goes by the age, whatever heat does to drift."""
    found = []
    for kelvin in (0.0, HOT_K):
        device = make(kelvin, technology=equal, programming_noise=0.0, thermal_noise=0.0)
        device.wait(DAY_S)
        passed = device._conducted()
        assert passed.variance is not None
        found.append(passed.variance / passed.load**2)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_thermal_noise_has_the_same_temperature_and_a_factor() -> None:
    zero, stds = np.zeros((20_000, 40), np.float32), []
    bare = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0, "drift": 0.0}
    for kelvin, factor in ((200.0, 1.0), (400.0, 1.0), (200.0, 3.0), (200.0, 0.0)):
        device = make(kelvin, thermal_noise=factor, input_range=1.0, **bare)
        stds.append(device.multiply(zero).std())
    np.testing.assert_allclose(stds[1:3] / stds[0], [math.sqrt(2), 3], rtol=0.02)
    assert stds[3] == 0


def test_a_chip_that_is_put_away_half_aged_goes_on_as_it_was() -> None:
    one, other = make(HOT_K), make(HOT_K)
    one.wait(DAY_S)
    other.restore({name: np.array(a) for name, a in one.state().items()})
    for device in (one, other):
        device.wait(YEAR_S)
    np.testing.assert_array_equal(one.multiply(X), other.multiply(X))


# ---- what is said and refused -----------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"technology": "rram_neurram"},
            "rram_neurram states no law by which heat hastens .* takes 0 or 298.15, got 358.15$",
        ),
        ({"technology": "rram_cmo"}, "rram_cmo states no law by which heat hastens the ageing"),
        ({"temperature_K": 500.0}, "takes 0 or 180 to 400, for which the law .* holds, got 500$"),
        ({"technology": "pcm_hermes", "thermal_noise": 1.0}, "states no drive_voltage and drive"),
        ({"temperature_K": -1.0}, "temperature_K takes a number from 0 to 2000, got -1.0"),
    ],
)
def test_what_no_law_covers_is_refused_in_a_sentence(settings: dict[str, Any], says: str) -> None:
    fields = {"temperature_K": HOT_K, "thermal_noise": 0.0} | settings
    with pytest.raises(ValueError, match=says):
        Crossbar(n_out=2, n_in=2, name="c", **fields)


def test_cells_that_do_not_age_take_any_temperature(tmp_path: Path) -> None:
    Crossbar(n_out=2, n_in=2, technology="rram_milo", temperature_K=500.0)
    Crossbar(n_out=2, n_in=2, technology="rram_cmo", temperature_K=500.0, retention=0.0)
    kept = [p for p in text_of("pcm_nandakumar").split("\n\n") if "ageing_temperature" not in p]
    path = tmp_path / "mine.toml"
    path.write_text("\n\n".join(kept))
    with pytest.raises(ValueError, match=r"states no ageing_temperature, .* takes 0, got 300$"):
        Crossbar(n_out=2, n_in=2, technology=str(path), temperature_K=300.0)


def test_a_file_with_two_laws_or_none_is_refused() -> None:
    text = text_of("pcm_nandakumar")
    law = '\n[parameter.ageing_activation_energy]\nvalue = 1.0\nunit = "eV"\nsource = "a test"\n'
    with pytest.raises(ValueError, match="are two laws, and cells age by one"):
        Clock.of(parse(text + law, "mine"))
    with pytest.raises(ValueError, match="ageing_... take numbers above 0"):
        Clock.of(parse(text.replace("value = 1e-13", "value = 0.0"), "mine"))
    assert replace(PCM, attempt_s=None).own_K == OWN_K


def test_the_report_says_how_hot_chips_were_kept() -> None:
    weight = {"device": "crossbar", "technology": "pcm_hermes", "thermal_noise": 0.0}
    put = {"chips": 2, "reads": 1, "times_s": [1.0, 10 * YEAR_S], "compensation": "none"}
    raw: dict[str, Any] = {
        "name": "hot",
        "data": {"set": "digits"},
        "network": {"hidden": [24]},
        "algorithm": {"rule": "backprop"},
        "optimizer": {"rate": 0.3},
        "train": {"epochs": 1},
        "weight": {"device": "matrix_engine"},
        "deploy": put | {"weight": weight | {"temperature_K": 393.15}},
    }
    arm = prepare_all(experiment(raw))["main"]
    arm.train(lambda _: None, lambda: False, lambda: None)
    chip = deploy(arm, lambda: False)
    assert chip is not None
    made = chips_of({"name": "main", "deploy": chip.result}, chip.ledger, {})
    arms = [{"name": "main", "accuracy": {"test": 0.9}, **json.loads(json.dumps(made))}]
    said = " ".join(sentences({"arms": arms}))
    assert "on 2 chips of pcm_hermes at 393.15 K, 1 s after the write" in said
    table = chips({"arms": arms})
    assert table is not None
    assert str(table.title).startswith("on 2 chips of pcm_hermes at 393.15 K")
