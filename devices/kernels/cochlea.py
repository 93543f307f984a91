"""The kernel of a cochlear filter bank. It stands beside its reference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Doubles = npt.NDArray[np.float64]
Edges = npt.NDArray[np.int64]

ORDER = 4


@njit(cache=True, error_model="numpy")
def gammatone(sound: Doubles, re: Doubles, im: Doubles, edges: Edges, level: Doubles) -> None:
    """Set level (steps, channels) to the mean of what the channels pass, half-wave rectified.

    A channel is a cascade of four complex one-pole filters y := a y + (1 - |a|) x with the pole
    a = re + i im, whose gain is 1 at the centre; its output is twice the real part (Hohmann,
    Acta Acustica 88(3), 433, 2002). re and im are (channels,), sound (samples,); step s takes
    the samples edges[s] to edges[s + 1], none of them empty.
    """
    n = len(re)
    gain = 1.0 - np.sqrt(re * re + im * im)
    u, v = np.zeros((ORDER, n)), np.zeros((ORDER, n))
    for s in range(len(level)):
        total = level[s]
        total[:] = 0.0
        for t in range(edges[s], edges[s + 1]):
            x = sound[t]
            for c in range(n):
                p, q = x, 0.0
                for k in range(ORDER):
                    a, b = u[k, c], v[k, c]
                    u[k, c] = (re[c] * a - im[c] * b) + gain[c] * p
                    v[k, c] = (re[c] * b + im[c] * a) + gain[c] * q
                    p, q = u[k, c], v[k, c]
                total[c] += max(p, 0.0)
        total *= 2.0 / (edges[s + 1] - edges[s])


def gammatone_reference(
    sound: Doubles, re: Doubles, im: Doubles, edges: Edges, level: Doubles
) -> None:
    """Do what `gammatone` does, bit for bit."""
    gain = 1.0 - np.sqrt(re * re + im * im)
    u, v = np.zeros((ORDER, len(re))), np.zeros((ORDER, len(re)))
    level[:] = 0
    for s in range(len(level)):
        for x in sound[edges[s] : edges[s + 1]]:
            p, q = np.full(len(re), x), np.zeros(len(re))
            for k in range(ORDER):
                a, b = u[k].copy(), v[k].copy()
                p = u[k] = (re * a - im * b) + gain * p
                q = v[k] = (re * b + im * a) + gain * q
            level[s] += np.maximum(p, 0.0)
        level[s] *= 2.0 / (edges[s + 1] - edges[s])
