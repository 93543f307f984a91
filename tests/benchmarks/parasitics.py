"""Parasitic resistance of a 256 x 256 array: against badcrossbar, and against a sparse solve.

The peer is `pip install --no-deps badcrossbar pathvalidate` (as its solver does not need cairo,
which it asks for). Cells of 1 to 100 uS, uniformly; 1 ohm a segment; one thread.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _report  # before numpy: one thread
import numpy as np
from _report import Figure, best
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from hwloop.devices.parasitics import Wires, currents, effective_conductance, read_noise_std

N, OHM = 256, 1.0
WIRES = Wires(word_ohm=OHM, bit_ohm=OHM)

_MEMORY = """
import logging, warnings
import numpy as np
warnings.simplefilter("ignore")
logging.disable()
def peak(): return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
g = np.random.default_rng(0).uniform(1e-6, 1e-4, ({n}, {n}))
v = np.ones((1, {n}))
{make}
solve(g[:8, :8].copy(), v[:, :8].copy())
open("/proc/self/clear_refs", "w").write("5")
before = peak()
solve(g, v)
print(peak() - before)
"""
_OURS = """
from hwloop.devices.parasitics import Wires, currents
solve = lambda g, v: currents(g, v, Wires(word_ohm=1, bit_ohm=1))
"""
_OUR_MATRIX = """
from hwloop.devices.parasitics import Wires, effective_conductance
solve = lambda g, v: effective_conductance(g, Wires(word_ohm=1, bit_ohm=1))
"""
_THEIRS = """
import badcrossbar
solve = lambda g, v: badcrossbar.compute(v.T, 1 / g, r_i=1.0, node_voltages=False,
                                         all_currents=False)
"""
_THEIR_MATRIX = _THEIRS.replace("v.T", "np.eye(len(g))")


def memory_MB(make: str, n: int = N) -> float:
    """Return by how much one solve raises the resident memory of a fresh process (Linux)."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY.format(n=n, make=make)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) / 1024


def peer() -> Any:
    """Return badcrossbar, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.INFO)
        try:
            import badcrossbar
        except ImportError:
            return None
    return badcrossbar


def direct(g: Any, v: Any) -> Any:
    """Return the column currents (columns,) by a sparse LU of all 2 * N * N nodes."""
    m, n = g.shape
    u, w = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    pairs = [(u, w, g), (u[:, 1:], u[:, :-1], None), (w[1:], w[:-1], None)]
    i, j, values = [], [], []
    for a, b, conductance in pairs:
        x = (np.full(a.shape, 1 / OHM) if conductance is None else conductance).ravel()
        a, b = a.ravel(), b.ravel()
        i += [a, b, a, b]
        j += [a, b, b, a]
        values += [x, x, -x, -x]
    for end in (u[:, 0], w[-1]):
        i, j, values = [*i, end], [*j, end], [*values, np.full(len(end), 1 / OHM)]
    right = np.zeros(2 * m * n)
    right[u[:, 0]] = v / OHM
    full = coo_array((np.concatenate(values), (np.concatenate(i), np.concatenate(j)))).tocsc()
    return spsolve(full, right)[w[-1]] / OHM


def noise(long: bool) -> Iterator[Figure]:
    """Yield how far the first-order std of a column's current is from that of sampled arrays."""
    rng, n, times = np.random.default_rng(1), 64, 4000 if long else 1000
    g, v = rng.uniform(1e-6, 1e-4, (n, n)), rng.uniform(0, 0.2, (1, n))
    sigma, wires = 0.02 * g, Wires(word_ohm=2, bit_ohm=2)
    some = [currents(g + sigma * rng.standard_normal(g.shape), v, wires)[0] for _ in range(times)]
    ratio = read_noise_std(g, sigma, v, wires)[0] / np.std(some, axis=0)
    worst, error = np.abs(ratio - 1).max(), (2 * times) ** -0.5
    yield Figure(
        "parasitic_noise_error",
        abs(float(ratio.mean()) - 1),
        0.05,
        "lower",
        "relative",
        f"{n} x {n}, 2 ohm a segment, {times:,} arrays sampled: mean over the columns, whose own "
        f"stds are off by {worst:.3f} at most (of which sampling {error:.3f} each)",
    )


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures of issue 3 that concern parasitic resistance."""
    yield from noise(long)
    rng = np.random.default_rng(0)
    g, v = rng.uniform(1e-6, 1e-4, (N, N)), rng.uniform(0, 0.2, (1, N))
    full = np.full((N, N), 1e-4)
    ours = best(lambda: currents(g, v, WIRES), repeats=20)
    slowest = best(lambda: currents(full, v, WIRES), repeats=20)
    matrix = best(lambda: effective_conductance(g, WIRES), repeats=3)
    at_once = best(lambda: effective_conductance(full, WIRES), repeats=3)
    exact = [direct(x, v[0]) for x in (g, full)]
    errors = [
        float(np.abs(solve(x) - e).max() / np.abs(e).max())
        for x, e in zip((g, full), exact, strict=True)
        for solve in (
            lambda x: currents(x, v, WIRES)[0],
            lambda x: v[0] @ effective_conductance(x, WIRES),
        )
    ]
    other = peer()
    theirs = their_matrix = None
    if other is not None:

        def compute(inputs: Any) -> Callable[[], object]:
            return lambda: other.compute(
                inputs, 1 / g, r_i=OHM, node_voltages=False, all_currents=False
            )

        theirs = best(compute(v.T), repeats=5 if long else 2)
        their_matrix = best(compute(np.eye(N)), repeats=1, warm=False)
    absent = "badcrossbar is not installed (pip install --no-deps badcrossbar pathvalidate)"
    yield Figure(
        "parasitic_vs_badcrossbar",
        None if theirs is None else theirs / ours,
        80,
        "higher",
        "times as fast",
        (absent if theirs is None else f"one input: badcrossbar {theirs * 1e3:.0f} ms")
        + f", hwloop {ours * 1e3:.2f} ms; all cells at 100 uS {slowest * 1e3:.2f} ms",
    )
    yield Figure(
        "parasitic_error",
        max(errors),
        1e-6,
        "lower",
        "relative",
        "largest difference to a sparse LU over the largest current; by one input "
        f"{max(errors[::2]):.1e}, by the effective matrix {max(errors[1::2]):.1e}",
    )
    yield Figure(
        "effective_matrix_s",
        matrix,
        0.6,
        "lower",
        "s",
        f"all cells at 100 uS {at_once:.3f} s; "
        + (absent if their_matrix is None else f"badcrossbar's 256 inputs {their_matrix:.2f} s"),
    )
    if not Path("/proc/self/clear_refs").exists():
        yield Figure("parasitic_memory", None, 1 / 3, "lower", "of badcrossbar's", "needs Linux")
        return
    us = memory_MB(_OURS), memory_MB(_OUR_MATRIX)
    them = None if other is None else (memory_MB(_THEIRS), memory_MB(_THEIR_MATRIX))
    yield Figure(
        "parasitic_memory",
        None if them is None else max(a / b for a, b in zip(us, them, strict=True)),
        1 / 3,
        "lower",
        "of badcrossbar's",
        f"peak of one input {us[0]:.0f} MB, of the matrix {us[1]:.0f} MB; "
        + (absent if them is None else f"badcrossbar {them[0]:.0f} and {them[1]:.0f} MB"),
    )


if __name__ == "__main__":
    _report.run(measure, __doc__)
