"""Kernels that turn vectors into pulse trains: which columns pulse in a slot, which slots in a row.

A sample has at most 31 slots. Columns become lists: `codes[starts[s]:starts[s + 1]]` names the
columns that pulse in slot s = 31 * sample + t, as 2 * column + (1 where x is below 0). Rows become
words: bit t of `masks[sample, row]` is slot t, bit 31 is set where y is below 0. Lists times words
enumerate the coincidences one by one, so that no time goes into cells that no pulse reaches.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

SLOTS = 31
_FULL, _MOST = 2.0**32, 2.0**32 - 1


@njit(cache=True, error_model="numpy")
def plan(
    x: Floats,
    y: Floats,
    gain: float,
    length: int,
    manage_length: bool,
    manage_scale: bool,
    lengths: npt.NDArray[np.int64],
    scales: npt.NDArray[np.float64],
    filled: npt.NDArray[np.int64],
) -> None:
    """Choose each sample's slots, scales (x, y) and count its columns that are not 0.

    gain = |rate| / step. K = gain max|x| max|y|; BL = min(ceil K, length); the scales are
    B = sqrt(gain / BL max|y| / max|x|) and A = sqrt(gain / BL max|x| / max|y|), without the
    ratio where the scale is not managed. BL is 0 where K is 0, and -1 where a number is not finite.
    """
    for b in range(len(x)):
        xb, yb = x[b], y[b]
        x_max, y_max, check, count = np.float32(0), np.float32(0), np.float32(0), 0
        for j in range(len(xb)):
            size = abs(xb[j])
            check += size * np.float32(0)
            x_max = max(x_max, size)
            count += size != 0
        for i in range(len(yb)):
            size = abs(yb[i])
            check += size * np.float32(0)
            y_max = max(y_max, size)
        scales[b, 0], scales[b, 1] = 0.0, 0.0
        lengths[b], filled[b] = 0, count
        k = gain * np.float64(x_max) * np.float64(y_max)
        if check != 0:
            lengths[b] = -1
        elif k > 0:
            slots = int(min(math.ceil(k), float(length))) if manage_length else length
            base = math.sqrt(gain / slots)
            ratio = math.sqrt(np.float64(y_max) / np.float64(x_max)) if manage_scale else 1.0
            lengths[b], scales[b, 0], scales[b, 1] = slots, base * ratio, base / ratio


def plan_reference(
    x: Floats,
    y: Floats,
    gain: float,
    length: int,
    manage_length: bool,
    manage_scale: bool,
    lengths: npt.NDArray[np.int64],
    scales: npt.NDArray[np.float64],
    filled: npt.NDArray[np.int64],
) -> None:
    """Do what `plan` does, bit for bit."""
    filled[:] = np.count_nonzero(x, axis=1)
    for b in range(len(x)):
        lengths[b], scales[b] = 0, 0
        x_max, y_max = float(np.abs(x[b]).max()), float(np.abs(y[b]).max())
        k = gain * x_max * y_max
        if not (np.isfinite(x[b]).all() and np.isfinite(y[b]).all()):
            lengths[b] = -1
        elif k > 0:
            lengths[b] = min(math.ceil(k), length) if manage_length else length
            base = math.sqrt(gain / lengths[b])
            ratio = math.sqrt(y_max / x_max) if manage_scale else 1.0
            scales[b] = base * ratio, base / ratio


@njit(cache=True, error_model="numpy")
def columns(
    x: Floats,
    scales: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    words: Words,
    starts: npt.NDArray[np.int64],
    codes: Words,
) -> None:
    """List the columns that pulse in each slot.

    Stochastic: a column is listed where its word of the slot is below 2**32 scale |x| (one of
    2**32 words is missed at probability 1). `words` are used in the order sample, slot, column
    that is not 0. Deterministic, where `words` is empty: in the first round(BL scale |x|) slots.
    starts (31 * batch + 1,); codes has room for filled * lengths codes, summed over the samples.
    """
    n_in = x.shape[1]
    near, code = np.empty(n_in, np.uint32), np.empty(n_in, np.uint32)
    n, used = 0, 0
    for b in range(len(x)):
        xb, slots, count = x[b], lengths[b], 0
        for j in range(n_in):
            v = xb[j]
            if v != 0:
                p = scales[b, 0] * np.float64(abs(v))
                if len(words):
                    near[count] = np.uint32(min(p * _FULL, _MOST))
                else:
                    near[count] = np.uint32(min(p, 1.0) * float(slots) + 0.5)
                code[count] = np.uint32(2 * j) + np.uint32(v < 0)
                count += 1
        for t in range(SLOTS):
            starts[b * SLOTS + t] = n
            if t >= slots:
                continue
            if len(words):
                w = words[used : used + count]
                for k in range(count):
                    codes[n] = code[k]
                    n += w[k] < near[k]
                used += count
            else:
                for k in range(count):
                    codes[n] = code[k]
                    n += np.uint32(t) < near[k]
    starts[len(x) * SLOTS] = n


def columns_reference(
    x: Floats,
    scales: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    words: Words,
    starts: npt.NDArray[np.int64],
    codes: Words,
) -> None:
    """Do what `columns` does, bit for bit, as far as the codes are listed."""
    n, used = 0, 0
    for b, slots in enumerate(lengths):
        (at,) = np.nonzero(x[b])
        p = scales[b, 0] * np.abs(x[b, at]).astype(np.float64)
        code = (2 * at + (x[b, at] < 0)).astype(np.uint32)
        for t in range(SLOTS):
            starts[b * SLOTS + t] = n
            if t >= slots:
                continue
            if len(words):
                on = words[used : used + len(at)] < np.minimum(p * _FULL, _MOST).astype(np.uint32)
                used += len(at)
            else:
                on = t < np.floor(np.minimum(p, 1) * slots + 0.5)
            codes[n : n + on.sum()] = code[on]
            n += on.sum()
    starts[-1] = n


@njit(cache=True, error_model="numpy")
def rows(
    y: Floats,
    scales: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    words: Words,
    flip: bool,
    masks: Words,
) -> None:
    """Write the slots in which each row pulses into masks (batch, n_out), and the sign of y.

    Stochastic: as in `columns`, with words in the order sample, slot, row, zeros included.
    Deterministic, where `words` is empty: slot t where round((t + 1) p) > round(t p), so that m
    slots hold round(m p) pulses. The sign is turned where `flip`.
    """
    n_out = y.shape[1]
    near, turn = np.empty(n_out, np.uint32), np.uint32(flip) << np.uint32(31)
    used = 0
    for b in range(len(y)):
        yb, mb, slots, scale = y[b], masks[b], lengths[b], scales[b, 1]
        for i in range(n_out):
            mb[i] = (np.uint32(yb[i] < 0) << np.uint32(31)) ^ turn
        if len(words):
            for i in range(n_out):
                near[i] = np.uint32(min(scale * np.float64(abs(yb[i])) * _FULL, _MOST))
            for t in range(slots):
                w = words[used : used + n_out]
                for i in range(n_out):
                    mb[i] |= np.uint32(w[i] < near[i]) << np.uint32(t)
                used += n_out
        else:
            for i in range(n_out):
                p = min(scale * np.float64(abs(yb[i])), 1.0)
                for t in range(slots):
                    more = math.floor(float(t + 1) * p + 0.5) > math.floor(float(t) * p + 0.5)
                    mb[i] |= np.uint32(more) << np.uint32(t)


def rows_reference(
    y: Floats,
    scales: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    words: Words,
    flip: bool,
    masks: Words,
) -> None:
    """Do what `rows` does, bit for bit."""
    masks[:] = ((y < 0) ^ flip).astype(np.uint32) << np.uint32(31)
    used = 0
    for b, slots in enumerate(lengths):
        p = scales[b, 1] * np.abs(y[b]).astype(np.float64)
        for t in range(slots):
            if len(words):
                near = np.minimum(p * _FULL, _MOST).astype(np.uint32)
                on = words[used : used + y.shape[1]] < near
                used += y.shape[1]
            else:
                q = np.minimum(p, 1)
                on = np.floor((t + 1) * q + 0.5) > np.floor(t * q + 0.5)
            masks[b] |= on.astype(np.uint32) << np.uint32(t)


@njit(cache=True, error_model="numpy")
def tally(starts: npt.NDArray[np.int64], masks: Words, counts: npt.NDArray[np.int64]) -> None:
    """Write the coincidences of each sample into counts (batch,)."""
    for b in range(len(masks)):
        mb, total = masks[b], 0
        for t in range(SLOTS):
            s = b * SLOTS + t
            listed = starts[s + 1] - starts[s]
            if listed:
                on = np.uint32(0)
                for i in range(len(mb)):
                    on += (mb[i] >> np.uint32(t)) & np.uint32(1)
                total += listed * np.int64(on)
        counts[b] = total


def tally_reference(
    starts: npt.NDArray[np.int64], masks: Words, counts: npt.NDArray[np.int64]
) -> None:
    """Do what `tally` does, bit for bit."""
    slots = np.arange(SLOTS, dtype=np.uint32)[:, None]
    on = (masks[:, None, :] >> slots & np.uint32(1)).sum(axis=2, dtype=np.int64)
    counts[:] = (on * np.diff(starts).reshape(-1, SLOTS)).sum(axis=1)
