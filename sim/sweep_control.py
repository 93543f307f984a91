"""The controller of a sweep: it alone decides and writes; workers are pure functions.

It works with whatever has `submit(function, task)` and returns futures: the pool of this machine,
Dask's executor on a cluster. Whoever is killed, and when, only loses what it was at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from .places import BadInput
from .sweep_points import Point
from .sweep_reading import row_of
from .sweep_store import Store
from .sweep_train import train

ATTEMPTS = 5
"""How often a point may lose its worker before the sweep goes on without it."""
REFRESH_S = 0.25


class Submits(Protocol):
    """What carries out trainings."""

    def submit(self, call: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Return the future of call(*args)."""
        ...


class Points(Protocol):
    """Where points come from, and where their rows go."""

    @property
    def total(self) -> int:
        """How many points there will be, those included that are done already."""
        ...

    @property
    def before(self) -> int:
        """How many of them are done already and will not be asked for."""
        ...

    def ask(self) -> Point | None:
        """Return the next point, None where there is none for now."""
        ...

    def rungs(self) -> tuple[int, ...]:
        """Return the epochs after which a training is looked at and may be stopped."""
        ...

    def goes_on(self, point: Point, curve: list[Mapping[str, float]]) -> bool:
        """Return whether the training of a point is worth going on with."""
        ...

    def tell(self, point: Point, row: Mapping[str, Any]) -> None:
        """Take in the row of a point that was asked for."""
        ...


@dataclass
class State:
    """Where a sweep stands; what a progress display shows."""

    total: int
    done: int = 0
    """Points that are there, those of earlier starts included."""
    known: int = 0
    """Points that were there when this start began, or came twice."""
    trained: int = 0
    """Trainings that this start finished."""
    saved: int = 0
    """Points of this start that shared the training of another."""
    failed: int = 0
    lost: int = 0
    """Workers that died or were ended."""
    pruned: int = 0
    running: int = 0
    wall_s: float = 0.0
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    """What came since the state was last shown."""


@dataclass
class _Flight:
    """A training on its way, and the points that wait for it."""

    point: Point
    future: Future[Any]
    waiting: list[Point]
    rung: int = 0
    checkpoint: str = ""
    attempts: int = 1
    curve: list[Mapping[str, float]] = field(default_factory=list)


