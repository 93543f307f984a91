"""What a point of a sweep is measured by: names, units, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..devices.ledger import Ledger, Step
from ..devices.release import Release
from .fabric_time import fabric_bill, time_fabric
from .pricing import area_m2, bill, part_of, technologies, total_J
from .privacy import statements
from .tables_fabric import FabricTable
from .timing import replay_all
from .units import count, epsilon, number, percent, si


@dataclass(frozen=True)
class Measure:
    """One number that every finished point has, or has not where nobody knows it."""

    name: str
    title: str
    unit: str
    """"J", "s", "m2", "%" for a share, "" for what is counted."""
    higher: bool
    """Whether more of it is better."""

    def said(self, value: float | str | None) -> str:
        """Return the value as people read it."""
        found = number(value)
        if found is None:
            return "-"
        if self.unit == "%":
            return percent(found)
        if self.name.endswith("epsilon"):
            return epsilon(found)
        return si(found, self.unit) if self.unit else count(found)


MEASURES = {
    m.name: m
    for m in (
        Measure("accuracy", "test accuracy", "%", True),
        Measure("validation_accuracy", "validation accuracy", "%", True),
        Measure("chip_accuracy", "accuracy on chips", "%", True),
        Measure("energy_J", "training energy", "J", False),
        Measure("latency_s", "training time on the hardware", "s", False),
        Measure("inference_J", "energy of an evaluated sample", "J", False),
        Measure("inference_s", "time of an evaluated sample", "s", False),
        Measure("area_m2", "area", "m2", False),
        Measure("epsilon", "epsilon of the whole gradient", "", False),
        Measure("loss", "training loss of the last epoch", "", False),
        Measure("epochs", "epochs", "", False),
    )
}


def measure(name: str) -> Measure:
    """Return a measure by its name, with the arm that it is of before a point if it is not main.

    Raises KeyError where there is none.
    """
    arm, point, own = name.rpartition(".")
    found = MEASURES[own]
    if not point:
        return found
    return Measure(name, f"{found.title}, {arm}", found.unit, found.higher)


def read(
    result: Mapping[str, Any], ledger: Ledger, delta: float, fabric: FabricTable
) -> dict[str, float | None]:
    """Return the measures of one arm from its result and ledger, at the ledger's technologies.

    Its steps are timed on the fabric, where that names one.

    None where the run has no such number, infinity where nothing is promised. Raises ValueError
    where a technology lacks a price.
    """
    chosen = technologies(ledger)
    seconds = {step: line.makespan_s for step, line in replay_all(ledger, chosen).items()}
    rows = bill(ledger, chosen, seconds)
    if fabric.use:
        timed = time_fabric(ledger, chosen, fabric)
        kinds = {step.kind for step in timed.steps}
        rows = [r for r in rows if r.kind not in kinds] + fabric_bill(timed, ledger, chosen)
        seconds = {**seconds, **timed.seconds}
    evaluated = ledger.samples("evaluate")
    areas = [area for area in area_m2(ledger, chosen).values() if area is not None]
    losses = [row["loss"] for row in result["curve"] if row["loss"] is not None]
    return {
        "accuracy": result["accuracy"]["test"],
        "validation_accuracy": result["accuracy"].get("validation"),
        "chip_accuracy": _on_chips(result),
        "energy_J": total_J(rows, "train"),
        "latency_s": _total_s(ledger, seconds, "train"),
        "inference_J": total_J(rows, "evaluate") / evaluated if evaluated else None,
        "inference_s": _total_s(ledger, seconds, "evaluate") / evaluated if evaluated else None,
        "area_m2": math.fsum(areas) if areas else None,
        "epsilon": promised(frozenset(ledger.releases().items()), delta),
        "loss": losses[-1] if losses else None,
        "epochs": result["epochs"],
    }


def _total_s(ledger: Ledger, seconds: Mapping[Step, float], kind: str) -> float:
    """Return the time of all steps of a kind, one after another."""
    return sum(t.times * seconds[s] for s, t in ledger.steps.items() if s.kind == kind)


def _on_chips(result: Mapping[str, Any]) -> float | None:
    """Return the mean over chips and reads at the last time, by the last way to make up for drift.

    None where [deploy] names no chip.
    """
    if "deploy" not in result:
        return None
    *_, last = result["deploy"]["accuracy"].values()
    reads = [accuracy for chip in last[-1] for accuracy in chip]
    return math.fsum(reads) / len(reads)


@lru_cache(maxsize=4096)
def promised(releases: frozenset[tuple[tuple[Release, ...], int]], delta: float) -> float:
    """Return the least epsilon that is stated of the whole gradient; infinity where none is.

    Composing takes seconds, and points that differ in seeds or prices release the same.
    """
    found = [s.epsilon for s in statements(dict(releases), delta) if "whole" in s.name]
    return min(found, default=math.inf)


def unmetered(ledger: Ledger) -> list[str]:
    """Return the events that training counted and that nobody has metered, and idle parts."""
    chosen = technologies(ledger)
    found: dict[str, None] = {}
    for step in ledger.steps:
        if step.kind != "train":
            continue
        for op in step.ops:
            device, technology = ledger.devices[op.device], chosen[op.device]
            for event, _ in op.depths:
                price = technology.event(event, device.n_out, device.n_in, device.settings)
                if price.energy_J is None:
                    found[f"{technology.stem}: {event}"] = None
    for technology in chosen.values():
        if technology.idle_W is None:
            found[f"{technology.stem}: standing power"] = None
    return list(found)


def unmeasured(ledger: Ledger) -> list[str]:
    """Return the technologies of parts whose area nobody states."""
    chosen = technologies(ledger)
    parts = {part_of(device, chosen[name]): chosen[name] for name, device in ledger.devices.items()}
    areas = area_m2(ledger, chosen)
    return sorted({parts[part].stem for part, area in areas.items() if area is None})
