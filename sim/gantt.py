"""The usual training step of an arm as a Gantt chart in plotly's plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .plots import COLOURS, Views, axis_of, label, layout, quantity, rows_of
from .units import count, si

_STAGES = {"forward": 0, "error": 1, "feedback": 3, "update": 2, "backward": 4}
"""Which colour a stage has in every plot; others get what follows."""

_MOST_OPS = 1500


def short_ops(line: Mapping[str, Any]) -> int:
    """Return how many operations of a step are too short to be seen in it, to scale."""
    least_s = 0.002 * line["makespan_s"]
    return sum(s["stop_s"] - s["start_s"] < least_s for s in line["slices"])


def timeline(arm: Mapping[str, Any]) -> Views:
    """Return the usual training step of an arm as a Gantt chart: a row for each part.

    View "scale" draws time as it is; view "order" gives every interval between two events the
    same width, so that order and overlap show where times differ by orders of magnitude.
    """
    line = arm["timeline"]
    slices = sorted(line["slices"], key=lambda s: s["start_s"] - s["stop_s"])[:_MOST_OPS]
    slices.sort(key=lambda s: (s["start_s"], s["stop_s"]))
    parts = list(dict.fromkeys(s["part"] for s in slices))
    times = sorted({t for s in slices for t in (s["start_s"], s["stop_s"])})
    rank = {t: k for k, t in enumerate(times)}
    steps = sorted({round(k * (len(times) - 1) / 4) for k in range(5)}) if times else []
    order_axis = axis_of(
        "time, not to scale",
        {
            "tickmode": "array",
            "tickvals": steps,
            "ticktext": [si(times[k], "s") for k in steps],
            "tickangle": 0,
        },
    )
    axes = {
        "scale": quantity("time in the step", "s", False),
        "order": order_axis,
    }
    families = list(dict.fromkeys(s["stage"].split("/")[0] for s in slices))
    views = {}
    for view, axis in axes.items():
        traces = []
        for family in families:
            mine = [s for s in slices if s["stage"].split("/")[0] == family]
            where = [
                (rank[s["start_s"]], rank[s["stop_s"]])
                if view == "order"
                else (s["start_s"], s["stop_s"])
                for s in mine
            ]
            colour = COLOURS[_STAGES.get(family, 4 + families.index(family)) % len(COLOURS)]
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": label(family, 30),
                    "base": [start for start, _ in where],
                    "x": [stop - start for start, stop in where],
                    "y": [parts.index(s["part"]) for s in mine],
                    "width": 0.5,
                    "marker": {"color": colour},
                    "hovertext": [_said(s, line) for s in mine],
                    "hoverinfo": "text",
                }
            )
        more = {"barmode": "overlay", **rows_of(parts, axis)}
        views[view] = {
            "data": traces,
            "layout": layout(120 + (56 if len(parts) <= 8 else 40) * len(parts), more),
        }
    return views


def _said(s: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    waits = line["after"].get(s["stage"], [])
    said = [
        f"<b>{label(s['device'])}</b> {label(s['verb'].lower())}",
        f"stage {label(s['stage'])}" + (f", after {label(', '.join(waits))}" if waits else ""),
        f"starts at {si(s['start_s'], 's')}, takes {si(s['stop_s'] - s['start_s'], 's')}"
        + (" (measured)" if s["measured"] else ""),
    ]
    if "batch" in s:
        said.append(f"{count(s['batch'])} rows")
    return "<br>".join(said)
