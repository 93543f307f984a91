"""Technology files: every number about hardware, in SI units, each with its source."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..words import unknown

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Event:
    """The price of one event, for matrices up to a size."""

    energy_J: float | None
    """Beyond what the part draws anyway; None where nobody has metered it."""
    latency_s: float | None
    """None where only a measurement tells."""
    source: str
    overlaps: bool = False
    """Overlapping events of one operation run at once: the longest sets the time (a roofline)."""
    n_out_max: float = float("inf")
    n_in_max: float = float("inf")


@dataclass(frozen=True)
class Parameter:
    """A constant of the physics that a device file reads."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Technology:
    """The prices and constants of one kind of hardware, as its file states them."""

    stem: str
    name: str
    description: str
    idle_W: float | None
    """Drawn by a part as long as it is switched on, busy or not; None where nobody knows."""
    idle_source: str
    events: Mapping[str, tuple[Event, ...]]
    parameters: Mapping[str, Parameter]
    area_m2: float | None = None
    area_source: str = ""

    def event(self, name: str, n_out: int, n_in: int) -> Event:
        """Return the price of an event on a matrix (n_out, n_in): the first row that admits it.

        Raises ValueError where there is no such event, or the matrix is larger than any row.
        """
        if name not in self.events:
            raise ValueError(f"technology {self.stem}: {unknown('event', name, self.events)}")
        for row in self.events[name]:
            if n_out <= row.n_out_max and n_in <= row.n_in_max:
                return row
        most = max((row.n_out_max, row.n_in_max) for row in self.events[name])
        raise ValueError(
            f'technology {self.stem} prices "{name}" up to {most[0]:,.0f} outputs and '
            f"{most[1]:,.0f} inputs; the matrix has {n_out:,} and {n_in:,}"
        )

    def parameter(self, name: str) -> float:
        """Return the value of a constant. Raises ValueError where the file has none."""
        if name not in self.parameters:
            raise ValueError(
                f"technology {self.stem}: {unknown('parameter', name, self.parameters)}"
            )
        return self.parameters[name].value


_TOP = {
    "name": str,
    "description": str,
    "idle_W": float,
    "idle_source": str,
    "area_m2": float,
    "area_source": str,
    "event": dict,
    "parameter": dict,
}
_NEEDED = ("name", "description", "idle_W", "idle_source")
_EVENT = {
    "energy_J": float,
    "latency_s": float,
    "source": str,
    "overlaps": bool,
    "n_out_max": float,
    "n_in_max": float,
}
_MAY_BE_UNKNOWN = ("idle_W", "energy_J", "latency_s")
_PARAMETER = {"value": float, "unit": str, "source": str}


def _checked(
    where: str, table: Any, takes: Mapping[str, type], needs: tuple[str, ...]
) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ValueError(f"{where} takes a table, got {table!r}")
    result: dict[str, Any] = {}
    for key, value in table.items():
        if key not in takes:
            raise ValueError(f"{where}: {unknown('key', key, takes)}")
        want = takes[key]
        if value == UNKNOWN and key in _MAY_BE_UNKNOWN:
            result[key] = None
            continue
        if want is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, want):
            raise ValueError(f"{where}: {key} takes {want.__name__}, got {value!r}")
        if isinstance(value, float) and key != "value" and not 0 <= value < float("inf"):
            raise ValueError(f"{where}: {key} takes a finite number from 0, got {value!r}")
        if isinstance(value, str) and not value.strip():
            raise ValueError(f"{where}: {key} is empty")
        result[key] = value
    for key in needs:
        if key not in result:
            raise ValueError(f"{where}: {key} is missing")
    return result


def parse(text: str, stem: str) -> Technology:
    """Return the technology that a TOML text states.

    Raises ValueError for unknown keys, missing sources, wrong types and negative numbers.
    """
    where = f"technology {stem}"
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ValueError(f"{where}: not TOML: {wrong}") from wrong
    top = _checked(where, raw, _TOP, _NEEDED)
    if "area_m2" in top and "area_source" not in top:
        raise ValueError(f"{where}: area_source is missing")
    events = {}
    for event, given in top.pop("event", {}).items():
        entries = given if isinstance(given, list) else [given]
        at, needs = f"{where}: event.{event}", ("energy_J", "latency_s", "source")
        events[event] = tuple(Event(**_checked(at, e, _EVENT, needs)) for e in entries)
    parameters = {
        name: Parameter(**_checked(f"{where}: parameter.{name}", p, _PARAMETER, tuple(_PARAMETER)))
        for name, p in top.pop("parameter", {}).items()
    }
    return Technology(stem=stem, events=events, parameters=parameters, **top)


def names() -> list[str]:
    """Return the stems of the files that ship with hwloop."""
    folder = resources.files(__name__)
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


@functools.cache
def load(name: str) -> Technology:
    """Return a technology by the stem of a shipped file, or by the path of one's own TOML file.

    Raises ValueError where there is no such file, or it does not follow the schema.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f'technology file "{name}" is not there')
        return parse(path.read_text(), name)
    if name not in names():
        raise ValueError(unknown("technology", name, names()))
    return parse(resources.files(__name__).joinpath(f"{name}.toml").read_text(), name)
