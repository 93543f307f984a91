"""Replay recorded steps in simulated time: stages wait for stages, operations for their part."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from ..devices.ledger import Ledger, Op, Step
from ..devices.technology import Technology
from .pricing import op_latency_s, part_of


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
    """Return the timeline of one step: a part does one operation at a time.

    The operations of a stage follow one another; a stage starts when all that it waits for are
    through. Raises ValueError where a stage waits for one that never ends (a cycle, or a stage
    that is not there).
    """
    import simpy

    after = dict(step.after)
    for stage, earlier in after.items():
        for name in earlier:
            if name not in after:
                raise ValueError(f'stage "{stage}" waits for "{name}", which is not in the step')
    env = simpy.Environment()
    parts: dict[str, Any] = {}
    through = {stage: env.event() for stage in after}
    programme: dict[str, list[Op]] = {stage: [] for stage in after}
    for op in step.ops:
        programme[op.stage].append(op)
    slices: list[Slice] = []

    def run(stage: str) -> Generator[Any, Any, None]:
        yield simpy.AllOf(env, [through[name] for name in after[stage]])
        for op in programme[stage]:
            technology = chosen[op.device]
            part = part_of(ledger.devices[op.device], technology)
            if part not in parts:
                parts[part] = simpy.Resource(env)
            takes_s, measured = duration_s(op, ledger, technology)
            with parts[part].request() as turn:
                yield turn
                start_s = env.now
                yield env.timeout(takes_s)
            slices.append(Slice(part, op.device, op.verb, stage, start_s, env.now, measured))
        through[stage].succeed()

    for stage in after:
        env.process(run(stage))
    env.run()
    stuck = [stage for stage, event in through.items() if not event.triggered]
    if stuck:
        raise ValueError(f"stages wait for one another in a circle: {', '.join(stuck)}")
    return Timeline(float(env.now), tuple(slices))


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
