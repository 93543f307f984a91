"""The plots of a report as plotly figures in plain data; every figure comes in several views."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .pricing import STANDING
from .reading import cost_curve, unmetered
from .units import number, percent, si

Figure = dict[str, Any]
Views = dict[str, Figure]

COLOURS = ("#4c86d8", "#e08a3c", "#3fa47c", "#b36bc2", "#c9564f", "#8c8c93", "#b59b2c")
"""Legible on white and on black; shapes, dashes and hatching say the same without colour."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x", "star")
_MOST_SERIES = 12
_CLEAR = "rgba(0,0,0,0)"
_HOVER = {
    "bgcolor": "#1f2430",
    "bordercolor": "#1f2430",
    "align": "left",
    "font": {"color": "#ffffff", "size": 13},
}


def label(name: str, most: int = 10_000) -> str:
    """Return a name for a plot: plotly reads a little HTML in texts, so names are escaped."""
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    return html.escape(short, quote=False)


def layout(height: int, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the layout that all plots share; the page's style gives the colours of its text."""
    return {
        "height": height,
        "margin": {"l": 16, "r": 20, "t": 8, "b": 8, "pad": 4},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": _HOVER,
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
        },
        "modebar": {"bgcolor": _CLEAR, "color": "#8c8c93", "activecolor": COLOURS[0]},
        **more,
    }


def axis_of(title: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an axis with its title."""
    return {
        "title": {"text": title, "standoff": 10},
        "automargin": True,
        "zeroline": False,
        **(more or {}),
    }


def quantity(title: str, unit: str, log: bool) -> dict[str, Any]:
    """Return an axis whose ticks carry an SI prefix and the unit."""
    axis = {"tickformat": "~s", "ticksuffix": unit, "tickangle": 0}
    if log:
        return axis_of(f"{title}, logarithmic", {"type": "log", "nticks": 6, **axis})
    return axis_of(title, {"type": "linear", "nticks": 5, "minallowed": 0, **axis})


def _whole_numbers(title: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis of at most some ten ticks, none of them between two whole numbers."""
    least = max(values, default=1.0) / 10
    power = 10 ** max(0, math.floor(math.log10(least))) if least else 1
    apart = next(k * power for k in (1, 2, 5, 10) if k * power >= least)
    return axis_of(title, {"tick0": 0, "dtick": apart})


# ---- learning --------------------------------------------------------------------------------


def _joules(arm: Mapping[str, Any]) -> list[float | None]:
    """Return the joules by epoch, none of them where a part of them is not metered."""
    return [None] * len(arm["curve"]) if unmetered(arm) else cost_curve(arm, "energy_J")


def learning(report: Mapping[str, Any]) -> Views:
    """Return accuracy and loss by epoch, by joules and by seconds on the hardware."""
    xs: dict[str, tuple[str, str, Callable[[Mapping[str, Any]], list[Any]]]] = {
        "epoch": ("epoch", "", lambda arm: [row["epoch"] for row in arm["curve"]]),
        "energy": ("training energy", "J", _joules),
        "time": ("time on the hardware", "s", lambda arm: cost_curve(arm, "latency_s")),
    }
    views = {}
    for view, (title, unit, x_of) in xs.items():
        found = {arm["name"]: x_of(arm) for arm in report["arms"]}
        spread = [x for values in found.values() for x in values if x]
        log = bool(unit and spread) and max(spread) > 50 * min(spread)
        traces = []
        for k, arm in enumerate(report["arms"]):
            x = [None if log and not value else value for value in found[arm["name"]]]
            traces += _curves(k, arm, x)
        axis = quantity(title, unit, log) if unit else _whole_numbers(title, spread)
        part = report["arms"][0]["curve_part"]
        views[view] = {
            "data": traces,
            "layout": layout(
                520,
                {
                    "xaxis": {**axis, "anchor": "y2"},
                    "yaxis": axis_of(
                        f"{part} accuracy", {"domain": [0.54, 1], "tickformat": ".0%", "nticks": 6}
                    ),
                    "yaxis2": axis_of(
                        "training loss", {"domain": [0, 0.44], "rangemode": "tozero", "nticks": 5}
                    ),
                    "hovermode": "closest",
                },
            ),
        }
    return views


def _curves(k: int, arm: Mapping[str, Any], x: Sequence[Any]) -> list[dict[str, Any]]:
    costs = list(zip(_joules(arm), cost_curve(arm, "latency_s"), strict=True))
    name = label(arm["name"])
    style = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": str(k),
        "x": list(x),
        "line": {"color": COLOURS[k % len(COLOURS)], "dash": DASHES[k % len(DASHES)], "width": 2},
        "marker": {"size": 6, "symbol": SYMBOLS[k % len(SYMBOLS)]},
        "hoverinfo": "text",
    }
    said = []
    for row, (energy_J, latency_s) in zip(arm["curve"], costs, strict=True):
        loss = number(row["loss"])
        spent = [si(v, u) for v, u in ((energy_J, "J"), (latency_s, "s")) if v is not None]
        said.append(
            f"<b>{name}</b>, epoch {row['epoch']}<br>accuracy {percent(row['accuracy'])}, loss "
            f"{'unknown' if loss is None else f'{loss:.4g}'}<br>{', '.join(spent)}"
        )
    losses = [number(row["loss"]) for row in arm["curve"]]
    return [
        {**style, "y": [row["accuracy"] for row in arm["curve"]], "hovertext": said},
        {**style, "y": losses, "yaxis": "y2", "showlegend": False, "hovertext": said},
    ]


