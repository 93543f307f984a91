"""A crossbar array with its wires, made ready for the parasitic solvers of devices.parasitics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Array, rows
from .wires import Wires

Doubles = npt.NDArray[np.float64]

_KEPT = 16
"""Residuals kept to find the slowest mode: by then it stands out."""
_MODE_ERROR = 1e-2
"""A mode less exact than this is left alone."""


class Unconverged(ArithmeticError):
    """A parasitic solve stopped above its tolerance."""

    def __init__(self, where: str, change: str) -> None:
        super().__init__(f"{where}: {change}")
        self.where = where
        """How far it came, without what to change."""


def cells(what: str, cells: Any) -> Doubles:
    """Return a matrix of finite numbers from 0, in float64."""
    shape = tuple(getattr(cells, "shape", np.shape(cells)))
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{what} takes (rows, columns), got {shape}")
    checked = rows(cells, shape[1], what).astype(np.float64)
    wrong = ~(np.isfinite(checked) & (checked >= 0))
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise ValueError(f"{what} takes finite numbers from 0, got {checked[i, j]} at ({i}, {j})")
    return checked


@dataclass(frozen=True, slots=True)
class Mode:
    """The slowest mode z of solving word and bit lines in turn, and how fast the others are."""

    rest: float
    """The largest eigenvalue of the iteration on all that is left beside z."""
    z: Doubles
    """Bit-line voltages (rows, columns)."""
    by_word: Doubles
    """(rows,): how much of z 1 V on each word line calls for."""
    by_bit: Doubles
    """(columns,): how much of z 1 V at the end of each bit line calls for."""


class ParasiticArray:
    """An array turned so that word lines begin at column 0 and bit lines are sensed at row 0."""

    def __init__(self, g_S: Any, wires: Wires, tolerance: float, max_steps: int) -> None:
        from .kernels.parasitics import ladder

        if not 1e-13 <= tolerance < 1:
            raise ValueError(f"tolerance takes a number from 1e-13 to below 1, got {tolerance!r}")
        if max_steps < 1:
            raise ValueError(f"max_steps takes a whole number from 1, got {max_steps!r}")
        g = cells("g_S", g_S)
        self.wires, self.tolerance, self.max_steps = wires, tolerance, max_steps
        self.shape = g.shape
        self.loss = 1 + g * wires.access_ohm if wires.access_ohm > 0 else np.ones((1, 1))
        m, n = g.shape
        # One block, not fourteen: mapping the pages of small ones takes longer than the solve.
        block = np.empty((14, m, n))
        self.g, self.gt = block[0], block[1].reshape(n, m)
        self.word, self.bit = block[2:5].reshape(3, n, m), block[5:8]
        self._work, self._u, self._w = block[8:12], block[12], block[13]
        np.divide(self.turn(g), self.turn(self.loss), out=self.g)
        self.gt[:] = self.g.T
        word_end, bit_end = wires.driver_ohm + wires.word_ohm, wires.sense_ohm + wires.bit_ohm
        ladder(self.gt, float(wires.word_ohm), float(word_end), wires.driven == "both", *self.word)
        ladder(self.g, float(wires.bit_ohm), float(bit_end), wires.sensed == "both", *self.bit)

    def turn(self, a: Array, rows: bool = True, columns: bool = True) -> Array:
        """Return `a`, of (..., rows, columns) or one of the two, turned to the solver's side."""
        if columns and self.wires.driven == "right":
            a = a[..., ::-1]
        if rows and self.wires.sensed == "bottom":
            a = a[..., ::-1, :] if columns else a[..., ::-1]
        return a

    def inputs(self, v_V: Any) -> Doubles:
        """Return checked driver voltages (batch, rows), turned."""
        v = rows(v_V, self.shape[0], "v_V").astype(np.float64)
        if not np.isfinite(v).all():
            i, j = np.argwhere(~np.isfinite(v))[0]
            raise ValueError(f"v_V takes finite numbers, got {v[i, j]} at ({i}, {j})")
        return np.ascontiguousarray(self.turn(v, columns=False))

    def nodes(self, v: Doubles) -> tuple[Doubles, Doubles]:
        """Return the voltages (batch, rows, columns) of word and bit lines, by `one` after one."""
        u, w = np.empty((2, len(v), *self.shape))
        for k in range(len(v)):
            self._one(v[k], u[k], w[k])
        return u, w

    def flows(self, v: Doubles) -> tuple[Doubles, Doubles]:
        """Return the currents out of the word lines (batch, rows), into the bit lines (columns)."""
        from .kernels.parasitic_lanes import LANES

        by_word, by_bit = (np.empty((len(v), size)) for size in self.shape)
        if len(v) < LANES // 2:
            flow, w = self._u, self._w
            for k in range(len(v)):
                self._one(v[k], flow, w)
                flow -= w
                flow *= self.g
                by_word[k], by_bit[k] = flow.sum(1), flow.sum(0)
        else:
            for batch, word, bit, *_ in self._many(v.T, np.zeros((self.shape[1], len(v)))):
                by_word[batch], by_bit[batch] = word.T, bit.T
        return by_word, by_bit

    def effective(self) -> Doubles:
        """Return the matrix (rows, columns) that maps v to the bit lines' currents."""
        m, n = self.shape
        matrix = np.empty(self.shape)
        if m < n:
            for batch, _, bit, *_ in self._many(np.eye(m), np.zeros((n, m))):
                matrix[batch] = bit.T
        else:
            for batch, word, *_ in self._many(np.zeros((m, n)), np.eye(n)):
                matrix[:, batch] = -word
        return matrix

    def adjoints(self) -> Iterator[tuple[slice, Doubles]]:
        """Yield voltages across all cells (rows, columns, some), one bit line's end held at 1 V."""
        from .kernels.parasitic_lanes import across

        m, n = self.shape
        for batch, _, _, v, w, x in self._many(np.zeros((m, n)), np.eye(n)):
            across(self.g, self._by_row, v, w, x)
            yield batch, x[:, :, : batch.stop - batch.start]

    def noisy(self, sigma: Doubles) -> tuple[Doubles, Doubles]:
        """Return `effective` and each column's variance for 1 V on each driver alone, turned.

        From the cells of that column, whose conductances have the std sigma (rows, columns).
        """
        from .kernels.parasitic_lanes import across

        m, n = self.shape
        own, matrix, variance = np.empty((3, m, n))
        for columns, x in self.adjoints():
            own[:, columns] = x[:, np.arange(columns.start, columns.stop), np.arange(x.shape[2])]
        weight = (own * self.turn(sigma / self.loss**2)) ** 2
        for batch, _, bit, v, w, x in self._many(np.eye(m), np.zeros((n, m))):
            matrix[batch] = bit.T
            across(self.g, self._by_row, v, w, x)
            np.square(x, out=x)
            variance[batch] = np.einsum("ij,ijk->kj", weight, x[:, :, : batch.stop - batch.start])
        return matrix, variance

    @cached_property
    def _by_row(self) -> Doubles:
        """The word lines' coefficients as (3, rows, columns)."""
        return np.ascontiguousarray(self.word.transpose(0, 2, 1))

    def _one(self, v: Doubles, u: Doubles, w: Doubles, keep: int = 0) -> tuple[Doubles, Doubles]:
        """Fill u and w for the input v; return alpha and beta of all steps, some residuals."""
        from .kernels.parasitics import one

        steps, kept = np.empty((self.max_steps, 2)), np.empty((keep, *self.shape))
        taken, residual = one(
            self.g,
            self.gt,
            self.word,
            self.bit,
            v,
            self.tolerance,
            steps,
            kept,
            self._work,
            u,
            w,
        )
        self._check(taken, residual)
        return steps[:taken], kept[:taken]

    def _check(self, taken: int, residual: float) -> None:
        if not residual <= self.tolerance:
            m, n = self.shape
            raise Unconverged(
                f"the parasitic solve of {m} x {n} cells stands at a residual of {residual:.1e} "
                f"after {taken} steps, above {self.tolerance:.1e}",
                "raise max_steps or tolerance, or lower the conductances, word_ohm or bit_ohm",
            )

    @cached_property
    def _mode(self) -> Mode:
        """The slowest mode, by the Lanczos process within conjugate gradients on all drivers."""
        from .kernels.parasitics import climb

        m, n = self.shape
        steps, kept = self._one(np.ones(m), self._u, self._w, _KEPT)
        if not len(steps):
            return Mode(0.0, np.zeros((m, n)), np.zeros(m), np.zeros(n))
        alpha, beta = steps.T
        diagonal, side = 1 / alpha, -np.sqrt(np.abs(beta)) / alpha
        diagonal[1:] += beta[:-1] / alpha[:-1]
        lanczos = np.diag(diagonal) + np.diag(side[:-1], 1) + np.diag(side[:-1], -1)
        values = np.append(np.linalg.eigvalsh(lanczos), 1.0)
        some = len(kept)
        ritz, vectors = np.linalg.eigh(lanczos[:some, :some])
        if abs(side[some - 1] * vectors[-1, 0]) > _MODE_ERROR * ritz[0]:
            return Mode(max(0.0, 1 - values[0]), np.zeros((m, n)), np.zeros(m), np.zeros(n))
        bz, z = np.tensordot(vectors[:, 0], kept[:some], 1), np.empty((m, n))
        climb(self.bit[0], self.bit[1], self.bit[2], bz, np.zeros(n), z)
        word = np.empty((n, m))
        climb(self.word[0], self.word[1], self.word[2], np.zeros((n, m)), np.ones(m), word)
        by_word = np.sum(z * self.g * word.T, axis=1) / ritz[0]
        by_bit = np.sum(bz * self._response, axis=0) * (1 - ritz[0]) / ritz[0]
        return Mode(max(0.0, 1 - values[1]), z, by_word, by_bit)

    @cached_property
    def _response(self) -> Doubles:
        """The voltages of the bit lines (rows, columns), 1 V at their ends, word lines at 0 V."""
        from .kernels.parasitics import climb

        response = np.empty(self.shape)
        climb(
            self.bit[0],
            self.bit[1],
            self.bit[2],
            np.zeros(self.shape),
            np.ones(self.shape[1]),
            response,
        )
        return response

    def _many(
        self, v: Doubles, s: Doubles
    ) -> Iterator[tuple[slice, Doubles, Doubles, Doubles, Doubles, Doubles]]:
        """Solve for the ends of the lines held at v (rows, batch) and s (columns, batch).

        Yields, for some of the batch at a time, its slice, the currents from the word lines and
        into the bit lines (of that slice), v, the bit lines' voltages and work space (of LANES).
        """
        from .kernels.parasitic_lanes import LANES, guess, many

        (m, n), mode = self.shape, self._mode
        w, last, front = np.empty((3, m, n, LANES))
        by_word, by_bit = np.empty((m, LANES)), np.empty((n, LANES))
        for first in range(0, v.shape[1], LANES):
            batch = slice(first, min(first + LANES, v.shape[1]))
            some = batch.stop - first
            ends_v, ends_s = np.zeros((m, LANES)), np.zeros((n, LANES))
            ends_v[:, :some], ends_s[:, :some] = v[:, batch], s[:, batch]
            weight = mode.by_word @ ends_v + mode.by_bit @ ends_s
            guess(self._response, ends_s, mode.z, weight, w)
            taken, change = many(
                self.g,
                self._by_row,
                self.bit,
                ends_v,
                ends_s,
                mode.rest,
                self.tolerance,
                self.max_steps,
                w,
                last,
                front,
                by_word,
                by_bit,
            )
            self._check(taken, change)
            yield batch, by_word[:, :some], by_bit[:, :some], ends_v, w, front
