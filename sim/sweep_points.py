"""A point of a sweep: an experiment with some values laid over it, and the keys that name it.

A point is a pure function of its configuration, so its key is the configuration's hash. Points
whose training is the same share a second key: they differ only in what a finished run can be read
again with, which is prices and the names of parts. Devices read nothing but the parameters of a
technology while they train; its events, standing power and area are read afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ..devices import CATALOGUE
from ..devices.technology import load
from ..devices.technology.altered import name_of
from ..devices.words import unknown
from .experiment import MAIN, ROLES, BadInput, Experiment, parse
from .places import Path, Source, shown
from .sweep_axes import TECHNOLOGY, dotted
from .tables import HostTable

READ_LATER = ("host", "fabric")
"""Tables that no training looks at: what they say is needed to read the run."""


@dataclass(frozen=True)
class Point:
    """One configuration: what it varies, and the whole experiment as plain data."""

    values: Mapping[str, Any]
    """Dotted key -> value."""
    raw: Mapping[str, Any]
    where: str = "experiment"
    """How a sentence about something wrong in it begins."""

    @cached_property
    def key(self) -> str:
        """The hash of the configuration; the name of the sweep is no part of it."""
        return _hash({k: v for k, v in self.raw.items() if k != "name"})

    @cached_property
    def experiment(self) -> Experiment:
        """The checked experiment. Raises BadInput where it is none."""
        return parse(self.raw, Source(self.where))

    @cached_property
    def training(self) -> str:
        """The hash of all that its training depends on. Raises BadInput as `experiment` does."""
        return training_key(self.experiment)


def point(base: Mapping[str, Any], values: Mapping[Path, Any], where: str) -> Point:
    """Return the point of `values` over `base`. Raises BadInput where a key leads into a value."""
    raw = _copy(base)
    changes: dict[str, dict[str, float]] = {}
    for path, value in values.items():
        if path[0] == TECHNOLOGY:
            if len(path) < 3:
                raise BadInput(f"{where}: {dotted(path)} names no number of a technology")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise BadInput(f"{where}: {dotted(path)} takes a number, got {shown(value)}")
            changes.setdefault(path[1], {})[".".join(path[2:])] = float(value)
            continue
        table = raw
        for depth, step in enumerate(path[:-1], 1):
            below = table.setdefault(step, {})
            if not isinstance(below, dict):
                said = dotted(path[:depth])
                raise BadInput(f"{where}: {said} is a value in this experiment, not a table")
            table = below
        table[path[-1]] = _copy(value)
    for stem, numbers in changes.items():
        _alter(raw, stem, numbers, where)
    named = {dotted(path): value for path, value in values.items()}
    said = ", ".join(f"{key} = {shown(value)}" for key, value in named.items())
    return Point(named, raw, f"{where}: {said}" if where and said else where)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def _alter(raw: dict[str, Any], stem: str, numbers: Mapping[str, float], where: str) -> None:
    """Change the numbers of a technology wherever the experiment uses it."""
    try:
        load(name_of(stem, numbers) if not stem.endswith(".toml") else "ideal")
    except ValueError as wrong:
        raise BadInput(f"{where}: {wrong}") from wrong
    raw.setdefault("host", {})
    known: set[str] = set()
    used = False
    arms = raw.get("compare", {})
    for tables in (raw, *(arms.values() if isinstance(arms, dict) else ())):
        for table in _priced(tables):
            now = table["technology"] if "technology" in table else _usual(table)
            known.add(str(now))
            if stem in (now, str(now).rpartition("/")[2]):
                table["technology"] = name_of(str(now), numbers)
                used = True
    if not used:
        said = unknown("technology in this experiment", stem, known)
        raise BadInput(f"{where}: {said}")


def _priced(tables: Any) -> list[dict[str, Any]]:
    """Return the tables of the host and of all devices, those inside other tables too."""
    if not isinstance(tables, dict):
        return []
    found = []
    for key, table in tables.items():
        if isinstance(table, dict) and key != "compare":
            found += [table] if key == "host" or "device" in table else []
            found += _priced(table)
    return found


def _usual(settings: Mapping[str, Any]) -> str:
    """Return the technology of a place that names none; the host alone has no device."""
    if "device" not in settings:
        return HostTable().technology
    device = settings.get("device")
    known = isinstance(device, str) and device in CATALOGUE
    return CATALOGUE[str(device)].usual_technology if known else ""


def training_key(experiment: Experiment) -> str:
    """Return a hash of what an experiment and its arms train on; see the top of this file."""
    arms = {MAIN: experiment, **experiment.compare}
    return _hash({name: _trained(arm) for name, arm in arms.items()})


def _trained(arm: Experiment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, table in arm.raw.items():
        if key in ("name", "compare", *READ_LATER):
            continue
        if key.split("/")[0] in ROLES:
            settings = {k: v for k, v in table.items() if k not in ("technology", "part")}
            found[key] = {**settings, "physics": physics(technology_of(table))}
        elif key == "privacy":
            found[key] = {k: v for k, v in table.items() if k != "delta"}
        else:
            found[key] = table
    return found


def technology_of(settings: Mapping[str, Any]) -> str:
    """Return the technology of a place in an experiment."""
    return str(settings.get("technology") or _usual(settings))


@cache
def physics(technology: str) -> str:
    """Return a hash of the constants that devices read of a technology; the node prices alone."""
    found = load(technology)
    constants = {name: p.value for name, p in found.parameters.items() if name != "node"}
    return _hash([constants, {name: table.values for name, table in found.tables.items()}])


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
