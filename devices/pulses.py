"""In-place updates of resistive cells by coinciding pulses: W += rate * y^T x, pulse by pulse.

Rows and columns of a crossbar send trains of pulses; where a pulse of a row meets one of a column,
the cell there moves by one step [Gokmen and Vlasov, "Acceleration of deep neural network training
with resistive cross-point devices", Frontiers in Neuroscience 10 (2016)]. The samples of a batch
are applied one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from .arrays import Array, rows
from .pulse_cells import LONGEST, Cells, Pulsed, make_cells, step_size, symmetry_point
from .pulse_responses import Constant, Curve, Exponential, Linear, Response, SoftBounds
from .seeds import Draw

__all__ = [
    "Cells",
    "Constant",
    "Curve",
    "Exponential",
    "Linear",
    "Pulsed",
    "Pulses",
    "Response",
    "SoftBounds",
    "Trains",
    "make_cells",
    "make_trains",
    "pulse",
    "pulsed_update",
    "send",
    "step_size",
    "symmetry_point",
]

_WORDS, _NORMALS = 1 << 21, 1 << 20
"""Most random numbers that an update holds at once; larger batches are cut."""
_ROWS = 1 << 60
"""Where the words of the rows begin in a stream whose start belongs to the columns."""


class Pulses(NamedTuple):
    """What one update sent."""

    pulses: int
    """Pulses that cells received: coincidences."""
    slots: int
    """Slots of the trains, summed over the samples, which follow one another."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trains:
    """The pulses of a batch on the wires of an array, laid out by `kernels/pulse_trains.py`."""

    lengths: Array
    """int64 (batch,): slots of each sample."""
    counts: Array
    """int64 (batch,): coincidences of each sample."""
    starts: Array
    codes: Array
    masks: Array
    key: np.uint64
    """Of the noise of the pulses; normal number n belongs to the n-th pulse that is sent."""


def make_trains(y: Array, x: Array, rate: float, description: Pulsed, draw: Draw) -> Trains:
    """Return the trains that add rate * y^T x, of rows y (batch, n_out) and x (batch, n_in).

    Raises ValueError where y, x or the rate are not finite.
    """
    from .kernels import pulse_trains
    from .kernels.normal import words

    y, x = np.asarray(y, np.float32), np.asarray(x, np.float32)
    if not np.isfinite(rate):
        raise ValueError(f"a pulsed update takes a finite rate, got {rate!r}")
    (batch, n_out), d = y.shape, description
    lengths, filled = np.empty(batch, np.int64), np.empty(batch, np.int64)
    scales = np.empty((batch, 2))
    gain = abs(rate) / d.step
    pulse_trains.plan(
        x, y, gain, d.length, d.manage_length, d.manage_scale, lengths, scales, filled
    )
    if batch and lengths.min() < 0:
        raise ValueError(
            f"a pulsed update takes finite x and y, got others in row {int(lengths.argmin())}"
        )
    key, room = draw.key(), int(filled @ lengths)
    stochastic = d.train == "stochastic"
    across = np.empty(room if stochastic else 0, np.uint32)
    along = np.empty(n_out * int(lengths.sum()) if stochastic else 0, np.uint32)
    words(key, 0, across)
    words(key, _ROWS, along)
    starts = np.empty(batch * LONGEST + 1, np.int64)
    codes = np.empty(room + 1, np.uint32)
    masks = np.empty((batch, n_out), np.uint32)
    counts = np.empty(batch, np.int64)
    pulse_trains.columns(x, scales, lengths, across, starts, codes)
    pulse_trains.rows(y, scales, lengths, along, rate < 0, masks)
    pulse_trains.tally(starts, masks, counts)
    return Trains(lengths, counts, starts, codes, masks, key)


def send(
    w: Array, trains: Trains, first: int, last: int, cells: Cells, description: Pulsed
) -> None:
    """Apply the samples first to last - 1 of the trains to w and to the wear, in place."""
    from .kernels.normal import normals
    from .kernels.pulses import coincide

    n_out, n_in = w.shape
    step, bound = cells.step.reshape(n_out, -1), cells.bound.reshape(n_out, -1)
    response = description.response
    form, noise = response.form(), np.empty(0, np.float32)
    for start, stop in _cut(trains.counts, first, last, bool(description.cycle_noise)):
        if description.cycle_noise:
            noise = np.empty(int(trains.counts[start:stop].sum()), np.float32)
            normals(trains.key, int(trains.counts[:start].sum()), noise)
        coincide(
            w, cells.wear, step, bound, response.kind, form, description.cycle_noise,
            description.additive_noise, noise, trains.starts, trains.codes, trains.masks, start,
            stop,
        )  # fmt: skip


