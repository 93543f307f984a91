"""Energy meters against a counter that is made up: what moves it is known exactly."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.findings import conditions
from hwloop.sim.metering import ENERGY, meter_of, metered, readings, sentence, total
from hwloop.sim.power import (
    EnergyMeter,
    NoMeter,
    NvmlCounter,
    NvmlPower,
    RaplCounter,
    Reading,
    nvml_counter,
)
from hwloop.sim.run import prepare_all

TICK_S = 0.05


class World:
    """A clock that only sleeping moves, and a GPU that draws 60 W at rest and 300 W at work."""

    def __init__(self) -> None:
        self.now, self.joules, self.working = 0.37, 1000.0, False
        self.shown, self.ticks = self.joules, 8

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self.ticks * TICK_S <= end:
            self._go(self.ticks * TICK_S)
            self.shown = self.joules  # the counter moves at ticks only
            self.ticks += 1
        self._go(end)

    def _go(self, to: float) -> None:
        self.joules += (300 if self.working else 60) * (to - self.now)
        self.now = to

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802
        return int(self.shown * 1000)


def meter(world: World) -> EnergyMeter:
    counter = NvmlCounter(world, "handle", "a GPU")
    return EnergyMeter([counter], clock=world.clock, sleep=world.sleep)


def test_a_window_between_ticks_finds_what_the_work_drew():
    world = World()
    made = meter(world)
    made.rest(5.0)
    assert made.idle_W["a GPU"] == pytest.approx(60, rel=1e-3)
    with made.window():
        world.working = True
        world.sleep(12.013)
        world.working = False
    [found] = made.readings
    assert found.tag == "measured"
    assert found.seconds == pytest.approx(12.013, abs=1e-3)
    assert found.energy_J == pytest.approx(300 * 12.013, rel=1e-3)
    assert found.work_J == pytest.approx(240 * 12.013, rel=2e-3)


def test_without_alignment_a_short_window_would_be_wrong():
    """The same window read at once is off by what lies between two ticks."""
    world = World()
    made = meter(world)
    made.idle_W["a GPU"] = 60.0
    world.sleep(0.021)
    before = world.shown
    with made.window():
        world.working = True
        world.sleep(0.06)
        world.working = False
    unaligned = world.shown - before
    [found] = made.readings
    assert found.energy_J == pytest.approx(300 * 0.06, rel=0.01)
    assert abs(unaligned - 300 * 0.06) > 0.1 * 300 * 0.06


def test_what_was_not_measured_at_rest_is_not_guessed():
    world = World()
    made = meter(world)
    with made.window():
        world.sleep(1.0)
    [found] = made.readings
    assert found.idle_W is None
    assert found.work_J is None


class Nvml(SimpleNamespace):
    """The parts of pynvml that are used."""

    NVML_ERROR_NOT_SUPPORTED = 3

    class NVMLError(Exception):
        """A code and its words."""

        def __init__(self, value: int) -> None:
            self.value = value

        def __str__(self) -> str:
            return {3: "Not Supported", 4: "Insufficient Permissions"}[self.value]

    def __init__(self, energy: int | Exception = 5, power: int | Exception = 90_000) -> None:
        super().__init__()
        self.energy, self.power, self.asked = energy, power, ""

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked = uuid
        return "handle"

    def nvmlDeviceGetName(self, handle: str) -> bytes:  # noqa: N802
        return b"NVIDIA H200"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        if isinstance(self.energy, Exception):
            raise self.energy
        return self.energy

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        if isinstance(self.power, Exception):
            raise self.power
        return self.power


def test_a_gpu_is_found_by_its_uuid_whatever_cuda_calls_it():
    nvml = Nvml(energy=2500)
    counter = nvml_counter("0a1b", nvml)
    assert nvml.asked == "GPU-0a1b"
    assert (counter.device, counter.method, counter.read_J()) == (
        "NVIDIA H200",
        "nvml_total_energy",
        2.5,
    )


def test_a_gpu_without_a_counter_is_sampled_and_says_so():
    counter = nvml_counter("0a1b", Nvml(energy=Nvml.NVMLError(3)))
    assert isinstance(counter, NvmlPower)
    assert counter.method == "nvml_power_integral"
    first = counter.read_J()
    counter._when -= 2.0  # two seconds pass
    assert counter.read_J() - first == pytest.approx(180, rel=0.05)
    counter.close()
    assert not counter._thread.is_alive()


def test_nvml_without_permission_is_one_sentence():
    for nvml in (Nvml(Nvml.NVMLError(4)), Nvml(Nvml.NVMLError(3), Nvml.NVMLError(4))):
        with pytest.raises(NoMeter, match="NVML cannot read the energy of 0a1b: Insufficient"):
            nvml_counter("0a1b", nvml)


def zone(folder: Path, name: str, joules: float, wraps: float = 1000.0) -> Path:
    made = folder / name
    made.mkdir()
    (made / "energy_uj").write_text(str(int(joules * 1e6)))
    (made / "max_energy_range_uj").write_text(str(int(wraps * 1e6)))
    return made


def test_rapl_adds_packages_leaves_out_their_parts_and_survives_a_wrap(tmp_path):
    zones = [zone(tmp_path, "intel-rapl:0", 990), zone(tmp_path, "intel-rapl:1", 100)]
    zone(tmp_path, "intel-rapl:0:0", 5)
    counter = RaplCounter(tmp_path)
    assert counter.read_J() == 0
    (zones[0] / "energy_uj").write_text("5000000")
    (zones[1] / "energy_uj").write_text("107000000")
    assert counter.read_J() == pytest.approx(15 + 7, abs=1e-5)


def test_rapl_that_is_absent_or_for_root_alone_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(NoMeter, match="has no intel-rapl zone"):
        RaplCounter(tmp_path)
    zone(tmp_path, "intel-rapl:0", 1)

    def refuse(*_: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(NoMeter, match="is for root alone"):
        RaplCounter(tmp_path)


def test_readings_of_a_run_that_was_interrupted_are_added_up(tmp_path):
    world = World()
    for seconds in (11.0, 3.0):
        made = meter(world)
        with metered(made, tmp_path):
            world.working = True
            world.sleep(seconds)
            world.working = False
    kept = readings(tmp_path)
    assert len(kept) == 2
    found = total(kept)
    assert found is not None
    assert found["seconds"] == pytest.approx(14, abs=1e-2)
    assert found["energy_J"] == pytest.approx(300 * 14, rel=5e-3)
    assert found["work_J"] == pytest.approx(240 * 14, rel=5e-3)
    assert found["short"]
    assert "a GPU drew 4.2 kJ in 14 s of training (measured" in sentence("main", found)
    assert "few of the counter's moves" in sentence("main", found)


def test_a_damaged_file_of_readings_is_named(tmp_path):
    (tmp_path / ENERGY).write_text(json.dumps([{"energy_J": 3}]))
    with pytest.raises(ValueError, match="does not hold readings of a meter"):
        readings(tmp_path)
    assert total([]) is None


def experiment(**train: object) -> object:
    raw = {
        "name": "meter",
        "data": {"set": "iris"},
        "network": {"hidden": [4]},
        "train": {"epochs": 1, **train},
        "algorithm": {"rule": "backprop"},
        "weight": {"device": "matrix_engine"},
    }
    return prepare_all(parse(raw))["main"]


def test_a_run_without_a_gpu_has_no_meter_unless_asked_and_then_says_why_not():
    assert meter_of(experiment()) is None
    assert meter_of(experiment(energy_meter="none")) is None
    said = 'no device of this run has place = "cuda"; energy_meter = "none"'
    with pytest.raises(BadInput, match=said):
        meter_of(experiment(energy_meter="nvml"))


def test_a_meter_that_may_not_be_read_is_refused_with_the_way_out(monkeypatch):
    def refuse() -> None:
        raise NoMeter("RAPL may not be read: energy_uj is for root alone")

    monkeypatch.setattr("hwloop.sim.metering.RaplCounter", refuse)
    with pytest.raises(BadInput, match=r"root alone; energy_meter = .none. goes without"):
        meter_of(experiment(energy_meter="rapl"))


def test_the_report_says_what_was_metered(report):
    found = total([reading_of(seconds=14.0).to_json()])
    report["arms"][0]["metered"] = found
    assert any("NVIDIA H200 drew 4.2 kJ in 14 s" in said for said in conditions(report))
    report["arms"][0]["moved_B"] = 2e9
    assert any("main moved 2 GB between the GPU" in said for said in conditions(report))


def reading_of(seconds: float) -> Reading:
    return Reading("NVIDIA H200", "nvml_total_energy", 4200.0, seconds, 60.0, 280)
