"""What a run shows, in sentences: computed from its report, and only those that hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .deploy_report import sentences as on_chips
from .endurance import sentences as wearing
from .metering import sentence
from .pricing import STANDING
from .reading import cost_curve, event_times, measured_share, unmetered
from .units import epsilon, listed, number, percent, points, ratio, si

Arm = Mapping[str, Any]

_NAMED = 0.05
"""Share from which on a part of the energy or of a step's time is named."""

_OF_NO_MATTER = ("algorithm", "optimizer", "feedback", "host")
"""What may differ between a run and its frozen control without making the control unfair."""


def findings(report: Mapping[str, Any]) -> list[str]:
    """Return what the report shows, as plain sentences; names in them are not escaped.

    `report` is what `hwloop.sim.report.assemble` returns, or its JSON read back.
    """
    main, *others = report["arms"]
    found = [*conditions(report)]
    for other in others:
        if not (main.get("diverged") or other.get("diverged")):
            found += _against(main, other, report)
    found += on_chips(report)
    alive = [a for a in others if not a.get("diverged")]
    rival = next((a for a in alive if a["rule"] != "Frozen"), alive[0] if alive else None)
    found += _bound(main)
    if rival is not None:
        if "fabric" in main and "fabric" in rival:
            found += _on_fabric(main, rival)
        elif "fabric" not in main and "fabric" not in rival:
            found += _if_free(main, rival)
        found += _bound(rival)
    found += _energy(main)
    found += _privacy(main)
    for arm in report["arms"]:
        found += wearing(arm)
        found += _unmetered(arm)
    found += _measured(report["arms"])
    return found


# ---- one arm beside another -----------------------------------------------------------------


