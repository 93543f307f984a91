"""Technology files: every number about hardware, in SI units, each with its source."""

from __future__ import annotations

import csv
import functools
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ..converters import conversion_steps, expected_adc
from ..words import unknown
from .altered import altered

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
    area_m2: float | None = None
    """Of one unit that does this; None where nobody says."""
    converter: str = ""
    """"sar" or "ramp": the price is of `bits` bits, and another number follows by law."""
    bits: float = 0.0
    scales: str = ""
    """"adc" or "digital": how the price follows the node; empty: it does not."""


@dataclass(frozen=True)
class Parameter:
    """A constant of the physics that a device file reads."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Table:
    """Constants of the physics that belong together."""

    values: tuple[float, ...]
    unit: str
    source: str


@dataclass(frozen=True)
class Pulsing:
    """Conductances in siemens that were measured after 0, 1, 2, ... equal pulses on one cell."""

    up_S: tuple[float, ...]
    """From the lowest conductance up."""
    down_S: tuple[float, ...]
    """From the highest conductance down."""
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
    tables: Mapping[str, Table] = field(default_factory=dict)
    area_m2: float | None = None
    area_source: str = ""
    pulsing: Pulsing | None = None
    """What pulses do to one cell, where that was measured."""

    def event(
        self, name: str, n_out: int, n_in: int, settings: Iterable[tuple[str, Any]] = ()
    ) -> Event:
        """Return the price of an event on a matrix (n_out, n_in): the first row that admits it.

        A converter's price follows `adc_bits` and `adc_kind` of the device's settings. Raises
        ValueError where there is no such event, or the matrix is larger than any row.
        """
        if name not in self.events:
            raise ValueError(f"technology {self.stem}: {unknown('event', name, self.events)}")
        for row in self.events[name]:
            if n_out <= row.n_out_max and n_in <= row.n_in_max:
                return self._converted(row, dict(settings)) if row.converter else row
        most = max((row.n_out_max, row.n_in_max) for row in self.events[name])
        raise ValueError(
            f'technology {self.stem} prices "{name}" up to {most[0]:,.0f} outputs and '
            f"{most[1]:,.0f} inputs; the matrix has {n_out:,} and {n_in:,}"
        )

    def _converted(self, row: Event, settings: Mapping[str, Any]) -> Event:
        """Return the price of a converter of the bits and the kind that a device has."""
        bits = settings.get("adc_bits") or row.bits
        kind = settings.get("adc_kind") or row.converter
        if bits == row.bits and kind == row.converter:
            return row
        if row.energy_J is None or not row.latency_s:
            return row
        steps = conversion_steps(kind, bits) / conversion_steps(row.converter, row.bits)
        latency_s, node_m = row.latency_s * steps, self.parameter("node")
        new = expected_adc(bits, 1 / latency_s, node_m)
        old = expected_adc(row.bits, 1 / row.latency_s, node_m)
        return replace(
            row,
            energy_J=row.energy_J * new.energy_J / old.energy_J,
            latency_s=latency_s,
            area_m2=None if row.area_m2 is None else row.area_m2 * new.area_m2 / old.area_m2,
            converter=kind,
            bits=float(bits),
            source=f"{row.source}; here {bits:g} bits ({kind}), by the same law",
        )

    def table(self, name: str) -> tuple[float, ...]:
        """Return the values of a table. Raises ValueError where the file has none."""
        if name not in self.tables:
            raise ValueError(f"technology {self.stem}: {unknown('table', name, self.tables)}")
        return self.tables[name].values

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
    "table": dict,
    "pulsing": dict,
}
_NEEDED = ("name", "description", "idle_W", "idle_source")
_EVENT = {
    "energy_J": float,
    "latency_s": float,
    "source": str,
    "overlaps": bool,
    "n_out_max": float,
    "n_in_max": float,
    "area_m2": float,
    "converter": str,
    "bits": float,
    "scales": str,
}
_ONE_OF = {"converter": ("sar", "ramp"), "scales": ("adc", "digital")}
_MAY_BE_UNKNOWN = ("idle_W", "energy_J", "latency_s")
_PARAMETER = {"value": float, "unit": str, "source": str}
_TABLE = {"values": list, "unit": str, "source": str}
_PULSING = {"up_S": list, "down_S": list, "file": str, "source": str}


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
        if key in _ONE_OF and isinstance(value, str) and value not in _ONE_OF[key]:
            raise ValueError(f"{where}: {unknown(key, value, _ONE_OF[key])}")
        result[key] = value
    for key in needs:
        if key not in result:
            raise ValueError(f"{where}: {key} is missing")
    return result


def _pulsing(where: str, given: Any, folder: Path) -> Pulsing:
    """Return measured conductances: two lists, or a CSV file with the columns up_S and down_S."""
    table = _checked(where, given, _PULSING, ("source",))
    if ("file" in table) == ("up_S" in table or "down_S" in table):
        raise ValueError(f"{where} takes up_S and down_S, or the name of a file that has both")
    if "file" in table:
        table |= _columns(where, folder / Path(table["file"]).expanduser())
    series = {}
    for key, sign, way in (("up_S", 1, "rises"), ("down_S", -1, "falls")):
        if key not in table:
            raise ValueError(f"{where}: {key} is missing")
        numbers = table[key]
        if not all(isinstance(g, (int, float)) and 0 <= g < float("inf") for g in numbers):
            raise ValueError(f"{where}: {key} takes conductances, finite numbers from 0")
        if len(numbers) < 3 or sign * (numbers[-1] - numbers[0]) <= 0:
            raise ValueError(f"{where}: {key} takes three numbers or more, a series that {way}")
        series[key] = tuple(float(g) for g in numbers)
    return Pulsing(**series, source=table["source"])


def _columns(where: str, path: Path) -> dict[str, list[float]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        return {key: [float(r[key]) for r in rows if r[key]] for key in ("up_S", "down_S")}
    except OSError as wrong:
        raise ValueError(f"{where}: {path} cannot be read: {wrong.strerror}") from wrong
    except (KeyError, TypeError, ValueError) as wrong:
        raise ValueError(
            f"{where}: {path} takes numbers under a line with the names up_S and down_S: {wrong}"
        ) from wrong


def parse(text: str, stem: str, folder: Path = Path()) -> Technology:
    """Return the technology that a TOML text states; files that it names lie in `folder`.

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
        events[event] = tuple(_event(at, _checked(at, e, _EVENT, needs)) for e in entries)
    parameters = {
        name: Parameter(**_checked(f"{where}: parameter.{name}", p, _PARAMETER, tuple(_PARAMETER)))
        for name, p in top.pop("parameter", {}).items()
    }
    follow = [row for rows in events.values() for row in rows if row.converter or row.scales]
    if follow and "node" not in parameters:
        raise ValueError(
            f"{where}: prices of a converter, and what scales, follow the node: parameter.node is "
            "missing"
        )
    tables = {
        name: _table(at, _checked(at, t, _TABLE, tuple(_TABLE)))
        for name, t in top.pop("table", {}).items()
        for at in (f"{where}: table.{name}",)
    }
    if "pulsing" in top:
        top["pulsing"] = _pulsing(f"{where}: pulsing", top["pulsing"], folder)
    return Technology(stem=stem, events=events, parameters=parameters, tables=tables, **top)


