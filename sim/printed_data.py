"""Data as the literature on printed classifiers prepares them: words of a few bits.

Every feature is scaled to 0 .. 0.9 and taken as round(2^bits * x), 0 to 14 at four bits; 70 % of
the rows train and 30 % test, stratified, by scikit-learn's split with random state 42 (Afentaki
et al., ICCAD 2023, in their code). The scale is measured on the training rows alone here, so that
a test row may lie outside: the converter saturates there. The Breast Cancer file of that
literature carries the sample number as a tenth feature; the set known here does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from .data import load

TEST_SHARE, RANDOM_STATE, FULL_SCALE = 0.3, 42, 0.9


@dataclass(frozen=True, eq=False)
class Words:
    """A classification set whose features are unsigned words.

    x_train, x_test (samples, features) int32; y_train, y_test (samples,) int64 from 0.
    `saturated` is how many words of the test part lay outside what the training part spans.
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    bits: int
    classes: tuple[str, ...]
    source: str
    licence: str
    saturated: int
    notes: tuple[str, ...]

    @property
    def features(self) -> int:
        """How many words an input has."""
        return int(self.x_train.shape[1])


def words(name: str, bits: int = 4, path: Path | None = None, column: str | None = None) -> Words:
    """Return a set known to `hwloop.sim.data`, or a table of one's own, as words of `bits` bits.

    Official parts are joined first, as the literature does. Raises ValueError where the set is
    unknown or no table of features, and where a class is missing in a part of the split.
    """
    from sklearn.model_selection import train_test_split

    data = load(name, seed=Seed(), scale="none", path=path, column=column)
    if data.graph is not None or len(data.shape) != 1:
        raise ValueError(f"{name} is no table of features; a printed circuit takes one")
    counts = np.bincount(data.y, minlength=data.n_classes)
    if counts.min() < 2:
        few = data.classes[int(counts.argmin())]
        raise ValueError(
            f"class {few!r} of {name} has {counts.min()} row; a stratified split takes two or more "
            "of each class"
        )
    train, test = train_test_split(
        np.arange(len(data.y)), test_size=TEST_SHARE, stratify=data.y, random_state=RANDOM_STATE
    )
    for part, rows in (("training", train), ("test", test)):
        absent = np.flatnonzero(np.bincount(data.y[rows], minlength=data.n_classes) == 0)
        if absent.size:
            raise ValueError(
                f"class {data.classes[absent[0]]!r} of {name} is missing in the {part} part of the "
                f"split, {len(rows)} rows; it has {counts[absent[0]]} rows in all"
            )
    x = data.x.astype(np.float64)
    low, high = x[train].min(0), x[train].max(0)
    span = np.where(high > low, high - low, 1.0)
    top = 2**bits - 1
    word = np.rint(2**bits * FULL_SCALE * (x - low) / span)
    outside = (x[test] < low) | (x[test] > high)
    clipped = np.clip(word, 0, top).astype(np.int32)
    return Words(
        name=name,
        x_train=clipped[train],
        y_train=data.y[train],
        x_test=clipped[test],
        y_test=data.y[test],
        bits=bits,
        classes=data.classes,
        source=data.source,
        licence=data.licence,
        saturated=int(outside.sum()),
        notes=data.notes,
    )
