"""What devices did: counted here, priced, timed and accounted elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from .release import Release

Kind = Literal["program", "train", "evaluate", "compensate", "free"]
"""What a step is for: writing weights, learning, testing, reading back what time has done to a
matrix, or anything outside a step."""


_KINDS = frozenset(get_args(Kind))


class Count(NamedTuple):
    """How often an event took place in one operation."""

    work: float
    """All of them: sets the energy."""
    depth: float
    """Those that had to wait for one another: sets the time."""


class Op(NamedTuple):
    """One verb carried out by one device, without the work it did."""

    device: str
    verb: str
    batch: int
    stage: str
    depths: tuple[tuple[str, float], ...]
    """(event, depth) in the order in which the device counts them."""


class Step(NamedTuple):
    """One kind of step: its operations in order, and which stage waits for which."""

    kind: str
    ops: tuple[Op, ...]
    after: tuple[tuple[str, tuple[str, ...]], ...]
    samples: int
    releases: tuple[Release, ...] = ()
    """What the step told the world under noise; privacy is accounted from these alone."""


@dataclass(slots=True)
class Tally:
    """How often one kind of step took place, and the work done in all of them."""

    times: int
    work: list[list[float]]
    """Sum over the times, one list an op, one number an event in the order of `Op.depths`."""


class Installed(NamedTuple):
    """A device as the ledger knows it: enough to price and time the run again later."""

    kind: str
    technology: str
    part: str
    n_out: int
    n_in: int
    settings: tuple[tuple[str, Any], ...]


@dataclass(slots=True)
class Seconds:
    """What a real device measured for one verb on one batch size."""

    count: int = 0
    total_s: float = 0.0
    least_s: float = float("inf")

    def add(self, seconds: float) -> None:
        """Take in one more measurement."""
        self.count += 1
        self.total_s += seconds
        self.least_s = min(self.least_s, seconds)


@dataclass
class Ledger:
    """The record of one run. Equal steps are kept once, with how often they took place.

    >>> ledger = Ledger()
    >>> for _ in range(3):
    ...     with ledger.step("train", samples=32), ledger.stage("forward/1"):
    ...         ledger.record("w", "MULTIPLY", 32, {"mac": Count(work=320, depth=320)})
    >>> [tally] = ledger.steps.values()
    >>> tally.times, tally.work
    (3, [[960]])
    """

    devices: dict[str, Installed] = field(default_factory=dict)
    steps: dict[Step, Tally] = field(default_factory=dict)
    measured: dict[tuple[str, str, int], Seconds] = field(default_factory=dict)
    """(device, verb, batch) -> seconds on real hardware."""
    units: dict[str, dict[str, float]] = field(default_factory=dict)
    """Device -> how many of the parts that do an event it is built of, where that sets its area."""
    moved: dict[str, float] = field(default_factory=dict)
    """Device -> bytes between a GPU's memory and this processor's, where it is simulated here."""
    _open: bool = False
    _ops: list[Op] = field(default_factory=list)
    _work: list[list[float]] = field(default_factory=list)
    _after: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _releases: list[Release] = field(default_factory=list)
    _stage: str = "start"

    def install(self, name: str, device: Installed) -> None:
        """Make a device known. Raises ValueError where the name stands for another one."""
        if self.devices.setdefault(name, device) != device:
            raise ValueError(f'two different devices are called "{name}" in one ledger')

    def build(self, name: str, units: Mapping[str, float]) -> None:
        """Write down what a device is built of."""
        self.units[name] = dict(units)

    @contextmanager
    def step(self, kind: Kind, samples: int) -> Iterator[None]:
        """Record what is done inside as one step on `samples` samples.

        A step that ends in an exception leaves nothing behind. Raises RuntimeError where a step
        is open already.
        """
        if self._open:
            raise RuntimeError("a step is open already: steps follow one another, stages nest")
        if kind not in _KINDS:
            raise ValueError(f'a step is one of {", ".join(sorted(_KINDS))}, not "{kind}"')
        self._open = True
        try:
            yield
            self._close(kind, samples)
        finally:
            self._open = False
            self._ops, self._work, self._after, self._releases = [], [], {}, []

    def _close(self, kind: Kind, samples: int) -> None:
        step = Step(
            kind, tuple(self._ops), tuple(self._after.items()), samples, tuple(self._releases)
        )
        tally = self.steps.get(step)
        if tally is None:
            self.steps[step] = Tally(1, self._work)
            return
        tally.times += 1
        for total, once in zip(tally.work, self._work, strict=True):
            for k, work in enumerate(once):
                total[k] += work

    @contextmanager
    def stage(self, name: str, after: Sequence[str] = ()) -> Iterator[None]:
        """Record what is done inside under `name`, which waits for the stages `after`.

        The operations of one stage follow one another; stages run side by side unless one
        waits for the other. Raises ValueError where it waits for a stage that has not been.
        """
        for earlier in after:
            if earlier not in self._after:
                raise ValueError(f'stage "{name}" waits for "{earlier}", which has not been')
        outer, self._stage = self._stage, name
        self._after[name] = tuple(after)
        try:
            yield
        finally:
            self._stage = outer

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the open step so far."""
        return tuple(self._after)

    def record(self, device: str, verb: str, batch: int, events: Mapping[str, Count]) -> None:
        """Write down one operation in the current stage; outside a step it is a step of its own."""
        if not self._open:
            with self.step("free", samples=batch), self.stage("free"):
                self.record(device, verb, batch, events)
            return
        if self._stage not in self._after:
            self._after[self._stage] = ()
        depths = tuple([(event, count.depth) for event, count in events.items()])
        self._ops.append(Op(device, verb, batch, self._stage, depths))
        self._work.append([count.work for count in events.values()])

    def release(self, release: Release) -> None:
        """Write down that the current step published something under noise."""
        if not self._open:
            raise RuntimeError("a release belongs to a step: open one with ledger.step()")
        self._releases.append(release)

    def measure(self, device: str, verb: str, batch: int, seconds: float) -> None:
        """Write down what a real device took; timing prefers it to the technology file."""
        self.measured.setdefault((device, verb, batch), Seconds()).add(seconds)

    def move(self, device: str, number_of_bytes: float) -> None:
        """Write down that operands or results of a device went from one memory to the other."""
        self.moved[device] = self.moved.get(device, 0.0) + number_of_bytes

    def samples(self, kind: Kind) -> int:
        """Return how many samples went through all steps of one kind."""
        return sum(t.times * step.samples for step, t in self.steps.items() if step.kind == kind)

    def releases(self) -> Counter[tuple[Release, ...]]:
        """Return what training steps released together, with how many steps did so.

        The empty tuple stands for steps that promise nothing.
        """
        found: Counter[tuple[Release, ...]] = Counter()
        for step, tally in self.steps.items():
            if step.kind == "train":
                found[step.releases] += tally.times
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the ledger as plain data; `from_json` reads it back, equal."""
        return {
            "devices": {name: d._asdict() for name, d in self.devices.items()},
            "units": self.units,
            "steps": [
                {
                    "kind": step.kind,
                    "samples": step.samples,
                    "times": tally.times,
                    "after": dict(step.after),
                    "ops": [
                        {
                            "device": op.device,
                            "verb": op.verb,
                            "batch": op.batch,
                            "stage": op.stage,
                            "events": [
                                {"event": event, "depth": depth, "work": work}
                                for (event, depth), work in zip(op.depths, works, strict=True)
                            ],
                        }
                        for op, works in zip(step.ops, tally.work, strict=True)
                    ],
                    "releases": [asdict(r) for r in step.releases],
                }
                for step, tally in self.steps.items()
            ],
            "measured": [
                {
                    "device": key[0],
                    "verb": key[1],
                    "batch": key[2],
                    "count": s.count,
                    "total_s": s.total_s,
                    "least_s": s.least_s,
                }
                for key, s in self.measured.items()
            ],
            "moved": dict(self.moved),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ledger:
        """Return the ledger that `to_json` wrote. Raises ValueError where it is not one."""
        try:
            return cls._read(data)
        except (KeyError, TypeError, AttributeError) as missing:
            raise ValueError(f"not a ledger: {type(missing).__name__} {missing}") from missing

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Ledger:
        ledger = cls()
        for name, d in data["devices"].items():
            settings = tuple((k, v) for k, v in d["settings"])
            ledger.devices[name] = Installed(**{**d, "settings": settings})
        ledger.units = {name: dict(units) for name, units in data.get("units", {}).items()}
        for s in data["steps"]:
            ops = tuple(
                Op(
                    o["device"],
                    o["verb"],
                    o["batch"],
                    o["stage"],
                    tuple((e["event"], e["depth"]) for e in o["events"]),
                )
                for o in s["ops"]
            )
            after = tuple((stage, tuple(earlier)) for stage, earlier in s["after"].items())
            releases = tuple(
                Release(**{**r, "noise": tuple((name, z) for name, z in r["noise"])})
                for r in s["releases"]
            )
            step = Step(s["kind"], ops, after, s["samples"], releases)
            work = [[e["work"] for e in o["events"]] for o in s["ops"]]
            ledger.steps[step] = Tally(s["times"], work)
        for m in data["measured"]:
            key = (m["device"], m["verb"], m["batch"])
            ledger.measured[key] = Seconds(m["count"], m["total_s"], m["least_s"])
        ledger.moved = {str(name): float(n) for name, n in data.get("moved", {}).items()}
        return ledger
