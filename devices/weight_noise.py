"""Gaussian noise on a matrix held as numbers: what hardware-aware training puts there."""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .seeds import Draw


def perturbed(w: Array, std: float, draw: Draw) -> Array:
    """Return w (n_out, n_in), float32, plus noise of `std` times its largest magnitude."""
    from .kernels.normal import normals

    z = np.empty(w.size, np.float32)
    normals(draw.key(), 0, z)
    noise: Array = z.reshape(w.shape) * np.float32(std * np.abs(w).max())
    return np.asarray(w + noise)
