"""The optical medium: a fixed random complex transmission matrix of any size, four ways to hold it.

Light that left a strongly scattering medium is the input times a matrix R (n_out, n_in) whose
entries are independent circular complex Gaussians, CN(0, 1): real and imaginary part are N(0, 1/2)
each. So |R x|² has mean |x|² and is exponential, and E|Rx|²|Ry|² = |x|²|y|² + (x . y)², the optical
kernel (Saade et al., arXiv 1510.06664).

| kind         | entries of R | memory            | work for a batch B                       |
|--------------|--------------|-------------------|------------------------------------------|
| "dense"      | exact        | n_out n_in 8 B    | two real products                        |
| "stream"     | same bits    | one tile          | the same, and the entries made anew      |
| "lazy"       | exact law    | r (n_in + 2n_out) | grows with r, the rank of all the inputs |
| "structured" | not exact    | a few vectors     | B (n_out + n_in) log n                   |
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, final

import numpy as np

from .arrays import elsewhere
from .medium_base import Floats, Medium
from .medium_lazy import Lazy

__all__ = ["KINDS", "Dense", "Lazy", "Medium", "Stream", "Structured", "make_medium"]

DENSE_ENTRIES = 2**26
STREAM_WORK = 1e13
TILE_IN, TILE_ENTRIES = 1024, 2**16
SMALLEST_TRANSFORM = 1024
CHUNK = 2**22


class _Tiled(Medium):
    """A matrix whose entry (i, j) depends on (key, i, j) alone, multiplied tile by tile.

    Both kinds multiply the same tiles in the same order, and the last rows of tiles are filled up
    with zeros, so that results of "dense" and "stream" have the same bits, and so have the first
    outputs of two media that differ in n_out. (BLAS with another number of threads may round
    otherwise; so may another batch.)
    """

    def __init__(self, n_out: int, n_in: int, key: int | np.uint64) -> None:
        super().__init__(n_out, n_in, key)
        width = 1 << (self.n_in - 1).bit_length()
        self._height = min(max(TILE_ENTRIES // width, 64), 256)  # n_out must not change it

    @abstractmethod
    def _tiles(self, row: int) -> Iterator[Floats]:
        """Yield the tiles (2 height, width) of the rows from `row` on, re above im."""

    @final
    def _fill(self, tile: Floats, row: int, column: int) -> Floats:
        from .kernels.normal import entries

        n = min(self._height, self.n_out - row)
        parts = tile.reshape(2, self._height, -1)
        parts[:, n:] = 0
        entries(self.key, row, column, parts[0, :n], parts[1, :n])
        return tile

    @final
    def _apply(self, x: Floats) -> tuple[Floats, Floats]:
        out = np.empty((2, len(x), self.n_out), np.float32)
        total, product = np.empty((2, len(x), 2 * self._height), np.float32)
        for row in range(0, self.n_out, self._height):
            total[:] = 0
            for column, tile in zip(range(0, self.n_in, TILE_IN), self._tiles(row), strict=True):
                np.matmul(x[:, column : column + tile.shape[1]], tile.T, out=product)
                total += product
            n = min(self._height, self.n_out - row)
            out[0, :, row : row + n] = total[:, :n]
            out[1, :, row : row + n] = total[:, self._height : self._height + n]
        return out[0], out[1]

    @final
    def _matrix(self) -> tuple[Floats, Floats]:
        from .kernels.normal import entries

        re, im = np.empty((2, self.n_out, self.n_in), np.float32)
        entries(self.key, 0, 0, re, im)
        return re, im


@final
class Stream(_Tiled):
    """Entries made when they are needed and forgotten: any size, one tile of memory."""

    kind = "stream"

    def _tiles(self, row: int) -> Iterator[Floats]:
        room = np.empty(2 * self._height * min(TILE_IN, self.n_in), np.float32)
        for column in range(0, self.n_in, TILE_IN):
            width = min(TILE_IN, self.n_in - column)
            yield self._fill(room[: 2 * self._height * width].reshape(-1, width), row, column)


@final
class Dense(_Tiled):
    """Entries made once and kept, at most 2**26 of them (512 MiB)."""

    kind = "dense"

    def __init__(self, n_out: int, n_in: int, key: int | np.uint64) -> None:
        super().__init__(n_out, n_in, key)
        if n_out * n_in > DENSE_ENTRIES:
            raise ValueError(
                f"a dense medium takes at most 2**26 entries, got {n_out} x {n_in}: "
                "take 'stream', 'lazy' or 'structured'"
            )
        self._kept = [
            self._keep(row, column)
            for row in range(0, n_out, self._height)
            for column in range(0, n_in, TILE_IN)
        ]

    def _keep(self, row: int, column: int) -> Floats:
        tile = np.empty((2 * self._height, min(TILE_IN, self.n_in - column)), np.float32)
        n = min(self._height, self.n_out - row)
        filled = self._fill(tile, row, column)
        return filled if n == self._height else filled.reshape(2, self._height, -1)[:, :n].copy()

    def _tiles(self, row: int) -> Iterator[Floats]:
        across = -(-self.n_in // TILE_IN)
        first = row // self._height * across
        for tile in self._kept[first : first + across]:
            if tile.ndim == 3:
                whole = np.zeros((2, self._height, tile.shape[2]), np.float32)
                whole[:, : tile.shape[1]] = tile
                tile = whole.reshape(2 * self._height, -1)
            yield tile


@final
class Structured(Medium):
    """y = H P H D' H D x / n: Hadamard matrices H between random signs D, D' and phases P.

    n is n_in rounded up to a power of two, 1024 at least; each n further outputs have their own D'
    and P. Each |y|² has mean |x|² and is close to exponential for sparse, binary and constant
    inputs alike (with one stage fewer it is not), and the kernel error is below that of an i.i.d.
    matrix. But n outputs together are an isometry of x (Marchenko and Pastur's law does not
    hold), so `exact` is False: do not study conditioning, calibration or sketching on it unless
    n_out is far below n. Structured transforms for optical reservoirs: Dong et al., arXiv
    2006.07310.
    """

    kind = "structured"
    exact = False

    def apply(self, x: Any) -> tuple[Any, Any]:
        """Do what every medium does; a GPU's tensor stays there, and so do the two parts."""
        if not elsewhere(x) or x.ndim != 2 or x.shape[1] != self.n_in or x.is_complex():
            return super().apply(x)
        from .medium_torch import structured

        if not bool(x.isfinite().all()):
            raise ValueError("a medium takes finite x, got inf or nan")
        return structured(x.float(), self._length, self.n_out, int(self.key))

    @property
    def _length(self) -> int:
        """Points of a transform."""
        return max(SMALLEST_TRANSFORM, 1 << (self.n_in - 1).bit_length())

    def _apply(self, x: Floats) -> tuple[Floats, Floats]:
        from .kernels.hadamard import flip, fwht
        from .kernels.normal import phases, words

        n = self._length
        out = np.empty((2, len(x), self.n_out), np.float32)
        signs = np.empty(n // 32, np.uint32)
        turn = np.empty((2, n), np.float32)
        step = max(1, CHUNK // n)
        for first in range(0, len(x), step):
            some = slice(first, first + step)
            once = np.zeros((len(x[some]), n), np.float32)
            once[:, : self.n_in] = x[some]
            words(self.key, 0, signs)
            flip(once, signs)
            fwht(once)
            once /= n
            for block in range(-(-self.n_out // n)):
                words(self.key, (block + 1) * len(signs), signs)
                twice = once.copy()
                flip(twice, signs)
                fwht(twice)
                phases(self.key, block * n, turn[0], turn[1])
                for part in range(2):
                    thrice = twice * turn[part]
                    fwht(thrice)
                    target = out[part, some, block * n : (block + 1) * n]
                    target[:] = thrice[:, : target.shape[1]]
        return out[0], out[1]


KINDS: dict[str, type[Medium]] = {kind.kind: kind for kind in (Dense, Stream, Lazy, Structured)}


def make_medium(
    n_out: int,
    n_in: int,
    key: int | np.uint64,
    kind: str = "auto",
    *,
    batch_hint: int = 1,
    rank_hint: int | None = None,
    budget_bytes: int = 2**32,
) -> Medium:
    """Return a medium of that kind; "auto" takes the first of the list that fits.

    - dense, up to 2**26 entries;
    - lazy, where all inputs together span at most `rank_hint` directions (a small data set; the
      errors of c classes: c) and those fit into `budget_bytes`;
    - stream, where `batch_hint` rows at a time pay for making the entries: at least 64, and
      n_out * n_in * batch_hint is at most 1e13 (some seven minutes on one core);
    - structured, which alone is not `exact`.

    Raises ValueError where the kind is unknown or the sizes do not fit it.
    """
    if kind == "auto":
        size = n_out * n_in
        span = np.inf if rank_hint is None else rank_hint * 4 * (n_in + 2 * n_out)
        if size <= DENSE_ENTRIES:
            kind = "dense"
        elif span <= budget_bytes:
            kind = "lazy"
        elif batch_hint >= 64 and size * batch_hint <= STREAM_WORK:
            kind = "stream"
        else:
            kind = "structured"
    if kind not in KINDS:
        raise ValueError(f"a medium is {', '.join(KINDS)} or auto, got {kind!r}")
    if kind == "lazy":
        return Lazy(n_out, n_in, key, budget_bytes)
    return KINDS[kind](n_out, n_in, key)