def conditions(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what must be known before any figure of the report is read."""
    if report["instead"]:
        pairs = [f"{old} as {new}" for old, new in report["instead"].items()]
        yield (
            f"Prices and times are read with {listed(pairs)}: nothing was trained again, so "
            "accuracy and privacy are those of the run as it was."
        )
    for arm in report["arms"]:
        if arm["stopped"]:
            yield f"{arm['name']} stopped after epoch {arm['epochs']}: {arm['stopped']}."
        if arm.get("moved_B"):
            yield (
                f"{arm['name']} moved {si(arm['moved_B'], 'B')} between the GPU and this "
                "processor, which simulates part of its devices; no time or energy is charged for "
                "that."
            )
        if arm.get("split"):
            yield (
                f"{arm['name']} is read with more parts than worked in the run, and each of "
                f"{listed(arm['split'])} draws its standing power all the time."
            )
        if arm.get("metered"):
            yield sentence(arm["name"], arm["metered"])


def _against(main: Arm, other: Arm, report: Mapping[str, Any]) -> Iterator[str]:
    name, mine, its = other["name"], main["accuracy"]["test"], other["accuracy"]["test"]
    changed = set(report["experiment"].get("compare", {}).get(name, {}))
    same = not changed & {"data", "seed"}
    chance = _two_errors(mine, its, report["data"]["test"]) if same else math.inf
    gap = mine - its
    verdict = f"{points(gap)} {'above' if gap > 0 else 'below'} {name} ({percent(its)})"
    if gap == 0:
        verdict = f"the same as {name}"
    elif same and abs(gap) <= chance:
        verdict += (
            f", which {report['data']['test']:,} test samples cannot tell from chance "
            f"(two standard errors: {points(chance)})"
        )
    costs = []
    if not unmetered(main) and not unmetered(other):
        costs.append(
            _times(main["energy"]["train_J"], other["energy"]["train_J"], "J", "the energy")
        )
    costs.append(_times(main["latency"]["train_s"], other["latency"]["train_s"], "s", "the time"))
    if main["samples"] != other["samples"]:
        costs.append(f"for {main['samples']:,} trained samples instead of {other['samples']:,}")
    text = f"{main['name']} reaches {percent(mine)}, {verdict}; training takes {listed(costs)}."
    if changed - {"algorithm"}:
        text += f" The two differ in {listed(sorted(changed))}."
    yield text
    if other["rule"] == "Frozen" and main["rule"] != "Frozen":
        unfair = {key for key in changed if key.split("/")[0] not in _OF_NO_MATTER}
        yield from _learned(main, other, gap, math.inf if unfair else chance)
    elif same:
        yield from _to_reach(main, other)


def _two_errors(a: float, b: float, samples: int) -> float:
    """Two standard errors of the difference of two shares, as if tested on different samples."""
    return 2.0 * math.sqrt((a * (1.0 - a) + b * (1.0 - b)) / samples) if samples else math.inf


def _times(mine: float, other: float, unit: str, what: str) -> str:
    both = f"({si(mine, unit)} instead of {si(other, unit)})"
    if not mine or not other:
        return f"{si(mine, unit)} instead of {si(other, unit)}"
    if abs(mine / other - 1.0) < 0.005:
        return f"{what.replace('the ', 'the same ')} ({si(mine, unit)})"
    if mine > other:
        return f"{ratio(mine, other).removesuffix(' x')} times {what} {both}"
    share = mine / other
    if share > 0.1:
        return f"{percent(share)} of {what} {both}"
    return f"1/{ratio(other, mine).removesuffix(' x')} of {what} {both}"


def _learned(main: Arm, frozen: Arm, gap: float, chance: float) -> Iterator[str]:
    if len(main["network"]) < 2 or main["network"] != frozen["network"]:
        return
    control = f"the control {frozen['name']}, whose hidden layers stay as they were drawn"
    if gap > chance:
        yield (
            f"{main['name']} beats {control}, by {points(gap)} (two standard errors: "
            f"{points(chance)}): at these rates and this seed, its hidden layers did learn."
        )
    else:
        yield (
            f"{main['name']} is not shown to beat {control}: its hidden layers are not shown to "
            "have learned."
        )


def _to_reach(main: Arm, other: Arm) -> Iterator[str]:
    if main["curve_part"] != other["curve_part"] or not main["curve"] or not other["curve"]:
        return
    level = min(arm["curve"][-1]["accuracy"] for arm in (main, other))
    spent = []
    for arm in (main, other):
        epoch = next(k for k, row in enumerate(arm["curve"]) if row["accuracy"] >= level)
        costs = [si(cost_curve(arm, "latency_s")[epoch], "s")]
        if not unmetered(arm):
            costs.append(si(cost_curve(arm, "energy_J")[epoch], "J"))
        epochs = f"{epoch + 1} epoch" if epoch == 0 else f"{epoch + 1} epochs"
        spent.append(f"{arm['name']} {epochs} ({', '.join(costs)})")
    yield f"To reach {percent(level)} on the {main['curve_part']} part takes {listed(spent)}."


# ---- what one arm is bound by ---------------------------------------------------------------


def _at_work(arm: Arm) -> tuple[list[Mapping[str, Any]], float]:
    line = arm["timeline"]
    slices = [s for s in line["slices"] if s["part"] == line["bottleneck"]]
    return slices, sum(s["stop_s"] - s["start_s"] for s in slices)


def _on_fabric(main: Arm, rival: Arm) -> Iterator[str]:
    mine, its = main["fabric"], rival["fabric"]
    if mine["stem"] != its["stem"] or mine["samples"] != its["samples"]:
        return
    a, b = mine["energy"], its["energy"]
    if a["unmetered"] or b["unmetered"] or not b["edp_Js"] or not its["steady_s"]:
        return
    yield (
        f"On {mine['name']} a step of {main['name']} takes "
        f"{_times(mine['steady_s'], its['steady_s'], 's', 'the time')} of {rival['name']}, "
        f"{_times(a['total_J'], b['total_J'], 'J', 'the energy')}, standing power included, and "
        f"{ratio(a['edp_Js'], b['edp_Js']).removesuffix(' x')} times its energy-delay product."
    )


def _bound(arm: Arm) -> Iterator[str]:
    if "fabric" in arm:
        yield f"A step of {arm['name']} on {arm['fabric']['name']}. {arm['fabric']['bottleneck']}"
        return
    line = arm["timeline"]
    if line is None or not line["makespan_s"] or not line["bottleneck"]:
        return
    slices, busy_s = _at_work(arm)
    span_s = line["makespan_s"]
    parts = {s["part"] for s in line["slices"]}
    text = (
        f"A training step of {arm['name']} takes {si(span_s, 's')} for {line['samples']:,} "
        f"samples; {line['bottleneck']} is "
    )
    text += (
        "its only part"
        if len(parts) == 1
        else f"at work in {percent(min(1.0, busy_s / span_s))} of it"
    )
    times = sorted(event_times(slices).items(), key=lambda pair: -pair[1][0])
    shares = [
        f"{event} {percent(min(1.0, time_s / span_s))} ({_count_of(depth)} x "
        f"{si(time_s / depth, 's')})"
        for event, (time_s, depth) in times[:3]
        if time_s >= _NAMED * span_s and depth
    ]
    yield text + (f": {listed(shares)}." if shares else ".")


def _count_of(depth: float) -> str:
    return f"{depth:,.0f}" if depth < 1e5 else si(depth, "")


def _if_free(main: Arm, rival: Arm) -> Iterator[str]:
    line, other = main["timeline"], rival["timeline"]
    if not line or not other or not line["makespan_s"] or not other["makespan_s"]:
        return
    slices, busy_s = _at_work(main)
    times = event_times(slices)
    if not times or line["samples"] != other["samples"]:
        return
    event = max(times, key=lambda name: times[name][0])
    rest_s = busy_s - times[event][0]
    if times[event][0] < 0.5 * line["makespan_s"] or rest_s <= other["makespan_s"]:
        return
    yield (
        f"Were {event} free, {line['bottleneck']} would still work for {si(rest_s, 's')} a step, "
        f"{ratio(rest_s, other['makespan_s']).removesuffix(' x')} times a whole step of "
        f"{rival['name']}."
    )


def _energy(arm: Arm) -> Iterator[str]:
    rows = [r for r in arm["energy"]["rows"] if r["kind"] == "train" and r["energy_J"]]
    total_J = sum(r["energy_J"] for r in rows)
    time_s = arm["latency"]["train_s"]
    if not total_J:
        return
    busy = {
        part: min(1.0, busy_s / time_s) if time_s else 0.0
        for part, busy_s in arm["latency"]["busy_s"].items()
    }
    sums: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (row["event"], row["part"])
        sums[key] = sums.get(key, 0.0) + row["energy_J"]
    dearest = sorted(sums.items(), key=lambda pair: -pair[1])
    named = [
        f"{percent(joules / total_J)} is {event} of {part}"
        + (f", at work {percent(busy.get(part, 0.0))} of the time" if event == STANDING else "")
        for (event, part), joules in dearest[:3]
        if joules >= _NAMED * total_J
    ]
    if named:
        what = "metered or modelled training energy" if unmetered(arm) else "training energy"
        yield f"Of the {what} of {arm['name']} ({si(total_J, 'J')}) {'; '.join(named)}."
    waiting_J = sum(
        joules * (1.0 - busy.get(part, 0.0))
        for (event, part), joules in sums.items()
        if event == STANDING
    )
    if waiting_J >= _NAMED * total_J:
        yield (
            f"{si(waiting_J, 'J')}, {percent(waiting_J / total_J)} of it, is drawn by parts while "
            "they wait: every part counts as switched on for the whole training."
        )


# ---- what the numbers are worth --------------------------------------------------------------


def _privacy(arm: Arm) -> Iterator[str]:
    said = []
    for s in arm["privacy"]:
        value = number(s["epsilon"])
        about = "samples" if s["adjacency"] == "sample" else "labels"
        if value is None or math.isinf(value):
            said.append(f"{s['name']}: nothing is promised about {about}, epsilon is infinite")
        else:
            said.append(
                f"{s['name']}: about {about} epsilon is {epsilon(value)} at delta "
                f"{s['delta']:g}, by {s['method']}"
            )
    if said:
        yield f"Privacy of {arm['name']}. {'; '.join(said)}."


def _unmetered(arm: Arm) -> Iterator[str]:
    absent = [f"{listed(events)} of {stem}" for stem, events in unmetered(arm).items()]
    if absent:
        yield (
            f"Nobody has metered {listed(absent)}: what is given as energy of {arm['name']} "
            "leaves it out and is a lower bound."
        )


def _measured(arms: Sequence[Arm]) -> Iterator[str]:
    shares = {arm["name"]: measured_share(arm) for arm in arms}
    if None not in shares.values() and not any(shares.values()):
        yield "All times are modelled from the technology files; none was measured on hardware."
    for name, share in shares.items():
        if share:
            yield (
                f"{percent(share)} of the working time in a training step of {name} was measured "
                f"on hardware{'.' if share == 1.0 else ', the rest is modelled.'}"
            )
