"""Kernels that free float32 rows of mean and variance, and the way back. Each beside its reference.

Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal
covariate shift", ICML 2015, over the columns; Ba, Kiros, Hinton, "Layer normalization",
arXiv:1607.06450, over each sample. With n = (z - mean) / std, the slope by z of what has the slope
d by n is (d - mean(d) - n mean(d n)) / std, the means taken over what n was taken over. Sums are
kept in float64. Serial, as those of elementwise.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def normalise_columns(
    z: Floats, gain: Floats, epsilon: float, mean: Floats, variance: Floats
) -> Floats:
    """Set z (rows, n) to n = (z - mean) / sqrt(variance + epsilon), and return gain * n.

    The mean and variance (n,) of every column over the rows are written into `mean` and
    `variance`; the variance is the biased one, over the number of rows.
    """
    rows, n = z.shape
    first, second = np.zeros(n), np.zeros(n)
    inverse = np.empty(n, np.float32)
    scaled = np.empty_like(z)
    for r in range(rows):
        for k in range(n):
            d = np.float64(z[r, k] - z[0, k])
            first[k] += d
            second[k] += d * d
    for k in range(n):
        centre = first[k] / rows
        spread = max(second[k] / rows - centre * centre, 0.0)
        mean[k], variance[k] = z[0, k] + centre, spread
        inverse[k] = 1.0 / np.sqrt(spread + epsilon)
    for r in range(rows):
        for k in range(n):
            z[r, k] = (z[r, k] - mean[k]) * inverse[k]
            scaled[r, k] = z[r, k] * gain[k]
    return scaled


def normalise_columns_reference(
    z: Floats, gain: Floats, epsilon: float, mean: Floats, variance: Floats
) -> Floats:
    """Do what `normalise_columns` does, in numpy."""
    mean[:] = z.mean(0, dtype=np.float64)
    z -= mean
    variance[:] = (z * z).mean(0, dtype=np.float64)
    z /= np.sqrt(variance + z.dtype.type(epsilon))
    return z * gain


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def normalise_samples(
    z: Floats, gain: Floats, epsilon: float, each: int, inverse: Floats
) -> Floats:
    """Set z (samples * each, n) to n = (z - mean) / sqrt(variance + epsilon), return gain * n.

    Mean and variance are those of each sample, over its `each` rows and all columns; one over
    the root is written into `inverse` (samples,). gain is (n,).
    """
    samples, n = len(z) // each, z.shape[1]
    scaled = np.empty_like(z)
    for s in range(samples):
        first, second = np.zeros(n), np.zeros(n)
        start = z[s * each, 0]
        for r in range(s * each, (s + 1) * each):
            for k in range(n):
                d = np.float64(z[r, k] - start)
                first[k] += d
                second[k] += d * d
        centre = first.sum() / (each * n)
        spread = max(second.sum() / (each * n) - centre * centre, 0.0)
        mean = np.float32(start + centre)
        factor = np.float32(1.0 / np.sqrt(spread + epsilon))
        inverse[s] = factor
        for r in range(s * each, (s + 1) * each):
            for k in range(n):
                z[r, k] = (z[r, k] - mean) * factor
                scaled[r, k] = z[r, k] * gain[k]
    return scaled


def normalise_samples_reference(
    z: Floats, gain: Floats, epsilon: float, each: int, inverse: Floats
) -> Floats:
    """Do what `normalise_samples` does, in numpy."""
    samples = z.reshape(len(z) // each, each * z.shape[1])
    samples -= samples.mean(1, dtype=np.float64)[:, None].astype(z.dtype)
    variance = (samples * samples).mean(1, dtype=np.float64)
    inverse[:] = 1.0 / np.sqrt(variance + epsilon)
    samples *= inverse[:, None]
    scaled: Floats = samples.reshape(z.shape) * gain
    return scaled


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def adjoint_columns(delta: Floats, gain: Floats, normal: Floats, inverse: Floats) -> Floats:
    """Return the slope (rows, n) by z of what has the slope delta (rows, n) by gain * n.

    normal is n (rows, n), of `normalise_columns`, gain and inverse are (n,).
    """
    rows, n = delta.shape
    plain, along = np.zeros(n), np.zeros(n)
    for r in range(rows):
        for k in range(n):
            plain[k] += delta[r, k]
            along[k] += np.float64(delta[r, k]) * np.float64(normal[r, k])
    mean, slant, factor = np.empty_like(gain), np.empty_like(gain), np.empty_like(gain)
    for k in range(n):
        mean[k], slant[k] = plain[k] / rows, along[k] / rows
        factor[k] = gain[k] * inverse[k]
    back = np.empty_like(delta)
    for r in range(rows):
        for k in range(n):
            back[r, k] = (delta[r, k] - mean[k] - normal[r, k] * slant[k]) * factor[k]
    return back


def adjoint_columns_reference(
    delta: Floats, gain: Floats, normal: Floats, inverse: Floats
) -> Floats:
    """Do what `adjoint_columns` does, in numpy."""
    mean = delta.mean(0, dtype=np.float64)
    slant = (delta * normal).mean(0, dtype=np.float64)
    back: Floats = ((delta - mean - normal * slant) * (gain * inverse)).astype(delta.dtype)
    return back


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def adjoint_samples(
    delta: Floats, gain: Floats, normal: Floats, inverse: Floats, each: int
) -> Floats:
    """Return the slope (rows, n) by z of what has the slope delta (rows, n) by gain * n.

    normal is n (rows, n), of `normalise_samples`, gain (n,), inverse (samples,).
    """
    samples, n = len(delta) // each, delta.shape[1]
    back = np.empty_like(delta)
    for s in range(samples):
        plain, along = np.zeros(n), np.zeros(n)
        for r in range(s * each, (s + 1) * each):
            for k in range(n):
                d = delta[r, k] * gain[k]
                back[r, k] = d
                plain[k] += d
                along[k] += np.float64(d) * np.float64(normal[r, k])
        mean = np.float32(plain.sum() / (each * n))
        slant = np.float32(along.sum() / (each * n))
        for r in range(s * each, (s + 1) * each):
            for k in range(n):
                back[r, k] = (back[r, k] - mean - normal[r, k] * slant) * inverse[s]
    return back


def adjoint_samples_reference(
    delta: Floats, gain: Floats, normal: Floats, inverse: Floats, each: int
) -> Floats:
    """Do what `adjoint_samples` does, in numpy."""
    shape = (len(delta) // each, each * delta.shape[1])
    d, n = (delta * gain).reshape(shape), normal.reshape(shape)
    mean = d.mean(1, dtype=np.float64)[:, None]
    slant = (d * n).mean(1, dtype=np.float64)[:, None]
    back: Floats = ((d - mean - n * slant) * inverse[:, None]).astype(delta.dtype)
    return back.reshape(delta.shape)
