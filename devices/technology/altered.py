"""A technology with some of its numbers changed, said in its name: `opu_gen3; idle_W = 20.0`.

The name alone says what it is, so ledgers, reports and other machines need no further file:
`opu_gen3; event.frame.latency_s = 1e-05; parameter.camera_bits = 10`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..words import unknown

if TYPE_CHECKING:
    from . import Technology

TOPS = ("idle_W", "area_m2")
PRICES = ("energy_J", "latency_s", "area_m2")


def name_of(stem: str, changes: Mapping[str, float]) -> str:
    """Return the name of a technology with changes; a name with changes already takes more.

    >>> name_of("opu_gen3", {"idle_W": 20.0})
    'opu_gen3; idle_W = 20.0'
    """
    base, _, before = stem.partition(";")
    whole = {**_changes(before, stem), **changes}
    return "; ".join([base.strip(), *(f"{path} = {whole[path]!r}" for path in sorted(whole))])


def altered(base: Technology, name: str) -> Technology:
    """Return `base` with the changes that its `name` says after the first semicolon.

    They go to `idle_W`, `area_m2`, `event.<name>.energy_J`, `.latency_s` or `.area_m2` (in every
    row of the event) and `parameter.<name>`. Every source says what was changed. Raises
    ValueError for whatever else, and for numbers that no file may state.
    """
    made = replace(base, stem=name)
    for path, value in _changes(name.partition(";")[2], name).items():
        made = _changed(made, path, value)
    return made


def _changes(text: str, name: str) -> dict[str, float]:
    found = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        path, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            found[path] = float(value)
        except ValueError:
            equals = ""
        if not equals or not math.isfinite(found[path]):
            raise ValueError(f'technology {name}: "{part}" is no change, as idle_W = 20.0 is one')
    return found


def _changed(t: Technology, path: str, value: float) -> Technology:
    kind, _, rest = path.partition(".")
    if kind == "parameter":
        parameter = rest.removesuffix(".value")
        source = _said(path, value, t.parameter(parameter), t.parameters[parameter].source)
        one = replace(t.parameters[parameter], value=value, source=source)
        return replace(t, parameters={**t.parameters, parameter: one})
    if value < 0:
        raise ValueError(f"technology {t.stem}: {path} takes a number from 0, got {value:g}")
    if path == "idle_W":
        return replace(t, idle_W=value, idle_source=_said(path, value, t.idle_W, t.idle_source))
    if path == "area_m2":
        return replace(t, area_m2=value, area_source=_said(path, value, t.area_m2, t.area_source))
    event, _, price = rest.rpartition(".")
    if kind != "event" or not event:
        known = [*TOPS, "event.<name>.energy_J", "event.<name>.latency_s", "parameter.<name>"]
        raise ValueError(f"technology {t.stem}: {unknown('number', path, known)}")
    if event not in t.events:
        raise ValueError(f"technology {t.stem}: {unknown('event', event, t.events)}")
    if price not in PRICES:
        raise ValueError(f"technology {t.stem}: {unknown('price', price, PRICES)}")
    rows = []
    for row in t.events[event]:
        old = {"energy_J": row.energy_J, "latency_s": row.latency_s, "area_m2": row.area_m2}
        source = _said(path, value, old[price], row.source)
        new: Any = {price: value, "source": source}
        rows.append(replace(row, **new))
    return replace(t, events={**t.events, event: tuple(rows)})


def _said(path: str, value: float, old: float | None, source: str) -> str:
    before = "unknown" if old is None else f"{old:g}"
    return (
        f"Supposed: {path} = {value:g} instead of {before}. The file's source: {source or 'none'}"
    )
