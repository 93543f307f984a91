"""Which meter measures an arm, and where its readings are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..devices import MatrixEngine, TorchMatrix
from .arm import Arm
from .experiment import BadInput
from .files import read_json, write_json
from .power import TRUSTED_S, EnergyMeter, NoMeter, RaplCounter, Reading, nvml_counter

ENERGY = "energy.json"
"""Readings of an arm, one a window: an interrupted run has several."""


def places(arm: Arm) -> list[str]:
    """Return the CUDA devices that an arm works on."""
    devices = arm.placement.devices.values()
    found = {d.place for d in devices if isinstance(d, (TorchMatrix, MatrixEngine))}
    return sorted(place for place in found if place.startswith("cuda"))


def meter_of(arm: Arm, nvml: Any = None) -> EnergyMeter | None:
    """Return what measures an arm's joules, None where nothing is to.

    `auto` measures the GPUs that the arm works on. Raises BadInput where the meter is not there or
    may not be read; energy_meter = "none" goes without.
    """
    wanted, cuda = arm.experiment.train.energy_meter, places(arm)
    if wanted == "none" or (wanted == "auto" and not cuda):
        return None
    try:
        if wanted == "rapl":
            return EnergyMeter([RaplCounter()])
        if not cuda:
            raise NoMeter('NVML measures GPUs, and no device of this run has place = "cuda"')
        import torch

        counters = [
            nvml_counter(str(torch.cuda.get_device_properties(place).uuid), nvml) for place in cuda
        ]
    except NoMeter as wrong:
        raise arm.experiment.at.bad(
            ("train", "energy_meter"), f'{wrong}; energy_meter = "none" goes without'
        ) from wrong

    def finish() -> None:
        for place in cuda:
            torch.cuda.synchronize(place)

    return EnergyMeter(counters, finish)


@contextmanager
def metered(meter: EnergyMeter | None, folder: Path) -> Iterator[None]:
    """Measure what is done inside, and add the readings to the folder's file."""
    if meter is None:
        yield
        return
    meter.rest()
    try:
        with meter.window():
            yield
    finally:
        meter.close()
        if meter.readings:
            write_json(folder / ENERGY, readings(folder) + [r.to_json() for r in meter.readings])


def readings(folder: Path) -> list[dict[str, Any]]:
    """Return the readings kept in an arm's folder. Raises BadInput where the file is damaged."""
    path = folder / ENERGY
    if not path.is_file():
        return []
    found = read_json(path)
    keys = set(Reading.__dataclass_fields__) | {"tag", "work_J"}
    whole = isinstance(found, list) and all(isinstance(r, dict) and keys <= set(r) for r in found)
    if not whole:
        raise BadInput(f"{path} does not hold readings of a meter")
    return list(found)


def total(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return joules and seconds over all windows, with what is known of them; None for none."""
    if not found:
        return None
    work = [r["work_J"] for r in found]
    tags = {r["tag"] for r in found}
    return {
        "energy_J": sum(r["energy_J"] for r in found),
        "work_J": None if None in work else sum(work),
        "seconds": sum(r["seconds"] for r in found),
        "tag": "measured" if tags == {"measured"} else "integrated",
        "methods": sorted({r["method"] for r in found}),
        "devices": sorted({r["device"] for r in found}),
        "short": any(r["seconds"] < TRUSTED_S for r in found),
    }


def sentence(name: str, metered: dict[str, Any]) -> str:
    """Return what a report says of an arm's readings."""
    from .units import si

    text = (
        f"{name}: {' and '.join(metered['devices'])} drew {si(metered['energy_J'], 'J')} in "
        f"{si(metered['seconds'], 's')} of training ({metered['tag']}, "
        f"{', '.join(metered['methods'])})"
    )
    if metered["work_J"] is not None:
        text += f", {si(metered['work_J'], 'J')} of it beyond rest"
    if metered["short"]:
        text += f"; a window under {TRUSTED_S:g} s holds few of the counter's moves"
    return text + "."