# ---- energy ----------------------------------------------------------------------------------

_SPLITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "part": lambda r: f"{r['part']}: {STANDING if r['event'] == STANDING else 'work'}",
    "device": lambda r: f"{r['part']}: {STANDING}" if r["event"] == STANDING else r["device"],
    "event": lambda r: r["event"],
}


def energy(report: Mapping[str, Any]) -> Views:
    """Return training joules of every arm, split by part, device or event, on three scales."""
    views = {}
    rows = {a["name"]: " (partly metered)" if unmetered(a) else "" for a in report["arms"]}
    for split, name_of in _SPLITS.items():
        sums: dict[str, dict[str, float]] = {}
        for arm in report["arms"]:
            for row in arm["energy"]["rows"]:
                if row["kind"] == "train" and row["energy_J"]:
                    per_arm = sums.setdefault(name_of(row), {})
                    per_arm[arm["name"]] = per_arm.get(arm["name"], 0.0) + row["energy_J"]
        totals = {
            arm["name"]: sum(per_arm.get(arm["name"], 0.0) for per_arm in sums.values())
            for arm in report["arms"]
        }
        sums = _largest(sums, totals)
        for scale in ("share", "joules", "log"):
            views[f"{split}|{scale}"] = _energy(rows, sums, totals, scale)
    return views


def _largest(
    sums: dict[str, dict[str, float]], totals: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Order series by their largest share in any arm, and gather the least of many in one."""

    def share(name: str) -> float:
        return max(joules / totals[arm] for arm, joules in sums[name].items())

    ordered = sorted(sums, key=share, reverse=True)
    kept = {name: sums[name] for name in ordered[:_MOST_SERIES]}
    rest: dict[str, float] = {}
    for name in ordered[_MOST_SERIES:]:
        for arm, joules in sums[name].items():
            rest[arm] = rest.get(arm, 0.0) + joules
    return {**kept, f"{len(ordered) - _MOST_SERIES} others": rest} if rest else kept


def _energy(
    arms: Mapping[str, str],
    sums: Mapping[str, Mapping[str, float]],
    totals: Mapping[str, float],
    scale: str,
) -> Figure:
    rows = list(range(len(arms)))
    names = [name + remark for name, remark in arms.items()]
    traces = []
    for k, (name, per_arm) in enumerate(sums.items()):
        joules = [per_arm.get(arm, 0.0) for arm in arms]
        said = [
            f"<b>{label(arm)}</b><br>{label(name)}<br>{si(j, 'J')}, "
            f"{percent(j / totals[arm]) if totals[arm] else 'unknown'}"
            for arm, j in zip(arms, joules, strict=True)
        ]
        colour = COLOURS[k % len(COLOURS)]
        common: dict[str, Any] = {
            "name": label(name, 40),
            "y": rows,
            "hovertext": said,
            "hoverinfo": "text",
        }
        if scale == "log":
            marker = {"size": 12, "color": colour, "symbol": SYMBOLS[k % len(SYMBOLS)]}
            above = [j or None for j in joules]
            dots = {"type": "scatter", "mode": "markers", "x": above, "marker": marker}
            traces.append({**common, **dots})
            continue
        x = joules
        if scale == "share":
            pairs = zip(arms, joules, strict=True)
            x = [j / totals[arm] if totals[arm] else 0.0 for arm, j in pairs]
        hatch = {
            "shape": "/" if STANDING in name else "",
            "fillmode": "overlay",
            "fgcolor": "#ffffff",
            "fgopacity": 0.4,
            "size": 7,
            "solidity": 0.25,
        }
        traces.append(
            {
                **common,
                "type": "bar",
                "orientation": "h",
                "x": x,
                "marker": {"color": colour, "pattern": hatch},
            }
        )
    title = "training energy"
    if scale == "share":
        bounds: dict[str, Any] = {
            "tickformat": ".0%",
            "range": [0, 1],
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
        }
        bounds["ticklabeloverflow"] = "allow"
        axis = axis_of("share of the arm's energy", bounds)
    else:
        axis = quantity(title, "J", scale == "log")
    return {
        "data": traces,
        "layout": layout(
            120 + 62 * len(arms) + 10 * len(sums),
            {"barmode": "stack", "bargap": 0.5, **rows_of(names, axis)},
        ),
    }


def rows_of(names: Sequence[str], axis: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layout of one row a name, the name above its row, so that it may be long."""
    rows = {
        "range": [len(names) - 0.6, -0.75],
        "showticklabels": False,
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    names_above = [
        {
            "text": label(name, 44),
            "xref": "paper",
            "x": 0,
            "xanchor": "left",
            "y": k - 0.3,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 13},
        }
        for k, name in enumerate(names)
    ]
    return {"xaxis": axis, "yaxis": rows, "annotations": names_above, "showlegend": True}
