"""Line charts with error bars as one self-contained SVG text, for pages that run no scripts."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .plots import COLOURS

WIDTH, HEIGHT = 460, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 58, 58
_INK, _PALE = "#1f2430", "#d9dce3"
Place = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """Points of one line: x, y and the half length of each error bar, all of one length."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One chart. The x axis is logarithmic, and `ticks` are the numbers it shows, with texts."""

    title: str
    x_title: str
    y_title: str
    ticks: Sequence[tuple[float, str]]
    y_range: tuple[float, float]
    series: Sequence[Series]
    lines: Sequence[tuple[float, str]] = ()
    """Dashed lines across: a height and what it says."""


def svg(panels: Sequence[Panel], about: str) -> str:
    """Return charts side by side as an SVG document; `about` describes them to who cannot see.

    Raises ValueError for a series whose parts differ in length or lie at x of 0 or below.
    """
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" '
        f'height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{_text(about)}</title>",
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for k, panel in enumerate(panels):
        parts += [f'<g transform="translate({k * WIDTH},0)">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    low, high = (math.log(x) for x in (panel.ticks[0][0], panel.ticks[-1][0]))
    bottom, top = panel.y_range
    right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def across(x: float) -> float:
        return _LEFT + (math.log(x) - low) / (high - low) * (right - _LEFT)

    def up(y: float) -> float:
        return floor - (min(max(y, bottom), top) - bottom) / (top - bottom) * (floor - _TOP)

    found = [
        _label(_LEFT, 20, panel.title, weight="600", size=14),
        _label((_LEFT + right) / 2, HEIGHT - 14, panel.x_title, anchor="middle"),
        f'<text transform="translate(16,{(_TOP + floor) / 2:.1f}) rotate(-90)" '
        f'text-anchor="middle" fill="{_INK}">{_text(panel.y_title)}</text>',
    ]
    for y in _heights(bottom, top):
        found.append(_line(_LEFT, up(y), right, up(y), _PALE))
        found.append(_label(_LEFT - 8, up(y) + 4, f"{y:g}", anchor="end"))
    for x, said in panel.ticks:
        found.append(_line(across(x), floor, across(x), floor + 5, _INK))
        found.append(_label(across(x), floor + 19, said, anchor="middle"))
    found.append(_line(_LEFT, floor, right, floor, _INK))
    for (y, said), colour in zip(panel.lines, COLOURS, strict=False):
        found.append(_line(_LEFT, up(y), right, up(y), colour, dash="6 4"))
        middle = (_LEFT + right) / 2
        found.append(_label(middle, up(y) + 14, said, anchor="middle", colour=colour, size=11))
    for k, (series, colour) in enumerate(zip(panel.series, COLOURS, strict=False)):
        found += _series(series, k, colour, across, up)
    return found


def _series(series: Series, number: int, colour: str, across: Place, up: Place) -> list[str]:
    if not len(series.x) == len(series.y) == len(series.error):
        sizes = f"{len(series.x)}, {len(series.y)} and {len(series.error)}"
        raise ValueError(f'series "{series.name}" has {sizes} numbers in x, y and error')
    if min(series.x) <= 0:
        raise ValueError(f'series "{series.name}" lies at x = {min(series.x):g}; it takes above 0')
    points = [(across(x), up(y)) for x, y in zip(series.x, series.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    found = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for (x, y), height, error in zip(points, series.y, series.error, strict=True):
        if error:
            found.append(_line(x, up(height - error), x, up(height + error), colour))
        found.append(_mark(x, y, number, colour))
    legend = _LEFT + 150 * number
    found.append(_mark(legend + 6, 40, number, colour))
    found.append(_label(legend + 18, 44, series.name))
    return found


def _mark(x: float, y: float, number: int, colour: str) -> str:
    """Return a circle or a square, so that shapes say what colours do."""
    if number % 2 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'


def _heights(low: float, high: float) -> list[float]:
    """Return some five round numbers from low to high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    apart = next(k * power for k in (1, 2, 5, 10) if k * power >= rough * 0.999)
    first = math.ceil(low / apart - 1e-9)
    return [k * apart for k in range(first, math.floor(high / apart + 1e-9) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    pattern = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"{pattern}/>'


def _label(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    weight: str = "400",
    colour: str = _INK,
    size: int = 12,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{colour}" font-size="{size}">{_text(text)}</text>'
    )


def _text(text: str) -> str:
    return html.escape(text, quote=True)
