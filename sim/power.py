"""Joules of real hardware: NVML's counter on NVIDIA GPUs, RAPL's on Intel and AMD processors.

Every reading says how it came about: `nvml_total_energy` and `rapl_package` are counters of the
hardware (measured), `nvml_power_integral` is sampled power times time (integrated). Modelled
joules are neither and stand in other columns.

NVML's counter counts millijoules since the driver was loaded, on Volta and newer; it moves every
20 to 100 ms, so a window begins and ends at a move. On A100 and H100 the sensor behind it sees only
a quarter of the time [Yang et al., "Part-time power measurements", SC 2024, arXiv:2312.02741]:
windows of ten seconds and more, repeated, are the ones to trust, and a reading says how many moves
it saw. What the device draws at rest is measured first, in a window of its own, and subtracted.
RAPL counts the whole package with everything that runs on it.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Method = Literal["nvml_total_energy", "nvml_power_integral", "rapl_package"]
TAG: dict[str, str] = {
    "nvml_total_energy": "measured",
    "nvml_power_integral": "integrated",
    "rapl_package": "measured",
}
TRUSTED_S = 10.0
REST_S = 5.0
SAMPLE_S = 0.02
PATIENCE_S = 1.0
"""A counter that has not moved for so long is read where it stands."""
POWERCAP = Path("/sys/class/powercap")


class NoMeter(ValueError):
    """There is no meter, or it may not be read."""


@dataclass(frozen=True)
class Reading:
    """What a device drew in one window."""

    device: str
    method: Method
    energy_J: float
    """All that it drew while the work ran, at rest included."""
    seconds: float
    """How long the work ran."""
    idle_W: float | None
    """What it drew at rest before; None where that was not measured."""
    moves: int
    """How often the counter moved, or power was sampled."""

    @property
    def tag(self) -> str:
        """Measured or integrated."""
        return TAG[self.method]

    @property
    def work_J(self) -> float | None:
        """What the work drew beyond rest; None where rest was not measured."""
        return None if self.idle_W is None else self.energy_J - self.idle_W * self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the reading as plain data."""
        return {**asdict(self), "tag": self.tag, "work_J": self.work_J}


class Counter(Protocol):
    """A total that the hardware keeps, in joules."""

    device: str
    method: Method

    def read_J(self) -> float:
        """Return joules since some start that stays."""


@dataclass
class NvmlCounter:
    """The energy counter of one GPU; `nvml` is the module pynvml, `handle` its device."""

    nvml: Any
    handle: Any
    device: str
    method: Method = "nvml_total_energy"

    def read_J(self) -> float:
        return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) * 1e-3


class NvmlPower:
    """Power samples of a GPU without a counter, added up in a thread of their own."""

    method: Method = "nvml_power_integral"

    def __init__(self, nvml: Any, handle: Any, device: str) -> None:
        self.device = device
        self._nvml, self._handle = nvml, handle
        self._total_J, self._when = 0.0, time.monotonic()
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self.read_J()

    def read_J(self) -> float:
        with self._lock:
            watts = float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) * 1e-3
            now = time.monotonic()
            self._total_J += watts * (now - self._when)
            self._when = now
            return self._total_J

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()


class RaplCounter:
    """The packages of this machine, as Linux shows them in /sys/class/powercap.

    The counters wrap; `read_J` must be called more often than that, and a window of a few minutes
    at a few hundred watts is safe. Raises NoMeter where there is none or it may not be read.
    """

    method: Method = "rapl_package"
    device = "processor packages"

    def __init__(self, folder: Path = POWERCAP) -> None:
        zones = sorted(folder.glob("intel-rapl:[0-9]*"))
        self._zones = [zone for zone in zones if zone.name.count(":") == 1]
        if not self._zones:
            raise NoMeter(f"RAPL is not there: {folder} has no intel-rapl zone")
        try:
            self._wraps = [self._number(z, "max_energy_range_uj") for z in self._zones]
            self._last = [self._number(z, "energy_uj") for z in self._zones]
        except PermissionError as wrong:
            raise NoMeter(
                f"RAPL may not be read: {self._zones[0]}/energy_uj is for root alone"
            ) from wrong
        self._total_uj = 0

    @staticmethod
    def _number(zone: Path, name: str) -> int:
        return int((zone / name).read_text())

    def read_J(self) -> float:
        for k, zone in enumerate(self._zones):
            now = self._number(zone, "energy_uj")
            self._total_uj += (now - self._last[k]) % (self._wraps[k] + 1)
            self._last[k] = now
        return self._total_uj * 1e-6


