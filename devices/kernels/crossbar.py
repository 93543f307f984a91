"""Kernels around a crossbar's matrix product: what the converters do to its inputs and outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]

_MAGNITUDE = np.int32(0x7FFFFFFF)


@njit(cache=True, error_model="numpy")
def drive(x: Floats, reach: float, levels: int, factor: Floats, code: Floats) -> None:
    """Turn inputs x (rows, n) into drives, code (rows, n) from -1 to 1, and factor (rows,).

    x = factor * code, but for rounding to 1 / levels (not where levels is 0) and clipping.
    `reach` is the input that drives fully; 0: the largest of each row.
    """
    rows, n = x.shape
    count = np.float32(max(levels, 1))
    step = np.float32(1) / count
    one = np.float32(1)
    words = factor.view(np.int32)
    for r in range(rows):
        line, out = x[r], code[r]
        # The bits of a magnitude grow with it: a maximum over integers vectorises.
        bits = line.view(np.int32)
        largest = np.int32(0)
        for k in range(n):
            largest = max(largest, np.int32(bits[k] & _MAGNITUDE))
        words[r] = largest
        full = np.float32(reach) if reach > 0 else factor[r]
        if full == 0:
            full = one
        factor[r] = full
        if levels > 0:
            inverse = count / full
            for k in range(n):
                out[k] = min(max(np.rint(line[k] * inverse), -count), count) * step
        else:
            inverse = one / full
            for k in range(n):
                out[k] = min(max(line[k] * inverse, -one), one)


def drive_reference(x: Floats, reach: float, levels: int, factor: Floats, code: Floats) -> None:
    """Do what `drive` does, bit for bit."""
    count, one = np.float32(max(levels, 1)), np.float32(1)
    full = np.abs(x).max(axis=1) if reach == 0 else np.full(len(x), np.float32(reach))
    factor[:] = np.where(full == 0, one, full)
    drives = x * (count / factor)[:, None]
    if levels > 0:
        drives = np.rint(drives)
    code[:] = np.clip(drives, -count, count) * (one / count)


@njit(cache=True, error_model="numpy")
def convert(
    current: Floats,
    noise: Floats,
    variance: Floats,
    level: float,
    inverse: Floats,
    offset: Floats,
    top: float,
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Convert currents (rows, n), in place, and add them to out (rows, n) where it has rows.

    factor * gain * clip(rint((current + std * noise) * inverse + offset), -top, top), with
    factor (rows,), and inverse, offset, gain (n,). std^2 = level^2 + variance. noise and variance
    are (rows, n), or of no rows where there are none. top 0: a converter that neither rounds nor
    clips.
    """
    rows, n = current.shape
    spread, bound = np.float32(level), np.float32(top)
    floor = spread * spread
    for r in range(rows):
        line, row = current[r], factor[r]
        if len(variance) > 0:
            z, v = noise[r], variance[r]
            for k in range(n):
                line[k] = (line[k] + np.sqrt(v[k] + floor) * z[k]) * inverse[k] + offset[k]
        elif len(noise) > 0:
            z = noise[r]
            for k in range(n):
                line[k] = (line[k] + spread * z[k]) * inverse[k] + offset[k]
        else:
            for k in range(n):
                line[k] = line[k] * inverse[k] + offset[k]
        if top > 0:
            for k in range(n):
                line[k] = min(max(np.rint(line[k]), -bound), bound) * (gain[k] * row)
        else:
            for k in range(n):
                line[k] *= gain[k] * row
        if len(out) > 0:
            to = out[r]
            for k in range(n):
                to[k] += line[k]


def convert_reference(
    current: Floats,
    noise: Floats,
    variance: Floats,
    level: float,
    inverse: Floats,
    offset: Floats,
    top: float,
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Do what `convert` does, but for the rounding of a multiply-add."""
    code = current
    if len(noise):
        spread = np.float32(level)
        std = np.sqrt(variance + spread * spread) if len(variance) else spread
        code = code + std * noise
    code = code * inverse + offset
    if top > 0:
        code = np.clip(np.rint(code), -np.float32(top), np.float32(top))
    current[:] = code * (gain * factor[:, None])
    if len(out):
        out += current
