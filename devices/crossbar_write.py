"""Writing a crossbar: noise of every pulse, faults of cells and lines, and verified writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .cells import Cells
from .crossbar_cost import Tiles
from .seeds import Draw

if TYPE_CHECKING:
    from .crossbar import Crossbar


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind; arrays (slices, cells, columns, n_in)."""

    g: Array
    """Conductances in siemens at the time from which drift counts."""
    nu: Array | None
    """Drift exponents; None for cells that do not drift."""
    read: int
    """Cells that were read to verify them."""
    rewritten: tuple[int, ...]
    """Cells that were written again, round by round."""
    strays: tuple[Array, Array] | None = None
    """Targets and a standard normal of each cell, by which it strays later; None: cells stay."""
    writes: Array | None = None
    """How often each cell was written just now, uint32; None: not at all."""


def forced(crossbar: Crossbar, shape: tuple[int, ...], cells: Cells, tiles: Tiles) -> Array | None:
    """Return the conductances that stuck cells and dead lines have whatever is written.

    NaN for cells that work; None where all do. The same at every write of a device. Every array
    has lines of its own: a word line is shared by all its columns, a bit line by all its rows.
    """
    stuck = crossbar.stuck_on + crossbar.stuck_off
    word, bit = crossbar.dead_word_lines, crossbar.dead_bit_lines
    if not stuck and not word and not bit:
        return None
    rng = crossbar.seed.child(crossbar.name).child("faults").rng()
    fate = rng.random(shape, np.float32)
    g = np.full(shape, np.nan, np.float32)
    g[fate < stuck] = cells.g_min_S
    g[fate < crossbar.stuck_on] = cells.g_max_S
    rows, columns = rng.random((tiles.across, shape[-1])), rng.random((tiles.down, *shape[:-1]))
    for tile, (lines, _) in enumerate(tiles.blocks(False)):
        g[:, :, lines] = np.where(rows[tile] < word, np.float32(0), g[:, :, lines])
    for tile, inputs in enumerate(tiles.arrays()):
        g[..., inputs][columns[tile] < bit] = 0
    return g


def trapped(crossbar: Crossbar, shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    """Return which cells hold a trap whose charge switches them; None where none does."""
    if not crossbar.telegraph:
        return None
    rng = crossbar.seed.child(crossbar.name).child("traps").rng()
    return np.asarray(rng.random(shape, np.float32) < crossbar.telegraph_share)


def write(crossbar: Crossbar, target: Array, cells: Cells, tiles: Tiles, draw: Draw) -> Written:
    """Write conductances `target` (slices, cells, columns, n_in), verified where that is asked.

    g = max(0, device * (target + std * N)), where `device` is the cell's own factor and N drawn
    anew at every pulse. A cell that misses by more than the tolerance is written again, and now
    aims at the target over its factor, which the first read has told; verifying reads exactly.
    """
    std = cells.programming_std(target) * np.float32(crossbar.programming_noise)
    rng = crossbar.seed.child(crossbar.name).child("devices").rng()
    device = np.ones((), np.float32)
    if crossbar.device_std:
        spread = rng.standard_normal(target.shape, np.float32) * np.float32(crossbar.device_std)
        device = np.maximum(1 + spread, np.float32(0.01))
    key, size, noisy = draw.key(), target.size, bool(std.any())
    fixed = forced(crossbar, target.shape, cells, tiles)

    def pulse(aim: Array, number: int) -> Array:
        if noisy:
            aim = aim + std * _normals(key, number * size, target)
        g = np.maximum(device * aim, 0)
        return g if fixed is None else np.where(np.isnan(fixed), g, fixed)

    g, writes = pulse(target, 1), np.ones(target.shape, np.uint32)
    read, rewritten = 0, []
    if crossbar.verify:
        most = crossbar.tolerance * cells.g_max_S
        missed: npt.NDArray[np.bool_] = abs(g - target) > most
        read = g.size
        for number in range(2, 2 + crossbar.verify):
            if not missed.any():
                break
            rewritten.append(int(missed.sum()))
            writes += missed
            read += rewritten[-1]
            g = np.where(missed, pulse(target / device, number), g)
            missed = abs(g - target) > most
    nu = None
    if crossbar.drift:
        nu = cells.exponents(target, _normals(key, 0, target))
        if nu is not None:
            nu *= np.float32(crossbar.drift)
            if fixed is not None:
                nu[~np.isnan(fixed)] = 0
    strays = None
    if cells.retention is not None and crossbar.retention:
        z = _normals(key, (2 + crossbar.verify) * size, target)
        strays = target, z if fixed is None else np.where(np.isnan(fixed), z, 0)
    return Written(np.asarray(g, np.float32), nu, read, tuple(rewritten), strays, writes)


def _normals(key: np.uint64, start: int, like: Array) -> Array:
    from .kernels.normal import normals

    z = np.empty(like.size, np.float32)
    normals(key, start, z)
    return z.reshape(like.shape)
