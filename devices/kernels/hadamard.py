"""The fast Walsh-Hadamard transform, and random signs, on rows of float32.

A transform of n = 2**m points is m equal steps of constant geometry (Pease 1968): each adds and
subtracts neighbours and writes the two results half a row apart, so that after m steps the order
is the natural one and every loop ran over contiguous memory. Two steps are taken at once. Rows of
more than `ROW` points are read as a matrix with ROW columns: its rows are transformed where they
lie, its columns in panels of `PANEL` columns that are copied into the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

ROW = 1024
PANEL = 32


@njit(cache=True, error_model="numpy")
def _four(x: Floats, y: Floats) -> None:
    """Take two steps on n points from x to y."""
    q = len(x) // 4
    y0, y1, y2, y3 = y[:q], y[q : 2 * q], y[2 * q : 3 * q], y[3 * q :]
    for k in range(q):
        a, b = x[4 * k] + x[4 * k + 1], x[4 * k] - x[4 * k + 1]
        c, d = x[4 * k + 2] + x[4 * k + 3], x[4 * k + 2] - x[4 * k + 3]
        y0[k], y1[k], y2[k], y3[k] = a + c, b + d, a - c, b - d


@njit(cache=True, error_model="numpy")
def _two(x: Floats, y: Floats) -> None:
    """Take one step on n points from x to y."""
    h = len(x) // 2
    y0, y1 = y[:h], y[h:]
    for k in range(h):
        y0[k], y1[k] = x[2 * k] + x[2 * k + 1], x[2 * k] - x[2 * k + 1]


@njit(cache=True, error_model="numpy")
def _row(x: Floats, spare: Floats) -> None:
    """Transform x in place; `spare` has its length."""
    left, here = len(x), True
    while left > 1:
        source, target = (x, spare) if here else (spare, x)
        if left >= 4:
            _four(source, target)
            left //= 4
        else:
            _two(source, target)
            left //= 2
        here = not here
    if not here:
        for k in range(len(x)):
            x[k] = spare[k]


@njit(cache=True, error_model="numpy")
def _panel(x: Floats, y: Floats) -> bool:
    """Transform the columns of x (rows, PANEL); say whether the result is in x, not in y."""
    left, here = len(x), True
    while left > 1:
        source, target = (x, y) if here else (y, x)
        if left >= 4:
            q = len(x) // 4
            for k in range(q):
                s0, s1 = source[4 * k], source[4 * k + 1]
                s2, s3 = source[4 * k + 2], source[4 * k + 3]
                t0, t1, t2, t3 = target[k], target[k + q], target[k + 2 * q], target[k + 3 * q]
                for j in range(PANEL):
                    a, b, c, d = s0[j] + s1[j], s0[j] - s1[j], s2[j] + s3[j], s2[j] - s3[j]
                    t0[j], t1[j], t2[j], t3[j] = a + c, b + d, a - c, b - d
            left //= 4
        else:
            h = len(x) // 2
            for k in range(h):
                s0, s1 = source[2 * k], source[2 * k + 1]
                t0, t1 = target[k], target[k + h]
                for j in range(PANEL):
                    t0[j], t1[j] = s0[j] + s1[j], s0[j] - s1[j]
            left //= 2
        here = not here
    return here


@njit(cache=True, error_model="numpy")
def fwht(x: Floats) -> None:
    """Multiply each row of x (batch, n) by the Hadamard matrix of order n, in place.

    n is a power of two; the order is natural (Sylvester's) and nothing is divided, so that doing
    it twice multiplies by n.
    """
    batch, n = x.shape
    if n <= ROW:
        spare = np.empty(n, np.float32)
        for b in range(batch):
            _row(x[b], spare)
        return
    rows = n // ROW
    spare = np.empty(ROW, np.float32)
    p, q = np.empty((rows, PANEL), np.float32), np.empty((rows, PANEL), np.float32)
    for b in range(batch):
        square = x[b].reshape(rows, ROW)
        for i in range(rows):
            _row(square[i], spare)
        for left in range(0, ROW, PANEL):
            for i in range(rows):
                source, target = square[i, left : left + PANEL], p[i]
                for j in range(PANEL):
                    target[j] = source[j]
            result = p if _panel(p, q) else q
            for i in range(rows):
                source, target = result[i], square[i, left : left + PANEL]
                for j in range(PANEL):
                    target[j] = source[j]


@njit(cache=True, error_model="numpy")
def flip(x: Floats, words: Words) -> None:
    """Negate x[b, 32 * k + j], in place, wherever bit j of words[k] is set; x is (batch, n)."""
    for b in range(len(x)):
        bits = x[b].view(np.uint32)
        for k in range(len(words)):
            word, lane = words[k], bits[32 * k : 32 * k + 32]
            for j in range(32):
                lane[j] ^= (word >> np.uint32(j)) << np.uint32(31)


def fwht_reference(x: npt.NDArray[Any]) -> None:
    """Do what `fwht` does, level by level in numpy."""
    step = 1
    while step < x.shape[1]:
        pairs = x.reshape(len(x), -1, 2, step)
        upper, lower = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        pairs[:, :, 0], pairs[:, :, 1] = upper, lower
        step *= 2


def flip_reference(x: Floats, words: Words) -> None:
    """Do what `flip` does, bit for bit."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    x *= 1 - 2 * bits.astype(np.float32)
