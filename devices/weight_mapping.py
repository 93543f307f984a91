"""How a weight becomes the conductances of cells: pairs, a reference column, digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Array

Kind = Literal["differential", "balanced", "offset"]


@dataclass(frozen=True, slots=True)
class WeightMapping:
    """The cells of a weight from -1 to 1, as fractions of the range of conductance.

    differential: a pair, of which one cell is off. balanced: a pair whose two cells move by
    opposite amounts about the middle. offset: one cell that stands in the middle for zero, and a
    reference column that is subtracted after conversion. Over several slices a weight is a number
    in base `levels`, one digit a slice, the least significant first.
    """

    kind: Kind
    slices: int
    levels: int
    """Conductances that a write can aim at; 0: any."""

    @property
    def cells(self) -> int:
        """Columns of cells that each slice of a weight takes."""
        return 1 if self.kind == "offset" else 2

    @property
    def largest(self) -> int:
        """The largest number that all digits together can write; 1 where levels are continuous."""
        return self.levels**self.slices - 1 if self.levels else 1

    @property
    def weights(self) -> list[float]:
        """What each slice counts, so that the weight is their sum."""
        if not self.levels:
            return [self.factor]
        digit = self.factor * (self.levels - 1) / self.largest
        return [digit * self.levels**s for s in range(self.slices)]

    @property
    def factor(self) -> float:
        """The weight that a full cell stands for, above zero."""
        if self.kind != "offset":
            return 1.0
        return self.largest / (self.largest // 2) if self.levels else 2.0

    def fractions(self, w: Array) -> Array:
        """Return (slices, cells, n_out, n_in) from 0 to 1 for w (n_out, n_in) from -1 to 1."""
        if not self.levels:
            if self.kind == "differential":
                parts = [np.maximum(w, 0), np.maximum(-w, 0)]
            else:
                parts = [0.5 + 0.5 * w, 0.5 - 0.5 * w][: self.cells]
            return np.stack(parts)[None].astype(np.float32)
        top = self.largest
        if self.kind == "differential":
            whole = np.rint(np.abs(w) * top).astype(np.int64)
            numbers = [np.where(w > 0, whole, 0), np.where(w < 0, whole, 0)]
        elif self.kind == "balanced":
            whole = np.rint((0.5 + 0.5 * w) * top).astype(np.int64)
            numbers = [whole, top - whole]
        else:
            numbers = [np.rint(w * (top // 2)).astype(np.int64) + top // 2]
        digits = [
            [number // self.levels**s % self.levels for number in numbers]
            for s in range(self.slices)
        ]
        return np.asarray(digits, np.float32) / np.float32(self.levels - 1)

    def reference(self, n_in: int) -> Array:
        """Return the fractions (slices, 1, 1, n_in) of a reference column: of weight zero."""
        return self.fractions(np.zeros((1, n_in), np.float32))


def scales(w: Array, per_column: bool, percentile: float) -> Array:
    """Return the weight (n_out,) that full cells stand for: a percentile of the magnitudes.

    One for all outputs, or `per_column` one for each; 1 where all weights are 0. Weights beyond
    it are clipped.
    """
    size = np.abs(w)
    if percentile < 100:
        found = np.percentile(size, percentile, axis=1 if per_column else None)
    else:
        found = size.max(axis=1 if per_column else None)
    every = np.broadcast_to(np.asarray(found, np.float32), (len(w),))
    return np.where(every > 0, every, np.float32(1)).astype(np.float32)