def _cut(counts: Array, first: int, last: int, noisy: bool) -> Iterator[tuple[int, int]]:
    """Cut first to last into runs of at most _NORMALS pulses, or of one sample."""
    while first < last:
        stop = last
        if noisy:
            total = np.cumsum(counts[first:last])
            stop = first + max(1, int(np.searchsorted(total, _NORMALS, side="right")))
        yield first, stop
        first = stop


def pulsed_update(
    w: Array, y: Any, x: Any, rate: float, cells: Cells, description: Pulsed, draw: Draw
) -> Pulses:
    """Add about rate * y^T x to w in place, by the coincidences of pulse trains.

    w is float32 (n_out, n_in), C-contiguous, within the cells' bounds; y (batch, n_out) and
    x (batch, n_in) are rows. A sample gets BL slots and bit probabilities p_x = B |x|,
    p_y = A |y| with A B = |rate| / (step BL), so that BL p_x p_y steps are rate x y on average;
    probabilities above 1 are cut. Raises ValueError for other shapes and for numbers that are not
    finite, before w is touched.
    """
    n_out, n_in = _checked(w, cells)
    y, x = rows(y, n_out, "y"), rows(x, n_in, "x")
    if len(y) != len(x):
        raise ValueError(f"a pulsed update takes as many y as x, got {len(y)} and {len(x)} rows")
    pulses, slots, size = 0, 0, max(1, _WORDS // ((n_out + n_in) * LONGEST))
    if len(x) > size and not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a pulsed update takes finite x and y, got others")
    for number, start in enumerate(range(0, len(x), size)):
        part = slice(start, start + size)
        own = draw if number == 0 else Draw(draw.seed.child(f"part {number}"), draw.step)
        trains = make_trains(y[part], x[part], rate, description, own)
        send(w, trains, 0, len(trains.counts), cells, description)
        pulses += int(trains.counts.sum())
        slots += int(trains.lengths.sum())
    return Pulses(pulses, slots)


def pulse(
    w: Array, columns: Any, counts: Any, cells: Cells, description: Pulsed, draw: Draw
) -> int:
    """Send each cell of the given columns its own number of pulses, in place; return their sum.

    `columns` (k,) are different indices; counts (n_out, k) are whole numbers, above 0 for pulses
    up. This is what a controller does that addresses cells one by one: write-verify, transfer.
    Raises ValueError for other shapes and for columns that are not there.
    """
    from .kernels import pulses
    from .kernels.normal import normals

    n_out, n_in = _checked(w, cells)
    columns = np.ascontiguousarray(columns, np.int64)
    counts = np.ascontiguousarray(counts, np.int64)
    if counts.shape != (n_out, len(columns)):
        raise ValueError(f"counts take {(n_out, len(columns))}, got {counts.shape}")
    if len(columns) and not 0 <= columns.min() <= columns.max() < n_in:
        raise ValueError(f"columns take 0 to {n_in - 1}, got {columns.min()} to {columns.max()}")
    total = int(np.abs(counts).sum())
    noise = np.empty(total if description.cycle_noise else 0, np.float32)
    if len(noise):
        normals(draw.key(), 0, noise)
    response = description.response
    pulses.pulse(
        w, cells.wear, cells.step.reshape(n_out, -1), cells.bound.reshape(n_out, -1),
        response.kind, response.form(), description.cycle_noise, description.additive_noise, noise,
        columns, counts,
    )  # fmt: skip
    return total


def _checked(w: Array, cells: Cells) -> tuple[int, int]:
    """Return the shape of w; raise ValueError where the kernels cannot take it."""
    if w.dtype != np.float32 or w.shape != cells.wear.shape or not w.flags.c_contiguous:
        raise ValueError(
            f"pulses take w as contiguous float32 {cells.wear.shape}, got {w.dtype} {w.shape}"
        )
    return cells.wear.shape[0], cells.wear.shape[1]
