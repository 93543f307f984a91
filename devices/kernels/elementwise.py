"""Kernels of the host's elementwise work on float32. Each stands beside its reference.

They are serial on purpose: a parallel Numba loop between two BLAS calls was measured 8 to 12
times slower than a serial one, because the threads of the two pools wait for each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]

TANH, RELU, SIGMOID, IDENTITY, SIGN = range(5)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def activate(z: Floats, bias: Floats, kind: int) -> None:
    """Set z (rows, n) to f(z + bias), bias (n,), in place.

    tanh is the rational approximation of degree 13/6 that Eigen uses for float32 (within 1e-6
    of the exact value), because it vectorises where the library call does not.
    """
    rows, n = z.shape
    for r in range(rows):
        if kind in (TANH, SIGMOID):
            half = np.float32(1.0 if kind == TANH else 0.5)
            for k in range(n):
                x = (z[r, k] + bias[k]) * half
                x = min(max(x, np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
                s = x * x
                p = np.float32(-2.76076847742355e-16) * s + np.float32(2.00018790482477e-13)
                p = p * s + np.float32(-8.60467152213735e-11)
                p = p * s + np.float32(5.12229709037114e-08)
                p = p * s + np.float32(1.48572235717979e-05)
                p = p * s + np.float32(6.37261928875436e-04)
                p = p * s + np.float32(4.89352455891786e-03)
                q = np.float32(1.19825839466702e-06) * s + np.float32(1.18534705686654e-04)
                q = q * s + np.float32(2.26843463243900e-03)
                q = q * s + np.float32(4.89352518554385e-03)
                z[r, k] = x * p / q
            if kind == SIGMOID:
                for k in range(n):
                    z[r, k] = np.float32(0.5) + np.float32(0.5) * z[r, k]
        elif kind == RELU:
            for k in range(n):
                z[r, k] = max(z[r, k] + bias[k], np.float32(0.0))
        elif kind == SIGN:
            for k in range(n):
                z[r, k] = np.float32(1.0) if z[r, k] + bias[k] >= 0 else np.float32(-1.0)
        else:
            for k in range(n):
                z[r, k] += bias[k]


def activate_reference(z: Floats, bias: Floats, kind: int) -> None:
    """Do what `activate` does, in numpy."""
    z += bias
    if kind == TANH:
        np.tanh(z, out=z)
    elif kind == SIGMOID:
        z[:] = 0.5 + 0.5 * np.tanh(0.5 * z)
    elif kind == RELU:
        np.maximum(z, 0, out=z)
    elif kind == SIGN:
        z[:] = np.where(z >= 0, 1, -1)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def slope(delta: Floats, h: Floats, kind: int) -> None:
    """Multiply delta (rows, n) in place by f'(z), read off the outputs h (rows, n) = f(z).

    sign passes the error through unchanged (the straight-through estimator).
    """
    rows, n = h.shape
    for r in range(rows):
        if kind == TANH:
            for k in range(n):
                delta[r, k] *= np.float32(1.0) - h[r, k] * h[r, k]
        elif kind == SIGMOID:
            for k in range(n):
                delta[r, k] *= h[r, k] * (np.float32(1.0) - h[r, k])
        elif kind == RELU:
            for k in range(n):
                delta[r, k] = delta[r, k] if h[r, k] > 0 else np.float32(0.0)


def slope_reference(delta: Floats, h: Floats, kind: int) -> None:
    """Do what `slope` does, in numpy."""
    if kind == TANH:
        delta *= 1 - h * h
    elif kind == SIGMOID:
        delta *= h * (1 - h)
    elif kind == RELU:
        delta *= h > 0


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def adam(
    w: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    time: int,
) -> None:
    """Take one Adam step of w along its gradient g, with the moments m and v; all (n,) in place.

    Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; `time`
    counts from 1.
    """
    b1, b2 = np.float32(beta1), np.float32(beta2)
    one = np.float32(1.0)
    step = np.float32(rate / (1.0 - beta1**time))
    undo = np.float32(1.0 / np.sqrt(1.0 - beta2**time))
    eps = np.float32(epsilon)
    for k in range(w.size):
        m[k] = b1 * m[k] + (one - b1) * g[k]
        v[k] = b2 * v[k] + (one - b2) * g[k] * g[k]
        w[k] -= step * m[k] / (np.sqrt(v[k]) * undo + eps)


def adam_reference(
    w: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    time: int,
) -> None:
    """Do what `adam` does, in numpy."""
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**time), v / (1 - beta2**time)
    w -= (rate * m_hat / (np.sqrt(v_hat) + epsilon)).astype(w.dtype)
