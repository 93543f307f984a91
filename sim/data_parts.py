"""The parts of a data set: stratified, and fixed by the names of a seed's streams."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ..devices.arrays import Array
from ..devices.seeds import Seed
from .data_formats import Raw

Part = Literal["train", "validation", "test"]

_TEST_FRACTION = 0.25


def stratified_order(y: Array, rng: np.random.Generator) -> Array:
    """Return 0 .. len(y) - 1 in a random order of which every prefix is stratified.

    A prefix holds one row of each class first, and then shares its places by class size
    (Sainte-Lague: the k-th row of a class of m stands at (k - 1/2) / m).
    """
    shuffled = rng.permutation(len(y))
    labels = y[shuffled]
    counts = np.bincount(labels)
    k = np.empty(len(y))
    first = np.cumsum(counts) - counts
    k[np.argsort(labels, kind="stable")] = np.arange(len(y)) - np.repeat(first, counts)
    place = np.where(k == 0, 0.0, (k + 0.5) / counts[labels])
    return shuffled[np.argsort(place, kind="stable")]


def parts_of(
    name: str,
    raw: Raw,
    seed: Seed,
    limit_train: int | None,
    limit_test: int | None,
    validation: float,
) -> dict[Part, Array]:
    """Return the rows of each part, as `hwloop.sim.data.load` describes them.

    Raises ValueError where a limit exceeds its part, or a class has no row to train on.
    """
    train, test, held_out = raw.train, raw.test, raw.validation
    if len(raw.classes) < 2:
        raise ValueError(
            f"every row of {name} is of class {raw.classes[0]!r}; it takes two classes or more"
        )
    if not test.size:
        order = stratified_order(raw.y, seed.child("split").rng())
        n_test = math.ceil(_TEST_FRACTION * len(order))
        train, test = np.sort(order[:-n_test]), np.sort(order[-n_test:])
    train = _limited(name, "limit_train", raw.y, train, limit_train, seed)
    test = _limited(name, "limit_test", raw.y, test, limit_test, seed)
    if validation > 0:
        if held_out.size:
            raise ValueError(
                f"{name} has an official validation part of {len(held_out)} rows; it takes "
                f"validation=0, got {validation}"
            )
        n = max(1, round(validation * len(train)))
        order = train[stratified_order(raw.y[train], seed.child("validation").rng())]
        train, held_out = np.sort(order[:-n]), np.sort(order[-n:])
    absent = np.flatnonzero(np.bincount(raw.y[train], minlength=len(raw.classes)) == 0)
    if absent.size:
        raise ValueError(
            f"class {raw.classes[absent[0]]!r} of {name} has no row among the {len(train)} of "
            f"the training part; it takes one or more of each of the {len(raw.classes)} classes"
        )
    return {"train": train, "validation": held_out, "test": test}


def _limited(name: str, what: str, y: Array, rows: Array, limit: int | None, seed: Seed) -> Array:
    if limit is None:
        return rows
    if limit > len(rows):
        raise ValueError(f"{what} is {limit}; {name} has {len(rows)} rows in that part")
    order = stratified_order(y[rows], seed.child(what).rng())
    return np.sort(rows[order[:limit]])
