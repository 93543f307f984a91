"""How a matrix lies on arrays of limited size, and what one verb of a crossbar makes them do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .base import Can
from .ledger import Count
from .weight_mapping import WeightMapping

Lines = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tiles:
    """A matrix (n_out, n_in) cut into arrays: inputs drive rows, outputs are columns."""

    n_out: int
    n_in: int
    rows: int
    """Rows of an array."""
    outputs: int
    """Outputs that an array has columns for, beside its reference columns."""
    references: bool
    """Whether every array holds a reference column for each slice."""
    columns_per_adc: int

    @property
    def down(self) -> int:
        """Arrays that share an output."""
        return math.ceil(self.n_in / self.rows)

    @property
    def across(self) -> int:
        """Arrays that share an input."""
        return math.ceil(self.n_out / self.outputs)

    def turns(self, lines: int) -> int:
        """Return how many of `lines` lines that are read at once take turns at one ADC."""
        return min(self.columns_per_adc, lines)

    def reference_of(self) -> Lines:
        """Return the row (n_out,) of the reference column that serves each output."""
        return np.asarray(self.n_out + np.arange(self.n_out) // self.outputs)

    def blocks(self, forward: bool) -> Iterator[tuple[slice | Lines, slice]]:
        """Yield, array by array, the lines that are driven and where their drives stand."""
        if forward:
            for first in range(0, self.n_in, self.rows):
                part = slice(first, min(first + self.rows, self.n_in))
                yield part, part
            return
        start = 0
        for tile in range(self.across):
            lines = np.arange(tile * self.outputs, min((tile + 1) * self.outputs, self.n_out))
            if self.references:
                lines = np.append(lines, self.n_out + tile)
            yield lines, slice(start, start + len(lines))
            start += len(lines)

    def with_reference(self, drives: Array) -> Array:
        """Return drives (batch, n_out) with those of the reference columns, array by array.

        The reference column of an array is driven with minus the sum of the other drives, by as
        many drivers as that takes: this takes the middle of the range off every cell.
        """
        parts: list[Array] = []
        for first in range(0, self.n_out, self.outputs):
            part = drives[:, first : first + self.outputs]
            parts += [part, -part.sum(axis=1, keepdims=True)]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))


def cost_of(
    verb: Can, batch: int, planes: int, tiles: Tiles, mapping: WeightMapping
) -> dict[str, Count]:
    """Return the events of one verb on `batch` vectors that are driven `planes` times each.

    dac: a drive of one line of one array. cell_read: a cell that passes current during a drive.
    adc: a conversion. shift_add: a code added to an output. cell_write: a pulse. All arrays work
    at once, and in each all lines at once; ADCs take their columns one after another. Backwards,
    slices are read one after another, since they share the lines that sum. Writes go row by row.
    """
    reference = tiles.across if tiles.references else 0
    columns = (tiles.n_out * mapping.cells + reference) * mapping.slices
    cells = columns * tiles.n_in
    if verb is Can.PROGRAM:
        return {"cell_write": Count(cells, min(tiles.rows, tiles.n_in))}
    drives = batch * planes
    if verb is Can.MULTIPLY:
        lines = tiles.n_in * tiles.across
        conversions = (tiles.n_out + reference) * mapping.slices * tiles.down
        held = (min(tiles.outputs, tiles.n_out) + bool(reference)) * mapping.slices
        turns, passes = tiles.turns(held), 1
    else:
        lines = columns * tiles.down
        conversions = tiles.n_in * tiles.across * mapping.slices
        turns, passes = tiles.turns(min(tiles.rows, tiles.n_in)), mapping.slices
    return {
        "dac": Count(drives * lines, drives * passes),
        "cell_read": Count(drives * cells, drives * passes),
        "adc": Count(drives * conversions, drives * passes * turns),
        "shift_add": Count(drives * conversions, drives * passes * turns),
    }


def verify_cost(
    read: int, rewritten: tuple[int, ...], tiles: Tiles, mapping: WeightMapping
) -> dict[str, Count]:
    """Return the events of verifying: `read` cells row by row, and those written once more."""
    columns = min(tiles.outputs, tiles.n_out) * mapping.slices * mapping.cells
    rounds, rows = len(rewritten), min(tiles.rows, tiles.n_in)
    reads = rows * (rounds + 1)
    return {
        "cell_write": Count(sum(rewritten), min(sum(rewritten), rows * rounds)),
        "cell_read": Count(read, reads),
        "adc": Count(read, reads * tiles.turns(columns)),
    }
