"""[search] of a file: a space of parameters, objectives, constraints, and how to look for more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Annotated, Any, Literal

from pydantic import Field

from ..devices.words import unknown
from .places import BadInput, Path, Source, shown
from .sweep_axes import Axis, Range, dotted, place_of
from .sweep_file import digest_of, reader_of
from .sweep_measures import MEASURES, Measure, measure
from .sweep_points import Point, point
from .tables import Positive, Table, table_at, validated

_CONSTRAINT = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(>=|<=)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")


class SearchTable(Table):
    """[search] without its space."""

    objectives: list[str] = Field(min_length=1, max_length=4)
    constraints: list[str] = []
    trials: Annotated[int, Field(ge=1, le=100_000)] = 50
    sampler: Literal["tpe", "nsga2", "random"] | None = None
    """None: tpe for one objective, nsga2 for several."""
    prune: Literal["none", "median", "halving"] = "none"
    rungs: list[Positive] = []
    """Epochs after which the learning curve is looked at."""


@dataclass(frozen=True)
class Constraint:
    """A bound that a point must keep."""

    measure: str
    at_least: bool
    bound: float

    def excess(self, value: float) -> float:
        """Return by how much the bound is broken; 0 or less where it is kept."""
        return self.bound - value if self.at_least else value - self.bound

    def __str__(self) -> str:
        return f"{self.measure} {'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True)
class Dimension:
    """One thing to choose: a number of a range, or a position of an axis."""

    axis: Axis | None
    path: Path
    """The key; of zipped ones the first."""
    range: Range | None = None

    @property
    def name(self) -> str:
        """What the study calls it."""
        return dotted(self.path)

    @property
    def keys(self) -> tuple[Path, ...]:
        """The keys that it sets."""
        return (self.path,) if self.axis is None else self.axis.keys

    def values(self, chosen: float | int) -> dict[Path, Any]:
        """Return what it sets for a number of the range, or for a position."""
        if self.axis is not None:
            return dict(zip(self.axis.keys, self.axis.values[int(chosen)], strict=True))
        assert self.range is not None
        return {self.path: chosen if self.range.whole else float(f"{chosen:.12g}")}

    def ends(self) -> list[dict[Path, Any]]:
        """Return what it sets at both ends of the range, or at every position."""
        if self.axis is not None:
            return [self.values(k) for k in range(len(self.axis))]
        assert self.range is not None
        return [{self.path: self.range.at(share)} for share in (0.0, 1.0)]


@dataclass(frozen=True)
class Search:
    """A space over a base experiment, and what is wanted in it."""

    base: Mapping[str, Any]
    space: Sequence[Dimension]
    objectives: Sequence[Measure]
    constraints: Sequence[Constraint]
    table: SearchTable
    raw: Mapping[str, Any]
    where: str
    at: Source = field(repr=False, compare=False, default_factory=Source)

    @property
    def name(self) -> str:
        """What the file calls itself."""
        return str(self.base["name"])

    @property
    def digest(self) -> str:
        """A hash of the whole file, and of what was set on the command line."""
        return digest_of(self.raw)

    @property
    def keys(self) -> list[str]:
        """The dotted keys that vary, in the order of the file."""
        return [dotted(path) for dimension in self.space for path in dimension.keys]

    @property
    def leads(self) -> list[str]:
        """The keys that the others follow: of zipped ones the first."""
        return [dimension.name for dimension in self.space]

    @property
    def seed(self) -> int:
        """The seed that the sampler starts from."""
        return int(self.base.get("seed", 0))

    def __len__(self) -> int:
        return self.table.trials

    def point(self, values: Mapping[Path, Any]) -> Point:
        """Return the point of some values."""
        return point(self.base, values, self.where)

    def check(self) -> Point:
        """Return the point at the low ends. Raises BadInput where a value fits no experiment."""
        low = {k: v for dimension in self.space for k, v in dimension.ends()[0].items()}
        for dimension in self.space:
            for values in dimension.ends():
                try:
                    assert point(self.base, {**low, **values}, "").training
                except BadInput as wrong:
                    said = str(wrong).removeprefix(": ")
                    place = place_of(self.at, ("search", "space"), dimension.path)
                    value = shown(values[dimension.path])
                    raise self.at.bad(place, f"{dimension.name} = {value}: {said}") from wrong
        return self.point(low)


def search_of(raw: Mapping[str, Any], at: Source, folder: File) -> Search:
    """Return the checked search of a file's tables; its relative paths start at `folder`.

    Raises BadInput with the place in the file for whatever is wrong in it.
    """
    base = {key: value for key, value in raw.items() if key != "search"}
    given = dict(table_at(at, ("search",), raw["search"]))
    space = table_at(at, ("search", "space"), given.pop("space", {}))
    table: SearchTable = validated(at, ("search",), SearchTable, given, ("space",))
    arms = list(table_at(at, ("compare",), base.get("compare", {})))
    objectives = [_measure(at, "objectives", name, arms) for name in table.objectives]
    if len({m.name for m in objectives}) < len(objectives):
        raise at.bad(("search", "objectives"), "objectives names one twice")
    constraints = [_constraint(at, text, arms) for text in table.constraints]
    _check_pruning(at, table, objectives, base)
    search = Search(
        base, _space(base, at, folder, space), objectives, constraints, table, raw, at.where, at
    )
    search.check()
    return search


def _space(
    base: Mapping[str, Any], at: Source, folder: File, given: Mapping[str, Any]
) -> list[Dimension]:
    given = dict(given)
    zips = given.pop("zip", [])
    found = []
    if given or zips in ([], {}):
        reader = reader_of(base, at, ("search", "space"), folder)
        for path, value in reader.parameters(given).items():
            if isinstance(value, list):
                choices = tuple((v,) for v in reader.listed(path, value))
                found.append(Dimension(Axis((path,), choices), path))
            else:
                found.append(Dimension(None, path, reader.range(path, value)))
    for group in zips if isinstance(zips, list) else [zips]:
        place = ("search", "space", "zip")
        axis = reader_of(base, at, place, folder).zipped(table_at(at, place, group))
        found.append(Dimension(axis, axis.keys[0]))
    keys = [path for dimension in found for path in dimension.keys]
    for path in keys:
        if keys.count(path) > 1:
            raise at.bad(("search", "space"), f"{dotted(path)} is varied twice")
    return found


def _measure(at: Source, key: str, name: str, arms: Sequence[str]) -> Measure:
    known = [*MEASURES, *(f"{arm}.{m}" for arm in arms for m in MEASURES)]
    if name not in known:
        said = unknown("measure", name, known if "." in name else MEASURES)
        raise at.bad(("search", key), f"{key}: {said}")
    return measure(name)


def _constraint(at: Source, text: str, arms: Sequence[str]) -> Constraint:
    found = _CONSTRAINT.fullmatch(text)
    if found is None:
        said = 'constraints takes bounds as "accuracy >= 0.97" or "area_m2 <= 1e-6", got '
        raise at.bad(("search", "constraints"), said + shown(text))
    name, sign, bound = found.groups()
    _measure(at, "constraints", name, arms)
    return Constraint(name, sign == ">=", float(bound))


def _check_pruning(
    at: Source, table: SearchTable, objectives: Sequence[Measure], base: Mapping[str, Any]
) -> None:
    if table.prune == "none":
        if table.rungs:
            raise at.bad(
                ("search", "rungs"), 'rungs says when to prune: prune takes "median" or "halving"'
            )
        return
    if [m.name for m in objectives] not in (["accuracy"], ["validation_accuracy"]):
        raise at.bad(
            ("search", "prune"),
            f"prune {table.prune} looks at the learning curve, so objectives takes "
            '["accuracy"] or ["validation_accuracy"] alone',
        )
    if base.get("compare"):
        raise at.bad(("search", "prune"), "prune stops an experiment of one arm: drop [compare]")
    epochs = dict(table_at(at, ("train",), base.get("train", {}))).get("epochs", 20)
    rungs = table.rungs
    if (
        not rungs
        or sorted(set(rungs)) != rungs
        or not isinstance(epochs, int)
        or rungs[-1] >= epochs
    ):
        raise at.bad(
            ("search", "rungs"),
            f"rungs takes epochs in rising order, the last below the {epochs} of [train], as "
            f"[{max(1, int(epochs) // 4)}, {max(2, int(epochs) // 2)}]; got {shown(rungs)}",
        )
