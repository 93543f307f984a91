"""Encoders: numbers into patterns of mirrors that are on or off, and outputs back into numbers.

Every `encode` takes (batch, n) and returns uint8 of 0 and 1. What the planes cannot hold is
refused with a ValueError, never cast. A plane is one binary image of the whole input; planes come
with the most significant bit first. The kinds are those of LightOn's lightonml, whose names
stand in brackets; the code is our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .arrays import Array, namespace

Bits = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]


class Encoder(Protocol):
    """What turns real rows into masks: `OpticalFeatures` takes anything of this kind."""

    def encode(self, x: Any) -> Bits:
        """Return the masks, 0 and 1, of x (batch, n): one row for each row of x."""
        ...


def _matrix(x: Any, what: str) -> Array:
    rows: Array = np.asarray(x if namespace(x) is np else x.detach().cpu().numpy())
    if rows.ndim != 2:
        raise ValueError(f"{what} takes (batch, n), got {rows.shape}")
    return rows


def _reals(x: Any, what: str) -> Array:
    rows = _matrix(x, what)
    if rows.dtype.kind not in "biuf":
        raise ValueError(f"{what} takes real numbers, got {rows.dtype}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{what} takes finite numbers, got inf or nan")
    return rows


def _whole(name: str, got: Any, least: int, most: int) -> None:
    right = isinstance(got, (int, np.integer)) and not isinstance(got, bool)
    if not right or not least <= got <= most:
        raise ValueError(f"{name} takes a whole number from {least} to {most}, got {got!r}")


@dataclass(frozen=True, eq=False)
class Threshold:
    """One bit a number: is it above `at`? [BinaryThresholdEncoder].

    >>> Threshold(0.5).encode([[0.2, 0.9]])
    array([[0, 1]], dtype=uint8)
    """

    at: Any = 0.0
    """One threshold for all, or one for each of the n features."""
    above: bool = True
    """False: the bit says whether the number is below."""

    def encode(self, x: Any) -> Bits:
        """Return (batch, n) bits of x (batch, n). Raises ValueError for nan, inf and misfits."""
        x, at = _reals(x, "Threshold"), np.asarray(self.at)
        if at.ndim > 1 or (at.ndim == 1 and at.shape != x.shape[1:]):
            raise ValueError(f"Threshold has {at.shape} thresholds for {x.shape[1]} features")
        bits: Bits = ((x > at) if self.above else (x < at)).astype(np.uint8)
        return bits


@dataclass(frozen=True, eq=False)
class Thresholds:
    """k bits a number, one for each threshold that it may be above [MultiThresholdEncoder].

    >>> Thresholds([1, 2]).encode([[1.5, 3.0]])
    array([[1, 0, 1, 1]], dtype=uint8)
    """

    at: Any
    """Rising thresholds (k,) for all features, or (n, k) for each of the n features."""

    def _levels(self) -> Array:
        at = np.asarray(self.at)
        if at.ndim not in (1, 2) or not at.shape[-1] or (np.diff(at) < 0).any():
            raise ValueError("Thresholds takes rising thresholds, (k,) or (n, k)")
        return at

    def encode(self, x: Any) -> Bits:
        """Return (batch, n k) bits of x (batch, n), those of the first feature first.

        Raises ValueError for nan, inf and misfits.
        """
        x, at = _reals(x, "Thresholds"), self._levels()
        if at.ndim == 2 and len(at) != x.shape[1]:
            raise ValueError(f"Thresholds has {len(at)} rows for {x.shape[1]} features")
        bits: Bits = (x[:, :, None] > at).astype(np.uint8)
        return bits.reshape(len(x), -1)

    def decode(self, bits: Any) -> Whole:
        """Return how many thresholds each number passed, (batch, n) from 0 to k."""
        bits, k = _matrix(bits, "Thresholds.decode"), self._levels().shape[-1]
        if bits.shape[1] % k:
            raise ValueError(f"{bits.shape[1]} bits a row are not a multiple of {k} thresholds")
        passed: Whole = bits.reshape(len(bits), -1, k).sum(-1, dtype=np.int64)
        return passed


@dataclass(frozen=True)
class BitPlanes:
    """Whole numbers from 0 to 2**bits - 1 as their bits.

    `separate` makes every plane a row of its own, to be shown one after the other
    [SeparatedBitPlanEncoder]; what a linear device gives for them `mix` adds up again.
    `concatenate` sets the planes side by side in one row [ConcatenatedBitPlanEncoder].

    >>> BitPlanes(3).concatenate([[5, 1]])
    array([[1, 0, 1, 0, 0, 1]], dtype=uint8)
    """

    bits: int = 8

    def __post_init__(self) -> None:
        _whole("BitPlanes.bits", self.bits, 1, 32)

    def _planes(self, x: Any) -> Bits:
        x = _reals(x, "BitPlanes")
        most = 2**self.bits - 1
        if ((x < 0) | (x > most) | (x != np.floor(x))).any():
            raise ValueError(
                f"BitPlanes({self.bits}) takes whole numbers from 0 to {most}; scale and round "
                "the input, or take FixedPoint"
            )
        shift = np.arange(self.bits - 1, -1, -1)[:, None]
        planes: Bits = (x.astype(np.int64)[:, None] >> shift & 1).astype(np.uint8)
        return planes

    def encode(self, x: Any) -> Bits:
        """Do what `concatenate` does: one row for each row of x."""
        return self.concatenate(x)

    def concatenate(self, x: Any) -> Bits:
        """Return (batch, n bits) of x (batch, n), the bits of the first feature first.

        Raises ValueError where a number is not whole or does not fit.
        """
        planes = self._planes(x)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)).reshape(len(planes), -1)

    def separate(self, x: Any) -> Bits:
        """Return (batch bits, n) of x (batch, n), the planes of the first row first.

        Raises ValueError where a number is not whole or does not fit.
        """
        planes = self._planes(x)
        return planes.reshape(-1, planes.shape[2])

    def decode(self, row: Any) -> Whole:
        """Return the whole numbers (batch, n) that `concatenate` turned into these bits."""
        row = _matrix(row, "BitPlanes.decode")
        if row.shape[1] % self.bits:
            raise ValueError(f"{row.shape[1]} bits a row are not a multiple of {self.bits}")
        weights = 1 << np.arange(self.bits - 1, -1, -1, dtype=np.int64)
        numbers: Whole = row.reshape(len(row), -1, self.bits).astype(np.int64) @ weights
        return numbers

    def _rows(self, y: Any, decay: float) -> Array:
        y = _matrix(y, "BitPlanes")
        if len(y) % self.bits:
            raise ValueError(f"{len(y)} rows are not a multiple of {self.bits} planes")
        if not 0 < decay <= 1:
            raise ValueError(f"decay takes a number in (0, 1], got {decay!r}")
        dtype = np.float64 if y.dtype == np.float64 else np.float32
        weights = (2.0 ** (self.bits - 1) * decay ** np.arange(self.bits)).astype(dtype)
        planes: Array = y.astype(dtype).reshape(-1, self.bits, y.shape[1])
        weighted: Array = planes * weights[:, None]
        return weighted

    def mix(self, y: Any, decay: float = 0.5) -> Array:
        """Return (batch, m): the weighted sum of the outputs y (batch bits, m) of the planes.

        The first plane weighs 2**(bits - 1), each further one `decay` times the one before. 1/2
        undoes `separate` through any linear map; another decay makes a feature of intensities,
        which are not linear. [MixingBitPlanDecoder]
        """
        return np.asarray(self._rows(y, decay).sum(1))

    def join(self, y: Any, decay: float = 0.5) -> Array:
        """Return (batch, bits m): the weighted outputs of the planes side by side.

        [ConcatenatingBitPlanDecoder]
        """
        weighted = self._rows(y, decay)
        return weighted.reshape(len(weighted), -1)


def signed_planes(x: Array, bits: int) -> Iterator[tuple[Bits, Array]]:
    """Yield 2 bits masks (batch, n) of real x, and the float32 weight (batch, 1) of each.

    Fixed point: each row is a whole number from -(2**bits - 1) to 2**bits - 1 of its own unit,
    the largest magnitude in it over 2**bits - 1; first the planes of the positive numbers, then
    those of the negative. The weighted sum of the masks is x to within half a unit; a row whose
    unit is below float32's normal range is dark. Nothing is held but one mask. Raises ValueError
    for nan, inf, and what float32 cannot hold.
    """
    _whole("bits", bits, 1, 16)
    x = _reals(x, "FixedPoint")
    holds = np.finfo(np.float32)
    if abs(x).max(initial=0.0) > holds.max:
        raise ValueError("FixedPoint takes numbers within the range of float32")
    unit = (abs(x).max(1, keepdims=True, initial=0.0) / (2**bits - 1)).astype(np.float32)
    unit[unit < holds.tiny] = 0
    level = np.rint(np.where(unit > 0, x, 0) / np.where(unit > 0, unit, 1)).astype(np.int32)
    for sign in (1, -1):
        size = np.maximum(sign * level, 0)
        for bit in range(bits - 1, -1, -1):
            yield (size >> bit & 1).astype(np.uint8), sign * unit * np.float32(2**bit)


@dataclass(frozen=True)
class FixedPoint:
    """Real numbers as signed planes, for linear devices [Float32Encoder, without exponent].

    >>> masks, weights = FixedPoint(2).encode([[-3.0, 1.0]])
    >>> FixedPoint(2).decode(masks, weights)
    array([[-3.,  1.]], dtype=float32)
    """

    bits: int = 8

    def __post_init__(self) -> None:
        _whole("FixedPoint.bits", self.bits, 1, 16)

    def encode(self, x: Any) -> tuple[Bits, Array]:
        """Return masks (2 bits batch, n), plane after plane, and their weights (2 bits, batch).

        See `signed_planes`. Raises ValueError for nan, inf, and what float32 cannot hold.
        """
        masks, weights = zip(*signed_planes(_matrix(x, "FixedPoint"), self.bits), strict=True)
        return np.concatenate(masks), np.stack(weights)[:, :, 0]

    def decode(self, y: Any, weights: Array) -> Array:
        """Return (batch, m) of the outputs y (2 bits batch, m) that a linear device gave."""
        y = _matrix(y, "FixedPoint.decode")
        if weights.shape[0] != 2 * self.bits or len(y) != weights.size:
            raise ValueError(
                f"FixedPoint({self.bits}) decodes y of {weights.size} rows and weights "
                f"({2 * self.bits}, batch), got {len(y)} rows and weights {weights.shape}"
            )
        return np.asarray(np.einsum("pbm,pb->bm", y.reshape(*weights.shape, -1), weights))
