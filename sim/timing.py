"""Replay recorded steps in simulated time: stages wait for stages, operations for their part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ..devices.ledger import Ledger, Op, Step
from ..devices.technology import Technology
from .pricing import op_latency_s, part_of
from .replay import replay as play
from .tasks import Graph, Phase


@dataclass(frozen=True)
class Slice:
    """One operation on the timeline of a step."""

    part: str
    device: str
    verb: str
    stage: str
    start_s: float
    stop_s: float
    measured: bool


@dataclass(frozen=True)
class Timeline:
    """When each operation of one step starts and stops."""

    makespan_s: float
    slices: tuple[Slice, ...]

    def busy_s(self) -> dict[str, float]:
        """Return how long each part works in the step."""
        busy: dict[str, float] = {}
        for s in self.slices:
            busy[s.part] = busy.get(s.part, 0.0) + s.stop_s - s.start_s
        return busy

    @property
    def bottleneck(self) -> str:
        """The part that works longest; empty where nothing takes time."""
        busy = self.busy_s()
        return max(busy, key=lambda part: busy[part]) if any(busy.values()) else ""


def duration_s(op: Op, ledger: Ledger, technology: Technology) -> tuple[float, bool]:
    """Return how long an operation takes, and whether that was measured.

    Where a device was measured on real hardware that counts, unless it is read with another
    technology than it ran on. Raises ValueError where neither is known.
    """
    device = ledger.devices[op.device]
    measured = ledger.measured.get((op.device, op.verb, op.batch))
    if measured is not None and technology.stem == device.technology:
        return measured.total_s / measured.count, True
    modelled = op_latency_s(op, device, technology)
    if modelled is None:
        raise ValueError(
            f"{op.device}: technology {technology.stem} leaves the time of {op.verb} to "
            "measurement, and this run has none; read it with a technology that states latencies"
        )
    return modelled, False


def replay(step: Step, ledger: Ledger, chosen: Mapping[str, Technology]) -> Timeline:
    """Return the timeline of one step: a part does one operation at a time, and nothing moves.

    The operations of a stage follow one another; a stage starts when all that it waits for are
    through. Raises ValueError where a stage waits for one that never ends (a cycle, or a stage
    that is not there).
    """
    after = dict(step.after)
    programme: dict[str, list[Op]] = {stage: [] for stage in after}
    for op in step.ops:
        programme[op.stage].append(op)
    graph, done, measured = Graph(), list[Op](), list[bool]()
    last: dict[str, int] = {}
    for stage in in_order(after):
        gate = [last[name] for name in after[stage]]
        for op in programme[stage]:
            technology = chosen[op.device]
            takes_s, was_measured = duration_s(op, ledger, technology)
            part = graph.resource(part_of(ledger.devices[op.device], technology))
            gate = [graph.add(gate, (Phase(takes_s, (part,), (part,)),), len(done), name=stage)]
            done.append(op)
            measured.append(was_measured)
        last[stage] = gate[0] if len(gate) == 1 else graph.add(gate, name=stage)
    played = play(graph)
    slices, at = [], 0
    for task in graph.tasks:
        for phase in task.phases:
            op, where = done[task.op], graph.resources[phase.take[0]]
            start_s, stop_s = played.start_s[0][at], played.stop_s[0][at]
            at += 1
            slices.append(
                Slice(where, op.device, op.verb, op.stage, start_s, stop_s, measured[task.op])
            )
    slices.sort(key=lambda s: s.stop_s)
    return Timeline(played.makespan_s, tuple(slices))


def in_order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return stages so that each stands behind those it waits for, as they stand where they do.

    Raises ValueError for a stage that is not there, and for stages that wait in a circle.
    """
    for stage, earlier in after.items():
        for name in earlier:
            if name not in after:
                raise ValueError(f'stage "{stage}" waits for "{name}", which is not in the step')
    seen: set[str] = set()
    for stage, earlier in after.items():
        if not seen.issuperset(earlier):
            break
        seen.add(stage)
    else:
        return list(after)
    try:
        return list(TopologicalSorter(after).static_order())
    except CycleError as circle:
        said = ", ".join(dict.fromkeys(circle.args[1]))
        raise ValueError(f"stages wait for one another in a circle: {said}") from circle


def replay_all(ledger: Ledger, chosen: Mapping[str, Technology]) -> dict[Step, Timeline]:
    """Return the timeline of every distinct step of a ledger."""
    return {step: replay(step, ledger, chosen) for step in ledger.steps}


def total_s(ledger: Ledger, timelines: Mapping[Step, Timeline], kind: str | None = None) -> float:
    """Return the time of all steps one after another, or of those of one kind."""
    return sum(
        tally.times * timelines[step].makespan_s
        for step, tally in ledger.steps.items()
        if kind is None or step.kind == kind
    )
