"""What a sweep varies: lists, ranges and seeds by dotted keys, as axes that a grid multiplies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from ..devices import Seed
from .places import Path, Source, shown
from .settings import anchored

FORMS = ("log", "linear", "count")
"""A table with one of these keys is a range; any other table leads to further keys."""
MOST_VALUES = 1_000_000
TECHNOLOGY = "technology"
_TAKES = (
    "takes a list of values, { linear = [low, high], n = 5 }, { log = [low, high], n = 5 } or, "
    "for seed, { count = 5 }"
)


@dataclass(frozen=True)
class Axis:
    """Keys whose values change together: one key in a grid, several when zipped or sampled."""

    keys: tuple[Path, ...]
    values: tuple[tuple[Any, ...], ...]
    """One tuple a position, in the order of the keys."""
    drawn: bool = False
    """Whether the keys were drawn independently; else they follow the first."""

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Range:
    """An interval of numbers, linear or logarithmic; whole where the field takes no others."""

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: float) -> float | int:
        """Return the value after a share from 0 to 1 of the interval."""
        if self.log:
            value = self.low * math.pow(self.high / self.low, share)
        else:
            value = self.low + (self.high - self.low) * share
        if self.whole:
            return round(value)
        return min(max(float(f"{value:.12g}"), self.low), self.high)


def dotted(path: Path) -> str:
    """Return the keys that lead to a value, as a file writes them."""
    return ".".join(f'"{step}"' if "." in step else step for step in path)


def split(key: str) -> Path:
    """Return the keys of a dotted one; a technology's file may have a point in its name."""
    first, _, rest = key.partition(".")
    if first == TECHNOLOGY:
        for inside in (".event.", ".parameter.", ".idle_W", ".area_m2"):
            stem, found, _ = (
                rest.rpartition(inside) if inside[-1] != "." else rest.partition(inside)
            )
            if found:
                end = rest[len(stem) + 1 :]
                return (TECHNOLOGY, stem.strip('" '), *end.split("."))
    return tuple(step.strip().strip('"') for step in key.split("."))


def leaves(given: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Path, Any]]:
    """Yield (where it stands, the keys that it varies, its values) of a table of parameters."""
    for key, value in given.items():
        place = (*above, key)
        if isinstance(value, dict) and value and not set(FORMS) & set(value):
            yield from leaves(value, place)
        else:
            yield place, split(".".join(place)), value


def place_of(at: Source, table: Path, path: Path) -> Path:
    """Return where a key stands in a table of the file, however it is written; else the table."""
    for written in ((dotted(path),), (".".join(path),), path):
        if at.has((*table, *written)):
            return (*table, *written)
    return table


Whole = Callable[[Path, float], bool]
"""Tells whether a key refuses a number that is not whole."""


