"""Formats that are fitted to numbers: floats of a fitted split and bias, and any4's sixteen values.

`fit_float` is post-training quantisation after Kuzmin et al., "FP8 quantization: the power of the
exponent", NeurIPS 2022: the split of the bits between exponent and mantissa and a real-valued bias,
here a scale of all values, that leave the least squared error. `any4` (Elhoushi and Johnson, "any4:
learned 4-bit numeric representation for LLMs", ICML 2025) gives each row of a matrix sixteen values
of its own by k-means, on groups that are scaled and shifted first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .formats import Format
from .rounding import Rounding, quantise

SHARES = 2.0 ** np.arange(0.0, -5.0, -0.125)
"""Shares of the largest magnitude that are tried as the largest number of a format."""
SAMPLE = 1 << 16
VALUES = 16
ROUNDS = 25


@dataclass(frozen=True)
class FittedFloat:
    """A float format whose values are all multiplied by a scale: the same as a real-valued bias."""

    element: Format
    scale: float
    error: float
    """Mean squared error on the numbers that it was fitted to."""

    @property
    def bias(self) -> float:
        """The bias b of the values (-1)^s 2^(p - b) (1 + m / 2^M)."""
        return float(self.element.bias - np.log2(self.scale))

    def __call__(self, x: Array, rounding: Rounding = "nearest", key: int = 0) -> Array:
        """Return x rounded to the format, saturating."""
        scale = np.float32(self.scale)
        rounded: Array = quantise(np.asarray(x, np.float32) / scale, self.element, rounding, key)
        return rounded * scale


def fit_float(x: Array, bits: int = 8) -> FittedFloat:
    """Return the float format of so many bits, sign included, that suits x (any shape) best.

    It has no infinity and no NaN. Of more than 65,536 numbers evenly spaced ones are looked at,
    and the largest. Raises ValueError where x is empty or not finite, or bits not from 3 to 8.
    """
    if isinstance(bits, bool) or not 3 <= bits <= 8:
        raise ValueError(f"fit_float takes 3 to 8 bits, got {bits!r}")
    x = np.asarray(x, np.float32).reshape(-1)
    if not x.size or not np.isfinite(x).all():
        raise ValueError("fit_float takes at least one number, and finite ones")
    top = float(np.abs(x).max())
    some = np.append(x[:: max(1, x.size // SAMPLE)], np.float32(top))
    best: FittedFloat | None = None
    for e in range(1, min(bits - 1, 6)):
        m = bits - 1 - e
        element = Format(f"e{e}m{m}finite", e, m, 2 ** (e - 1) - 1)
        for share in SHARES:
            scale = float(np.float32(share * (top or 1.0) / element.largest))
            found = FittedFloat(element, scale, 0.0)
            error = float(np.mean((found(some) - some).astype(np.float64) ** 2))
            if best is None or error < best.error:
                best = FittedFloat(element, scale, error)
    assert best is not None
    return best


@dataclass(frozen=True)
class Any4:
    """A matrix (rows, n) in 4 bits an entry: sixteen values a row, two numbers a group."""

    index: Array
    """(rows, n) of 0 to 15."""
    values: Array
    """(rows, 16), ascending, rounded to bfloat16; in units of a group's scale."""
    scale: Array
    """(rows, groups)."""
    offset: Array
    """(rows, groups)."""

    def matrix(self) -> Array:
        """Return the matrix that the codes stand for, float32."""
        rows, n = self.index.shape
        u = np.take_along_axis(self.values, self.index.astype(np.intp), axis=1)
        groups = u.reshape(rows, self.scale.shape[1], -1)
        whole = groups * self.scale[:, :, None] + self.offset[:, :, None]
        return np.ascontiguousarray(whole.reshape(rows, n), np.float32)


def any4(w: Array, group: int = 128, importance: Array | None = None) -> Any4:
    """Return w (rows, n) in the sixteen values of each row that leave the least squared error.

    Groups of `group` entries along a row are mapped to 0 to 15 as int4 does; from int4's own values
    Lloyd's iteration [IEEE Trans. Inf. Theory 28(2), 1982] only lowers the error. `importance` (n,)
    weighs the columns, as the mean squares of calibration inputs do. Raises ValueError where a
    group does not divide n.
    """
    w = np.asarray(w, np.float32)
    rows, n = w.shape
    if group < 1 or n % group:
        raise ValueError(f"any4: a group of {group} does not divide rows of {n}")
    weight = np.ones(n, np.float32) if importance is None else np.asarray(importance, np.float32)
    if weight.shape != (n,) or (weight < 0).any():
        raise ValueError(f"any4: importance takes {n} numbers from 0, got {weight.shape}")
    parts = w.reshape(rows, -1, group)
    offset = parts.min(axis=2)
    scale = (parts.max(axis=2) - offset) / np.float32(VALUES - 1)
    scale = np.where(scale > 0, scale, np.float32(1))
    u = ((parts - offset[:, :, None]) / scale[:, :, None]).reshape(rows, n)
    # The error of an entry is its group's scale squared times that of u.
    heavy = weight * np.repeat(scale, group, axis=1) ** 2
    values = np.tile(np.arange(VALUES, dtype=np.float32), (rows, 1))
    index = np.empty((rows, n), np.uint8)
    for r in range(rows):
        values[r] = _lloyd(u[r], heavy[r], values[r])
        index[r] = _nearest(u[r], values[r])
    return Any4(index, values, scale, offset)


def _nearest(u: Array, values: Array) -> Array:
    return np.searchsorted((values[1:] + values[:-1]) / 2, u)


def _lloyd(u: Array, weight: Array, values: Array) -> Array:
    """Return values (16,) after Lloyd's iteration on u (n,), kept only where bfloat16 allows it."""
    best, least = values, np.inf
    for _ in range(ROUNDS):
        at = _nearest(u, values)
        error = float((weight * (u - values[at]) ** 2).sum())
        if error >= least:
            break
        best, least = values, error
        mass = np.bincount(at, weight, VALUES)
        mean = np.bincount(at, weight * u, VALUES) / np.where(mass > 0, mass, 1)
        moved = np.where(mass > 0, mean, values).astype(np.float32)
        values = np.sort(quantise(moved, "bf16"))
    return best
