"""Replay a graph of tasks in simulated time by SimPy: resources are queues, first come first.

A step's tasks may repeat: with `in_flight` steps at a time, a step starts as soon as one of those
before it has ended, and the replay shows the steady throughput.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from .tasks import Graph


@dataclass(frozen=True)
class Played:
    """When everything happened in a replay, in s."""

    graph: Graph
    start_s: list[list[float]]
    """By step and by phase, phases numbered through the tasks in order."""
    stop_s: list[list[float]]
    begin_s: list[float]
    """When each step was let in."""
    end_s: list[float]
    """When each step was through."""
    busy_s: list[float]
    """How long each resource was taken, summed over its places."""
    wait_s: list[float]
    """How long tasks queued for each resource, summed."""
    asked: list[int]
    """How often each resource was asked for."""

    @property
    def makespan_s(self) -> float:
        """From the start of the first step to the end of the last."""
        return max(self.end_s, default=0.0)

    @property
    def steady_s(self) -> float:
        """Seconds from one step's end to the next in the second half of the replay."""
        ends = sorted(self.end_s)
        first = len(ends) // 2
        if len(ends) - first < 2:
            return self.makespan_s / max(len(ends), 1)
        return (ends[-1] - ends[first]) / (len(ends) - 1 - first)

    def used(self) -> dict[str, float]:
        """Return the share of the replay in which each resource is taken."""
        span_s = self.makespan_s
        return {
            name: busy / (span_s * places) if span_s else 0.0
            for name, busy, places in zip(
                self.graph.resources, self.busy_s, self.graph.capacity, strict=True
            )
        }


def replay(graph: Graph, steps: int = 1, in_flight: int = 1) -> Played:
    """Return when each phase of each step happens.

    Raises ValueError where some task never ends: resources that wait for one another.
    """
    import simpy

    from ..devices.kernels.paths import TICK

    if steps < 1 or in_flight < 1:
        raise ValueError(f"steps and in_flight take 1 or more, got {steps} and {in_flight}")
    env = simpy.Environment()
    places = [simpy.Resource(env, c) for c in graph.capacity]
    tasks = graph.tasks
    after: list[list[int]] = [[] for _ in tasks]
    for number, task in enumerate(tasks):
        for earlier in task.before:
            after[earlier].append(number)
    first_phase, phases = [], 0
    for task in tasks:
        first_phase.append(phases)
        phases += len(task.phases)
    sources = [n for n, t in enumerate(tasks) if not t.before]
    start_s = [[math.nan] * phases for _ in range(steps)]
    stop_s = [[math.nan] * phases for _ in range(steps)]
    begin_s, end_s = [math.nan] * steps, [math.nan] * steps
    pending = [[len(t.before) for t in tasks] for _ in range(steps)]
    left = [len(tasks)] * steps
    count = len(graph.resources)
    busy_s, wait_s, asked = [0.0] * count, [0.0] * count, [0] * count
    entered = 0

    def enter() -> None:
        nonlocal entered
        step, entered = entered, entered + 1
        begin_s[step] = env.now
        if not tasks:
            end_s[step] = env.now
        for number in sources:
            env.process(work(step, number))

    def leave(step: int, number: int) -> None:
        waiting = pending[step]
        for later in after[number]:
            waiting[later] -= 1
            if not waiting[later]:
                if tasks[later].phases or tasks[later].release_s:
                    env.process(work(step, later))
                else:
                    leave(step, later)
        left[step] -= 1
        if not left[step]:
            end_s[step] = env.now
            if entered < steps:
                enter()

    def work(step: int, number: int) -> Generator[Any, Any, None]:
        task = tasks[number]
        earliest_s = begin_s[step] + task.release_s
        if earliest_s > env.now:
            yield env.timeout(earliest_s - env.now)
        held: dict[int, tuple[Any, float]] = {}
        starts, stops, p = start_s[step], stop_s[step], first_phase[number]
        for phase in task.phases:
            for r in phase.take:
                asked_s = env.now
                request = places[r].request()
                if not request.triggered:
                    yield request
                    wait_s[r] += env.now - asked_s
                asked[r] += 1
                held[r] = request, env.now
            if phase.period_s > 0.0:
                tick_s = math.ceil(env.now / phase.period_s - TICK) * phase.period_s
                if tick_s > env.now:
                    yield env.timeout(tick_s - env.now)
            starts[p] = env.now
            if phase.seconds > 0.0:
                yield env.timeout(phase.seconds)
            stops[p] = env.now
            p += 1
            for r in phase.free:
                request, since_s = held.pop(r)
                busy_s[r] += env.now - since_s
                places[r].release(request)
        leave(step, number)

    for _ in range(min(in_flight, steps)):
        enter()
    env.run()
    stuck = [n for s in range(steps) for n, k in enumerate(pending[s]) if k or left[s]]
    if any(left):
        names = dict.fromkeys(tasks[n].name or f"task {n}" for n in stuck)
        raise ValueError(f"tasks wait for one another in a circle: {', '.join([*names][:6])}")
    return Played(graph, start_s, stop_s, begin_s, end_s, busy_s, wait_s, asked)
