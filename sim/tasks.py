"""A graph of tasks on resources: what a replay carries out, and a critical path sums up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Phase(NamedTuple):
    """One stretch of a task: it takes resources, lasts, and gives some back."""

    seconds: float
    take: tuple[int, ...] = ()
    """Resources taken before it starts, one after another, and kept until a phase frees them."""
    free: tuple[int, ...] = ()
    """Resources given back at its end."""
    what: str = ""
    shown: tuple[tuple[int, float], ...] = ()
    """(resource, J): where it is drawn, and the energy that is spent there."""
    period_s: float = 0.0
    """Above 0: it starts at the next multiple of this."""
    size_B: float = 0.0
    """Bytes that cross each link it takes."""


class Task(NamedTuple):
    """Phases that follow one another, after other tasks."""

    before: tuple[int, ...]
    """Tasks, all earlier in the graph, that must be through."""
    phases: tuple[Phase, ...]
    op: int = -1
    """The operation of the step that it is a part of; -1: it only gathers others."""
    release_s: float = 0.0
    """Earliest start after the start of the step."""
    name: str = ""


@dataclass
class Graph:
    """Tasks in topological order, on named resources of whole capacities."""

    tasks: list[Task] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    capacity: list[int] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def resource(self, name: str, capacity: int = 1) -> int:
        """Return the number of a resource, a new one where the name is new."""
        if name not in self._index:
            self._index[name] = len(self.resources)
            self.resources.append(name)
            self.capacity.append(capacity)
        return self._index[name]

    def add(
        self,
        before: Sequence[int],
        phases: Sequence[Phase] = (),
        op: int = -1,
        release_s: float = 0.0,
        name: str = "",
    ) -> int:
        """Add a task and return its number. Raises ValueError where it waits for a later one."""
        number = len(self.tasks)
        for earlier in before:
            if not 0 <= earlier < number:
                raise ValueError(f"task {number} waits for task {earlier}, which is not before it")
        self.tasks.append(Task(tuple(before), tuple(phases), op, release_s, name))
        return number

    def arrays(self) -> tuple[Any, ...]:
        """Return the graph as the arrays that `kernels.paths.critical_path` takes."""
        tasks = self.tasks
        before_at = np.zeros(len(tasks) + 1, np.int64)
        np.cumsum([len(t.before) for t in tasks], out=before_at[1:])
        phase_at = np.zeros(len(tasks) + 1, np.int64)
        np.cumsum([len(t.phases) for t in tasks], out=phase_at[1:])
        before = np.fromiter((b for t in tasks for b in t.before), np.int64, before_at[-1])
        seconds = np.fromiter((p.seconds for t in tasks for p in t.phases), float, phase_at[-1])
        period = np.fromiter((p.period_s for t in tasks for p in t.phases), float, phase_at[-1])
        release = np.fromiter((t.release_s for t in tasks), float, len(tasks))
        return before_at, before, release, phase_at, seconds, period, np.zeros(len(tasks))

    def critical_path_s(self) -> float:
        """Return how long the tasks take where none has to queue, in s."""
        from ..devices.kernels import paths

        return float(paths.critical_path(*self.arrays())) if self.tasks else 0.0

    def busy_s(self) -> list[float]:
        """Return how long each resource is taken where nothing queues, over its capacity."""
        busy = [0.0] * len(self.resources)
        for task in self.tasks:
            held: list[int] = []
            for phase in task.phases:
                held += phase.take
                for r in held:
                    busy[r] += phase.seconds
                for r in phase.free:
                    held.remove(r)
        return [b / c for b, c in zip(busy, self.capacity, strict=True)]

    def bound_s(self) -> float:
        """Return a lower bound of the replay: the critical path, or the busiest resource."""
        return max([self.critical_path_s(), *self.busy_s()])

    @property
    def energy_J(self) -> float:
        """What all phases spend, without standing power."""
        return sum(j for t in self.tasks for p in t.phases for _, j in p.shown)
