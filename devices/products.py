"""The arithmetic of a matrix engine: what a product of two numbers is, and how products are added.

`multiply` is IEEE 754's product. `pam` is piecewise-affine multiplication [Kosson and Jaggi,
"Multiplication-free transformer training via piecewise affine operations", NeurIPS 2023]: the sum
of two logarithms that are straight between powers of two, which on the bits is one addition of
whole numbers. `lmul` [Luo and Sun, "Addition is all you need for energy-efficient language models",
arXiv:2410.00907] adds 2^-l to the significand for the product of the mantissas that it leaves out.
It is the form on the bits that is emulated, as hardware would do it: where the mantissas and 2^-l
together reach 1 it gives 2^(e + 1) s, with s what is left beyond 1 (plus 1), and the formula of the
paper gives 2^e (1 + the whole sum).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .arrays import Array
from .layouts import Adder

Arithmetic = Literal["multiply", "pam", "lmul", "table", "lookup"]
Accumulator = Literal["blas", "fp32", "narrow"]

ONE = 0x3F800000
"""The bits of 1.0."""


def lmul_offset(mantissa_bits: int) -> int:
    """Return what L-Mul takes from the sum of the bits: those of 1.0 less 2^-l(m).

    l(m) is m up to 3 mantissa bits, 3 for 4, and 4 beyond.
    """
    m = mantissa_bits
    length = m if m <= 3 else 3 if m == 4 else 4
    return ONE - (1 << (23 - length))


def blas(a: Array, b: Array) -> Array:
    """Return a b^T of a (rows, k) and b (columns, k), added in whatever order BLAS likes."""
    return np.asarray(a @ b.T)


def sequential(a: Array, b: Array) -> Array:
    """Return a b^T, every product and every sum rounded to float32, in the order of k."""
    from .kernels import products as kernels

    out = np.empty((len(a), len(b)), np.float32)
    kernels.sequential(a, np.ascontiguousarray(b.T), out)
    return out


def added_bits(a: Array, b: Array, offset: int = ONE) -> Array:
    """Return a b^T whose products are sums of bits less `offset`, added as `sequential` does."""
    from .kernels import products as kernels

    out = np.empty((len(a), len(b)), np.float32)
    kernels.added_bits(a, np.ascontiguousarray(b.T), offset, out)
    return out


def pam(a: Array, b: Array) -> Array:
    """Return the piecewise-affine products of a and b, element by element with broadcasting."""
    from .kernels import products as kernels

    a, b = np.broadcast_arrays(np.asarray(a, np.float32), np.asarray(b, np.float32))
    out = np.empty((a.size, 1), np.float32)
    for k, (x, y) in enumerate(zip(a.reshape(-1, 1, 1), b.reshape(-1, 1, 1), strict=True)):
        kernels.added_bits(np.ascontiguousarray(x), np.ascontiguousarray(y), ONE, out[k : k + 1])
    return out.reshape(a.shape)


def pam_slope(d: Array, a: Array, b: Array, exact: bool = True) -> Array:
    """Return the derivative by a (rows, k) of the sum of d * (a b^T), of b (columns, k).

    d is (rows, columns). The product is piecewise affine: its slope in a is a power of two,
    sgn(b) 2^(e_b + [m_a + m_b >= 1]), and `exact` takes that; else the piecewise-affine product
    of d and b stands in for it, which is what an engine's `transpose` gives.
    """
    if not exact:
        return added_bits(d, np.ascontiguousarray(b.T))
    from .kernels import products as kernels

    out = np.empty(a.shape, np.float32)
    kernels.affine_slope(d, a, np.ascontiguousarray(b.T), out)
    return out


def narrow(a: Array, b: Array, adder: Adder, column: int = 0) -> Array:
    """Return a b^T of bfloat16 numbers, added as `kernels.narrow` states.

    `column` is how many terms an array's column adds in one pass, 0 for all; passes are added in
    float32. Raises ValueError for NaN or infinity, which the adder does not have.
    """
    from .kernels.narrow import narrow as kernel

    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the narrow accumulator has no NaN and no infinity, and was given one")
    across = np.ascontiguousarray(b.T)
    length = a.shape[1]
    column = column or length
    total: Array | None = None
    for k in range(0, length, column):
        part = np.empty((len(a), len(b)), np.float32)
        some = np.ascontiguousarray(a[:, k : k + column])
        kernel(some, across[k : k + column], adder, part)
        total = part if total is None else total + part
    assert total is not None
    return total
