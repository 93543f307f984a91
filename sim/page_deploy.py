"""The chapter of a report's page on chips: accuracy as they age, as a plot, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .deploy_report import SAID, age, cost, made_of, share
from .markup import Html, details, el, table
from .page_figures import figure, switch
from .page_headline import with_small
from .plots import COLOURS, DASHES, SYMBOLS, Views, axis_of, label, layout
from .pricing import STANDING
from .units import count, listed, percent, si

Report = Mapping[str, Any]
KEY = "deploy"
_BAND = 0.15
"""Opacity of the band of one standard deviation about a curve."""


def _arms(report: Report) -> list[Mapping[str, Any]]:
    return [arm for arm in report["arms"] if "deploy" in arm]


def views(report: Report) -> Views:
    """Return accuracy against the time since the write, for all ways of compensation and each.

    Empty where no arm's chips were looked at more than once.
    """
    arms = [arm for arm in _arms(report) if len(arm["deploy"]["times_s"]) > 1]
    ways = list(dict.fromkeys(way for arm in arms for way in arm["deploy"]["ways"]))
    shown = {way: [way] for way in ways}
    return {key: _figure(report, chosen) for key, chosen in ({"all": ways} | shown).items() if ways}


def _figure(report: Report, ways: Sequence[str]) -> dict[str, Any]:
    bands, curves, times_s = [], [], set()
    for k, arm in enumerate(report["arms"]):
        for j, way in enumerate(SAID):
            curve = arm.get("deploy", {}).get("ways", {}).get(way, ())
            if way in ways and len(curve) > 1:
                times_s |= {point["time_s"] for point in curve}
                curves.append(_curve(arm, way, curve, k, j))
                if curve[0]["std"] is not None:
                    bands.append(_band(curve, k, f"{k} {way}"))
    ordered = sorted(times_s)
    axis = {"type": "log", "tickvals": ordered, "ticktext": [age(t) for t in ordered]}
    accuracy = axis_of("test accuracy", {"tickformat": ".1~%", "nticks": 7})
    more = {
        "xaxis": axis_of("time since the write", axis),
        "yaxis": accuracy,
        "hovermode": "closest",
    }
    return {"data": [*bands, *curves], "layout": layout(440, more)}


def _curve(
    arm: Mapping[str, Any], way: str, curve: Sequence[Mapping[str, Any]], k: int, j: int
) -> dict[str, Any]:
    name = f"{label(arm['name'])}, {SAID[way]}"
    said = [
        f"<b>{name}</b>, {age(p['time_s'])}<br>{share(p)}<br>lowest chip {percent(p['least'])}, "
        f"highest {percent(p['most'])}"
        for p in curve
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": f"{k} {way}",
        "x": [p["time_s"] for p in curve],
        "y": [p["mean"] for p in curve],
        "line": {"color": COLOURS[k % len(COLOURS)], "dash": DASHES[j], "width": 2},
        "marker": {"size": 7, "symbol": SYMBOLS[k % len(SYMBOLS)]},
        "hovertext": said,
        "hoverinfo": "text",
    }


def _band(curve: Sequence[Mapping[str, Any]], k: int, group: str) -> dict[str, Any]:
    low = [p["mean"] - p["std"] for p in curve]
    high = [p["mean"] + p["std"] for p in curve]
    times_s = [p["time_s"] for p in curve]
    red, green, blue = (int(COLOURS[k % len(COLOURS)][i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*times_s, *reversed(times_s)],
        "y": [*high, *reversed(low)],
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},{_BAND})",
        "line": {"width": 0},
        "legendgroup": group,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def chapter(report: Report, plotted: bool) -> list[Html]:
    """Return the plot of accuracy over time, its numbers, what chips cost, and their account."""
    arms = _arms(report)
    first = arms[0]["deploy"]
    found = [
        el(
            "p",
            {"class": "note"},
            f"The trained weights were written to {_many(first['chips'], 'chip')} of "
            f"{listed(made_of(first))}, each with noise of its own. At each age a chip was tested "
            f"{'once' if first['reads'] == 1 else _many(first['reads'], 'time')}.",
        )
    ]
    if plotted:
        ways = list(dict.fromkeys(way for arm in arms for way in arm["deploy"]["ways"]))
        options = [("all", "all"), *((way, SAID[way]) for way in ways)]
        caption = "Test accuracy against the time since the write, which counts in powers of ten."
        if first["chips"] > 1:
            caption += " Bands are one standard deviation between chips about their mean."
        alt = "Line plot of test accuracy against age of the chips; its numbers are below."
        found.append(figure(KEY, caption, alt, [switch(KEY, "Drift", options)]))
    times_s = sorted({t for arm in arms for t in arm["deploy"]["times_s"]})
    rows = []
    for arm in arms:
        for way, curve in arm["deploy"]["ways"].items():
            at = {p["time_s"]: share(p).removesuffix(" %") for p in curve}
            what = with_small(arm["name"], SAID[way] if arm["deploy"]["drifts"] else "")
            rows.append([what, *[at.get(t, "") for t in times_s]])
    columns = ["Arm", *[age(t) for t in times_s]]
    caption = "Test accuracy in per cent by time since the write"
    if first["chips"] > 1:
        caption += ": mean and standard deviation of the chips"
    found.append(table(caption, columns, rows, tuple(range(1, len(columns))), cards=True))
    costs: dict[tuple[str, ...], list[str]] = {}
    for arm in arms:
        for c in cost(arm):
            key = (c.what, c.joules, c.alone or c.joules, c.seconds)
            costs.setdefault(key, []).append(arm["name"])
    lines = [[with_small(key[0], listed(of)), *key[1:]] for key, of in costs.items()]
    columns = ["What is done with a chip", "Energy", "Of it in the chip", "Time"]
    found.append(table("What chips cost", columns, lines, (1, 2, 3), cards=True))
    return [*found, _account(arms)]


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n > 1 else ''}"


def _account(arms: Sequence[Mapping[str, Any]]) -> Html:
    rows = []
    for arm in arms:
        for r in arm["deploy"]["energy"]["rows"]:
            standing = r["event"] == STANDING
            rows.append(
                [
                    arm["name"],
                    r["kind"],
                    r["part"],
                    r["event"],
                    si(r["work"], "s") if standing else count(r["work"]),
                    "not metered" if r["energy_J"] is None else si(r["energy_J"], "J"),
                ]
            )
    caption = "Every event that took place on all chips together"
    columns = ["Arm", "Steps", "Part", "Event", "How many", "Energy"]
    return details("The account of all chips", table(caption, columns, rows, (4, 5)))
