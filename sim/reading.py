"""Figures that are read off an arm of a report, for its findings, its plots and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .units import number

Arm = Mapping[str, Any]


def cost_curve(arm: Arm, key: str) -> list[float | None]:
    """Return energy_J or latency_s by epoch, at the prices that the report is read with.

    The curve was written at the run's own prices; read at others it is scaled to their total,
    which is exact because all epochs take the same steps.
    """
    written = [number(row[key]) for row in arm["curve"]]
    total = arm["energy"]["train_J"] if key == "energy_J" else arm["latency"]["train_s"]
    last = written[-1] if written else None
    if not last:
        return [None] * len(written)
    return [None if w is None else w * (total / last) for w in written]


def unmetered(arm: Arm, kind: str = "train") -> dict[str, list[str]]:
    """Return by technology the events that took place and that nobody has metered."""
    found: dict[str, list[str]] = {}
    for row in arm["energy"]["rows"]:
        if row["kind"] == kind and row["energy_J"] is None:
            events = found.setdefault(row["technology"], [])
            if row["event"] not in events:
                events.append(row["event"])
    return found


def measured_share(arm: Arm) -> float | None:
    """Return the share of the working time in a training step that hardware was measured for.

    None where no training step took time.
    """
    slices = arm["timeline"]["slices"] if arm["timeline"] else []
    whole_s = sum(s["stop_s"] - s["start_s"] for s in slices)
    modelled_s = sum(s["stop_s"] - s["start_s"] for s in slices if not s["measured"])
    return 1.0 - modelled_s / whole_s if whole_s else None


def event_times(slices: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return seconds and depth of each event in modelled operations.

    Of the events of an operation that overlap only the longest takes time.
    """
    found: dict[str, tuple[float, float]] = {}
    for s in slices:
        timed = [e for e in s.get("events", ()) if e["latency_s"] is not None]
        if s["measured"]:
            continue
        overlapping = [e for e in timed if e["overlaps"]]
        alone = [e for e in timed if not e["overlaps"]]
        if overlapping:
            alone.append(max(overlapping, key=lambda e: e["latency_s"]))
        for event in alone:
            time_s, depth = found.get(event["event"], (0.0, 0.0))
            found[event["event"]] = (time_s + event["latency_s"], depth + event["depth"])
    return found
