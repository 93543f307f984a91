"""Reading a crossbar: drives, matrix products, and one Gaussian a conversion for all its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import Array

BLOCK = 1 << 15
"""Conversions whose noise is drawn at once: a stretch that stays in the cache."""

Plane = tuple[Array, Array]
"""What a row's code counts (batch,), and drives (batch, lines) from -1 to 1."""
_NONE = np.empty(0, np.float32)


class Currents(NamedTuple):
    """Lines that are driven together, and the columns that sum their currents."""

    drives: slice
    w: Array
    """(n, drives): the current of each column for each drive, in full-on cells."""
    variance: Array | None
    """(n, drives): the variance of a read of its cells; None where cells are read exactly."""
    weight: float
    """What a full-on cell counts in the output."""
    thermal: Array | None = None
    """(n,): the variance that no drive scales."""
    curves: tuple[tuple[str, Array], ...] = ()
    """(of what of the drives, (n, drives)): what nonlinear cells add to the currents."""

    def carried(self, drives: Array, out: Array | None = None) -> Array:
        """Return the currents (batch, n) of all drives (batch, lines)."""
        here = drives[:, self.drives]
        total = np.matmul(here, self.w.T, out=out)
        for name, c in self.curves:
            shaped = abs(here) if name == "size" else here ** int(name.removeprefix("power "))
            total += shaped @ c.T
        return total


class Pass(NamedTuple):
    """Currents and the converters that read them."""

    currents: Currents
    inverse: Array
    """Codes (n,) for the current of one full-on cell."""
    offset: Array
    gain: Array
    """Outputs (n,) for one code."""
    edges: Array | None = None
    """(converters, 2^bits): where codes begin; None where all are equally wide."""
    adc: npt.NDArray[np.int32] | None = None
    """(n,): the converter that reads each column."""


def drive(x: Array, reach: float, steps: int, serial: bool) -> list[Plane]:
    """Return the drives of inputs x (batch, lines), or of each of their bits.

    `reach` is the input that drives fully, 0: the largest of each row. `steps` are those of a
    magnitude, 0: no rounding.
    """
    return loaded(x, reach, steps, serial, _NONE)[0]


def loaded(
    x: Array, reach: float, steps: int, serial: bool, load: Array
) -> tuple[list[Plane], float]:
    """Return what `drive` does, and the sum over it of load (lines,) times the drives squared."""
    from .kernels.crossbar import drive

    factor, code = np.empty(len(x), np.float32), np.empty(x.shape, np.float32)
    spent = drive(x, reach, steps, factor, code, _NONE if serial else load)
    if not serial:
        return [(factor, code)], spent
    whole = np.rint(code * steps).astype(np.int32)
    size, sign = abs(whole), np.sign(whole).astype(np.float32)
    planes = [
        (factor * np.float32(2**k / steps), (size >> k & 1).astype(np.float32) * sign)
        for k in range(steps.bit_length())
    ]
    if len(load):
        spent = float(sum((abs(plane) @ load).sum() for _, plane in planes))
    return planes, spent


def read(
    planes: Sequence[Plane],
    passes: Sequence[Pass],
    level: float,
    top: float,
    key: np.uint64,
    first: int,
    batch: int,
    out: Array,
) -> None:
    """Set out (rows, n) to what all passes read of all planes, rows `first` and on of a batch.

    Every cell's read noise is independent and Gaussian, so a column's is Gaussian with variance
    sum_i variance_ji drive_i^2, exactly: one number a conversion stands for one a cell. `level`
    is the std of the converters' own noise. Row r, pass p of the batch have the same noise
    however the batch is cut.
    """
    from .kernels.crossbar import convert, search
    from .kernels.normal import normals

    (rows, n), turn = out.shape, 0
    step = max(1, BLOCK // n)
    drawn = np.empty((min(step, rows), n), np.float32)
    z = spread = none = np.empty((0, n), np.float32)
    stds = [_level(level, p.currents.thermal, n) for p in passes]
    current = out  # the first pass converts in place, the others add to it
    for factor, drives in planes:
        squares = drives * drives if passes[0].currents.variance is not None else drives
        for (here, inverse, offset, gain, edges, adc), std in zip(passes, stds, strict=True):
            cells = here.variance
            here.carried(drives, current)
            variance = none if cells is None else squares[:, here.drives] @ cells.T
            noisy = level > 0 or cells is not None or here.thermal is not None
            for start in range(0, rows, step):
                part = slice(start, start + step)
                now = current[part]
                if noisy:
                    z = drawn[: len(now)]
                    normals(key, (turn * batch + first + start) * n, z.reshape(-1))
                if cells is not None:
                    spread = variance[part]
                total, row = out[part] if turn else none, factor[part]
                if edges is None or adc is None:
                    convert(now, z, spread, std, inverse, offset, top, gain, row, total)
                else:
                    search(now, z, spread, std, inverse, offset, edges, adc, gain, row, total)
            turn += 1
            if current is out and len(planes) * len(passes) > 1:
                current = np.empty_like(out)


def _level(level: float, thermal: Array | None, n: int) -> Array:
    if thermal is None:
        return np.full(n, level, np.float32)
    return np.asarray(np.sqrt(level * level + thermal), np.float32)
