"""What the cells of a crossbar pass now: aged, behind wires, and with what noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .cells import Cells
from .crossbar_cost import Tiles
from .crossbar_read import Currents
from .crossbar_write import Written
from .parasitics import Wires, effective_conductance, effective_noise


@dataclass(frozen=True, slots=True)
class Noise:
    """What makes one read of a cell differ from the next."""

    read: float
    """Factor on the technology's std."""
    telegraph: float
    """Share of its conductance that a trapped charge takes from a cell."""
    duty: float
    """Share of the time that a trap is filled."""
    traps: npt.NDArray[np.bool_] | None
    """Cells that hold a trap."""
    temperature_K: float
    """Of thermal noise; 0: none."""


class Conducted(NamedTuple):
    """What each weight's cells pass, (slices, columns, n_in), in currents of a full-on cell."""

    mean: Array
    variance: Array | None
    """Of a read, over the drive squared; None where cells are read exactly."""
    thermal: Array | None
    """Variance that no drive scales; None where there is none."""
    curves: tuple[tuple[int, Array], ...]
    """(power, what it adds): nonlinear cells."""
    load: Array
    """(slices, columns, n_in): conductance of all cells of a weight, over a full-on cell's."""


def wired(
    g: Array, variance: Array | None, tiles: Tiles, wires: Wires
) -> tuple[Array, Array | None]:
    """Return what conductances g (slices, cells, columns, n_in) amount to between the terminals.

    And what variance their reads then have. Arrays are solved one by one; in each the cells of a
    weight stand side by side on the word lines, one output after another. Rows that are not
    selected hang on open transistors, so that only the wire past them counts. Reading backwards
    drives and senses the same terminals, so by reciprocity the transpose is that of the same
    matrix; its noise is taken for that of reading forwards.
    """
    result = np.empty_like(g)
    noise = None if variance is None else np.empty_like(variance)
    for inputs in tiles.arrays():
        for columns, _ in tiles.blocks(False):
            here = g[:, :, columns, inputs]
            array = _side_by_side(here)
            std = None
            if variance is not None:
                std = np.sqrt(_side_by_side(variance[:, :, columns, inputs]))
            solved, spread = np.empty_like(array), np.empty_like(array)
            for first in range(0, len(array), tiles.at_once):
                group = slice(first, first + tiles.at_once)
                alone = np.zeros_like(array)
                alone[group] = array[group]
                if std is None:
                    solved[group] = effective_conductance(alone, wires)[group]
                else:
                    found = effective_noise(alone, np.where(alone > 0, std, 0), wires)
                    solved[group], spread[group] = (part[group] for part in found)
            result[:, :, columns, inputs] = _apart(solved, here.shape)
            if noise is not None:
                noise[:, :, columns, inputs] = _apart(spread, here.shape)
    return result, noise


def _side_by_side(part: Array) -> npt.NDArray[np.float64]:
    """Return (slices, cells, outputs, rows) as the array (rows, columns) that holds it."""
    return part.transpose(3, 2, 0, 1).reshape(part.shape[3], -1).astype(np.float64)


def _apart(array: Array, shape: tuple[int, ...]) -> Array:
    slices, cells, outputs, rows = shape
    return array.reshape(rows, outputs, slices, cells).transpose(2, 3, 1, 0)


def aged(cells: Cells, written: Written, age_s: float, retention: float) -> Array:
    """Return the conductances (slices, cells, columns, n_in) at an age as drift counts it."""
    g = cells.drifted(written.g, written.nu, age_s)
    if written.strays is not None:
        g = cells.relaxed(g, *written.strays, age_s, retention)
    return g


