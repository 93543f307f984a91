"""The figures of a report's page, each with its switches and its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .gantt import short_ops
from .markup import Html, details, el, table
from .page_headline import metered
from .pricing import STANDING
from .reading import cost_curve
from .units import count, number, percent, si

Report = Mapping[str, Any]


def switch(key: str, legend: str, options: Sequence[tuple[str, str]]) -> Html:
    """Return the switch `legend` of a figure: (value, title) of what can be chosen."""
    inside = []
    for k, (value, title) in enumerate(options):
        chosen = {"checked": ""} if k == 0 else {}
        name = {"type": "radio", "name": f"{key}-{legend}", "value": value}
        inside.append(el("label", None, el("input", {**name, **chosen}), el("span", None, title)))
    return el("fieldset", None, el("legend", None, legend), *inside)


def figure(key: str, caption: str, alt: str, switches: Sequence[Html]) -> Html:
    """Return the place of a plot, with its switches; the page's script draws it."""
    return el(
        "figure",
        {"data-plot": key},
        el("figcaption", None, caption),
        el("div", {"class": "switches"}, *switches),
        el("div", {"class": "plot", "role": "img", "aria-label": alt}),
    )


def learning(report: Report, plotted: bool) -> list[Html]:
    """Return the learning curves and their table."""
    if not plotted:
        return [el("p", None, "No epoch was finished.")]
    part = report["arms"][0]["curve_part"]
    rows = []
    for arm in report["arms"]:
        costs = zip(cost_curve(arm, "energy_J"), cost_curve(arm, "latency_s"), strict=True)
        for row, (joules, seconds) in zip(arm["curve"], costs, strict=True):
            loss = number(row["loss"])
            rows.append(
                [
                    arm["name"],
                    str(row["epoch"]),
                    percent(row["accuracy"]),
                    "unknown" if loss is None else f"{loss:.4g}",
                    si(joules, "J"),
                    si(seconds, "s"),
                ]
            )
    columns = ["Arm", "Epoch", "Accuracy", "Loss", "Energy so far", "Time so far"]
    caption = (
        f"Accuracy on the {part} data and mean training loss after each epoch, against epochs or "
        "against what the hardware had spent by then."
    )
    alt = f"Line plot of {part} accuracy and training loss of each arm; its numbers are below."
    views = [("epoch", "epochs"), ("energy", "joules"), ("time", "seconds")]
    return [
        figure("learning", caption, alt, [switch("learning", "Against", views)]),
        details("The curves as a table", table(caption, columns, rows, numeric=(1, 2, 3, 4, 5))),
    ]


def energy(report: Report, plotted: bool) -> list[Html]:
    """Return where the joules went: a plot, and the whole account."""
    found = []
    if plotted:
        splits = [("part", "part"), ("device", "device"), ("event", "event")]
        scales = [("share", "share"), ("joules", "joules"), ("log", "joules, log")]
        caption = (
            "Training energy of each arm. Hatched is standing power: what a part draws because "
            "it is switched on, busy or not. On the logarithmic scale points replace bars, as "
            "lengths would mean nothing."
        )
        alt = "Bar chart of training energy by arm; its numbers are in the account below."
        switches = [switch("energy", "Split by", splits), switch("energy", "Scale", scales)]
        found.append(figure("energy", caption, alt, switches))
    else:
        found.append(el("p", None, "No training energy is metered or modelled."))
    rows = []
    for arm in report["arms"]:
        totals = {kind: arm["energy"].get(f"{kind}_J") for kind in ("train", "evaluate", "program")}
        for r in sorted(arm["energy"]["rows"], key=lambda r: (r["kind"], -(r["energy_J"] or 0))):
            total = totals.get(r["kind"])
            share = None if r["energy_J"] is None or not total else r["energy_J"] / total
            rows.append(
                [
                    arm["name"],
                    r["kind"],
                    r["part"],
                    "" if r["event"] == STANDING else r["device"],
                    r.get("verb", "").lower(),
                    r["event"],
                    si(r["work"], "s") if r["event"] == STANDING else count(r["work"]),
                    metered(r["energy_J"], False),
                    "" if share is None else percent(share),
                ]
            )
    columns = ["Arm", "Steps", "Part", "Device", "Verb", "Event", "How many", "Energy", "Share"]
    caption = "Every event that took place; shares are of the arm's steps of the same kind"
    account = table(caption, columns, rows, numeric=(6, 7, 8))
    return [*found, details("The whole account, with evaluation and programming", account)]


def timelines(report: Report, plotted: set[str]) -> list[Html]:
    """Return a Gantt chart of each arm's usual training step, and its operations as a table."""
    found = [
        el(
            "p",
            {"class": "note"},
            "The kind of training step that took place most often, replayed: a part does one "
            "operation at a time, and a stage starts when all stages it waits for are through.",
        )
    ]
    for k, arm in enumerate(report["arms"]):
        line, key = arm["timeline"], f"timeline-{k}"
        found.append(el("h3", None, arm["name"]))
        if key not in plotted:
            found.append(el("p", None, "No training step took place."))
            continue
        short = short_ops(line)
        caption = f"{si(line['makespan_s'], 's')} for {line['samples']:,} samples."
        if short:
            caption += (
                f" {short} of {len(line['slices'])} operations are too short to be seen to scale: "
                "“in order” shows them, every interval between two events equally wide."
            )
        alt = f"Gantt chart of a training step of {arm['name']}; its numbers are below."
        views = [("scale", "to scale"), ("order", "in order")]
        found.append(figure(key, caption, alt, [switch(key, "Time", views)]))
        rows = [
            [
                s["stage"],
                s["part"],
                s["device"],
                s["verb"].lower(),
                count(s["batch"]) if "batch" in s else "",
                si(s["start_s"], "s"),
                si(s["stop_s"] - s["start_s"], "s") + (" measured" if s["measured"] else ""),
            ]
            for s in sorted(line["slices"], key=lambda s: (s["start_s"], s["stop_s"]))
        ]
        columns = ["Stage", "Part", "Device", "Verb", "Rows", "Start", "Takes"]
        title = f"Operations of a training step of {arm['name']}"
        found.append(details("Its operations", table(title, columns, rows, numeric=(4, 5, 6))))
    return found
