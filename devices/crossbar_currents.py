"""What the cells of a crossbar pass now: after drift, behind wires, and with what noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrays import Array
from .cells import Cells
from .crossbar_cost import Tiles
from .crossbar_read import Currents
from .crossbar_write import Written
from .parasitics import Wires, effective_conductance


def wired(g: Array, tiles: Tiles, wires: Wires) -> Array:
    """Return what conductances g (slices, cells, columns, n_in) amount to between the terminals.

    Arrays are solved one by one; in each the cells of a weight stand side by side on the word
    lines, one output after another. Reading backwards drives and senses the same terminals, so
    by reciprocity the transpose is that of the same matrix.
    """
    result = np.empty_like(g)
    for _, inputs in tiles.blocks(True):
        for columns, _ in tiles.blocks(False):
            part = g[:, :, columns, inputs]
            slices, cells, outputs, rows = part.shape
            array = part.transpose(3, 2, 0, 1).reshape(rows, -1)
            solved = effective_conductance(array.astype(np.float64), wires)
            back = solved.reshape(rows, outputs, slices, cells).transpose(2, 3, 1, 0)
            result[:, :, columns, inputs] = back
    return result


def conduct(
    cells: Cells, written: Written, age_s: float, noise: float, tiles: Tiles, wires: Wires | None
) -> tuple[Array, Array | None]:
    """Return mean and variance (slices, columns, n_in) of what each weight's cells pass.

    In currents of a full-on cell; no variance where cells are read exactly, `noise` being a
    factor on the std. Wires weaken the noise of a cell as they weaken its current, which is
    within 5 % of the first-order law of the whole circuit.
    """
    span = np.float32(cells.span_S)
    now = cells.drifted(written.g, written.nu, age_s)
    std = cells.read_std(written.g, now, age_s) if noise else None
    if wires is not None:
        alone, now = now, wired(now, tiles, wires)
        if std is not None:
            std *= np.divide(now, alone, out=np.zeros_like(now), where=alone > 0)
    w = (now[:, 0] - now[:, 1] if now.shape[1] == 2 else now[:, 0]) / span
    if std is None:
        return w, None
    std *= np.float32(noise) / span
    return w, np.asarray((std * std).sum(axis=1))


def currents(
    mean: Array, variance: Array | None, weights: Sequence[float], tiles: Tiles, forward: bool
) -> list[Currents]:
    """Return the currents of every array and slice, forwards or backwards, from what is passed."""
    found = []
    for lines, drives in tiles.blocks(forward):
        for s, weight in enumerate(weights):
            w, v = (
                None if a is None else a[s][:, lines] if forward else a[s][lines].T
                for a in (mean, variance)
            )
            found.append(Currents(drives, np.asarray(w), v, weight))
    return found
