"""A report's training steps as a trace in Chrome's JSON format, which Perfetto and others open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from . import trace_fabric

Event = dict[str, Any]


def trace(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return one training step of every arm: a process an arm, a thread a part of the hardware.

    An operation is a slice inside that of its stage; where stages take turns on a part, each
    turn is a slice of its own, so that slices nest. A counter for each part gives the joules
    since the start of the step. An arm on a fabric is a process a machine instead. Times are
    microseconds, whole nanoseconds apart.

    Format: "Trace Event Format", the JSON that Chrome's tracing wrote.
    """
    events = [
        event
        for pid, arm in enumerate(report["arms"], 1)
        if arm["timeline"] is not None
        for event in (
            trace_fabric.events(arm, pid * trace_fabric.STRIDE, lambda s: _us(_ns(s)))
            if "fabric" in arm
            else _arm(pid, arm)
        )
    ]
    events.sort(key=lambda e: (e["ph"] != "M", e["ts"]))
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "name": report["name"],
            "hwloop": report["hwloop"],
            "seed": str(report["seed"]),
            "experiment": report["digest"],
        },
        "traceEvents": events,
    }


def _arm(pid: int, arm: Mapping[str, Any]) -> Iterator[Event]:
    line = arm["timeline"]
    parts = list(dict.fromkeys(d["part"] for d in arm["devices"]))
    parts += [p for p in dict.fromkeys(s["part"] for s in line["slices"]) if p not in parts]
    yield _about(pid, 0, "process_name", {"name": f"{arm['name']}: one training step"})
    yield _about(pid, 0, "process_sort_index", {"sort_index": pid})
    for tid, part in enumerate(parts, 1):
        yield _about(pid, tid, "thread_name", {"name": part})
        yield _about(pid, tid, "thread_sort_index", {"sort_index": tid})
        mine = [s for s in line["slices"] if s["part"] == part]
        mine.sort(key=lambda s: (s["start_s"], s["stop_s"]))
        for stage, turn in groupby(mine, key=lambda s: s["stage"]):
            yield from _turn(pid, tid, stage, list(turn), line["after"])
        yield from _joules(pid, part, mine, _standing_W(arm, part), line["makespan_s"])


def _about(pid: int, tid: int, name: str, args: Mapping[str, Any]) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": name, "args": dict(args)}


def _turn(
    pid: int,
    tid: int,
    stage: str,
    slices: Sequence[Mapping[str, Any]],
    after: Mapping[str, Sequence[str]],
) -> Iterator[Event]:
    """Yield the operations of a stage that follow one another on a part, under one slice."""

    def slice_(name: str, category: str, start_s: float, stop_s: float, args: Any) -> Event:
        start_ns, stop_ns = _ns(start_s), _ns(stop_s)
        return {
            "ph": "X",
            "pid": pid,
            "tid": tid,
            "ts": _us(start_ns),
            "dur": _us(stop_ns - start_ns),
            "name": name,
            "cat": category,
            "args": args,
        }

    waits = {"after": ", ".join(after.get(stage, []))}
    yield slice_(stage, "stage", slices[0]["start_s"], slices[-1]["stop_s"], waits)
    for s in slices:
        joules = _energy_J(s)
        args = {
            "device": s["device"],
            "verb": s["verb"],
            "stage": stage,
            "measured": s["measured"],
            "takes_s": s["stop_s"] - s["start_s"],
            **({"rows": s["batch"]} if "batch" in s else {}),
            **({} if joules is None else {"energy_J": joules}),
            **{f"{e['event']}, work": e["work"] for e in s.get("events", ())},
        }
        name = f"{s['device']} {s['verb'].lower()}"
        yield slice_(name, "operation", s["start_s"], s["stop_s"], args)


def _joules(
    pid: int, part: str, slices: Sequence[Mapping[str, Any]], standing_W: float, span_s: float
) -> Iterator[Event]:
    """Yield what a part has drawn by the end of each of its operations, and of the step."""
    spent_J, last_ns = 0.0, -1
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for s in slices:
        spent_J += _energy_J(s) or 0.0
        points.append((s["stop_s"], standing_W * s["stop_s"] + spent_J))
    points.append((span_s, standing_W * span_s + spent_J))
    if not points[-1][1]:
        return
    latest = {_ns(time_s): joules for time_s, joules in points}
    for time_ns, joules in latest.items():
        if time_ns > last_ns:
            last_ns = time_ns
            name = f"joules of {part}"
            args = {"J": joules}
            yield {"ph": "C", "pid": pid, "tid": 0, "ts": _us(time_ns), "name": name, "args": args}


def _standing_W(arm: Mapping[str, Any], part: str) -> float:
    stem = next((d["technology"] for d in arm["devices"] if d["part"] == part), None)
    return 0.0 if stem is None else float(arm["technologies"][stem]["idle_W"] or 0.0)


def _energy_J(s: Mapping[str, Any]) -> float | None:
    """Return the joules of an operation beyond standing power; None where one is not metered."""
    joules = [e["energy_J"] for e in s.get("events", ())]
    return None if not joules or None in joules else float(sum(joules))


def _ns(time_s: float) -> int:
    return round(time_s * 1e9)


def _us(time_ns: int) -> float:
    """Return microseconds that give the same nanosecond whether a reader rounds or cuts off."""
    time_us = time_ns / 1000
    while time_us * 1000.0 < time_ns:
        time_us = math.nextafter(time_us, math.inf)
    return int(time_us) if time_us == int(time_us) else time_us