def _event(where: str, given: dict[str, Any]) -> Event:
    if bool(given.get("converter")) != bool(given.get("bits")):
        raise ValueError(f"{where}: converter and bits (above 0) belong together")
    return Event(**given)


def _table(where: str, given: dict[str, Any]) -> Table:
    values = given["values"]
    right = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if not values or not right or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{where}: values takes finite numbers, got {values!r}")
    return Table(tuple(float(v) for v in values), given["unit"], given["source"])


def names() -> list[str]:
    """Return the stems of the files that ship with hwloop."""
    folder = resources.files(__name__)
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


@functools.cache
def load(name: str) -> Technology:
    """Return a technology by the stem of a shipped file, or by the path of one's own TOML file.

    `stem@22nm` is that technology made at another node, by the laws of `nodes.py`; changes to
    its numbers may follow the name: see `altered.py`. Raises ValueError where there is no such
    file, or it does not follow the schema.
    """
    if ";" in name:
        return altered(load(name.partition(";")[0].strip()), name)
    base, at, node = name.rpartition("@")
    if at and not name.endswith(".toml"):
        from .nodes import at_node

        return at_node(load(base), node, name)
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f'technology file "{name}" is not there')
        return parse(path.read_text(), name, path.parent)
    if name not in names():
        raise ValueError(unknown("technology", name, names()))
    return parse(resources.files(__name__).joinpath(f"{name}.toml").read_text(), name)
