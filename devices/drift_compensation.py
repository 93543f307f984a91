"""Global drift compensation: what a calibration read says the cells have lost.

All inputs are driven alike and the currents of the single columns are summed, once after the
write and again later; outputs are scaled by the ratio [Joshi et al., "Accurate deep neural network
inference using computational phase-change memory", Nature Communications 11 (2020)]. aihwkit's
GlobalDriftCompensation and PerColumnDriftCompensation do the same from reads of one input at a
time.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .crossbar_cost import Periphery, Tiles
from .ledger import Count
from .seeds import Draw
from .weight_mapping import WeightMapping


def column_sums(seen: Array, variance: Array | None, level: float, top: float, draw: Draw) -> Array:
    """Return the current (slices, cells, n_out) of every column of cells, read alone.

    seen (slices, cells, n_out, n_in) and the variance of a read are in currents of a full-on cell;
    one number a column stands for the noise of all its cells and of its conversion, `level`.
    Converters have `top` codes a side, 0: exact; the lines are driven so that the largest sum
    takes the last code.
    """
    sums: Array = seen.sum(axis=-1, dtype=np.float64)
    power = np.full(sums.shape, level**2)
    if variance is not None:
        power += variance.sum(axis=-1, dtype=np.float64)
    sums += np.sqrt(power) * draw.rng().standard_normal(sums.shape)
    if top and sums.max() > 0:
        lsb = sums.max() / top
        sums = np.rint(sums / lsb) * lsb
    return sums


def drift_factors(before: Array, after: Array, per_column: bool) -> Array:
    """Return the factors (n_out,) that bring summed currents back to what they were.

    before, after (slices, cells, n_out). 1 where nothing is left to scale.
    """
    then, now = (sums.sum(axis=(0, 1)) for sums in (before, after))
    if not per_column:
        then, now = (np.full(len(total), total.sum()) for total in (then, now))
    safe = np.where(now > 0, now, 1)
    return np.where((now > 0) & (then > 0), then / safe, 1).astype(np.float32)


def calibration_cost(
    reads: int, around: Periphery, tiles: Tiles, mapping: WeightMapping
) -> dict[str, Count]:
    """Return the events of calibration reads: every single column converted once in each.

    The columns of a pair, subtracted in use, take turns, and those that are not read pass no
    current. Events as in `cost_of`; the codes stay where they are, so no buffer is filled.
    """
    columns, selected = tiles.n_out * mapping.cells * mapping.slices, len(list(tiles.selected()))
    held = min(tiles.outputs, tiles.n_out) * mapping.slices
    turns = 1 if around.ramp else tiles.turns(held)
    planes = reads * around.planes
    shown, passes = planes * around.pulses, mapping.cells * tiles.groups
    conversions = Count(planes * columns * selected, planes * passes * turns)
    selections = planes * passes * turns * held * mapping.cells * tiles.across * tiles.down
    return {
        "dac": Count(shown * mapping.cells * tiles.n_in * tiles.across, shown * passes),
        "wire": Count(shown * mapping.cells * columns * tiles.n_in, 0),
        "cell_read": Count(shown * columns * tiles.n_in, shown * passes),
        "sample_hold": Count(planes * columns * selected, planes * passes),
        "mux": Count(selections, 0),
        "adc": conversions,
        "shift_add": conversions,
    }
