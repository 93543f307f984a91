"""How a matrix lies on arrays of limited size, and what one verb of a crossbar makes them do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import namespace
from .base import Can
from .ledger import Count
from .weight_mapping import WeightMapping

Lines = npt.NDArray[np.intp]
WORD_BITS = 32
"""Of a number that no converter rounds."""


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
    at_once: int
    """Rows of an array that are selected at once."""

    @property
    def down(self) -> int:
        """Arrays that share an output."""
        return math.ceil(self.n_in / self.rows)

    @property
    def across(self) -> int:
        """Arrays that share an input."""
        return math.ceil(self.n_out / self.outputs)

    @property
    def groups(self) -> int:
        """Groups of rows that an array selects one after another."""
        return math.ceil(min(self.rows, self.n_in) / self.at_once)

    def turns(self, lines: int) -> int:
        """Return how many of `lines` lines that are read at once take turns at one ADC."""
        return min(self.columns_per_adc, lines)

    def reference_of(self) -> Lines:
        """Return the row (n_out,) of the reference column that serves each output."""
        return np.asarray(self.n_out + np.arange(self.n_out) // self.outputs)

    def reference_lines(self) -> list[int]:
        """Return where the drives of the reference columns stand, reading backwards."""
        return [part.stop - 1 for _, part in self.blocks(False)]

    def arrays(self) -> Iterator[slice]:
        """Yield the inputs of each array that shares an output."""
        for first in range(0, self.n_in, self.rows):
            yield slice(first, min(first + self.rows, self.n_in))

    def selected(self) -> Iterator[slice]:
        """Yield the inputs that are selected at once, array by array."""
        for part in self.arrays():
            for first in range(part.start, part.stop, self.at_once):
                yield slice(first, min(first + self.at_once, part.stop))

    def blocks(self, forward: bool) -> Iterator[tuple[slice | Lines, slice]]:
        """Yield, array by array, the lines that are driven and where their drives stand."""
        if forward:
            for part in self.selected():
                yield part, part
            return
        start = 0
        for tile in range(self.across):
            lines = np.arange(tile * self.outputs, min((tile + 1) * self.outputs, self.n_out))
            if self.references:
                lines = np.append(lines, self.n_out + tile)
            yield lines, slice(start, start + len(lines))
            start += len(lines)

    def with_reference(self, drives: Any) -> Any:
        """Return drives (batch, n_out) with those of the reference columns, array by array.

        The reference column of an array is driven with minus the sum of the other drives, by as
        many drivers as that takes: this takes the middle of the range off every cell.
        """
        parts: list[Any] = []
        for first in range(0, self.n_out, self.outputs):
            part = drives[:, first : first + self.outputs]
            parts += [part, -part.sum(1)[:, None]]
        if namespace(drives) is not np:
            return namespace(drives).cat(parts, 1)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))


@dataclass(frozen=True, slots=True)
class Periphery:
    """What stands around the arrays, as far as it sets how often something happens."""

    planes: int
    """Drives of one input that are converted one by one: its bits, or the one amplitude."""
    pulses: int
    """Drives of one input whose charge is summed before one conversion."""
    dac_bits: int
    adc_bits: int
    ramp: bool
    """Whether all columns of an array are converted at once, by one ramp."""


def cost_of(
    verb: Can, batch: int, around: Periphery, tiles: Tiles, mapping: WeightMapping
) -> dict[str, Count]:
    """Return the events of one verb on `batch` vectors.

    dac: a drive of one line of one array. wire: a cell's length of line that a drive charges.
    cell_read: a cell in the middle of the technology's range under a full drive; this bounds it
    as if all cells were driven so, and a read tells what its data and conductances made it.
    sample_hold: a column's current kept for its conversion. mux: a cell's length of the line that
    selects a column, at every turn of an ADC. adc: a conversion. shift_add: a code added to an
    output. buffer: a bit of an input or output carried to or from an array. cell_write: a pulse.

    All arrays work at once, and in each all lines at once; ADCs take their columns one after
    another, and groups of rows follow one another. Backwards, slices are read one after another,
    since they share the lines that sum. Writes go row by row.
    """
    reference = tiles.across if tiles.references else 0
    columns = (tiles.n_out * mapping.cells + reference) * mapping.slices
    cells = columns * tiles.n_in
    if verb is Can.PROGRAM:
        return {"cell_write": Count(cells, min(tiles.rows, tiles.n_in))}
    selected = sum(1 for _ in tiles.selected())
    held = (min(tiles.outputs, tiles.n_out) + bool(reference)) * mapping.slices
    if verb is Can.MULTIPLY:
        lines, passes = tiles.n_in * tiles.across, tiles.groups
        conversions = (tiles.n_out + reference) * mapping.slices * selected
        sensed, width = held, held * mapping.cells
        charged = cells
        sums = selected
        given, taken = tiles.n_in * tiles.across, tiles.n_out
    else:
        lines, passes = columns * selected, tiles.groups * mapping.slices
        conversions = tiles.n_in * tiles.across * mapping.slices
        sensed = width = min(tiles.at_once, tiles.n_in)
        rows = [part.stop - part.start for part in tiles.arrays()]
        charged = columns * sum(n * math.ceil(n / tiles.at_once) for n in rows)
        sums = tiles.across
        given, taken = tiles.n_out * tiles.down, tiles.n_in
    turns = 1 if around.ramp else tiles.turns(sensed)
    reads, shown = batch * around.planes, batch * around.planes * around.pulses
    digits = mapping.slices * max(mapping.levels - 1, 1).bit_length() if mapping.levels else 0
    word = around.adc_bits + around.planes - 1 + digits + (sums - 1).bit_length()
    bits = given * (around.dac_bits or WORD_BITS)
    bits += taken * (word if around.adc_bits else WORD_BITS)
    return {
        "dac": Count(shown * lines, shown * passes),
        "wire": Count(shown * charged, 0),
        "cell_read": Count(shown * cells, shown * passes),
        "sample_hold": Count(reads * conversions, reads * passes),
        "mux": Count(reads * passes * turns * width * tiles.across * tiles.down, 0),
        "adc": Count(reads * conversions, reads * passes * turns),
        "shift_add": Count(reads * conversions, reads * passes * turns),
        "buffer": Count(batch * bits, 0),
    }


def units_of(around: Periphery, tiles: Tiles, mapping: WeightMapping) -> dict[str, float]:
    """Return how many of the parts that do each event are built in: they take up area.

    A line has a DAC, an ADC serves the columns that take turns at it. Reading backwards uses the
    same converters. A buffer holds one input and one output of each array.
    """
    reference = tiles.across if tiles.references else 0
    columns = (tiles.n_out * mapping.cells + reference) * mapping.slices
    held = (min(tiles.outputs, tiles.n_out) + bool(reference)) * mapping.slices
    adcs = math.ceil(held / (1 if around.ramp else tiles.turns(held))) * tiles.across * tiles.down
    bits = tiles.n_in * tiles.across * (around.dac_bits or WORD_BITS)
    bits += tiles.n_out * tiles.down * (around.adc_bits or WORD_BITS)
    return {
        "cell_read": columns * tiles.n_in,
        "dac": tiles.n_in * tiles.across,
        "sample_hold": held * tiles.across * tiles.down,
        "adc": adcs,
        "shift_add": adcs,
        "buffer": bits,
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
