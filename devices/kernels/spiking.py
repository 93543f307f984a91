"""Kernels of spiking networks: columns summed where a spike arrives, and leaky membranes.

Sums run in the order of the lines and no multiply-add is contracted, so a kernel and its
reference agree bit for bit, and a row's sums do not depend on the rows beside it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]


@njit(cache=True, error_model="numpy")
def gather(
    drives: Floats, w: Floats, variance: Floats, load: Floats, current: Floats, spread: Floats
) -> float:
    """Sum the lines of an array that are driven, and return what those read, in loads.

    Row by row, current = sum_i drives_i w_i and spread = sum_i drives_i^2 variance_i, over the
    lines i that are not at rest. drives is (rows, lines), w and variance (lines, n), current and
    spread (rows, n); load (lines,) is what a full drive of a line costs, and the loads returned
    are sum drives^2 load.
    """
    total = 0.0
    for r in range(len(drives)):
        row, mean, power = drives[r], current[r], spread[r]
        mean[:] = np.float32(0)
        power[:] = np.float32(0)
        for i in range(len(row)):
            x = row[i]
            if x == 0:
                continue
            square = x * x
            total += square * load[i]
            a, b = w[i], variance[i]
            for k in range(len(mean)):
                mean[k] += x * a[k]
                power[k] += square * b[k]
    return total


def gather_reference(
    drives: Floats, w: Floats, variance: Floats, load: Floats, current: Floats, spread: Floats
) -> float:
    """Do what `gather` does, bit for bit but for the order of the loads."""
    current[:] = 0
    spread[:] = 0
    for i in range(len(w)):
        x = drives[:, i : i + 1]
        current += x * w[i]
        spread += (x * x) * variance[i]
    return float((drives * drives * load).sum(dtype=np.float64))


@njit(cache=True, error_model="numpy")
def convert(
    current: Floats,
    variance: Floats,
    noise: Floats,
    lsb: float,
    top: float,
    gain: float,
    factor: Floats,
    out: Floats,
) -> None:
    """Add what converters read of noisy currents (rows, n) to out (rows, n).

    factor * gain * clip(rint((current + sqrt(variance) * noise) / lsb), -top, top), with standard
    normals `noise` (rows, n) and factor (rows,). top 0: a converter that neither rounds nor clips.
    """
    inverse, bound, unit = np.float32(1.0 / lsb), np.float32(top), np.float32(gain)
    for r in range(len(current)):
        line, spread, z, to = current[r], variance[r], noise[r], out[r]
        weight = unit * factor[r]
        for k in range(len(line)):
            code = (line[k] + np.sqrt(spread[k]) * z[k]) * inverse
            if bound > 0:
                code = min(max(np.rint(code), -bound), bound)
            to[k] += code * weight


def convert_reference(
    current: Floats,
    variance: Floats,
    noise: Floats,
    lsb: float,
    top: float,
    gain: float,
    factor: Floats,
    out: Floats,
) -> None:
    """Do what `convert` does, bit for bit."""
    code = (current + np.sqrt(variance) * noise) * np.float32(1.0 / lsb)
    if top > 0:
        code = np.clip(np.rint(code), -np.float32(top), np.float32(top))
    out += code * (np.float32(gain) * factor)[:, None]


@njit(cache=True, error_model="numpy")
def integrate(v: Floats, current: Floats, decay: float, threshold: float, spikes: Floats) -> None:
    """Advance leaky membranes v (rows, n) by one step in place, and set spikes (rows, n).

    v := decay * v + current; where that reaches the threshold the neuron fires, spikes = 1, and
    starts again from v = 0. Everywhere else spikes = 0.
    """
    leak, bound = np.float32(decay), np.float32(threshold)
    zero, one = np.float32(0), np.float32(1)
    for r in range(len(v)):
        membrane, given, fired = v[r], current[r], spikes[r]
        for k in range(len(membrane)):
            now = leak * membrane[k] + given[k]
            fires = now >= bound
            membrane[k] = zero if fires else now
            fired[k] = one if fires else zero


def integrate_reference(
    v: Floats, current: Floats, decay: float, threshold: float, spikes: Floats
) -> None:
    """Do what `integrate` does, bit for bit."""
    v *= np.float32(decay)
    v += current
    spikes[:] = v >= np.float32(threshold)
    v[spikes > 0] = 0