def seen_of(
    cells: Cells, written: Written, now: Array, age_s: float, noise: Noise
) -> tuple[Array, Array | None]:
    """Return what reads find of conductances `now` (slices, cells, columns, n_in), at an age.

    And the variance of a read, in squares of a full-on cell's; None where cells are read exactly.
    A trap switches a cell between two conductances, faster than reads follow one another: a read
    finds it filled with the probability `duty`, which sets its mean and variance exactly.
    """
    span = np.float32(cells.span_S)
    std = cells.read_std(written.g, now, age_s) if noise.read else None
    square = None if std is None else (std * np.float32(noise.read / span)) ** 2
    if noise.traps is not None:
        step = np.where(noise.traps, now * np.float32(noise.telegraph), 0)
        switched = (step * np.float32(np.sqrt(noise.duty * (1 - noise.duty)) / span)) ** 2
        square = switched if square is None else square + switched
        now = now - step * np.float32(noise.duty)
    return now, square


def conduct(
    cells: Cells,
    written: Written,
    age_s: float,
    aged_s: float,
    retention: float,
    noise: Noise,
    tiles: Tiles,
    wires: Wires | None,
    curvature: float,
) -> Conducted:
    """Return what each weight's cells pass at an age, of which drift and retention count `aged_s`.

    Wires weaken the noise of cells to first order (`parasitics.effective_noise`); their thermal
    noise they leave.
    """
    span = np.float32(cells.span_S)
    alone = aged(cells, written, aged_s, retention)
    now, square = seen_of(cells, written, alone, age_s, noise)
    curves = []
    if curvature:
        curves = [(p, np.float32(curvature) * c / span) for p, c in cells.curved(now)]
    thermal = None
    if noise.temperature_K:
        thermal = cells.thermal_variance(now, noise.temperature_K).sum(axis=1)
    if wires is not None:
        now, square = wired(now, square, tiles, wires)
    return Conducted(
        _signed(now) / span,
        None if square is None else np.asarray(square.sum(axis=1), np.float32),
        thermal,
        tuple((power, _signed(c)) for power, c in curves),
        np.asarray(alone.sum(axis=1) / span, np.float32),
    )


def _signed(g: Array) -> Array:
    """Return a pair's difference, or the one cell, of (slices, cells, columns, n_in)."""
    return np.asarray(g[:, 0] - g[:, 1] if g.shape[1] == 2 else g[:, 0], np.float32)


def _turned(w: Array) -> Array:
    """Return w (n, drives), its columns contiguous: BLAS takes w.T faster so.

    Sixteen rows at a time stay in the cache, which `np.asfortranarray` does not see to.
    """
    if w.flags.f_contiguous:
        return w
    turned = np.empty(w.shape, w.dtype, order="F")
    for first in range(0, len(w), 16):
        turned[first : first + 16] = w[first : first + 16]
    return turned


def currents(
    found: Conducted, weights: Sequence[float], tiles: Tiles, forward: bool, pulsed: bool
) -> list[Currents]:
    """Return the currents of every array and slice, forwards or backwards, from what is passed.

    `pulsed`: drives are numbers of full pulses, so that an odd power of the voltage adds to the
    conductance, and an even one to what each pulse passes of either sign.
    """
    parts = []
    for lines, drives in tiles.blocks(forward):
        for s, weight in enumerate(weights):

            def cut(a: Array, s: int = s, lines: slice | Array = lines) -> Array:
                return np.asarray(a[s][:, lines] if forward else a[s][lines].T)

            w = cut(found.mean)
            curves: dict[str, Array] = {}
            for power, c in found.curves:
                if pulsed and power % 2:
                    w = w + cut(c)
                else:
                    name = "size" if pulsed else f"power {power}"
                    curves[name] = curves[name] + cut(c) if name in curves else cut(c)
            parts.append(
                Currents(
                    drives,
                    _turned(w),
                    None if found.variance is None else _turned(cut(found.variance)),
                    weight,
                    None if found.thermal is None else cut(found.thermal).sum(axis=1),
                    tuple((name, _turned(c)) for name, c in curves.items()),
                )
            )
    return parts
