"""The figures of a sweep: cost against gain, and one parameter at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .markup import Html, el
from .plots import COLOURS
from .sweep_axis import Axis, of_key, of_measure
from .sweep_console import told
from .sweep_measures import Measure
from .sweep_results import SWEEP, Results, Row, numeric, spread
from .sweep_svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    framed,
    legend_height,
    legend_of,
    mark,
)

MOST_COLOURS = 7
MOST_LEVELS = 25
"""Values of a key up to which each has a mean of its own; more are gathered in bins."""
BINS = 12


def hue(results: Results, without: Sequence[str] = ()) -> str:
    """Return the key that colours tell apart; empty where none has few enough values."""
    keys = [k for k in results.leads if k not in without]
    few = [k for k in keys if 2 <= len(results.levels(k)) <= MOST_COLOURS]
    words = [k for k in few if not isinstance(results.levels(k)[0], (int, float, list))]
    return next(iter([*[k for k in few if k == SWEEP], *words, *few]), "")


def pareto(results: Results, x: Measure, y: Measure) -> Html:
    """Return every point as cost against gain, and the front of those that no other beats."""
    rows = [(k, r) for k, r in enumerate(results.rows) if None not in (r.of(x.name), r.of(y.name))]
    across = of_measure(x, _values(rows, x), LEFT, WIDTH - RIGHT)
    key = hue(results)
    levels = results.levels(key) if key else []
    up = of_measure(y, _values(rows, y), HEIGHT - BOTTOM, TOP + legend_height(key, levels))
    marks = []
    front = results.front([x, y])
    best = {row.point for row in front}
    for k, row in rows:
        place = _at(across, up, row.of(x.name), row.of(y.name))
        if place is None:
            continue
        level = levels.index(row.values[key]) if key and row.values.get(key) in levels else 0
        kind = "dot best" if row.point in best else "dot"
        kind += "" if results.kept(row) else " broken"
        marks.append(mark(place, level, kind, k))
    line = [p for r in front if (p := _at(across, up, r.of(x.name), r.of(y.name))) is not None]
    steps = "".join(
        f"{'M' if k == 0 else 'H'}{px:.1f}{f' {py:.1f}' if k == 0 else f'V{py:.1f}'}"
        for k, (px, py) in enumerate(sorted(line))
    )
    drawn = [el("path", {"class": "front", "d": steps})] if len(line) > 1 else []
    said = f"{y.title} against {x.title}, {len(rows)} points"
    return framed(said, across, up, [*drawn, *marks], legend_of(key, levels))


def curves(results: Results, key: str, y: Measure) -> Html:
    """Return a measure against one key: means, and bands of one standard deviation.

    Where one other key has few values, a line for each of them, and the band spreads over seeds;
    else it spreads over everything else that varies.
    """
    others = [k for k in results.leads if k != key and len(results.levels(k)) > 1]
    colour = hue(results, without=[key]) if len(others) == 1 or SWEEP in others else ""
    levels = results.levels(colour) if colour else []
    across = of_key(results, key, LEFT, WIDTH - RIGHT)
    groups = _groups(results, key, colour, y)
    values = [v for curve in groups.values() for _, found in curve for v in found]
    low, high = min(values, default=0.0), max(values, default=1.0)
    means = [spread(found) for curve in groups.values() for _, found in curve]
    inside = [min(max(m.mean + s * m.std, low), high) for m in means for s in (-1, 1)]
    ceiling = TOP + legend_height(colour, levels)
    up = of_measure(y, inside, HEIGHT - BOTTOM, ceiling)
    marks: list[Html] = []
    joined = numeric(results.levels(key))
    for position, curve in sorted(groups.items()):
        marks += _curve(position, curve, across, up, joined, ceiling)
    said = f"{y.title} against {key}"
    return framed(said, across, up, marks, legend_of(colour, levels))


Curve = list[tuple[Any, list[float]]]
"""Values of a key in order, each with the numbers that a measure has there."""


def _groups(results: Results, key: str, colour: str, y: Measure) -> dict[int, Curve]:
    """Return a curve for each position of the colour's values."""
    levels, hues = results.levels(key), results.levels(colour) if colour else []
    gathered = _bins(levels) if len(levels) > MOST_LEVELS and numeric(levels) else {}
    found: dict[int, dict[str, tuple[Any, list[float]]]] = {}
    for row in results.rows:
        value, x = row.of(y.name), row.values.get(key)
        if value is None or x is None:
            continue
        level = row.values.get(colour)
        position = hues.index(level) if level in hues else 0
        at = gathered[x] if gathered else x
        found.setdefault(position, {}).setdefault(repr(at), (at, []))[1].append(value)
    order = {repr(v): k for k, v in enumerate(levels)}
    return {
        position: sorted(by_x.values(), key=lambda pair: order[repr(pair[0])])
        for position, by_x in found.items()
    }


def _bins(levels: Sequence[float]) -> dict[Any, float]:
    """Return for each of many values the middle of the values that it is gathered with."""
    size = math.ceil(len(levels) / BINS)
    found = {}
    for k in range(0, len(levels), size):
        group = levels[k : k + size]
        middle = group[len(group) // 2]
        found.update(dict.fromkeys(group, middle))
    return found


def _curve(
    position: int, curve: Curve, across: Axis, up: Axis, joined: bool, ceiling: float
) -> list[Html]:
    colour = COLOURS[position % len(COLOURS)]
    upper, lower, line, marks = [], [], [], []
    for x, values in curve:
        found = spread(values)
        px, py = across.place(x), up.place(found.mean)
        if px is None or py is None:
            continue
        high, low = up.place(found.mean + found.std), up.place(found.mean - found.std)
        top, bottom = max(ceiling, high if high is not None else py), low if low is not None else py
        bottom = min(HEIGHT - BOTTOM, bottom)
        upper.append(f"{px:.1f},{top:.1f}")
        lower.append(f"{px:.1f},{bottom:.1f}")
        line.append(f"{px:.1f},{py:.1f}")
        said = f"{told(x)}: {found.mean:.4g} ± {found.std:.2g} ({found.count})"
        marks.append(mark((px, py), position, "dot", None, said))
        if not joined:
            bar = {"d": f"M{px:.1f} {top:.1f}V{bottom:.1f}", "stroke": colour, "stroke-width": "2"}
            marks.insert(0, el("path", bar))
    if not joined:
        return marks
    band = el(
        "polygon",
        {"points": " ".join([*upper, *reversed(lower)]), "fill": colour, "opacity": "0.16"},
    )
    drawn = el(
        "polyline",
        {"points": " ".join(line), "fill": "none", "stroke": colour, "stroke-width": "2"},
    )
    return [band, drawn, *marks]


def _values(rows: Sequence[tuple[int, Row]], m: Measure) -> list[float]:
    return [v for _, row in rows if (v := row.of(m.name)) is not None]


def _at(across: Axis, up: Axis, x: Any, y: Any) -> tuple[float, float] | None:
    px, py = across.place(x), up.place(y)
    return None if px is None or py is None else (px, py)
