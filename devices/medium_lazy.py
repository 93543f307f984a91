"""The lazy medium: of a huge random matrix, only what the inputs so far can see is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt

from .arrays import rows
from .medium_base import Floats, Medium

CHUNK = 2**25
SPAN_TOLERANCE = 1e-6


@final
class Lazy(Medium):
    """Only what the inputs can see of R: exact in law, for inputs that span few directions.

    Q holds an orthonormal basis of all inputs so far. R restricted to their span is Z Q with Z
    i.i.d. CN(0, 1), and by rotational invariance a direction not seen before adds a fresh row to
    Z, whatever the choice of that direction depended on. So all calls see one matrix, which is
    linear and repeatable to rounding; which matrix it is depends on key and on the order of the
    inputs (not on how they are cut into batches), and is not the matrix of the other kinds.

    The state is Q, since Z follows from the key. Raises ValueError before it would hold more than
    `budget_bytes`.
    """

    kind = "lazy"

    def __init__(
        self, n_out: int, n_in: int, key: int | np.uint64, budget_bytes: int = 2**32
    ) -> None:
        super().__init__(n_out, n_in, key)
        self.budget_bytes = budget_bytes
        self._rank = 0
        self._basis = np.empty((0, n_in), np.float32)
        self._seen = np.empty((2, 0, n_out), np.float32)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return {"basis": Q}, (rank, n_in)."""
        return {"basis": self._basis[: self._rank].copy()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take Q back. Raises ValueError where it is of another size."""
        if set(state) != {"basis"}:
            raise ValueError(f"the state of a lazy medium is 'basis', got {sorted(state)}")
        basis = rows(state["basis"], self.n_in, "basis")
        self._rank = 0
        self._add(basis.astype(np.float32, copy=False))

    def _add(self, fresh: Floats) -> None:
        from .kernels.normal import entries

        first, last = self._rank, self._rank + len(fresh)
        size = 4 * (self.n_in + 2 * self.n_out)
        if last * size > self.budget_bytes:
            raise ValueError(
                f"a lazy medium of {self.n_out} x {self.n_in} holds {self.budget_bytes // size} "
                f"directions in its budget_bytes={self.budget_bytes}, the inputs span {last}: "
                "take 'stream' or 'structured'"
            )
        if last > len(self._basis):
            room = min(max(last, 2 * first), self.n_in)
            basis, seen = self._basis, self._seen
            self._basis = np.empty((room, self.n_in), np.float32)
            self._seen = np.empty((2, room, self.n_out), np.float32)
            self._basis[:first], self._seen[:, :first] = basis[:first], seen[:, :first]
        self._basis[first:last] = fresh
        entries(self.key, first, 0, self._seen[0, first:last], self._seen[1, first:last])
        self._rank = last

    def _extend(self, x: Floats) -> None:
        basis = self._basis[: self._rank]
        fresh: Floats = x
        if self._rank:
            for _ in range(2):
                fresh = np.asarray(fresh - (fresh @ basis.T) @ basis, np.float32)
        floor = np.einsum("bi,bi->b", x, x, dtype=float) * SPAN_TOLERANCE**2
        for _ in range(2):
            kept, factor = _ordered_cholesky(_gram(fresh), floor)
            if not len(kept):
                return
            fresh = np.linalg.inv(factor).astype(np.float32) @ fresh[kept]
            floor = np.zeros(len(kept))
        self._add(fresh)

    def _apply(self, x: Floats) -> tuple[Floats, Floats]:
        step = max(1, CHUNK // self.n_in)
        for first in range(0, len(x), step):
            if self._rank < self.n_in:
                self._extend(x[first : first + step])
        weights: Floats = x @ self._basis[: self._rank].T
        return weights @ self._seen[0, : self._rank], weights @ self._seen[1, : self._rank]


def _gram(x: Floats) -> npt.NDArray[np.float64]:
    """Return x xᵀ summed in float64, a part of the columns at a time."""
    gram = np.zeros((len(x), len(x)))
    for first in range(0, x.shape[1], 2**16):
        part = x[:, first : first + 2**16].astype(float)
        gram += part @ part.T
    return gram


def _ordered_cholesky(
    gram: npt.NDArray[np.float64], floor: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the rows that add to the span of those before them, and their Cholesky factor.

    A row adds to it where the square of what is left of it exceeds its `floor`.
    """
    left, columns, kept = gram.copy(), [], []
    for i in range(len(gram)):
        if left[i, i] > floor[i]:
            column = left[:, i] / np.sqrt(left[i, i])
            left -= np.outer(column, column)
            columns.append(column)
            kept.append(i)
    factor = np.array(columns).T.reshape(len(gram), -1)
    return np.array(kept, dtype=np.intp), np.tril(factor[kept])
