"""Turn counted events into joules, by the technology file of each device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..devices.ledger import Installed, Ledger, Op, Step
from ..devices.technology import Technology, load

STANDING = "standing power"


@dataclass(frozen=True)
class Bill:
    """One row of a run's account: an event on a device, or a part's standing power."""

    kind: str
    """What the steps were for: "program", "train", "evaluate", "free"."""
    part: str
    device: str
    event: str
    work: float
    """How many events; seconds for standing power."""
    energy_J: float | None
    """None where nobody has metered the event."""
    technology: str
    """Stem of the technology that prices it; the sources stand there."""
    verb: str = ""
    """What the device was asked to do; empty for standing power."""


def technologies(ledger: Ledger, instead: Mapping[str, str] | None = None) -> dict[str, Technology]:
    """Return the technology of every device of a ledger.

    `instead` maps a device's name, its role (the name's first word) or its technology to another
    technology: this is how a finished run is read again at other prices. Raises ValueError where
    it names nothing in the ledger.
    """
    instead = dict(instead or {})
    used = set()
    chosen = {}
    for name, device in ledger.devices.items():
        stem = device.technology
        for key in (name, name.split("/")[0], device.technology):
            if key in instead:
                stem = instead[key]
                used.add(key)
                break
        chosen[name] = load(stem)
    for key in instead:
        if key not in used:
            known = sorted(
                {*ledger.devices, *(n.split("/")[0] for n in ledger.devices)}
                | {d.technology for d in ledger.devices.values()}
            )
            raise ValueError(f'"{key}" is in no ledger of this run; it knows {", ".join(known)}')
    return chosen


def part_of(device: Installed, technology: Technology) -> str:
    """Return the physical thing that works for a device, under the prices it is read with."""
    return technology.stem if device.part == device.technology else device.part


def parted(ledger: Ledger, chosen: Mapping[str, Technology]) -> list[str]:
    """Return the parts that draw standing power where they are more than in the run itself."""
    usual = technologies(ledger)
    was = {part_of(d, usual[name]) for name, d in ledger.devices.items()}
    now = {part_of(d, chosen[name]): chosen[name].idle_W for name, d in ledger.devices.items()}
    return sorted(part for part, idle_W in now.items() if idle_W) if len(now) > len(was) else []


def op_latency_s(op: Op, device: Installed, technology: Technology) -> float | None:
    """Return how long one operation keeps its part busy, in seconds.

    The events that overlap take as long as the longest of them, the others follow one another.
    None where the technology leaves a latency to measurement.
    """
    total, longest = 0.0, 0.0
    for name, depth in op.depths:
        if depth == 0:
            continue
        event = technology.event(name, device.n_out, device.n_in, device.settings)
        if event.latency_s is None:
            return None
        if event.overlaps:
            longest = max(longest, depth * event.latency_s)
        else:
            total += depth * event.latency_s
    return total + longest


def bill(
    ledger: Ledger,
    chosen: Mapping[str, Technology],
    seconds: Mapping[Step, float],
    kinds: Iterable[str] | None = None,
) -> list[Bill]:
    """Return the joules of a run, row by row: events by device, and standing power by part.

    `seconds` says how long each kind of step takes; every part that the ledger knows is on for
    all of it. Raises ValueError where a technology has no price for an event that took place.
    """
    only = None if kinds is None else set(kinds)
    work: dict[tuple[str, str, str, str], float] = {}
    on_s: dict[str, float] = {}
    for step, tally in ledger.steps.items():
        if only is not None and step.kind not in only:
            continue
        on_s[step.kind] = on_s.get(step.kind, 0.0) + tally.times * seconds[step]
        for op, done in zip(step.ops, tally.work, strict=True):
            for (event, _), amount in zip(op.depths, done, strict=True):
                if amount:
                    key = (step.kind, op.device, op.verb, event)
                    work[key] = work.get(key, 0.0) + amount
    rows = []
    for (kind, name, verb, event), amount in work.items():
        device, technology = ledger.devices[name], chosen[name]
        price = technology.event(event, device.n_out, device.n_in, device.settings)
        joules = None if price.energy_J is None else amount * price.energy_J
        part = part_of(device, technology)
        rows.append(Bill(kind, part, name, event, amount, joules, technology.stem, verb))
    parts = {part_of(d, chosen[name]): chosen[name] for name, d in ledger.devices.items()}
    for kind, time_s in on_s.items():
        for part, technology in parts.items():
            if technology.idle_W is None or technology.idle_W > 0:
                joules = None if technology.idle_W is None else time_s * technology.idle_W
                rows.append(Bill(kind, part, part, STANDING, time_s, joules, technology.stem))
    return rows


def total_J(rows: Iterable[Bill], kind: str | None = None) -> float:
    """Return the joules of all rows that are metered or modelled, or of those of one kind."""
    return sum(r.energy_J or 0.0 for r in rows if kind is None or r.kind == kind)


def converters(device: Installed, technology: Technology) -> dict[str, dict[str, Any]]:
    """Return the prices that follow a device's settings, and not the technology file alone."""
    found: dict[str, dict[str, Any]] = {}
    for name in technology.events:
        row = technology.event(name, device.n_out, device.n_in, device.settings)
        if row.converter:
            price = {"energy_J": row.energy_J, "latency_s": row.latency_s}
            found[name] = {**price, "source": row.source}
    return found


def area_m2(ledger: Ledger, chosen: Mapping[str, Technology]) -> dict[str, float | None]:
    """Return the area of every part, None where its technology states none.

    A part that is built of units, an array with its converters, takes up their areas, as far as
    the technology states them.
    """
    found: dict[str, float | None] = {}
    for name, device in ledger.devices.items():
        technology, part = chosen[name], part_of(device, chosen[name])
        area = technology.area_m2
        for event, count in ledger.units.get(name, {}).items():
            if event in technology.events:
                each = technology.event(event, device.n_out, device.n_in, device.settings).area_m2
                area = area if each is None else (area or 0.0) + count * each
        earlier = found.get(part)
        # Devices of one part that are built of units are side by side; others are that one part.
        if earlier is not None and area is not None and name in ledger.units:
            area += earlier
        found[part] = area if area is not None else earlier
    return found
