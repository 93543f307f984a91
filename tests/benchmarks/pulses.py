"""How fast a network trains by pulses: 784-256-10, batches of 64, one thread.

A step is what it is on a crossbar: forward, backward, and the pulsed update of both layers, with
noise of the pulses from cycle to cycle and of the cells from one to the next. The inputs are like
MNIST's: 19 % of the pixels are not 0. The rate is 0.1 on the mean loss of a batch. Forward and
backward are plain float32 products here, without converters and read noise.

What an update costs depends on its pulses, and how many the peer sent in its recorded runs of the
network is not known. So the update alone is measured too, of one 256 x 784 array at the three
numbers of pulses a sample for which the peer's time is recorded.

IBM's aihwkit, the peer, has no wheel for Python 3.11, and its build wants OpenBLAS headers and an
installed torch, which it replaces unless pinned: its figures are recorded, not measured. To
measure it, make an environment of Python 3.12, `pip install aihwkit`, and train two AnalogLinear
layers with its ConstantStepDevice, SoftBoundsDevice and BufferedTransferCompound.
"""

from __future__ import annotations

from collections.abc import Iterator

from _report import Figure, best, run  # isort: skip  (sets BLAS to one thread)

import numpy as np

from hwloop.devices.pulses import Constant, Pulsed, SoftBounds, make_cells, pulsed_update
from hwloop.devices.seeds import Seed
from hwloop.devices.tiki_taka import TikiTaka

SIZES, BATCH, BATCHES, RATE = (784, 256, 10), 64, 8, 0.1 / 64
RECORDED = "recorded for aihwkit 1.2.0 on one thread, not measured here: {} samples/s"
UPDATES_US = {37_380: 367.0, 3_845: 42.7, 388: 11.4}
"""Pulses of a sample in a 256 x 784 array: recorded time of aihwkit's update."""


def _data() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs of 19 % filled pixels and the classes that a fixed random network gives."""
    rng = np.random.default_rng(0)
    n = BATCH * BATCHES
    x = (rng.random((n, SIZES[0])) * (rng.random((n, SIZES[0])) < 0.19)).astype(np.float32)
    classes = (x @ rng.standard_normal((SIZES[0], SIZES[2])).astype(np.float32)).argmax(axis=1)
    return x, np.eye(SIZES[2], dtype=np.float32)[classes]


class _Plain:
    """A layer that learns by plain pulsed descent."""

    def __init__(self, n_out: int, n_in: int, description: Pulsed, seed: Seed) -> None:
        self.description, self.seed, self.steps = description, seed, 0
        self.cells = make_cells(description, n_out, n_in, seed.child("cells").at(0))
        self.w = np.zeros((n_out, n_in), np.float32)

    def matrix(self) -> np.ndarray:
        return self.w

    def program(self, w: np.ndarray) -> None:
        self.w[:] = w

    def update(self, y: np.ndarray, x: np.ndarray, rate: float) -> int:
        draw = self.seed.at(self.steps)
        self.steps += 1
        return pulsed_update(self.w, y, x, rate, self.cells, self.description, draw).pulses


def _train(layers: list, x: np.ndarray, target: np.ndarray) -> float:
    """Run one epoch; return pulses per sample."""
    first, second = layers
    pulses = 0
    for start in range(0, len(x), BATCH):
        xb, tb = x[start : start + BATCH], target[start : start + BATCH]
        h = np.tanh(xb @ first.matrix().T)
        z = h @ second.matrix().T
        z = np.exp(z - z.max(axis=1, keepdims=True))
        error = tb - z / z.sum(axis=1, keepdims=True)
        back = (error @ second.matrix()) * (1 - h * h)
        for layer, y, inputs in ((second, error, h), (first, back, xb)):
            sent = layer.update(y, inputs, RATE)
            pulses += sent if isinstance(sent, int) else sent.pulses
    return pulses / len(x)


def _speed(layers: list, repeats: int) -> tuple[float, float]:
    """Return samples a second and pulses per sample."""
    x, target = _data()
    rng = np.random.default_rng(1)
    for layer in layers:
        n_out, n_in = layer.matrix().shape
        layer.program(rng.uniform(-1, 1, (n_out, n_in)).astype(np.float32) / np.sqrt(n_in))
    pulses = []
    seconds = best(lambda: pulses.append(_train(layers, x, target)), repeats)
    return len(x) / seconds, float(np.median(pulses))


def _update_us(pulses: int, repeats: int) -> tuple[float, float]:
    """Return microseconds and pulses of a sample, where about `pulses` are wanted."""
    rng = np.random.default_rng(2)
    x = _data()[0][:BATCH]
    y = (0.1 * rng.standard_normal((BATCH, SIZES[1]))).astype(np.float32)
    cells = Pulsed(response=Constant(), cycle_noise=0.3, step_spread=0.3, bound_spread=0.3)
    rate = pulses * cells.step * BATCH / float((np.abs(x).sum(1) * np.abs(y).sum(1)).sum())
    layer = _Plain(SIZES[1], SIZES[0], cells, Seed(1))
    sent: list[int] = []
    seconds = best(lambda: sent.append(layer.update(y, x, rate)), 4 * repeats)
    return seconds / BATCH * 1e6, float(np.mean(sent)) / BATCH


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures."""
    seed, repeats = Seed(0), 20 if long else 5
    shapes = list(zip(SIZES[1:], SIZES[:-1], strict=True))
    noisy = {"step_spread": 0.3, "bound_spread": 0.3, "cycle_noise": 0.3, "step": 0.001}
    for name, response, goal, peer in (
        ("constant", Constant(), 30200, "15.1 k"),
        ("soft_bounds", SoftBounds(), 30000, "15.0 k"),
    ):
        cells = Pulsed(response=response, **noisy)
        layers = [_Plain(*shape, cells, seed.child(f"layer {shape}")) for shape in shapes]
        speed, pulses = _speed(layers, repeats)
        detail = f"{pulses:.0f} pulses a sample; {RECORDED.format(peer)}"
        yield Figure(f"pulsed_{name}_samples_s", speed, goal, "higher", "samples/s", detail)
    cells = Pulsed(response=SoftBounds(), **noisy)
    machines = [
        TikiTaka(n_out=o, n_in=i, cells=cells, transfer=0.1, buffered=True, seed=seed)
        for o, i in shapes
    ]
    speed, pulses = _speed(machines, repeats)
    detail = f"{pulses:.0f} pulses a sample, a column a sample; {RECORDED.format('0.47 k')}"
    yield Figure("tikitaka2_samples_s", speed, 4700, "higher", "samples/s", detail)
    for wanted, peer_us in UPDATES_US.items():
        value, pulses = _update_us(wanted, repeats)
        detail = f"{pulses:.0f} pulses a sample; recorded for aihwkit, not measured: {peer_us} us"
        yield Figure(f"pulsed_update_us_{wanted}", value, peer_us / 2, "lower", "us", detail)
    absent = "aihwkit is not installed; " + RECORDED
    yield Figure(
        "pulsed_vs_aihwkit", None, 2, "higher", "ratio",
        absent.format("15.1 k constant step, 15.0 k soft bounds"),
    )  # fmt: skip
    yield Figure("tikitaka2_vs_aihwkit", None, 10, "higher", "ratio", absent.format("0.47 k"))


if __name__ == "__main__":
    run(measure, __doc__)
