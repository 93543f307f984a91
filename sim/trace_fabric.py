"""A step on a fabric as events of a trace: a process a machine, tracks of stages, verbs, phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

Event = dict[str, Any]
Slice = Mapping[str, Any]
STRIDE = 100_000
"""Process numbers between two arms: a fabric's machines lie between."""


def events(arm: Mapping[str, Any], first_pid: int, us: Callable[[float], float]) -> Iterator[Event]:
    """Yield the events of an arm's step on its fabric; `us` turns seconds into a trace's time.

    Each node and each kind of link is a process, and each resource a track in it, or several where
    it does more than one thing at a time. On a track a stage holds verbs, and a verb its phases,
    which alone bear joules; standing power is a slice of its own over the step. So the joules of
    all slices of category "phase" and "standing" are those of the step.
    """
    fabric = arm["fabric"]
    groups = {u["resource"]: u["group"] for u in fabric["used"]}
    by_resource: dict[str, list[Slice]] = {}
    for s in fabric["slices"]:
        by_resource.setdefault(s["resource"], []).append(s)
    processes: dict[str, list[str]] = {}
    for name in by_resource:
        link = ">" in name
        processes.setdefault(f"link {groups[name]}" if link else name, []).append(name)
    pid = first_pid
    title = f"{arm['name']}: one {fabric['step']} step"
    for process, names in processes.items():
        pid += 1
        yield _about(pid, 0, "process_name", {"name": f"{title} / {process}"})
        yield _about(pid, 0, "process_sort_index", {"sort_index": pid})
        tid = 0
        for name in names:
            for lane in _lanes(by_resource[name]):
                tid += 1
                yield _about(pid, tid, "thread_name", {"name": name})
                yield _about(pid, tid, "thread_sort_index", {"sort_index": tid})
                yield from _track(pid, tid, lane, us)
    yield from _standing(pid + 1, title, fabric, us)


def _about(pid: int, tid: int, name: str, args: Mapping[str, Any]) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": name, "args": dict(args)}


def _lanes(slices: Sequence[Slice]) -> list[list[list[Slice]]]:
    """Return the tasks on a resource, each as its slices, on as few tracks as keep them apart."""
    tasks: dict[int, list[Slice]] = {}
    for s in slices:
        tasks.setdefault(s["task"], []).append(s)
    ordered = sorted(tasks.values(), key=lambda t: (t[0]["start_s"], t[-1]["stop_s"]))
    lanes: list[list[list[Slice]]] = []
    for task in ordered:
        for lane in lanes:
            if lane[-1][-1]["stop_s"] <= task[0]["start_s"]:
                lane.append(task)
                break
        else:
            lanes.append([task])
    return lanes


def _track(
    pid: int, tid: int, tasks: Sequence[Sequence[Slice]], us: Callable[[float], float]
) -> Iterator[Event]:
    def slice_(name: str, category: str, start_s: float, stop_s: float, args: Any) -> Event:
        start_us, stop_us = us(start_s), us(stop_s)
        return {
            "ph": "X",
            "pid": pid,
            "tid": tid,
            "ts": start_us,
            "dur": stop_us - start_us,
            "name": name,
            "cat": category,
            "args": args,
        }

    for stage, turn in groupby(tasks, key=lambda t: t[0]["stage"]):
        ops = list(turn)
        yield slice_(stage, "stage", ops[0][0]["start_s"], ops[-1][-1]["stop_s"], {})
        for task in ops:
            first, last = task[0], task[-1]
            name = f"{first['device']} {first['verb'].lower()}"
            about = {"device": first["device"], "verb": first["verb"], "stage": stage}
            yield slice_(name, "operation", first["start_s"], last["stop_s"], about)
            for s in task:
                args = {
                    "energy_J": s["energy_J"],
                    "takes_s": s["stop_s"] - s["start_s"],
                    "measured": s["measured"],
                    **({"size_B": s["size_B"]} if s["size_B"] else {}),
                }
                yield slice_(s["what"], "phase", s["start_s"], s["stop_s"], args)


def _standing(
    pid: int, title: str, fabric: Mapping[str, Any], us: Callable[[float], float]
) -> Iterator[Event]:
    span_s = fabric["makespan_s"]
    yield _about(pid, 0, "process_name", {"name": f"{title} / standing power"})
    yield _about(pid, 0, "process_sort_index", {"sort_index": pid})
    for tid, (kind, watts) in enumerate(fabric["standing_W"].items(), 1):
        yield _about(pid, tid, "thread_name", {"name": f"{fabric['nodes'][kind]} {kind}"})
        yield {
            "ph": "X",
            "pid": pid,
            "tid": tid,
            "ts": us(0.0),
            "dur": us(span_s),
            "name": f"standing power of {kind}",
            "cat": "standing",
            "args": {"power_W": watts, "energy_J": watts * span_s},
        }
