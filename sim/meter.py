"""Joules and seconds of a run while it runs: every distinct step is replayed once."""

from __future__ import annotations

import time

from ..devices.ledger import Ledger, Step
from ..devices.technology import Technology
from .fabric_time import FabricTime, StepTime, fabric_bill, once, time_step
from .pricing import bill, technologies, total_J
from .timing import Timeline, replay, total_s

REFRESH_S = 0.25


class Meter:
    """Reads a ledger's training steps at its own technologies, and remembers the replays.

    With `on`, a step like them placed on a fabric, they are replayed there.
    """

    def __init__(self, on: FabricTime | None = None) -> None:
        self._on = on if on is not None and on.shown.kind == "train" else None
        self._placed: dict[Step, StepTime] = {}
        self._timelines: dict[Step, Timeline] = {}
        self._chosen: dict[str, Technology] = {}
        self._last = (0.0, 0.0)
        self._when = -REFRESH_S

    def read(self, ledger: Ledger) -> tuple[float, float]:
        """Return the joules and the seconds of all training steps so far."""
        if not self._chosen:
            self._chosen = technologies(ledger)
        if self._on is not None:
            self._last = self._read_fabric(ledger, self._on)
            return self._last
        for step in ledger.steps:
            if step not in self._timelines or ledger.measured:
                self._timelines[step] = replay(step, ledger, self._chosen)
        seconds = {step: self._timelines[step].makespan_s for step in ledger.steps}
        rows = bill(ledger, self._chosen, seconds, ("train",))
        self._last = total_J(rows), total_s(ledger, self._timelines, "train")
        return self._last

    def _read_fabric(self, ledger: Ledger, on: FabricTime) -> tuple[float, float]:
        for step in ledger.steps:
            if step.kind == "train" and step.ops and step not in self._placed:
                work = once(ledger, step)
                self._placed[step] = time_step(
                    step, work, ledger, self._chosen, on.plan, on.in_flight
                )
        now = FabricTime(on.plan, on.shown, self._placed, on.in_flight)
        rows = fabric_bill(now, ledger, self._chosen)
        seconds = sum(ledger.steps[s].times * one.steady_s for s, one in self._placed.items())
        return total_J(rows, "train"), seconds

    def soon(self, ledger: Ledger) -> tuple[float, float]:
        """Return what `read` returns, at most a quarter of a second old."""
        now = time.perf_counter()
        if now - self._when >= REFRESH_S:
            self._when = now
            self.read(ledger)
        return self._last
