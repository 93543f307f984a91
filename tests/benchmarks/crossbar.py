"""Crossbars on one core: noisy products against plain ones, parasitic resistance, the peers.

Products are compared with x @ w.T of float32 and a w (n_out, n_in) as it lies in memory, which is
what a layer does without a device.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import _report  # before numpy: one thread
import numpy as np
import parasitics
import pulses
from _report import Figure, best

from hwloop.devices.crossbar import Crossbar
from hwloop.devices.seeds import Seed

SIDE = 512
GOALS = {
    ("multiply", 64): 0.80,
    ("multiply", 1024): 0.88,
    ("state", 64): 0.42,
    ("state", 1024): 0.44,
}
AIHWKIT_RECORDED = {64: 41_601, 1024: 43_552}
"""Samples a second of aihwkit 1.2.0, InferenceRPUConfig, 512 x 512, on one thread of an AMD EPYC
(Zen 4, 2.6 GHz) whose sgemm did 175,458 and 197,099: recorded, not measured here."""
SGEMM_RECORDED = {64: 175_458, 1024: 197_099}


def crossbar(**settings: Any) -> Crossbar:
    """Return a programmed crossbar of one array, with DACs and ADCs of 8 bits."""
    device = Crossbar(
        n_out=SIDE,
        n_in=SIDE,
        seed=Seed(0),
        technology="pcm_nandakumar",
        tile_columns=2 * SIDE,
        **settings,
    )
    device.program(Seed(0).child("weights").rng().normal(size=(SIDE, SIDE)))
    return device


DEVICES = {
    "multiply": ("one noise level per output", {"read_noise": 0.0, "output_noise": 0.04}),
    "state": ("read noise of every cell, by its law at the outputs", {}),
}


def seconds(device: Crossbar, batch: int, long: bool) -> tuple[float, float, float]:
    """Return seconds of the device, of sgemm, and of sgemm on weights that lie transposed.

    The least of rounds in turn. The device keeps its weights transposed, which BLAS takes faster.
    """
    rng = Seed(0).child("input").rng()
    x = rng.normal(size=(batch, SIDE)).astype(np.float32)
    w = np.ascontiguousarray(device.matrix().astype(np.float32))
    out = np.empty((batch, SIDE), np.float32)
    turned, calls = np.ascontiguousarray(w.T), max(1, 2048 // batch)

    def noisy() -> None:
        for _ in range(calls):
            device.multiply(x)

    def plain() -> None:
        for _ in range(calls):
            np.matmul(x, w.T, out=out)

    def transposed() -> None:
        for _ in range(calls):
            np.matmul(x, turned, out=out)

    rounds = [[best(f, 3) for f in (noisy, plain, transposed)] for _ in range(25 if long else 10)]
    own, peer, other = (min(times) / calls for times in zip(*rounds, strict=True))
    return own, peer, other


def multiply(long: bool) -> Iterator[Figure]:
    for kind, (what, settings) in DEVICES.items():
        device = crossbar(**settings)
        for batch in (64, 1024):
            own, peer, turned = seconds(device, batch, long)
            detail = (
                f"{what}: {batch / own:,.0f} samples/s against {batch / peer:,.0f} of sgemm, "
                f"{SIDE} x {SIDE}, batch {batch}, 8-bit DAC and ADC, programming noise; "
                f"{turned / own:.3f} of sgemm on weights that lie transposed"
            )
            goal = GOALS[kind, batch]
            yield Figure(f"{kind}_vs_sgemm_b{batch}", peer / own, goal, "higher", "ratio", detail)


def aihwkit(long: bool) -> Iterator[Figure]:
    name, goal = "multiply_vs_aihwkit", 3.0
    settings = DEVICES["multiply"][1]
    if importlib.util.find_spec("aihwkit") is None:
        recorded = AIHWKIT_RECORDED[64] / SGEMM_RECORDED[64]
        detail = (
            "aihwkit is not installed (no wheel for Python 3.11); recorded on another machine: "
            f"{AIHWKIT_RECORDED[64]:,} samples/s at batch 64, {recorded:.2f} of its sgemm"
        )
        yield Figure(name, None, goal, "higher", "ratio", detail)
        return
    import torch
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import InferenceRPUConfig

    torch.set_num_threads(1)
    layer = AnalogLinear(SIDE, SIDE, bias=False, rpu_config=InferenceRPUConfig())
    layer.eval()
    x = Seed(0).child("input").rng().normal(size=(64, SIDE)).astype(np.float32)
    given = torch.as_tensor(x)
    device = crossbar(**settings)
    with torch.no_grad():
        peer = best(lambda: layer(given), 20)
    own = best(lambda: device.multiply(x), 20)
    detail = f"{64 / own:,.0f} samples/s against {64 / peer:,.0f}, {SIDE} x {SIDE}, batch 64"
    yield Figure(name, peer / own, goal, "higher", "ratio", detail)


PARTS = (multiply, aihwkit, parasitics.measure, pulses.figures)
"""What is measured, in this order; each yields figures and takes whether `--long` was given."""


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures."""
    for part in PARTS:
        yield from part(long)


if __name__ == "__main__":
    _report.run(measure, __doc__)