class Controller:
    """Drives one source of points to its end, on one executor, into one store."""

    def __init__(
        self,
        source: Points,
        store: Store,
        executor: Submits,
        width: Callable[[], int],
        on_progress: Callable[[State], None],
        limit_s: float | None = None,
    ):
        """`width()` trainings are on their way at once; `limit_s` ends one that takes longer."""
        self.source, self.store, self.executor, self.width = source, store, executor, width
        self.on_progress, self.limit_s = on_progress, limit_s
        self.state = State(source.total, done=source.before, known=source.before)
        self._flights: dict[str, _Flight] = {}
        self._start = self._shown = time.monotonic()

    def run(self) -> State:
        """Return the state when all is done. Raises BadInput where the disk takes no more."""
        while True:
            self._fill()
            if not self._flights:
                break
            futures = {flight.future: key for key, flight in self._flights.items()}
            done, _ = wait(futures, timeout=REFRESH_S, return_when=FIRST_COMPLETED)
            for future in done:
                self._land(futures[future])
            self._show()
        self._show(last=True)
        return self.state

    def _show(self, row: Mapping[str, Any] | None = None, last: bool = False) -> None:
        now = time.monotonic()
        if row is not None:
            self.state.rows.append(row)
        if last or now - self._shown >= REFRESH_S:
            self._shown = now
            self.state.wall_s, self.state.running = now - self._start, len(self._flights)
            self.state.total = self.source.total
            self.on_progress(self.state)
            self.state.rows.clear()

    def _fill(self) -> None:
        """Ask for points until enough trainings are on their way."""
        while len(self._flights) < self.width() and (point := self.source.ask()) is not None:
            row = self.store.rows.get(point.key)
            if row is not None:
                self.state.known += 1
                self._tell(point, row)
                continue
            try:
                key = point.training
            except BadInput as wrong:
                self._fail(point, "error", str(wrong))
                continue
            if key in self._flights:
                self._flights[key].waiting.append(point)
            elif self.store.training(key) is not None:
                self.state.saved += 1
                self._read(point)
            else:
                self._flights[key] = _Flight(point, self._submit(point), [])
            self._show()

    def _submit(self, point: Point, rung: int = 0, checkpoint: str = "") -> Future[Any]:
        task: dict[str, Any] = {"raw": point.raw, "where": point.where}
        if rung < len(self.source.rungs()):
            task["upto"] = self.source.rungs()[rung]
        if checkpoint:
            task["checkpoint"] = checkpoint
        if self.limit_s is not None:
            task["limit_s"] = self.limit_s
        return self.executor.submit(train, task)

    def _land(self, key: str) -> None:
        """Take in what a training answered."""
        flight = self._flights[key]
        lost = _lost(flight.future)
        if lost:
            self.state.lost += 1
            if flight.attempts < ATTEMPTS:
                flight.attempts += 1
                flight.future = self._submit(flight.point, flight.rung, flight.checkpoint)
                return
            self._close(key, "failed", f"{lost} ({ATTEMPTS} times)")
            return
        answer = flight.future.result()
        if "arms" in answer:
            self.store.put(flight.point, answer["arms"])
            self.state.trained += 1
            self._flights.pop(key)
            self.state.saved += len(flight.waiting)
            for point in (flight.point, *flight.waiting):
                self._read(point)
        elif "checkpoint" in answer:
            flight.rung, flight.checkpoint = flight.rung + 1, answer["checkpoint"]
            flight.curve = answer["curve"]
            if self.source.goes_on(flight.point, flight.curve):
                flight.future = self._submit(flight.point, flight.rung, flight.checkpoint)
            else:
                self.state.pruned += 1
                last = flight.curve[-1]
                self._close(key, "pruned", f"after epoch {last['epoch']}", last["accuracy"])
        elif "late" in answer:
            self._close(key, "failed", f"it took longer than {self.limit_s:g} s")
        else:
            self._flights.pop(key)
            self._fail(flight.point, "error", answer["error"])
            for point in flight.waiting:  # what is wrong may be a price, and theirs are others
                self._flights[point.key] = _Flight(point, self._submit(point), [])

    def _close(self, key: str, kind: str, said: str, accuracy: float | None = None) -> None:
        flight = self._flights.pop(key)
        for point in (flight.point, *flight.waiting):
            more = {} if accuracy is None else {"curve_accuracy": accuracy}
            self._fail(point, kind, said if kind == "pruned" else f"{point.where}: {said}", more)

    def _read(self, point: Point) -> None:
        training = self.store.training(point.training)
        assert training is not None
        try:
            row = row_of(point, training)
        except BadInput as wrong:
            self._fail(point, "error", str(wrong))
            return
        self.store.add(row)
        self._tell(point, row)

    def _fail(
        self, point: Point, kind: str, said: str, more: Mapping[str, Any] | None = None
    ) -> None:
        row = {"point": point.key, "values": dict(point.values), kind: said, **(more or {})}
        self.state.failed += kind != "pruned"
        self.store.add(row)
        self._tell(point, row)

    def _tell(self, point: Point, row: Mapping[str, Any]) -> None:
        self.state.done += 1
        self.source.tell(point, row)
        self._show(row)


def _lost(future: Future[Any]) -> str:
    """Return why a training has no answer; empty where it has one."""
    try:
        wrong = future.exception()
    except CancelledError:
        return "its worker was lost"
    return "" if wrong is None else str(wrong) or type(wrong).__name__


class Grid:
    """The points of a sweep in their order, each configuration once."""

    def __init__(self, points: Any, total: int):
        self._points, self._total = iter(points), total
        self._seen: set[str] = set()

    @property
    def total(self) -> int:
        """How many points there will be."""
        return self._total

    @property
    def before(self) -> int:
        """Return 0: what is there is asked for too, and found in the store."""
        return 0

    def ask(self) -> Point | None:
        """Return the next point."""
        for point in self._points:
            if point.key not in self._seen:
                self._seen.add(point.key)
                return point  # type: ignore[no-any-return]
            self._total -= 1
        return None

    def rungs(self) -> tuple[int, ...]:
        """Return none: a sweep trains every point to its end."""
        return ()

    def goes_on(self, point: Point, curve: list[Mapping[str, float]]) -> bool:
        """Return True: nothing is stopped."""
        return True

    def tell(self, point: Point, row: Mapping[str, Any]) -> None:
        """Need nothing of the row: the store keeps it."""
        return
