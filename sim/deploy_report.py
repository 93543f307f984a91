"""What a trained network reached on its chips, and what they cost: as data, table and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from ..devices.host import NAME as HOST
from ..devices.ledger import Ledger
from .described import described
from .experiment import BadInput
from .pricing import bill, part_of, technologies, total_J
from .timing import replay_all, total_s
from .units import listed, percent, points, si

Arm = Mapping[str, Any]

SAID = {"none": "left to drift", "global": "one factor", "column": "a factor a column"}
"""What the ways of compensation are called where there is room."""
_FRESH = "just written"
NOT_METERED = "not metered"
_DONE = {"program": "writing", "evaluate": "an inference", "compensate": "a compensation"}


def chips_of(
    result: Mapping[str, Any], ledger: Ledger | None, instead: Mapping[str, str]
) -> dict[str, Any]:
    """Return {"deploy": what an arm's chips reached and cost}; {} where it has none.

    `result` holds the arm's name and what `deploy` returned. `instead` maps devices, roles or
    technologies to other technologies. Raises BadInput where a price is missing.
    """
    if ledger is None:
        return {}
    names = [*ledger.devices, *(d.technology for d in ledger.devices.values())]
    names += [name.split("/")[0] for name in ledger.devices]
    try:
        chosen = technologies(ledger, {k: v for k, v in instead.items() if k in names})
        timelines = replay_all(ledger, chosen)
        seconds = {step: line.makespan_s for step, line in timelines.items()}
        rows = bill(ledger, chosen, seconds)
    except ValueError as wrong:
        raise BadInput(f"{result['name']} on its chips: {wrong}") from wrong
    raw = result["deploy"]
    of = {
        "program": raw["chips"],
        "evaluate": ledger.samples("evaluate"),
        "compensate": sum(t.times for s, t in ledger.steps.items() if s.kind == "compensate"),
    }
    host = part_of(ledger.devices[HOST], chosen[HOST])
    mine = [row for row in rows if row.part != host]
    ways = {
        way: [_point(t, by_chip) for t, by_chip in zip(raw["times_s"], found, strict=True)]
        for way, found in raw["accuracy"].items()
    }
    made = {
        "name": f"{result['name']}, on chips",
        "chips": raw["chips"],
        "reads": raw["reads"],
        "drifts": raw["drifts"],
        "times_s": raw["times_s"],
        "ways": ways,
        "accuracy": raw["accuracy"],
        "host": host,
        "energy": {
            **{f"{kind}_J": total_J(rows, kind) / n for kind, n in of.items() if n},
            **{f"{kind}_chip_J": total_J(mine, kind) / n for kind, n in of.items() if n},
            "rows": [asdict(r) for r in rows],
        },
        "latency": {
            f"{kind}_s": total_s(ledger, timelines, kind) / n for kind, n in of.items() if n
        },
        **described(ledger, chosen),
    }
    return {"deploy": made}


def _point(time_s: float, by_chip: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """Return mean and spread of accuracies (chips, reads) at one time.

    `std` is between chips, of their means over the reads; `read_std` within a chip;
    None where there is but one.
    """
    found = np.asarray(by_chip, np.float64)
    chips = found.mean(axis=1)
    many, again = len(chips) > 1, found.shape[1] > 1
    return {
        "time_s": time_s,
        "mean": float(chips.mean()),
        "std": float(chips.std(ddof=1)) if many else None,
        "least": float(chips.min()),
        "most": float(chips.max()),
        "read_std": float(np.sqrt(found.var(axis=1, ddof=1).mean())) if again else None,
    }


def age(time_s: float) -> str:
    """Return a time since the write as people say it.

    >>> age(1.0), age(86400.0), age(365.25 * 86400.0), age(0.0)
    ('1 s', '1 day', '1 year', 'just written')
    """
    units = (("year", 365.25 * 86400.0), ("day", 86400.0), ("h", 3600.0), ("min", 60.0))
    if not time_s:
        return _FRESH
    for unit, size in units:
        if time_s >= size * 0.999:
            n = f"{time_s / size:.3g}"
            return f"{n} {unit}{'s' if unit in ('year', 'day') and n != '1' else ''}"
    return si(time_s, "s")


def share(point: Mapping[str, Any]) -> str:
    """Return an accuracy in per cent with the spread between chips behind it."""
    if point["std"] is None:
        return percent(point["mean"])
    return f"{100 * point['mean']:.1f} ± {100 * point['std']:.1f} %"


class Cost(NamedTuple):
    """What one thing that is done with a chip costs, as people read it."""

    what: str
    joules: str
    alone: str
    """Joules without those of the host beside the chip; empty where there are no others."""
    seconds: str


def cost(arm: Arm) -> list[Cost]:
    """Return the costs of writing a chip, of one inference, of one compensation."""
    chips, found = arm["deploy"], []
    for kind, said in _DONE.items():
        if f"{kind}_s" in chips["latency"]:
            rows = [r for r in chips["energy"]["rows"] if r["kind"] == kind]
            whole = _metered(chips["energy"][f"{kind}_J"], rows)
            mine = [r for r in rows if r["part"] != chips["host"]]
            alone = _metered(chips["energy"][f"{kind}_chip_J"], mine) if mine else ""
            time = si(chips["latency"][f"{kind}_s"], "s")
            found.append(Cost(said, whole, "" if alone == whole else alone, time))
    return found


def _metered(joules: float, rows: Sequence[Mapping[str, Any]]) -> str:
    partly = any(r["energy_J"] is None for r in rows)
    if partly and not joules:
        return NOT_METERED
    return f"over {si(joules, 'J')}" if partly else si(joules, "J")


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the chips of a run show."""
    arms = [arm for arm in report["arms"] if "deploy" in arm]
    for arm in arms:
        yield _held(arm)
    for other in arms[1:]:
        yield from _beside(arms[0], other)
    for names, said in _costs(arms).items():
        yield f"On the chips of {names} {said}."


def _costs(arms: Sequence[Arm]) -> dict[str, str]:
    """Return what the chips cost, in words, by the names of the arms that pay the same."""
    said: dict[str, list[str]] = {}
    for arm in arms:
        parts = []
        for c in cost(arm):
            joules = "unmetered energy" if c.joules == NOT_METERED else c.joules
            alone = f" ({c.alone} in the chip alone)" if c.alone else ""
            parts.append(f"{c.what} takes {joules}{alone} and {c.seconds}")
        said.setdefault(listed(parts), []).append(arm["name"])
    return {listed(names): text for text, names in said.items()}


def _held(arm: Arm) -> str:
    chips = arm["deploy"]
    many = f"{chips['chips']} chips" if chips["chips"] > 1 else "a chip"
    curves = list(chips["ways"].values())
    first, last = curves[0][0], curves[0][-1]
    text = (
        f"{arm['name']} reaches {percent(arm['accuracy']['test'])} as trained and {share(first)} "
        f"on {many} of {listed(made_of(chips))}, {_when(first['time_s'])}"
    )
    if last is first:
        return f"{text}."
    later = [f"{share(curve[-1])} {_said(way)}" for way, curve in chips["ways"].items()]
    return f"{text}; {age(last['time_s'])} after, {listed(later)}."


def made_of(chips: Mapping[str, Any]) -> list[str]:
    """Return the technologies that hold the matrices of a chip, and how hot they are kept."""
    return list(dict.fromkeys(_kept(d) for d in chips["devices"] if d["name"] != HOST))


def _kept(device: Mapping[str, Any]) -> str:
    heat = device["settings"].get("temperature_K")
    return f"{device['technology']} at {heat:g} K" if heat else str(device["technology"])


def _said(way: str) -> str:
    return "left to drift" if way == "none" else f"with drift made up for by {SAID[way]}"


def _when(time_s: float) -> str:
    return _FRESH if not time_s else f"{age(time_s)} after the write"


def _beside(main: Arm, other: Arm) -> Iterator[str]:
    mine, its = main["deploy"], other["deploy"]
    ways = [way for way in mine["ways"] if way in its["ways"]]
    if not ways or mine["times_s"] != its["times_s"]:
        return
    way = ways[-1]
    a, b = mine["ways"][way][-1], its["ways"][way][-1]
    gap, many = a["mean"] - b["mean"], min(mine["chips"], its["chips"])
    when = _when(a["time_s"]) + (f", {_said(way)}" if mine["drifts"] else "")
    text = f"{when[0].upper()}{when[1:]}, {main['name']} "
    if not gap:
        text += f"and {other['name']} reach the same"
    else:
        text += f"stands {points(gap)} {'above' if gap > 0 else 'below'} {other['name']}"
    if a["std"] is None or b["std"] is None:
        text += "; one chip does not tell how much of that is chance"
    else:
        error = 2 * math.sqrt(a["std"] ** 2 / mine["chips"] + b["std"] ** 2 / its["chips"])
        if gap and abs(gap) <= error:
            text += f", which {many} chips each cannot tell from chance"
        elif gap:
            text += f" (two standard errors over the chips: {points(error)})"
    yield text + "."
