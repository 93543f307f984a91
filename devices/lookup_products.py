"""Products without multiplying: pieces of a row become codes, and codes select rows of tables.

Product quantisation with learned hash trees [Blalock and Guttag, "Multiplying matrices without
multiplying", ICML 2021], as a matrix engine: a tree of four comparisons finds one of sixteen
prototypes for every piece of an input row, and what that prototype contributes to the outputs was
computed when the matrix was written. Prototypes are fitted to calibration data by ridge regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .arrays import Array

DEPTH, LEAVES = 4, 16
CANDIDATES = 4
"""Columns of largest spread that are tried at every level of a tree."""
RIDGE = 1.0
MOST = 4096
"""Rows of calibration data that trees are grown on."""


@dataclass(frozen=True, eq=False)
class HashTrees:
    """Trees over pieces of a row of n numbers, and the prototypes that their leaves stand for."""

    columns: Array
    """(trees, 4): which number is compared at each level."""
    thresholds: Array
    """(trees, 15): with what, level after level."""
    prototypes: Array
    """(trees, 16, n): what a leaf stands for; they overlap the pieces of other trees."""

    def encode(self, x: Array) -> Array:
        """Return the leaf of every tree (rows, trees), of x (rows, n)."""
        from .kernels.lookup import encode

        codes = np.empty((len(x), len(self.columns)), np.uint8)
        encode(np.ascontiguousarray(x, np.float32), self.columns, self.thresholds, codes)
        return codes

    def tables(self, w: Array) -> Array:
        """Return what every leaf adds to the outputs (trees, 16, n_out), of w (n_out, n)."""
        return np.ascontiguousarray(self.prototypes @ w.T, np.float32)

    def approximate(self, x: Array) -> Array:
        """Return the sums of the prototypes that stand for the rows of x (rows, n)."""
        codes = self.encode(x)
        trees = range(len(self.columns))
        return np.asarray(sum(self.prototypes[t][codes[:, t]] for t in trees), np.float32)

    def state(self) -> dict[str, Array]:
        """Return the arrays that make it up."""
        return {
            "columns": self.columns,
            "thresholds": self.thresholds,
            "prototypes": self.prototypes,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> HashTrees:
        """Return the trees that `state` returned."""
        return cls(*(arrays[key].copy() for key in ("columns", "thresholds", "prototypes")))


def looked_up(codes: Array, tables: Array) -> Array:
    """Return the sums of the table rows that codes (rows, trees) select."""
    from .kernels.lookup import add_rows

    out = np.empty((len(codes), tables.shape[2]), np.float32)
    add_rows(codes, tables, out)
    return out


def grow(x: Array, trees: int) -> HashTrees:
    """Return hash trees fitted to calibration rows x (rows, n), which they cut into equal pieces.

    Raises ValueError where there are more trees than numbers in a row, or fewer than 16 rows.
    """
    x = np.asarray(x, np.float32)
    rows, n = x.shape
    if not 1 <= trees <= n:
        raise ValueError(f"look-ups take 1 to {n} trees for rows of {n}, got {trees}")
    if rows < LEAVES:
        raise ValueError(f"look-ups are fitted to at least {LEAVES} rows, got {rows}")
    some = x[:: max(1, rows // MOST)]
    edges = np.linspace(0, n, trees + 1).astype(int)
    columns = np.empty((trees, DEPTH), np.int32)
    thresholds = np.empty((trees, LEAVES - 1), np.float32)
    for t in range(trees):
        piece = some[:, edges[t] : edges[t + 1]].astype(np.float64)
        columns[t], thresholds[t] = _tree(piece)
        columns[t] += edges[t]
    found = HashTrees(columns, thresholds, np.zeros((trees, LEAVES, n), np.float32))
    return HashTrees(columns, thresholds, _prototypes(found.encode(some), some, trees))


def _prototypes(codes: Array, x: Array, trees: int) -> Array:
    """Return (trees, 16, n) that leave the least squared error, with a little ridge."""
    chosen = np.zeros((len(x), trees * LEAVES))
    np.put_along_axis(chosen, codes.astype(np.int64) + LEAVES * np.arange(trees), 1, axis=1)
    gram = chosen.T @ chosen + RIDGE * np.eye(trees * LEAVES)
    fitted = np.linalg.solve(gram, chosen.T @ x.astype(np.float64))
    return np.ascontiguousarray(fitted.reshape(trees, LEAVES, -1), np.float32)


def _tree(x: Array) -> tuple[Array, Array]:
    """Return the columns (4,) and thresholds (15,) of a tree over x (rows, width)."""
    columns = np.zeros(DEPTH, np.int32)
    thresholds = np.zeros(LEAVES - 1, np.float32)
    node = np.zeros(len(x), np.int64)
    for level in range(DEPTH):
        spread = np.zeros(x.shape[1])
        for b in range(2**level):
            inside = x[node == b]
            if len(inside):
                spread += ((inside - inside.mean(0)) ** 2).sum(0)
        best = np.inf
        for column in np.argsort(-spread, kind="stable")[:CANDIDATES]:
            splits = [_split(x[node == b], column) for b in range(2**level)]
            loss = sum(loss for loss, _ in splits)
            if loss < best:
                best, columns[level] = loss, column
                thresholds[2**level - 1 : 2 ** (level + 1) - 1] = [at for _, at in splits]
        asked = thresholds[2**level - 1 + node]
        node = 2 * node + (x[:, columns[level]].astype(np.float32) > asked)
    return columns, thresholds


def _split(x: Array, column: int) -> tuple[float, float]:
    """Return the squared error left by the best cut of x (rows, width) along a column, and it."""
    if len(x) < 2:
        return 0.0, 0.0
    order = np.argsort(x[:, column], kind="stable")
    x = x[order]
    sums, squares = np.cumsum(x, axis=0), np.cumsum((x**2).sum(1))
    below = np.arange(1, len(x))
    total, whole = sums[-1], squares[-1]
    left = squares[:-1] - (sums[:-1] ** 2).sum(1) / below
    right = whole - squares[:-1] - ((total - sums[:-1]) ** 2).sum(1) / (len(x) - below)
    values = x[:, column]
    loss = np.where(values[1:] > values[:-1], left + right, np.inf)
    at = int(np.argmin(loss))
    if not np.isfinite(loss[at]):
        return float(whole - (total**2).sum() / len(x)), float(values[-1])
    return float(loss[at]), float(np.float32((values[at] + values[at + 1]) / 2))
