"""Kernels around a crossbar's matrix product: what the converters do to its inputs and outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]

_MAGNITUDE = np.int32(0x7FFFFFFF)


@njit(cache=True, error_model="numpy", fastmath={"reassoc"})
def drive(
    x: Floats, reach: float, levels: int, factor: Floats, code: Floats, load: Floats
) -> float:
    """Turn inputs x (rows, n) into drives, code (rows, n) from -1 to 1, and factor (rows,).

    x = factor * code, but for rounding to 1 / levels (not where levels is 0) and clipping.
    `reach` is the input that drives fully; 0: the largest of each row. Returns the sum of
    load (n,) times code squared over all rows; 0 for a load of no length.
    """
    spent = 0.0
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
        total = np.float32(0)
        if levels > 0:
            inverse = count / full
            if len(load) > 0:
                for k in range(n):
                    out[k] = c = min(max(np.rint(line[k] * inverse), -count), count) * step
                    total += load[k] * (c * c)
            else:
                for k in range(n):
                    out[k] = min(max(np.rint(line[k] * inverse), -count), count) * step
        else:
            inverse = one / full
            for k in range(n):
                out[k] = min(max(line[k] * inverse, -one), one)
            for k in range(len(load)):
                total += load[k] * (out[k] * out[k])
        spent += np.float64(total)
    return spent


def drive_reference(
    x: Floats, reach: float, levels: int, factor: Floats, code: Floats, load: Floats
) -> float:
    """Do what `drive` does, bit for bit but for the sum."""
    count, one = np.float32(max(levels, 1)), np.float32(1)
    full = np.abs(x).max(axis=1) if reach == 0 else np.full(len(x), np.float32(reach))
    factor[:] = np.where(full == 0, one, full)
    drives = x * (count / factor)[:, None]
    if levels > 0:
        drives = np.rint(drives)
    code[:] = np.clip(drives, -count, count) * (one / count)
    return float(np.sum((code * code) @ load)) if len(load) else 0.0


@njit(cache=True, error_model="numpy")
def convert(
    current: Floats,
    noise: Floats,
    variance: Floats,
    std: Floats,
    inverse: Floats,
    offset: Floats,
    top: float,
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Convert currents (rows, n), in place, and add them to out (rows, n) where it has rows.

    factor * gain * clip(rint((current + spread * noise) * inverse + offset), -top, top), with
    factor (rows,), and std, inverse, offset, gain (n,). spread^2 = std^2 + variance. noise and
    variance are (rows, n), or of no rows where there are none. top 0: a converter that neither
    rounds nor clips.
    """
    rows, n = current.shape
    bound = np.float32(top)
    for r in range(rows):
        line, row = current[r], factor[r]
        if len(variance) > 0:
            z, v = noise[r], variance[r]
            for k in range(n):
                spread = np.sqrt(v[k] + std[k] * std[k])
                line[k] = (line[k] + spread * z[k]) * inverse[k] + offset[k]
        elif len(noise) > 0:
            z = noise[r]
            for k in range(n):
                line[k] = (line[k] + std[k] * z[k]) * inverse[k] + offset[k]
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


@njit(cache=True, error_model="numpy")
def search(
    current: Floats,
    noise: Floats,
    variance: Floats,
    std: Floats,
    inverse: Floats,
    offset: Floats,
    edges: Floats,
    adc: npt.NDArray[np.int32],
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Do what `convert` does with converters whose codes are not equally wide.

    Column k is read by converter adc[k], which takes code c where the signal lies above
    edges[adc[k], c], (converters, 2^bits), counted from the least code; it asks for one bit after
    the other, the largest first.
    """
    rows, n = current.shape
    half = len(edges[0]) // 2
    for r in range(rows):
        line, row = current[r], factor[r]
        for k in range(n):
            signal = line[k]
            if len(variance) > 0:
                signal += np.sqrt(variance[r, k] + std[k] * std[k]) * noise[r, k]
            elif len(noise) > 0:
                signal += std[k] * noise[r, k]
            signal = signal * inverse[k] + offset[k]
            edge = edges[adc[k]]
            code, bit = 0, half
            while bit > 0:
                if signal >= edge[code + bit]:
                    code += bit
                bit >>= 1
            line[k] = np.float32(max(code - half, 1 - half)) * (gain[k] * row)
        if len(out) > 0:
            to = out[r]
            for k in range(n):
                to[k] += line[k]


def _analog_reference(
    current: Floats,
    noise: Floats,
    variance: Floats,
    std: Floats,
    inverse: Floats,
    offset: Floats,
) -> Floats:
    code = current
    if len(noise):
        spread = np.sqrt(variance + std * std) if len(variance) else std
        code = code + spread * noise
    return code * inverse + offset


def convert_reference(
    current: Floats,
    noise: Floats,
    variance: Floats,
    std: Floats,
    inverse: Floats,
    offset: Floats,
    top: float,
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Do what `convert` does, but for the rounding of a multiply-add."""
    code = _analog_reference(current, noise, variance, std, inverse, offset)
    if top > 0:
        code = np.clip(np.rint(code), -np.float32(top), np.float32(top))
    current[:] = code * (gain * factor[:, None])
    if len(out):
        out += current


def search_reference(
    current: Floats,
    noise: Floats,
    variance: Floats,
    std: Floats,
    inverse: Floats,
    offset: Floats,
    edges: Floats,
    adc: npt.NDArray[np.int32],
    gain: Floats,
    factor: Floats,
    out: Floats,
) -> None:
    """Do what `search` does, but for the rounding of a multiply-add."""
    signal = _analog_reference(current, noise, variance, std, inverse, offset)
    code, half = np.zeros(signal.shape, np.int64), edges.shape[1] // 2
    bit = half
    while bit:
        code += np.where(signal >= edges[adc, code + bit], bit, 0)
        bit //= 2
    current[:] = np.maximum(code - half, 1 - half).astype(np.float32) * (gain * factor[:, None])
    if len(out):
        out += current
