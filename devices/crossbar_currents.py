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
from .parasitics import Wires, effective_conductance


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


def wired(g: Array, tiles: Tiles, wires: Wires) -> Array:
    """Return what conductances g (slices, cells, columns, n_in) amount to between the terminals.

    Arrays are solved one by one; in each the cells of a weight stand side by side on the word
    lines, one output after another. Rows that are not selected hang on open transistors, so that
    only the wire past them counts. Reading backwards drives and senses the same terminals, so by
    reciprocity the transpose is that of the same matrix.
    """
    result = np.empty_like(g)
    for inputs in tiles.arrays():
        for columns, _ in tiles.blocks(False):
            part = g[:, :, columns, inputs]
            slices, cells, outputs, rows = part.shape
            array = part.transpose(3, 2, 0, 1).reshape(rows, -1).astype(np.float64)
            solved = np.empty_like(array)
            for first in range(0, rows, tiles.at_once):
                group = slice(first, first + tiles.at_once)
                alone = array
                if tiles.at_once < rows:
                    alone = np.zeros_like(array)
                    alone[group] = array[group]
                solved[group] = effective_conductance(alone, wires)[group]
            back = solved.reshape(rows, outputs, slices, cells).transpose(2, 3, 1, 0)
            result[:, :, columns, inputs] = back
    return result


def aged(cells: Cells, written: Written, age_s: float, retention: float) -> Array:
    """Return the conductances (slices, cells, columns, n_in) a time after the write."""
    g = cells.drifted(written.g, written.nu, age_s)
    if written.strays is not None:
        g = cells.relaxed(g, *written.strays, age_s, retention)
    return g


def conduct(
    cells: Cells,
    written: Written,
    age_s: float,
    retention: float,
    noise: Noise,
    tiles: Tiles,
    wires: Wires | None,
    curvature: float,
) -> Conducted:
    """Return what each weight's cells pass.

    Wires weaken the noise of a cell as they weaken its current, which is within 5 % of the
    first-order law of the whole circuit; its thermal noise they leave. A trap switches a cell
    between two conductances, faster than reads follow one another: a read finds it filled with
    the probability `duty`, which sets its mean and variance exactly.
    """
    span = np.float32(cells.span_S)
    now = aged(cells, written, age_s, retention)
    std = cells.read_std(written.g, now, age_s) if noise.read else None
    square = None if std is None else (std * np.float32(noise.read / span)) ** 2
    alone = now
    if noise.traps is not None:
        step = np.where(noise.traps, now * np.float32(noise.telegraph), 0)
        switched = (step * np.float32(np.sqrt(noise.duty * (1 - noise.duty)) / span)) ** 2
        square = switched if square is None else square + switched
        now = now - step * np.float32(noise.duty)
    curves = []
    if curvature:
        curves = [(p, np.float32(curvature) * c / span) for p, c in cells.curved(now)]
    thermal = None
    if noise.temperature_K:
        thermal = cells.thermal_variance(now, noise.temperature_K).sum(axis=1)
    if wires is not None:
        free, now = now, wired(now, tiles, wires)
        if square is not None:
            square *= np.divide(now, free, out=np.zeros_like(now), where=free > 0) ** 2
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
                    # Read as w.T, which BLAS takes faster where it is contiguous.
                    np.asfortranarray(w),
                    None if found.variance is None else np.asfortranarray(cut(found.variance)),
                    weight,
                    None if found.thermal is None else cut(found.thermal).sum(axis=1),
                    tuple((name, np.asfortranarray(c)) for name, c in curves.items()),
                )
            )
    return parts
