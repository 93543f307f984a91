"""A sweep as it is read: its points, what varied in them, the best of them, the Pareto front."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..devices.technology import load
from .places import BadInput
from .search_file import Constraint, Search
from .sweep_axes import TECHNOLOGY, split
from .sweep_measures import MEASURES, Measure, measure
from .sweep_run import open_plan
from .sweep_store import POINTS, read_rows
from .units import number

SWEEP = "sweep"
"""The key that tells two sweeps apart when they stand side by side."""
_UNITS = {
    "_S": "S",
    "_ohm": "Ω",
    "_s": "s",
    "_W": "W",
    "_J": "J",
    "_V": "V",
    "_Hz": "Hz",
    "_m": "m",
    "_m2": "m²",
    "_counts": "counts",
    "_lsb": "LSB",
    "_bits": "bits",
}


@dataclass(frozen=True)
class Row:
    """A finished point."""

    point: str
    training: str
    values: Mapping[str, Any]
    measures: Mapping[str, float | None]
    notes: Sequence[str]

    def of(self, name: str) -> float | None:
        """Return a measure, None where the point has none or it is infinite."""
        value = self.measures.get(name)
        return None if value is None or math.isinf(value) else value


@dataclass(frozen=True)
class Results:
    """All that a sweep's folder holds."""

    name: str
    folder: Path
    keys: Sequence[str]
    leads: Sequence[str]
    """The keys that others follow where they were zipped, seeds left out."""
    rows: Sequence[Row]
    gone: Sequence[Mapping[str, Any]]
    """Points without measures: wrong, failed or pruned, with the reason."""
    total: int
    objectives: Sequence[Measure]
    constraints: Sequence[Constraint]
    search: bool
    text: Mapping[str, Any] = field(repr=False, default_factory=dict)
    importances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    digest: str = ""

    @cached_property
    def measures(self) -> list[Measure]:
        """The measures that at least one point has a finite number for, main's before arms'."""
        names = list(dict.fromkeys(name for row in self.rows for name in row.measures))
        names = [n for n in names if any(row.of(n) is not None for row in self.rows)]
        known = list(MEASURES)
        return [measure(n) for n in sorted(names, key=lambda n: (n.count("."), _order(known, n)))]

    @property
    def trainings(self) -> int:
        """How many trainings the points took."""
        return len({row.training for row in self.rows})

    def kept(self, row: Row) -> bool:
        """Whether a point keeps all constraints."""
        values = [(c, row.of(c.measure)) for c in self.constraints]
        return all(value is not None and c.excess(value) <= 0 for c, value in values)

    def front(self, measures: Sequence[Measure]) -> list[Row]:
        """Return the points that keep the constraints and that no other beats in all measures."""
        signs = [-1.0 if m.higher else 1.0 for m in measures]
        found = []
        for row in filter(self.kept, self.rows):
            values = [row.of(m.name) for m in measures]
            if None not in values:
                pairs = zip(values, signs, strict=True)
                found.append((tuple(v * s for v, s in pairs if v is not None), row))
        found.sort(key=lambda pair: pair[0])
        front: list[tuple[tuple[float, ...], Row]] = []
        for losses, row in found:
            if not any(_beats(other, losses) for other, _ in front):
                front.append((losses, row))
        return [row for _, row in front]

    def levels(self, key: str) -> list[Any]:
        """Return the values of a key that finished points have, in order."""
        found: dict[str, Any] = {}
        for row in self.rows:
            if key in row.values:
                found.setdefault(repr(row.values[key]), row.values[key])
        values = list(found.values())
        lists = [v for v in values if isinstance(v, list) and numeric([*v, 0])]
        return sorted(values) if numeric(values) or len(lists) == len(values) else values

    def beside(self, other: Results) -> Results:
        """Return both sweeps as one, told apart by the key "sweep"."""
        mine, its = self.name, other.name
        if mine == its:
            mine, its = str(self.folder), str(other.folder)
        rows = [
            replace(row, values={SWEEP: name, **row.values})
            for name, one in ((mine, self), (its, other))
            for row in one.rows
        ]
        keys = [SWEEP, *dict.fromkeys([*self.keys, *other.keys])]
        return Results(
            f"{mine} beside {its}",
            self.folder,
            keys,
            [SWEEP, *dict.fromkeys([*self.leads, *other.leads])],
            rows,
            [*self.gone, *other.gone],
            self.total + other.total,
            self.objectives,
            self.constraints,
            self.search and other.search,
            self.text,
        )


def read(folder: Path) -> Results:
    """Return what a sweep's folder holds so far; it may be at work. Raises BadInput."""
    plan = open_plan(folder)
    rows, gone = [], []
    for row in read_rows(folder / POINTS):
        if "measures" not in row:
            gone.append(row)
            continue
        try:
            found = {k: number(v) for k, v in row["measures"].items()}
            values, notes = dict(row["values"]), list(row["notes"])
            rows.append(Row(row["point"], row["training"], values, found, notes))
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadInput(f"{folder / POINTS}: a point is damaged: {wrong}") from wrong
    if not isinstance(plan, Search):
        places = {p.key: k for k, p in enumerate(plan.points())}
        rows.sort(key=lambda row: places.get(row.point, len(places)))
    shares: Mapping[str, Mapping[str, float]] = {}
    if isinstance(plan, Search) and rows:
        from .search_study import importances

        shares = importances(plan, folder)
    return Results(
        name=plan.name,
        folder=folder,
        keys=plan.keys,
        leads=[key for key in plan.leads if not key.endswith("seed")],
        rows=rows,
        gone=gone,
        total=len(plan),
        objectives=plan.objectives if isinstance(plan, Search) else [MEASURES["accuracy"]],
        constraints=plan.constraints if isinstance(plan, Search) else [],
        search=isinstance(plan, Search),
        text=plan.raw,
        importances=shares,
        digest=plan.digest,
    )


def _order(known: Sequence[str], name: str) -> int:
    return known.index(name.rpartition(".")[2])


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def numeric(values: Sequence[Any]) -> bool:
    """Whether all values are numbers, at least two of them."""
    plain = [isinstance(v, (int, float)) and not isinstance(v, bool) for v in values]
    return len(values) > 1 and all(plain)


def unit_of(key: str) -> str:
    """Return the unit of a key that varies; empty for what has none."""
    path = split(key)
    if path[0] == TECHNOLOGY and path[2:3] == ("parameter",):
        try:
            unit = load(path[1]).parameters[path[3]].unit
        except (ValueError, KeyError, OSError):
            return ""
        return "" if unit == "1" else unit
    ends = [end for end in _UNITS if path[-1].endswith(end)]
    return _UNITS[max(ends, key=len)] if ends else ""


def titled(key: str) -> str:
    """Return a key with its unit, as an axis says it."""
    unit = unit_of(key)
    return f"{key} ({unit})" if unit else key


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a measure over points that differ in the seed alone."""

    mean: float
    std: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value; the std of a sample, 0 for one alone."""
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return Spread(math.fsum(values) / len(values), std, len(values))


def over_seeds(results: Results) -> list[tuple[dict[str, Any], list[Row]]]:
    """Return the points in groups that differ in seeds alone, with the values they share."""
    groups: dict[str, tuple[dict[str, Any], list[Row]]] = {}
    for row in results.rows:
        shared = {k: v for k, v in row.values.items() if not k.endswith("seed")}
        groups.setdefault(repr(sorted(shared.items(), key=str)), (shared, []))[1].append(row)
    return list(groups.values())
