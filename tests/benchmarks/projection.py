"""How fast the optical medium is emulated, on one core, against lightonml's stored matrix."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _report  # before numpy: one thread
import numpy as np
from _report import Figure, best

from hwloop.devices.kernels.normal import normals
from hwloop.devices.medium import Lazy, Stream, Structured
from hwloop.devices.seeds import Seed

KEY = Seed(0).child("projection").key()
BATCH = 256
SIDE = 2**20

MEMORY = """
import re, numpy as np
from pathlib import Path
from hwloop.devices.medium import Structured

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

small = Structured(4096, 4096, 5)
small.apply(np.ones((1, 4096), np.float32))
before = peak()
n = 2**20
Structured(n, n, 5).apply(np.ones((1, n), np.float32))
print(peak() - before)
"""


def binary(batch: int, n: int) -> Any:
    rng = Seed(0).child("input").rng()
    return rng.integers(0, 2, (batch, n), dtype=np.uint8)


def stream(long: bool) -> Iterator[Figure]:
    n_out, n_in = (2**14, 2**14) if long else (2**12, 2**12)
    entries = BATCH * n_out * n_in
    x, medium = binary(BATCH, n_in), Stream(n_out, n_in, KEY)

    def intensity() -> Any:
        re, im = medium.apply(x)
        return re * re + im * im

    seconds = best(intensity)
    yield Figure(
        "stream_gentries_s",
        entries / seconds / 1e9,
        12.7,
        "higher",
        "G entries vectors/s",
        f"|x R|² of {BATCH} binary rows, {n_out} x {n_in} complex entries made on the way; "
        "the goal is what lightonml 1.4.3 reached with its matrix in memory",
    )
    name, goal, unit = "stream_vs_lightonml", 1.0, "ratio"
    if importlib.util.find_spec("lightonml") is None:
        detail = "lightonml is not installed; 12 to 12.7 G entries vectors/s were recorded for it"
        yield Figure(name, None, goal, "higher", unit, detail)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightonml.opu import OPU

        with OPU(n_components=n_out, max_n_features=n_in, simulated=True) as opu:
            opu.fit1d(n_features=n_in)
            peer = best(lambda: opu.transform(x), 3)
    yield Figure(
        name,
        peer / seconds,
        goal,
        "higher",
        unit,
        f"lightonml's simulated OPU.transform on the same rows, its matrix of {n_out} x {n_in} in "
        f"memory: {entries / peer / 1e9:.1f} G entries vectors/s",
    )


def structured(long: bool) -> Iterator[Figure]:
    x, medium = binary(1, SIDE), Structured(SIDE, SIDE, KEY)
    seconds = best(lambda: medium.apply(x), 20 if long else 7)
    size = f"one binary vector through {SIDE} x {SIDE} complex entries"
    yield Figure("structured_ms", seconds * 1e3, 40, "lower", "ms", size)

    name, goal, unit = "structured_mb", 100, "MB"
    if not Path("/proc/self/status").exists():
        detail = "the peak of a process is read from /proc, which is not here"
        yield Figure(name, None, goal, "lower", unit, detail)
        return
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    detail = f"growth of a process at its peak, input and output included: {size}"
    yield Figure(name, float(re.findall(r"[\d.]+", done.stdout)[-1]), goal, "lower", unit, detail)


def lazy(long: bool) -> Iterator[Figure]:
    x = binary(32, SIDE)
    seconds = best(lambda: Lazy(SIDE, SIDE, KEY).apply(x), 3 if long else 1)
    detail = f"32 binary rows through {SIDE} x {SIDE} entries, exact in law, nothing known before"
    yield Figure("lazy_s", seconds, 6, "lower", "s", detail)


def numbers(long: bool) -> Iterator[Figure]:
    n = 2**16
    out = np.empty(n, np.float32)
    seconds = best(lambda: normals(KEY, 0, out), 200 if long else 50)
    peer = best(lambda: Seed(0).rng().standard_normal(n, np.float32), 20)
    detail = (
        f"normals from the counter, {n} at a time; numpy's Generator(Philox) takes "
        f"{peer / n * 1e9:.1f} ns"
    )
    yield Figure("normal_ns", seconds / n * 1e9, 1, "lower", "ns", detail)


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures."""
    for part in (numbers, stream, structured, lazy):
        yield from part(long)


if __name__ == "__main__":
    _report.run(measure, __doc__)
