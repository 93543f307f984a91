"""Products by looking up: trees that turn a piece of a row into a code, and sums of table rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint8]

DEPTH = 4


@njit(cache=True, error_model="numpy", nogil=True)
def encode(x: Floats, columns: Ints, thresholds: Floats, codes: Codes) -> None:
    """Write the leaf of every tree into codes (rows, trees), of x (rows, n).

    At level l tree t asks whether x[columns[t, l]] exceeds the threshold of the node it is at;
    columns are (trees, 4), thresholds (trees, 15) level after level.
    """
    rows, trees = codes.shape
    for i in range(rows):
        row = x[i]
        for t in range(trees):
            node, first = 0, 0
            for level in range(DEPTH):
                above = row[columns[t, level]] > thresholds[t, first + node]
                node = 2 * node + (1 if above else 0)
                first = 2 * first + 1
            codes[i, t] = node


@njit(cache=True, error_model="numpy", nogil=True)
def add_rows(codes: Codes, tables: Floats, out: Floats) -> None:
    """Write the sum over trees of tables[t, codes[i, t]] into out (rows, n), in their order."""
    rows, trees = codes.shape
    for i in range(rows):
        y = out[i]
        for j in range(len(y)):
            y[j] = np.float32(0)
        for t in range(trees):
            entry = tables[t, codes[i, t]]
            for j in range(len(y)):
                y[j] += entry[j]


def encode_reference(x: Floats, columns: Ints, thresholds: Floats, codes: Codes) -> None:
    """Do what `encode` does, a level at a time."""
    for t in range(codes.shape[1]):
        node = np.zeros(len(x), np.int64)
        for level in range(DEPTH):
            asked = thresholds[t, 2**level - 1 + node]
            node = 2 * node + (x[:, columns[t, level]] > asked)
        codes[:, t] = node


def add_rows_reference(codes: Codes, tables: Floats, out: Floats) -> None:
    """Do what `add_rows` does, a tree at a time."""
    out[:] = 0
    for t in range(codes.shape[1]):
        out += tables[t, codes[:, t]]