@dataclass
class EnergyMeter:
    """Measures windows of work with one or more counters.

    `finish` waits until the device has done what it was given, as torch.cuda.synchronize does.
    """

    counters: list[Any]
    finish: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    idle_W: dict[str, float] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)

    def rest(self, seconds: float = REST_S) -> None:
        """Measure what the devices draw at rest, for so long."""
        self.finish()
        starts = [self._aligned(c) for c in self.counters]
        self.sleep(seconds)
        for counter, (at, joules) in zip(self.counters, starts, strict=True):
            later, more = self._aligned(counter)
            if later > at:
                self.idle_W[counter.device] = (more - joules) / (later - at)

    @contextmanager
    def window(self) -> Iterator[None]:
        """Measure what is done inside; the readings are added to `readings`.

        The window opens at a move of the counter and closes at the first one after the work. What
        was drawn between the work's end and that move, at rest, is taken off again where known.
        """
        self.finish()
        starts = [self._aligned(c) for c in self.counters]
        work_starts = self.clock()
        with self._watching() as moves:
            yield
            self.finish()
        work_ends = self.clock()
        for counter, (at, joules) in zip(self.counters, starts, strict=True):
            later, more = self._aligned(counter)
            idle = self.idle_W.get(counter.device)
            aside = (work_starts - at) + (later - work_ends)
            energy = more - joules - (idle or 0.0) * aside
            seconds = work_ends - work_starts
            seen = moves.get(counter.device, 0)
            self.readings.append(
                Reading(counter.device, counter.method, max(energy, 0.0), seconds, idle, seen)
            )

    def _aligned(self, counter: Counter) -> tuple[float, float]:
        """Return time and joules at the next move of a counter."""
        first = counter.read_J()
        start = self.clock()
        while True:
            joules, now = counter.read_J(), self.clock()
            if joules != first or now - start > PATIENCE_S:
                return now, joules
            self.sleep(0.0005)

    @contextmanager
    def _watching(self) -> Iterator[dict[str, int]]:
        """Count the moves of every counter, which also keeps RAPL's from wrapping unseen."""
        moves: dict[str, int] = {}
        end = threading.Event()

        def watch() -> None:
            last = {c.device: c.read_J() for c in self.counters}
            while not end.wait(SAMPLE_S):
                for c in self.counters:
                    joules = c.read_J()
                    if joules != last[c.device]:
                        moves[c.device] = moves.get(c.device, 0) + 1
                    last[c.device] = joules

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield moves
        finally:
            end.set()
            thread.join()

    def close(self) -> None:
        """End whatever threads the counters keep."""
        for counter in self.counters:
            if isinstance(counter, NvmlPower):
                counter.close()


def nvml_counter(uuid: str, nvml: Any = None) -> NvmlCounter | NvmlPower:
    """Return the counter of the GPU of this UUID, or power samples where it has none.

    Raises NoMeter where NVML is not there, does not know the GPU, or may not be asked.
    """
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ModuleNotFoundError as absent:
            raise NoMeter('NVML needs nvidia-ml-py: pip install "hwloop[torch]"') from absent
    try:
        nvml.nvmlInit()
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        handle = nvml.nvmlDeviceGetHandleByUUID(name)
        said = nvml.nvmlDeviceGetName(handle)
        device = said.decode() if isinstance(said, bytes) else str(said)
        try:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except nvml.NVMLError as wrong:
            if getattr(wrong, "value", None) != nvml.NVML_ERROR_NOT_SUPPORTED:
                raise
            nvml.nvmlDeviceGetPowerUsage(handle)
            return NvmlPower(nvml, handle, device)
    except nvml.NVMLError as wrong:
        raise NoMeter(f"NVML cannot read the energy of {uuid}: {wrong}") from wrong
    return NvmlCounter(nvml, handle, device)
