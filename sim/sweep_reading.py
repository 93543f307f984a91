"""A training read again as a point's own run: other prices, other parts, no training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__
from ..devices import CATALOGUE, Ledger
from ..devices.host import NAME as HOST
from ..devices.ledger import Installed
from ..devices.technology import load
from .experiment import MAIN, Experiment
from .places import BadInput
from .run import arms_of
from .sweep_measures import read, unmeasured, unmetered
from .sweep_points import Point, technology_of


@dataclass(frozen=True)
class Training:
    """What training left of every arm, and the experiment that was trained."""

    experiment: Experiment
    results: Mapping[str, Mapping[str, Any]]
    ledgers: Mapping[str, Ledger]
    served: Mapping[str, Mapping[str, str]]
    """Which place of the file serves each device of an arm."""


def row_of(point: Point, training: Training) -> dict[str, Any]:
    """Return the row of a point, from a training that it shares.

    It is the row that the point's own training would give, bit for bit: a training depends on
    nothing in which the two experiments differ. Raises BadInput where a price is missing.
    """
    found: dict[str, Any] = {}
    notes, stems = [], set()
    for name, wanted in arms_of(point.experiment).items():
        result, trained = training.results[name], arms_of(training.experiment)[name]
        ledger = relabelled(training.ledgers[name], training.served[name], trained, wanted)
        start = "" if name == MAIN else f"{name}."
        try:
            of_arm = read(result, ledger, wanted.privacy.delta, wanted.fabric)
            bare, open_areas = unmetered(ledger), unmeasured(ledger)
        except (ValueError, ImportError) as wrong:
            raise BadInput(f"{point.where}: {name}: {wrong}") from wrong
        found.update({f"{start}{key}": value for key, value in of_arm.items()})
        if bare:
            notes.append(f"{start}energy_J is not all: nobody has metered {', '.join(bare)}")
        if open_areas and of_arm["area_m2"] is not None:
            notes.append(
                f"{start}area_m2 is not all: no area is stated for {', '.join(open_areas)}"
            )
        if result.get("diverged"):
            notes.append(f"{name} diverged: {result['stopped']}")
        stems |= {d.technology for d in ledger.devices.values()}
    return {
        "point": point.key,
        "training": point.training,
        "values": dict(point.values),
        "measures": found,
        "notes": notes,
        "technologies": sorted(stems),
        "world": world(sorted(stems)),
    }


def world(stems: list[str]) -> str:
    """Return a hash of the version and of all that technology files say that a row depends on."""
    text = "\n".join([__version__, *(repr(load(stem)) for stem in stems)])
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def relabelled(
    ledger: Ledger, served: Mapping[str, str], trained: Experiment, wanted: Experiment
) -> Ledger:
    """Return the ledger as `wanted` would have written it: its technologies and parts."""
    devices = {}
    for name, device in ledger.devices.items():
        place = served.get(name, HOST)
        was, now = _labels(trained, name, place), _labels(wanted, name, place)
        same = device.technology == was[0]
        devices[name] = device._replace(
            technology=now[0] if same else device.technology, part=_part(device, was, now)
        )
    return replace(ledger, devices=devices)


def _labels(experiment: Experiment, name: str, place: str) -> tuple[str, str]:
    """Return the technology and the part that an experiment gives a device in a place."""
    if place == HOST:
        return experiment.host.technology, experiment.host.technology
    settings = experiment.places[place]
    technology = technology_of(settings)
    usual = name if CATALOGUE[settings["device"]].is_tile else technology
    return technology, str(settings.get("part") or usual)


def _part(device: Installed, was: tuple[str, str], now: tuple[str, str]) -> str:
    if device.part == was[1]:
        return now[1]
    return now[0] if device.part == was[0] else device.part
