"""The in-place outer product: a weight update as one BLAS call, the gradient never stored."""

from __future__ import annotations

import numpy as np

from .arrays import Array


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
