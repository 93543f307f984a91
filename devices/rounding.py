"""Rounding arrays to number formats: numpy by kernels, torch tensors where they are."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from .arrays import Array, namespace
from .formats import FP32, AnyFormat, BlockFormat, Format, parse
from .layouts import Blocks
from .words import unknown

Rounding = Literal["nearest", "truncated", "stochastic"]
Scaling = Literal["none", "tensor", "row"]
INFINITE = 0x7F800000
MODES: dict[str, int] = {name: k for k, name in enumerate(get_args(Rounding))}


def quantise(
    x: Any,
    to: str | AnyFormat,
    rounding: Rounding = "nearest",
    key: int = 0,
    saturate: bool = True,
    scaling: Scaling = "none",
    first: int = 0,
    out: Array | None = None,
) -> Any:
    """Return x, of any shape and kind, rounded to a format, as float32 of the same kind.

    `nearest` takes ties to even, `truncated` cuts towards zero, `stochastic` draws from the 64-bit
    `key` and the position of a number, counted from `first`. Beyond the largest number x saturates
    there, or becomes infinity or NaN as the format has it. `scaling` fits the largest magnitude of
    the array, or of each row, to the format's: floats by a power of two, which is exact, integers
    fully. `out`, C-contiguous float32 of x's shape, takes the result and may be x itself; only for
    numpy. Numbers that share a scale are neighbours in a row. Raises ValueError where a block does
    not divide the row, and for NaN or infinity that the format does not have.
    """
    fmt = parse(to) if isinstance(to, str) else to
    if rounding not in MODES:
        raise ValueError(unknown("rounding", str(rounding), MODES))
    xp = namespace(x)
    if xp is not np:
        from .rounding_torch import quantise_torch

        return quantise_torch(x.to(xp.float32), fmt, MODES[rounding], key, saturate, scaling, first)
    from .kernels import rounding as kernels

    x = np.ascontiguousarray(x, np.float32)
    if fmt == FP32:
        return x.copy() if out is None else _filled(out, x)
    if x.size + first > 2**32:
        raise ValueError(f"rounding takes up to 2^32 numbers at once, got {x.size + first:,}")
    out = np.empty_like(x) if out is None else checked_out(out, x)
    mode, key = MODES[rounding], int(key)
    if isinstance(fmt, BlockFormat):
        check_block(fmt, x.shape)
        top = float(np.abs(x).max(initial=0)) if fmt.tensor_scale else 0.0
        block = Blocks(fmt.block, fmt.element.emax, tensor_scale(fmt, top))
        args = fmt.element.layout(), fmt.scales, block, mode, np.uint64(key), first
        if kernels.blocks(x.reshape(-1), out.reshape(-1), *args) >= INFINITE:
            raise ValueError(lacks(fmt, bool(np.isnan(x).any())))
        return out
    if lacking(fmt) and not np.isfinite(x).all():
        raise ValueError(lacks(fmt, bool(np.isnan(x).any())))
    scale = scale_of(x, fmt, scaling)
    given = x if scale is None else x / scale
    layout = fmt.layout(saturate)
    kernels.rounded(given.reshape(-1), out.reshape(-1), layout, mode, np.uint64(key), first)
    if scale is not None:
        out *= scale
    return out


def checked_out(out: Array, x: Array) -> Array:
    """Return `out`. Raises ValueError where it cannot take what is rounded of x."""
    if out.dtype != np.float32 or out.shape != x.shape or not out.flags.c_contiguous:
        raise ValueError(f"out takes C-contiguous float32 {x.shape}, got {out.dtype} {out.shape}")
    return out


def _filled(out: Array, x: Array) -> Array:
    checked_out(out, x)[...] = x
    return out


def check_block(fmt: BlockFormat, shape: tuple[int, ...]) -> None:
    """Raise ValueError where a format's block does not divide the last axis."""
    if not shape or shape[-1] % fmt.block:
        width = shape[-1] if shape else 1
        raise ValueError(
            f"format {fmt.name}: a block of {fmt.block} does not divide rows of {width}"
        )


def tensor_scale(fmt: BlockFormat, top: float) -> float:
    """Return what a format's scales are relative to, for an array with this largest magnitude."""
    if not fmt.tensor_scale or not 0 < top < np.inf:
        return 1.0
    return float(np.float32(top / (fmt.element.largest * fmt.scales.largest)))


def scale_of(x: Array, fmt: Format, scaling: Scaling) -> Array | None:
    """Return what x is divided by before it is rounded; None for nothing.

    Integers fill their range, so that without scaling they are taken as they stand.
    """
    if scaling == "none":
        return None
    size = np.abs(np.where(np.isfinite(x), x, np.float32(0)))
    if scaling == "row":
        top = size.max(axis=-1, keepdims=True, initial=0)
    else:
        top = size.max(keepdims=True, initial=0)
    if fmt.fixed:
        unit: Array = np.divide(top, np.float32(fmt.largest), dtype=np.float32)
        return np.where(unit < np.float32(2.0**-126), np.float32(1), unit)
    e = np.frexp(np.where(top > 0, top, fmt.largest))[1] - 1 - fmt.emax
    e = e + (np.ldexp(top.astype(np.float64), -e) > fmt.largest)
    power: Array = np.ldexp(np.float32(1), np.clip(e, -100, 100))
    return power.astype(np.float32)


def lacking(fmt: AnyFormat) -> bool:
    """Whether a format has neither infinity nor NaN; numbers that share a scale never do here."""
    return isinstance(fmt, BlockFormat) or fmt.specials == "finite"


def lacks(fmt: AnyFormat, nan: bool) -> str:
    """Return the sentence about a number that a format does not have."""
    return f"format {fmt.name} has no {'NaN' if nan else 'infinity'}, and the numbers hold one"
