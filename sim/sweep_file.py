"""A file that sweeps or searches: an experiment, and what varies in it, checked whole."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from .experiment import BadInput, read_tables
from .places import Path, Source, shown
from .sweep_axes import TECHNOLOGY, Axis, Reader, dotted, place_of
from .sweep_points import Point, point
from .tables import table_at

MOST_POINTS = 100_000
"""A larger grid is taken for a slip, unless `--yes` says otherwise."""


@dataclass(frozen=True)
class Sweep:
    """Every combination of the axes' positions, over a base experiment."""

    base: Mapping[str, Any]
    """The experiment that the points change."""
    axes: Sequence[Axis]
    raw: Mapping[str, Any]
    """The whole file as it was read."""
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

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.axes)

    @property
    def keys(self) -> list[str]:
        """The dotted keys that vary, in the order of the file."""
        return [dotted(path) for axis in self.axes for path in axis.keys]

    @property
    def leads(self) -> list[str]:
        """The keys that the others follow: of zipped ones the first."""
        return [dotted(p) for a in self.axes for p in (a.keys if a.drawn else a.keys[:1])]

    def points(self) -> Iterator[Point]:
        """Yield every point, the last axis fastest. None of them is checked."""
        for k in range(len(self)):
            yield self.point(k)

    def point(self, k: int) -> Point:
        """Return point number `k`."""
        return self._at(k, self.where)

    def _at(self, k: int, where: str) -> Point:
        values: dict[Path, Any] = {}
        places = []
        for axis in reversed(self.axes):
            k, position = divmod(k, len(axis))
            places.append((axis, position))
        for axis, position in reversed(places):
            values.update(zip(axis.keys, axis.values[position], strict=True))
        return point(self.base, values, where)

    def check(self) -> None:
        """Raise BadInput where a value does not fit the experiment.

        Every position of every axis is checked beside the first positions of the others.
        """
        strides = [math.prod(len(a) for a in self.axes[i + 1 :]) for i in range(len(self.axes))]
        for axis, stride in zip(self.axes, strides, strict=True):
            for position in range(len(axis)):
                try:
                    assert self._at(position * stride, "").training
                except BadInput as wrong:
                    raise self._blamed(axis, position, wrong) from wrong

    def _blamed(self, axis: Axis, position: int, wrong: BadInput) -> BadInput:
        """Return the error with the place of the key that it names."""
        said = str(wrong).removeprefix(": ")
        pairs = list(zip(axis.keys, axis.values[position], strict=True))
        for other in self.axes:
            pairs += zip(other.keys, other.values[0], strict=True)
        named = {p: p[1] if p[0] == TECHNOLOGY else p[-1] for p, _ in pairs}
        mine = (p for p in pairs if re.search(rf"\b{re.escape(named[p[0]])}\b", said))
        path, value = next(mine, pairs[0])
        tables: tuple[Path, ...] = (("sweep",), ("sweep", "sample"), ("sweep", "zip"))
        places = [place_of(self.at, table, path) for table in tables]
        place = next((p for p in places if p not in tables), ("sweep",))
        return self.at.bad(place, f"{dotted(path)} = {shown(value)}: {said}")


def digest_of(raw: Mapping[str, Any]) -> str:
    """Return a hash of a file's tables."""
    text = json.dumps(raw, sort_keys=True, default=str)
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def tables_of(path: File, settings: Sequence[str] = ()) -> tuple[dict[str, Any], Source]:
    """Return the tables of a file with either [sweep] or [search]. Raises BadInput."""
    raw, at = read_tables(path, settings)
    both = [key for key in ("sweep", "search") if key in raw]
    if len(both) != 1:
        said = "has both: give each a file" if both else "has neither: hwloop run runs it"
        raise BadInput(f"{path}: hwloop sweep takes a file with [sweep] or [search]; it {said}")
    return raw, at


def sweep_of(raw: Mapping[str, Any], at: Source, folder: File) -> Sweep:
    """Return the checked sweep of a file's tables; its relative paths start at `folder`.

    Raises BadInput with the place in the file for whatever is wrong in it.
    """
    base = {key: value for key, value in raw.items() if key != "sweep"}
    given = dict(table_at(at, ("sweep",), raw["sweep"]))
    zips, sample = given.pop("zip", []), given.pop("sample", None)
    reader = reader_of(base, at, ("sweep",), folder)
    axes: list[Axis] = []
    if given or (zips in ([], {}) and sample is None):
        axes += reader.grid(given)
    for group in zips if isinstance(zips, list) else [zips]:
        inside = reader_of(base, at, ("sweep", "zip"), folder)
        axes.append(inside.zipped(table_at(at, ("sweep", "zip"), group)))
    if sample is not None:
        inside = reader_of(base, at, ("sweep", "sample"), folder)
        axes.append(inside.sampled(table_at(at, ("sweep", "sample"), sample)))
    keys = [path for axis in axes for path in axis.keys]
    for path in keys:
        if keys.count(path) > 1:
            raise at.bad(("sweep",), f"{dotted(path)} is varied twice")
    found = Sweep(base, axes, raw, at.where, at)
    found.check()
    return found


def reader_of(base: Mapping[str, Any], at: Source, table: Path, folder: File) -> Reader:
    """Return what reads the parameters of one table of a file."""
    seed = base.get("seed", 0)

    def whole(path: Path, probe: float) -> bool:
        """Whether the experiment takes no number with a fraction there, and takes whole ones."""
        return _takes(base, path, math.floor(probe)) and not _takes(base, path, probe)

    return Reader(at, table, seed if isinstance(seed, int) else 0, folder, whole)


def _takes(base: Mapping[str, Any], path: Path, value: float) -> bool:
    try:
        assert point(base, {path: value}, "").experiment
    except BadInput:
        return False
    return True
