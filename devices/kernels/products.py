"""Matrix products whose sums run one after another, and whose multiplications are not all exact.

Each product takes a (rows, k) and b (k, columns) and writes out (rows, columns), the sum over k in
its order. Four terms are added at a time to a number that is loaded and stored once; this changes
no rounding, since they are added one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint16]


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
_i = np.int32
_SIGN, _MAGNITUDE = _i(-(2**31)), _i(2**31 - 1)
_LEAST, _MOST = _i(0x00800000), _i(0x7F7FFFFF)
_ZERO = _i(-0x40000000)


@njit(cache=True, error_model="numpy", nogil=True)
def sequential(a: Floats, b: Floats, out: Floats) -> None:
    """Multiply in float32, each product and each sum rounded to nearest even."""
    rows, length = a.shape
    whole = length - length % 4
    for i in range(rows):
        x, y = a[i], out[i]
        for j in range(len(y)):
            y[j] = np.float32(0)
        for k in range(0, whole, 4):
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for j in range(len(y)):
                s = y[j] + x0 * b0[j]
                s = s + x1 * b1[j]
                s = s + x2 * b2[j]
                y[j] = s + x3 * b3[j]
        for k in range(whole, length):
            x0, b0 = x[k], b[k]
            for j in range(len(y)):
                y[j] += x0 * b0[j]


@njit(cache=True, error_model="numpy")
def _times(t: np.int32, sign: np.int32) -> Any:
    """Return the float of magnitude bits t; 0 where they fell below the normal numbers."""
    return _float(np.int32(t | sign) if t >= _LEAST else _i(0))


@njit(cache=True, error_model="numpy", nogil=True)
def added_bits(a: Floats, b: Floats, offset: int, out: Floats) -> None:
    """Multiply by adding the bits of the magnitudes less `offset`; sums are float32's.

    With the bits of 1.0 this is piecewise-affine multiplication. What falls below the normal
    numbers is 0, subnormal inputs too; what rises beyond the finite ones is the largest of them.
    """
    rows, length = a.shape
    n = b.shape[1]
    less = np.int32(offset)
    mags, signs = np.empty(b.shape, np.int32), np.empty(b.shape, np.int32)
    top = np.int32(0)
    for k in range(length):
        source, mag, sign = b[k], mags[k], signs[k]
        for j in range(n):
            word = _bits(source[j])
            m = np.int32(word & _MAGNITUDE)
            mag[j] = m if m >= _LEAST else _ZERO
            sign[j] = np.int32(word & _SIGN)
            top = max(top, m)
    which = np.empty(length, np.int64)
    for i in range(rows):
        x, y = a[i], out[i]
        for j in range(n):
            y[j] = np.float32(0)
        count, most = 0, _ZERO
        for k in range(length):
            m = np.int32(_bits(x[k]) & _MAGNITUDE)
            if m >= _LEAST:
                which[count] = k
                count += 1
                most = max(most, np.int32(m - less))
        if np.int64(most) + np.int64(top) > np.int64(_MOST):
            for c in range(count):
                k = which[c]
                word = _bits(x[k])
                m, s = np.int32(np.int32(word & _MAGNITUDE) - less), np.int32(word & _SIGN)
                room = np.int32(min(np.int64(_MOST), np.int64(_MOST) - np.int64(m)))
                mag, sign = mags[k], signs[k]
                for j in range(n):
                    y[j] += _times(np.int32(m + min(mag[j], room)), np.int32(s ^ sign[j]))
            continue
        whole = count - count % 4
        for c in range(0, whole, 4):
            k0, k1, k2, k3 = which[c], which[c + 1], which[c + 2], which[c + 3]
            w0, w1, w2, w3 = _bits(x[k0]), _bits(x[k1]), _bits(x[k2]), _bits(x[k3])
            m0, s0 = np.int32(np.int32(w0 & _MAGNITUDE) - less), np.int32(w0 & _SIGN)
            m1, s1 = np.int32(np.int32(w1 & _MAGNITUDE) - less), np.int32(w1 & _SIGN)
            m2, s2 = np.int32(np.int32(w2 & _MAGNITUDE) - less), np.int32(w2 & _SIGN)
            m3, s3 = np.int32(np.int32(w3 & _MAGNITUDE) - less), np.int32(w3 & _SIGN)
            a0, a1, a2, a3 = mags[k0], mags[k1], mags[k2], mags[k3]
            g0, g1, g2, g3 = signs[k0], signs[k1], signs[k2], signs[k3]
            for j in range(n):
                t = y[j] + _times(np.int32(m0 + a0[j]), np.int32(s0 ^ g0[j]))
                t = t + _times(np.int32(m1 + a1[j]), np.int32(s1 ^ g1[j]))
                t = t + _times(np.int32(m2 + a2[j]), np.int32(s2 ^ g2[j]))
                y[j] = t + _times(np.int32(m3 + a3[j]), np.int32(s3 ^ g3[j]))
        for c in range(whole, count):
            k = which[c]
            word = _bits(x[k])
            m, s = np.int32(np.int32(word & _MAGNITUDE) - less), np.int32(word & _SIGN)
            mag, sign = mags[k], signs[k]
            for j in range(n):
                y[j] += _times(np.int32(m + mag[j]), np.int32(s ^ sign[j]))


@njit(cache=True, error_model="numpy", nogil=True)
def looked_up(a: Codes, b: Codes, table: Ints, out: Ints) -> None:
    """Add table[a, b] in int32; the caller sees to it that no sum leaves it."""
    rows, length = a.shape
    whole = length - length % 4
    for i in range(rows):
        x, y = a[i], out[i]
        for j in range(len(y)):
            y[j] = 0
        for k in range(0, whole, 4):
            t0, t1, t2, t3 = table[x[k]], table[x[k + 1]], table[x[k + 2]], table[x[k + 3]]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for j in range(len(y)):
                s = np.int32(t0[b0[j]] + t1[b1[j]])
                s = np.int32(s + np.int32(t2[b2[j]] + t3[b3[j]]))
                y[j] = np.int32(y[j] + s)
        for k in range(whole, length):
            t0, b0 = table[x[k]], b[k]
            for j in range(len(y)):
                y[j] = np.int32(y[j] + t0[b0[j]])


@njit(cache=True, error_model="numpy", nogil=True)
def affine_slope(d: Floats, a: Floats, b: Floats, out: Floats) -> None:
    """Write sum over columns j of d[i, j] * slope[i, k, j] into out (rows, k).

    d is (rows, columns), a (rows, k), b (k, columns); slope is the derivative of the
    piecewise-affine product of a[i, k] and b[k, j] by a: sgn(b) 2^(e_b + [m_a + m_b >= 1]).
    """
    rows, length = a.shape
    for i in range(rows):
        e = d[i]
        for k in range(length):
            x = np.int32(_bits(a[i, k]) & _i(0x007FFFFF))
            row, total = b[k], np.float32(0)
            for j in range(len(e)):
                word = _bits(row[j])
                carry = np.int32(np.int32(x + np.int32(word & _i(0x007FFFFF))) & _LEAST)
                power = np.int32(np.int32(word & _i(0x7F800000)) + carry)
                slope = _times(power, np.int32(word & _SIGN))
                slope = np.float32(0) if np.int32(word & _MAGNITUDE) < _LEAST else slope
                total += e[j] * slope
            out[i, k] = total


def sequential_reference(a: Floats, b: Floats, out: Floats) -> None:
    """Do what `sequential` does, bit for bit."""
    out[:] = 0
    for k in range(a.shape[1]):
        out += a[:, k, None] * b[k]


def _added_reference(x: Floats, y: Floats, offset: int) -> Floats:
    t = np.abs(x).view(np.int32).astype(np.int64) + np.abs(y).view(np.int32) - offset
    zero = (np.abs(x) < 2.0**-126) | (np.abs(y) < 2.0**-126) | (t < 0x00800000)
    size = np.where(zero, 0, np.minimum(t, 0x7F7FFFFF)).astype(np.int32).view(np.float32)
    return np.where(np.signbit(x) ^ np.signbit(y), -size, size).astype(np.float32)


def added_bits_reference(a: Floats, b: Floats, offset: int, out: Floats) -> None:
    """Do what `added_bits` does, bit for bit."""
    out[:] = 0
    for k in range(a.shape[1]):
        out += _added_reference(np.ascontiguousarray(a[:, k])[:, None], b[k][None], offset)


def looked_up_reference(a: Codes, b: Codes, table: Ints, out: Ints) -> None:
    """Do what `looked_up` does, bit for bit."""
    out[:] = 0
    for k in range(a.shape[1]):
        out += table[a[:, k, None], b[k]]


def affine_slope_reference(d: Floats, a: Floats, b: Floats, out: Floats) -> None:
    """Do what `affine_slope` does, summed in another order."""
    ma, _ = np.frexp(np.abs(a))
    mb, eb = np.frexp(np.abs(b))
    carry = (2 * ma - 1)[:, :, None] + (2 * mb - 1)[None] >= 1
    slope = np.sign(b)[None] * np.ldexp(1.0, (eb - 1)[None] + carry)
    out[:] = (d[:, None, :] * slope).sum(2)
