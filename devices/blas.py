"""The three products of a training step, all by scipy's BLAS, and the update in place.

numpy brings a BLAS of its own, with threads of its own: where both work in turn on several
threads, those that wait for the one in a loop hold the cores that the other needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, namespace


def add_outer(w: Array, y: Array, x: Array, rate: float, keep: float = 1.0) -> None:
    """Set w (n_out, n_in) to keep * w + rate * y^T x, of y (batch, n_out) and x (batch, n_in).

    w is C-contiguous float32 and changed in place: its transpose is the Fortran matrix that
    `sgemm` with beta = keep adds to, so nothing is copied.
    """
    from scipy.linalg.blas import sgemm

    if w.dtype != np.float32 or not w.flags.c_contiguous:
        raise ValueError(f"w takes C-contiguous float32, got {w.dtype}")
    y = np.ascontiguousarray(y, np.float32)
    x = np.ascontiguousarray(x, np.float32)
    sgemm(rate, x.T, y.T, beta=keep, c=w.T, trans_b=1, overwrite_c=1)


def product(x: Any, w: Any) -> Any:
    """Return x w^T (batch, n_out) of x (batch, n_in) and w (n_out, n_in).

    float32 arrays give a float32 array; float64 rows and torch tensors what `@` gives.
    """
    if _small_or_elsewhere(x, w):
        return x @ w.T
    from scipy.linalg.blas import sgemm

    return sgemm(1.0, w.T, x.T, trans_a=1).T


def product_back(y: Any, w: Any) -> Any:
    """Return y w (batch, n_in) of y (batch, n_out) and w (n_out, n_in); types as in `product`."""
    if _small_or_elsewhere(y, w):
        return y @ w
    from scipy.linalg.blas import sgemm

    return sgemm(1.0, w.T, y.T).T


def _small_or_elsewhere(x: Any, w: Any) -> bool:
    """Whether x w is not a product of two float32 matrices of numpy's: a vector is none."""
    if namespace(x) is not np or not x.dtype == w.dtype == np.float32:
        return True
    return bool(min(*x.shape, *w.shape) < 2)
