"""Kernels of the camera behind a scattering medium. Each stands beside its reference.

No multiply-add is contracted and no sum reordered, so a kernel and its reference read the same
whole counts, bit for bit. `np.rint` and the square root compile to vector instructions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]

CHUNK = 1024
_ZERO = np.float32(0)


@njit(cache=True, error_model="numpy", inline="always")
def _counts(
    u: np.float32,
    v: np.float32,
    noise: np.float32,
    gain: np.float32,
    floor: np.float32,
    slope: np.float32,
    black: np.float32,
    top: np.float32,
) -> np.float32:
    mean = gain * (u * u + v * v)
    seen = (mean + np.sqrt(floor + slope * mean) * noise) + black
    seen = seen if seen > _ZERO else _ZERO
    return np.float32(np.rint(seen if seen < top else top))


def _counts_reference(
    u: Floats,
    v: Floats,
    noise: Floats,
    gain: float,
    floor: float,
    slope: float,
    black: float,
    top: float,
) -> Floats:
    mean: Floats = np.float32(gain) * (u * u + v * v)
    seen = mean + np.sqrt(np.float32(floor) + np.float32(slope) * mean) * noise
    counts: Floats = np.rint(np.clip(seen + np.float32(black), _ZERO, np.float32(top)))
    return counts


@njit(cache=True, error_model="numpy")
def intensity(
    re: Floats,
    im: Floats,
    gain: float,
    floor: float,
    slope: float,
    black: float,
    top: float,
    noise: Floats,
    out: Floats,
) -> None:
    """Set out (rows, n) to the counts that a frame of the field re + i im (rows, n) reads.

    A pixel's mean is I = gain * |field|^2 counts; Gaussian noise of variance floor + slope * I
    (counts^2) is added with the standard normals `noise` (rows, n), then the black level, and
    the converter rounds to a whole number from 0 to `top`.
    """
    g, a, b = np.float32(gain), np.float32(floor), np.float32(slope)
    dark, most = np.float32(black), np.float32(top)
    for r in range(len(re)):
        u, v, z, seen = re[r], im[r], noise[r], out[r]
        for k in range(len(u)):
            seen[k] = _counts(u[k], v[k], z[k], g, a, b, dark, most)


def intensity_reference(
    re: Floats,
    im: Floats,
    gain: float,
    floor: float,
    slope: float,
    black: float,
    top: float,
    noise: Floats,
    out: Floats,
) -> None:
    """Do what `intensity` does, bit for bit."""
    out[:] = _counts_reference(re, im, noise, gain, floor, slope, black, top)


@njit(cache=True, error_model="numpy")
def lateral(
    re: Floats,
    im: Floats,
    ref_re: Floats,
    ref_im: Floats,
    fit: Floats,
    offset: Floats,
    gain: float,
    floor: float,
    slope: float,
    black: float,
    top: float,
    noise: Floats,
    weight: Floats,
    out: Floats,
) -> None:
    """Add weight * (sum_s fit[s] * (frame s - black) - offset) to out (rows, n), in place.

    Frame s shows the field re + i im (rows, n) beside the reference ref_re[s] + i ref_im[s] and
    is read as in `intensity`. The references and `fit` are (frames, n), offset (n,), the
    standard normals `noise` (rows, frames, n), weight (rows,).
    """
    n = len(offset)
    g, a, b = np.float32(gain), np.float32(floor), np.float32(slope)
    dark, most = np.float32(black), np.float32(top)
    room = np.empty(min(CHUNK, n), np.float32)
    for r in range(len(re)):
        for first in range(0, n, CHUNK):
            last = min(first + CHUNK, n)
            field_re, field_im, total = re[r, first:last], im[r, first:last], room[: last - first]
            shift, y = offset[first:last], out[r, first:last]
            for k in range(len(total)):
                total[k] = _ZERO
            for s in range(len(fit)):
                p, q, f = ref_re[s, first:last], ref_im[s, first:last], fit[s, first:last]
                z = noise[r, s, first:last]
                for k in range(len(total)):
                    u, v = field_re[k] + p[k], field_im[k] + q[k]
                    total[k] += f[k] * (_counts(u, v, z[k], g, a, b, dark, most) - dark)
            w = weight[r]
            for k in range(len(total)):
                y[k] += w * (total[k] - shift[k])


def lateral_reference(
    re: Floats,
    im: Floats,
    ref_re: Floats,
    ref_im: Floats,
    fit: Floats,
    offset: Floats,
    gain: float,
    floor: float,
    slope: float,
    black: float,
    top: float,
    noise: Floats,
    weight: Floats,
    out: Floats,
) -> None:
    """Do what `lateral` does, bit for bit."""
    total = np.zeros_like(re)
    for s in range(len(fit)):
        u, v = re + ref_re[s], im + ref_im[s]
        read = _counts_reference(u, v, noise[:, s], gain, floor, slope, black, top)
        total += fit[s] * (read - np.float32(black))
    out += weight[:, None] * (total - offset)
