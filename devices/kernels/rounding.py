"""Rounding float32 to narrow number formats. Each kernel stands beside its reference.

A number is scaled by a power of two so that one unit is a step of the format there, rounded to a
whole number by adding and subtracting 1.5 * 2**23 (which rounds to nearest even), and scaled back;
no step but the rounding itself is inexact. Formats with the exponents of float32 (bfloat16, TF32)
are rounded on the bits, since there a step may lie below the normal numbers.

Stochastic rounding hashes one counter a number (two rounds of multiply and xor-shift with the
constants of Wellons' hash prospector, half of the key, itself spread by splitmix64, before each),
so that a slice has the same bits however an array is cut, by any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from ..layouts import NEAREST, TRUNCATED, Blocks, Layout, spread

Floats = npt.NDArray[np.float32]


def _cast(source: Any, target: Any) -> Callable[[Any], Any]:
    """Return the function that reads the bits of one 32-bit type as those of another."""

    def typed(typing_context: Any, x: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), build

    cast: Any = intrinsic(typed)
    return cast  # type: ignore[no-any-return]


_bits = _cast(types.float32, types.int32)
_float = _cast(types.int32, types.float32)
_word = _cast(types.int32, types.uint32)
_f, _i, _u = np.float32, np.int32, np.uint32
_MAGIC = _f(1.5 * 2**23)
_SIGN, _MAGNITUDE = _i(-(2**31)), _i(2**31 - 1)
_EXPONENT, _INFINITE = _i(0x7F800000), _i(0x7F800000)
_UNIT = _f(2.0**-24)
_G, _LOW = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFFFFFFFF)
_S1, _S2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_H1, _H2 = _u(0x21F0AAAD), _u(0xD35A2D97)


@njit(cache=True, error_model="numpy")
def _spread(key: np.uint64) -> tuple[np.uint32, np.uint32]:
    """Return the two halves of a key whose every bit depends on all of `key` (splitmix64)."""
    z = np.uint64(np.uint64(key) + _G)
    z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(30))) * _S1)
    z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(27))) * _S2)
    z = np.uint64(z ^ np.uint64(z >> np.uint64(31)))
    return np.uint32(z & _LOW), np.uint32(z >> np.uint64(32))


@njit(cache=True, error_model="numpy")
def _hash(counter: np.uint32, k0: np.uint32, k1: np.uint32) -> np.float32:
    """Return a uniform number in [0, 1) with 24 bits."""
    h = np.uint32(counter ^ k0)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> _u(16))) * _H1)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> _u(15))) ^ k1)
    h = np.uint32(h * _H2)
    h = np.uint32(h ^ np.uint32(h >> _u(15)))
    return np.float32(np.int32(h >> _u(8))) * _UNIT


@njit(cache=True, error_model="numpy")
def _exponent(mag: np.int32, low: np.int32, high: np.int32) -> np.int32:
    return np.int32(min(max(np.int32(mag & _EXPONENT), low), high))


@njit(cache=True, error_model="numpy")
def _nearest(
    v: np.float32, shift: np.int32, low: np.int32, high: np.int32, largest: np.float32, over: Any
) -> Any:
    i = _bits(v)
    mag = np.int32(i & _MAGNITUDE)
    e = _exponent(mag, low, high)
    t = _float(mag) * _float(np.int32(np.int32(shift + _i(254 << 23)) - e))
    q = ((t + _MAGIC) - _MAGIC) * _float(np.int32(e - shift))
    q = over if q > largest else q
    return _float(np.int32(_bits(q) | np.int32(i & _SIGN)))


@njit(cache=True, error_model="numpy")
def _truncated(
    v: np.float32, shift: np.int32, low: np.int32, high: np.int32, largest: np.float32, over: Any
) -> Any:
    i = _bits(v)
    mag = np.int32(i & _MAGNITUDE)
    e = _exponent(mag, low, high)
    t = _float(mag) * _float(np.int32(np.int32(shift + _i(254 << 23)) - e))
    r = (t + _MAGIC) - _MAGIC
    r = r - (_f(1) if r > t else _f(0))
    q = r * _float(np.int32(e - shift))
    q = (over if mag == _INFINITE else largest) if q > largest else q
    return _float(np.int32(_bits(q) | np.int32(i & _SIGN)))


@njit(cache=True, error_model="numpy")
def _stochastic(
    v: np.float32,
    u: np.float32,
    shift: np.int32,
    low: np.int32,
    high: np.int32,
    largest: np.float32,
    over: Any,
) -> Any:
    i = _bits(v)
    mag = np.int32(i & _MAGNITUDE)
    e = _exponent(mag, low, high)
    t = _float(mag) * _float(np.int32(np.int32(shift + _i(254 << 23)) - e))
    r = (t + _MAGIC) - _MAGIC
    r = r - (_f(1) if r > t else _f(0))
    r = r + (_f(1) if t - r > u else _f(0))
    q = r * _float(np.int32(e - shift))
    q = over if q > largest else q
    return _float(np.int32(_bits(q) | np.int32(i & _SIGN)))


@njit(cache=True, error_model="numpy")
def _on_bits(v: np.float32, more: np.int32, keep: np.int32, largest: np.float32, over: Any) -> Any:
    """Add `more` below the last bit kept, and cut."""
    i = _bits(v)
    mag = np.int32(i & _MAGNITUDE)
    cut = np.int32(np.int32(mag + more) & keep)
    q = _float(mag) if mag >= _INFINITE else _float(cut)
    q = over if q > largest else q
    return _float(np.int32(_bits(q) | np.int32(i & _SIGN)))


@njit(cache=True, error_model="numpy", nogil=True)
def rounded(x: Floats, out: Floats, layout: Layout, mode: int, key: Any, first: int) -> None:
    """Write x (n,), rounded to a format, into out (n,); they may be the same array.

    `mode` is NEAREST (ties to even), TRUNCATED (towards zero) or STOCHASTIC, which rounds up with
    the probability of what is cut, to 2**-24; its draws belong to `key` and to the positions
    `first`, `first` + 1, ..., below 2**32. A truncated number never overflows [IEEE 754-2019,
    7.4]; infinity does.
    """
    shift = np.int32(layout.mantissa << 23)
    low, high = np.int32(layout.low << 23), np.int32(layout.high << 23)
    largest, over = np.float32(layout.largest), np.float32(layout.over)
    k0, k1 = _spread(np.uint64(key))
    n = len(x)
    if layout.wide:
        cut = 23 - layout.mantissa
        keep = np.int32(-(1 << cut))
        if mode == NEAREST:
            half, one = np.int32(max((1 << cut >> 1) - 1, 0)), np.int32(1 if cut else 0)
            for k in range(n):
                odd = np.int32(np.int32(_bits(x[k]) >> np.int32(cut)) & one)
                out[k] = _on_bits(x[k], np.int32(half + odd), keep, largest, over)
        elif mode == TRUNCATED:
            for k in range(n):
                out[k] = _on_bits(x[k], np.int32(0), keep, largest, over)
        else:
            scale = np.float32(1 << cut)
            for k in range(n):
                u = _hash(np.uint32(first + k), k0, k1)
                out[k] = _on_bits(x[k], np.int32(u * scale), keep, largest, over)
    elif mode == NEAREST:
        for k in range(n):
            out[k] = _nearest(x[k], shift, low, high, largest, over)
    elif mode == TRUNCATED:
        for k in range(n):
            out[k] = _truncated(x[k], shift, low, high, largest, over)
    else:
        for k in range(n):
            u = _hash(np.uint32(first + k), k0, k1)
            out[k] = _stochastic(x[k], u, shift, low, high, largest, over)


@njit(cache=True, error_model="numpy")
def _scale(top: np.int32, emax: int, scales: Layout, largest: np.float32, tensor: Any) -> Any:
    """Return the scale of a block whose largest magnitude has the bits `top`."""
    if scales.mantissa == 0:
        e = min(max(int(top >> 23) - 127 - emax, -127), 127)
        return np.float32(2.0 ** float(e))
    if top == 0:
        return np.float32(1.0)
    s = _nearest(
        _float(top) / largest / tensor,
        np.int32(scales.mantissa << 23),
        np.int32(scales.low << 23),
        np.int32(scales.high << 23),
        np.float32(scales.largest),
        np.float32(scales.largest),
    )
    least = np.float32(2.0 ** (scales.low - 127 - scales.mantissa))
    return max(s, least) * tensor


@njit(cache=True, error_model="numpy", nogil=True)
def blocks(
    x: Floats,
    out: Floats,
    layout: Layout,
    scales: Layout,
    block: Blocks,
    mode: int,
    key: Any,
    first: int,
) -> int:
    """Write x (n,) into out (n,), each `block.length` numbers rounded in units of their scale.

    Returns the bits of the largest magnitude: from 0x7F800000 on it is infinity or NaN, and `out`
    means nothing.

    Scales without mantissa (E8M0) are 2**(floor(log2 |x|max) - emax), the exponent kept from -127
    to 127 [OCP Microscaling Formats v1.0, 6.3]; others are |x|max over the largest element and the
    tensor's own scale, rounded to nearest in their format, and at least its least number.
    """
    shift = np.int32(layout.mantissa << 23)
    low, high = np.int32(layout.low << 23), np.int32(layout.high << 23)
    largest, over = np.float32(layout.largest), np.float32(layout.over)
    k0, k1 = _spread(np.uint64(key))
    tensor = np.float32(block.tensor)
    length = block.length
    most = np.int32(0)
    for start in range(0, len(x), length):
        source, target = x[start : start + length], out[start : start + length]
        top = np.int32(0)
        for k in range(length):
            top = max(top, np.int32(_bits(source[k]) & _MAGNITUDE))
        most = max(most, top)
        s = _scale(top, block.emax, scales, largest, tensor)
        inverse = _f(1) / s
        power = scales.mantissa == 0
        if mode == NEAREST and power:
            for k in range(length):
                target[k] = _nearest(source[k] * inverse, shift, low, high, largest, over) * s
        elif mode == NEAREST:
            for k in range(length):
                target[k] = _nearest(source[k] / s, shift, low, high, largest, over) * s
        elif mode == TRUNCATED:
            for k in range(length):
                target[k] = _truncated(source[k] / s, shift, low, high, largest, over) * s
        else:
            for k in range(length):
                u = _hash(np.uint32(first + start + k), k0, k1)
                target[k] = _stochastic(source[k] / s, u, shift, low, high, largest, over) * s
    return int(most)


def _hash_reference(n: int, key: int, first: int) -> npt.NDArray[Any]:
    k0, k1 = spread(key)
    h = (np.arange(first, first + n, dtype=np.uint64).astype(np.uint32)) ^ _u(k0)
    h = (h ^ (h >> _u(16))) * _H1
    h = ((h ^ (h >> _u(15))) ^ _u(k1)) * _H2
    h = h ^ (h >> _u(15))
    return (h >> _u(8)).astype(np.float64) * 2.0**-24


def rounded_reference(
    x: Floats, out: Floats, layout: Layout, mode: int, key: Any, first: int
) -> None:
    """Do what `rounded` does, in float64, bit for bit."""
    size = np.abs(x.astype(np.float64))
    finite = np.isfinite(size)
    _, e = np.frexp(np.where(finite, size, 1.0))
    exponent = np.clip(e - 1, layout.low - 127, layout.high - 127)
    step = np.ldexp(1.0, exponent - layout.mantissa)
    t = np.where(finite, size, 0.0) / step
    if mode == NEAREST:
        whole = np.rint(t)
    elif mode == TRUNCATED:
        whole = np.floor(t)
    else:
        u = _hash_reference(len(x), key, first)
        if layout.wide:
            bits = 23 - layout.mantissa
            u = 1 - (np.floor(u * 2.0**bits) + 1) / 2.0**bits  # the bits are added, and cut
        whole = np.floor(t) + (t - np.floor(t) > u)
    q = whole * step
    beyond = q > layout.largest
    q = np.where(beyond, layout.largest if mode == TRUNCATED else layout.over, q)
    over = layout.over if layout.over < np.inf or not layout.wide else np.inf
    q = np.where(np.isinf(size), over, np.where(np.isnan(size), np.nan, q))
    out[:] = np.copysign(q, x)


def blocks_reference(
    x: Floats,
    out: Floats,
    layout: Layout,
    scales: Layout,
    block: Blocks,
    mode: int,
    key: Any,
    first: int,
) -> int:
    """Do what `blocks` does, block by block in numpy, bit for bit."""
    for start in range(0, len(x), block.length):
        part = x[start : start + block.length]
        top = np.abs(part).max()
        if scales.mantissa == 0:
            e = int(np.frexp(top)[1]) - 1 if top else -127
            s = np.float32(2.0 ** min(max(max(e, -127) - block.emax, -127), 127))
        elif top == 0:
            s = np.float32(1)
        else:
            found = np.empty(1, np.float32)
            given = np.array([top / _f(layout.largest) / _f(block.tensor)], np.float32)
            rounded_reference(given, found, scales._replace(over=scales.largest), NEAREST, 0, 0)
            least = _f(2.0 ** (scales.low - 127 - scales.mantissa))
            s = max(found[0], least) * _f(block.tensor)
        q = np.empty_like(part)
        rounded_reference(part / s, q, layout, mode, key, first + start)
        out[start : start + block.length] = q * s
    return int(np.abs(x).view(np.int32).max(initial=0))
