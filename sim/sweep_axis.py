"""Axes of a sweep's figures: from a value to a place in the drawing, with ticks people can read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .sweep_console import told
from .sweep_measures import Measure
from .sweep_results import Results, numeric, titled
from .units import si

LOG_FROM = 30.0
"""Ratio of the largest to the least value from which on an axis is logarithmic."""
MOST_LEVELS = 9
"""Values that are ticks themselves; more of them get round numbers."""


@dataclass(frozen=True)
class Axis:
    """One direction of a drawing."""

    title: str
    ticks: Sequence[tuple[float, str]]
    """Place in the drawing, and what stands there."""
    place: Callable[[Any], float | None]
    """From a value to its place; None for what the axis cannot show."""
    logarithmic: bool = False


def of_measure(m: Measure, values: Sequence[float], start: float, stop: float) -> Axis:
    """Return the axis of a measure, from `start` to `stop` in the drawing."""

    def label(value: float) -> str:
        if m.unit == "%":
            return f"{100 * value:.6g} %"
        return si(value, m.unit) if m.unit else f"{value:.4g}"

    return _numbers(f"{m.title}", values, start, stop, label)


def of_key(results: Results, key: str, start: float, stop: float, most: int = MOST_LEVELS) -> Axis:
    """Return the axis of a key that varies; what are no numbers stand side by side."""
    levels = results.levels(key)
    if not numeric(levels):
        step = (stop - start) / max(len(levels), 1)
        places = {repr(v): start + step * (k + 0.5) for k, v in enumerate(levels)}
        ticks = [(places[repr(v)], _short(told(v))) for v in levels]
        return Axis(titled(key), ticks, lambda v: places.get(repr(v)))
    axis = _numbers(titled(key), levels, start, stop, lambda v: f"{v:.4g}")
    if len(levels) > most:
        return axis
    found = [(place, told(v)) for v in levels if (place := axis.place(v)) is not None]
    return Axis(axis.title, _apart(found), axis.place, axis.logarithmic)


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the ticks that do not run into the one before them."""
    kept: list[tuple[float, str]] = []
    for place, said in ticks:
        if not kept or abs(place - kept[-1][0]) >= 4 + 3.6 * (len(said) + len(kept[-1][1])):
            kept.append((place, said))
    return kept


def _short(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _numbers(
    title: str,
    values: Sequence[float],
    start: float,
    stop: float,
    label: Callable[[float], str],
) -> Axis:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    log = low > 0 and high / low >= LOG_FROM
    a, b = (math.log10(low), math.log10(high)) if log else (low, high)
    if a == b:
        a, b = a - abs(a) * 0.1 - 1e-12, b + abs(b) * 0.1 + 1e-12
    room = 0.05 * (b - a)
    a, b = a - room, b + room
    if not log and low >= 0:
        a = max(a, 0.0) if low > 0.5 * high or a >= 0 else min(a, -room)

    def place(value: Any) -> float | None:
        if value is None or (log and value <= 0):
            return None
        at = math.log10(value) if log else value
        return start + (stop - start) * (at - a) / (b - a)

    ticks = []
    for value in _log_ticks(a, b) if log else _ticks(a, b):
        at = place(value)
        if at is not None:
            ticks.append((at, label(value)))
    return Axis(f"{title}, logarithmic" if log else title, ticks, place, log)


def _ticks(a: float, b: float, most: int = 6) -> list[float]:
    raw = (b - a) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= raw)
    first = math.ceil(a / step - 1e-9)
    last = math.floor(b / step + 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def _log_ticks(a: float, b: float) -> list[float]:
    powers = range(math.floor(a), math.ceil(b) + 1)
    inside = [10.0**k for k in powers if a <= k <= b]
    if len(inside) > 7:
        return inside[:: math.ceil(len(inside) / 7)]
    if len(inside) >= 3:
        return inside
    more = [m * 10.0**k for k in powers for m in (1, 2, 5)]
    return [v for v in more if a <= math.log10(v) <= b]
