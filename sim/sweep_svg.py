"""What a sweep's figures are drawn with: a frame with two axes, marks, a legend, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .markup import Html, el
from .plots import COLOURS
from .sweep_axis import Axis
from .sweep_console import told

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 16, 56

STYLE = """
svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
text { fill: #1b1f27; } .soft { fill: #5a6272; }
.grid { stroke: #dfe2e8; } .frame { stroke: #5a6272; fill: none; }
.dot { stroke: #ffffff; stroke-width: 0.8; }
.front { stroke: #1b1f27; stroke-width: 1.4; fill: none; }
.best { stroke: #1b1f27; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e9ef; } .soft { fill: #a0a8b6; }
  .grid { stroke: #323844; } .frame { stroke: #a0a8b6; }
  .dot { stroke: #14171c; } .front { stroke: #e6e9ef; } .best { stroke: #e6e9ef; }
}
"""
"""How a figure looks in a file of its own; in the page the page's style says it."""

_SYMBOLS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "M0 -5.2L5.2 0L0 5.2L-5.2 0Z",
    "M-3.7 -3.7H3.7V3.7H-3.7Z",
    "M0 -5L4.8 3.6H-4.8Z",
    "M0 5L4.8 -3.6H-4.8Z",
    "M-1.4 -4.6H1.4V-1.4H4.6V1.4H1.4V4.6H-1.4V1.4H-4.6V-1.4H-1.4Z",
    "M-4.6 -2.4H4.6V2.4H-4.6Z",
)
"""Shapes tell series apart without their colours."""


def standalone(figure: Html) -> str:
    """Return a figure as a file of its own."""
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    return figure.replace("<svg", head, 1).replace(">", f"><style>{STYLE}</style>", 1) + "\n"


def mark(
    place: tuple[float, float], level: int, kind: str, index: int | None, said: str = ""
) -> Html:
    """Return a mark in the colour and shape of a level; `index` is its point's, for the page."""
    about = {
        "class": kind,
        "d": _SYMBOLS[level % len(_SYMBOLS)],
        "transform": f"translate({place[0]:.1f} {place[1]:.1f})",
        "fill": COLOURS[level % len(COLOURS)],
    }
    if index is not None:
        about["data-i"] = str(index)
    return el("path", about, *([el("title", None, said)] if said else []))


def legend_height(key: str, levels: Sequence[Any]) -> int:
    """Return how much room a legend takes above the frame."""
    return 20 * len(legend_of(key, levels)[1]) + 6 if key else 0


def legend_of(key: str, levels: Sequence[Any]) -> tuple[str, list[list[tuple[int, str]]]]:
    """Return the title and the lines of a legend: (colour, name)."""
    lines: list[list[tuple[int, str]]] = [[]]
    room = WIDTH - LEFT - RIGHT - 8 * len(key) - 20
    used = 0
    for k, level in enumerate(levels if key else ()):
        name = told(level)
        wide = 26 + 7.2 * len(name)
        if used + wide > room and lines[-1]:
            lines.append([])
            used = 0
        lines[-1].append((k, name))
        used += int(wide)
    return key, lines


def framed(
    said: str,
    across: Axis,
    up: Axis,
    marks: Sequence[Html],
    legend: tuple[str, list[list[tuple[int, str]]]],
) -> Html:
    """Return marks in a frame with both axes' ticks and titles, the legend above it."""
    low, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    top = TOP + (20 * len(legend[1]) + 6 if legend[0] else 0)
    frame = []
    for y, label in up.ticks:
        if top - 1 <= y <= low + 1:
            frame.append(el("path", {"class": "grid", "d": f"M{LEFT} {y:.1f}H{right}"}))
            place = {"x": f"{LEFT - 8}", "y": f"{y + 4:.1f}", "text-anchor": "end", "class": "soft"}
            frame.append(el("text", place, label))
    for x, label in across.ticks:
        frame.append(el("path", {"class": "grid", "d": f"M{x:.1f} {top}V{low}"}))
        place = {"x": f"{x:.1f}", "y": f"{low + 18}", "text-anchor": "middle", "class": "soft"}
        frame.append(el("text", place, label))
    frame.append(el("path", {"class": "frame", "d": f"M{LEFT} {top}V{low}H{right}"}))
    middle = {"x": f"{(LEFT + right) / 2:.0f}", "y": f"{HEIGHT - 12}", "text-anchor": "middle"}
    frame.append(el("text", middle, across.title))
    turned = {
        "transform": f"translate(16 {(top + low) / 2:.0f}) rotate(-90)",
        "text-anchor": "middle",
    }
    frame.append(el("text", turned, up.title))
    about = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": said}
    return el("svg", about, *frame, *_legend_drawn(legend), *marks)


def _legend_drawn(legend: tuple[str, list[list[tuple[int, str]]]]) -> list[Html]:
    key, lines = legend
    if not key:
        return []
    title = key.rpartition(".")[2] if len(key) > 28 else key
    found = [el("text", {"x": f"{LEFT}", "y": f"{TOP + 8}", "class": "soft"}, title)]
    for n, line in enumerate(lines):
        x = LEFT + 7.4 * len(title) + 16
        for level, name in line:
            found.append(mark((x, TOP + 4 + 20 * n), level, "dot", None))
            found.append(el("text", {"x": f"{x + 9:.0f}", "y": f"{TOP + 8 + 20 * n}"}, name))
            x += 26 + 7.2 * len(name)
    return found
