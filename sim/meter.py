"""Joules and seconds of a run while it runs: every distinct step is replayed once."""

from __future__ import annotations

import time

from ..devices.ledger import Ledger, Step
from ..devices.technology import Technology
from .pricing import bill, technologies, total_J
from .timing import Timeline, replay, total_s

REFRESH_S = 0.25


class Meter:
    """Reads a ledger's training steps at its own technologies, and remembers the replays."""

    def __init__(self) -> None:
        self._timelines: dict[Step, Timeline] = {}
        self._chosen: dict[str, Technology] = {}
        self._last = (0.0, 0.0)
        self._when = -REFRESH_S

    def read(self, ledger: Ledger) -> tuple[float, float]:
        """Return the joules and the seconds of all training steps so far."""
        if not self._chosen:
            self._chosen = technologies(ledger)
        for step in ledger.steps:
            if step not in self._timelines or ledger.measured:
                self._timelines[step] = replay(step, ledger, self._chosen)
        seconds = {step: self._timelines[step].makespan_s for step in ledger.steps}
        rows = bill(ledger, self._chosen, seconds, ("train",))
        self._last = total_J(rows), total_s(ledger, self._timelines, "train")
        return self._last

    def soon(self, ledger: Ledger) -> tuple[float, float]:
        """Return what `read` returns, at most a quarter of a second old."""
        now = time.perf_counter()
        if now - self._when >= REFRESH_S:
            self._when = now
            self.read(ledger)
        return self._last