class Reader:
    """Reads the parameters of one table of a file."""

    def __init__(self, at: Source, table: Path, seed: int, folder: File, whole: Whole):
        self.at, self.table, self.seed, self.folder, self.whole = at, table, seed, folder, whole

    def parameters(self, given: Mapping[str, Any]) -> dict[Path, Any]:
        """Return the values that each key is given. Raises BadInput where one comes twice."""
        found: dict[Path, Any] = {}
        for place, path, value in leaves(given):
            if not all(path):
                raise self.at.bad((*self.table, *place), f"{shown(place[-1])} is no key")
            if path in found:
                raise self.at.bad((*self.table, *place), f"{dotted(path)} is there twice")
            found[path] = value
        if not found:
            raise self.at.bad(self.table, f"[{dotted(self.table)}] is empty: {_EMPTY}")
        return found

    def bad(self, path: Path, sentence: str) -> ValueError:
        """Return the error about one key."""
        return self.at.bad(place_of(self.at, self.table, path), sentence)

    def listed(self, path: Path, value: Any) -> tuple[Any, ...]:
        """Return the values of a key in a grid."""
        key = dotted(path)
        if isinstance(value, list):
            if not value:
                raise self.bad(path, f"{key} has no values: {_EMPTY}")
            return tuple(anchored({path[-1]: v}, self.folder, path[:-1])[path[-1]] for v in value)
        if isinstance(value, dict) and "count" in value:
            return self._seeds(path, value)
        found = self.range(path, value, ("n",))
        n = value.get("n")
        if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MOST_VALUES:
            raise self.bad(
                path, f"{key}: n takes a whole number from 2 to {MOST_VALUES:,}, got {shown(n)}"
            )
        return tuple(dict.fromkeys(found.at(k / (n - 1)) for k in range(n)))

    def _seeds(self, path: Path, value: Mapping[str, Any]) -> tuple[Any, ...]:
        count, key = value["count"], dotted(path)
        if path[-1] != "seed" or set(value) != {"count"}:
            raise self.bad(path, f"{key}: count is for seeds, alone, as seed = {{ count = 5 }}")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_VALUES:
            raise self.bad(path, f"{key}: count takes a whole number from 1, got {shown(count)}")
        return tuple(range(self.seed, self.seed + count))

    def range(self, path: Path, value: Any, also: tuple[str, ...] = ()) -> Range:
        """Return the interval of a table. Raises BadInput for whatever is wrong in it."""
        key = dotted(path)
        if not isinstance(value, dict) or len({"log", "linear"} & set(value)) != 1:
            raise self.bad(path, f"{key} {_TAKES}, got {shown(value)}")
        form = "log" if "log" in value else "linear"
        for other in value:
            if other not in (form, *also):
                raise self.bad(path, f"{key} {_TAKES}, got {shown(value)}")
        bounds = value[form]
        if not isinstance(bounds, list) or len(bounds) != 2 or not all(map(_is_number, bounds)):
            raise self.bad(
                path, f"{key}: {form} takes [low, high], two numbers, got {shown(bounds)}"
            )
        low, high = bounds
        if not low < high or (form == "log" and low <= 0):
            above = " and low above 0" if form == "log" else ""
            raise self.bad(path, f"{key}: {form} takes low below high{above}, got {shown(bounds)}")
        ints = isinstance(low, int) and isinstance(high, int)
        return Range(low, high, form == "log", ints and self.whole(path, low + 0.5))

    def grid(self, given: Mapping[str, Any]) -> list[Axis]:
        """Return one axis for each key."""
        found = self.parameters(given)
        return [
            Axis((path,), tuple((v,) for v in self.listed(path, value)))
            for path, value in found.items()
        ]

    def zipped(self, given: Mapping[str, Any]) -> Axis:
        """Return the one axis of keys that change together. Raises BadInput for other lengths."""
        found = {path: self.listed(path, v) for path, v in self.parameters(given).items()}
        lengths = {dotted(path): len(values) for path, values in found.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{key} has {n}" for key, n in lengths.items())
            raise self.at.bad(self.table, f"zipped keys take as many values each; {said}")
        return Axis(tuple(found), tuple(zip(*found.values(), strict=True)))

    def sampled(self, given: Mapping[str, Any]) -> Axis:
        """Return the one axis of keys that are drawn; a larger count keeps earlier points."""
        given = dict(given)
        count = given.pop("count", None)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_VALUES:
            raise self.at.bad(
                (*self.table, "count"), f"count takes how many points to draw, got {shown(count)}"
            )
        columns = []
        found = self.parameters(given)
        for path, value in found.items():
            stream = Seed(self.seed).child("sweep").child(dotted(path))
            choices = self.listed(path, value) if isinstance(value, list) else ()
            interval = None if choices else self.range(path, value)
            column = []
            for k in range(count):
                share = float(stream.rng(k).random())
                if interval is None:
                    column.append(choices[int(share * len(choices))])
                elif interval.whole:  # every whole number as likely, at its ends too
                    wide = Range(interval.low - 0.5, interval.high + 0.5, interval.log, True)
                    drawn = wide.at(share) if not interval.log else interval.at(share)
                    column.append(int(min(max(drawn, interval.low), interval.high)))
                else:
                    column.append(interval.at(share))
            columns.append(column)
        return Axis(tuple(found), tuple(zip(*columns, strict=True)), drawn=True)


_EMPTY = 'give what varies, as "weight.read_noise" = [0.0, 1.0]'


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
