"""How fast a network trains by pulses: 784-256-10, batches of 64, one thread.

A step is what it is on a crossbar: forward, backward, and the pulsed update of both layers, with
noise of the pulses from cycle to cycle and of the cells from one to the next. The inputs are like
MNIST's: 19 % of the pixels are not 0. The rate is 0.1 on the mean loss of a batch. Forward and
backward are plain float32 products here, without converters and read noise.

What an update costs depends on its pulses, and how many the peer sent in its recorded runs of the
network is not known. So the update alone is measured too, of one 256 x 784 array at the three
numbers of pulses a sample for which the peer's time is recorded.

IBM's aihwkit, the peer, has no wheel for Python 3.11, and its build wants OpenBLAS headers and an
installed torch, which it replaces unless pinned: its figures are recorded, not measured, and the
ratios are corrected by how much faster sgemm is here than where they were recorded. To measure it,
make an environment of Python 3.12, `pip install aihwkit`, and train two AnalogLinear layers with
its ConstantStepDevice, SoftBoundsDevice and BufferedTransferCompound.
"""

from __future__ import annotations

from collections.abc import Iterator

from _report import Figure, best, run  # isort: skip  (sets BLAS to one thread)

import numpy as np

from hwloop.devices.in_place import InPlace, Plain
from hwloop.devices.pulses import Constant, Pulsed, SoftBounds
from hwloop.devices.seeds import Seed
from hwloop.devices.tiki_taka import TikiTaka

SIZES, BATCH, BATCHES, RATE = (784, 256, 10), 64, 8, 0.1 / 64
NOISY = {"step_spread": 0.3, "bound_spread": 0.3, "cycle_noise": 0.3, "step": 0.001}
AIHWKIT = {"constant": 15_100, "soft_bounds": 15_000, "tikitaka2": 470}
"""Recorded samples a second of aihwkit 1.2.0 on this network, one thread of an AMD EPYC (Zen 4)."""
SGEMM = 175_458
"""Recorded there too: samples a second of sgemm, 512 x 512, batch 64, one thread."""
UPDATES_US = {37_380: 367.0, 3_845: 42.7, 388: 11.4}
"""Pulses of a sample in a 256 x 784 array: recorded time of aihwkit's update."""


def _data() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs of 19 % filled pixels and the classes that a fixed random network gives."""
    rng = np.random.default_rng(0)
    n = BATCH * BATCHES
    x = (rng.random((n, SIZES[0])) * (rng.random((n, SIZES[0])) < 0.19)).astype(np.float32)
    classes = (x @ rng.standard_normal((SIZES[0], SIZES[2])).astype(np.float32)).argmax(axis=1)
    return x, np.eye(SIZES[2], dtype=np.float32)[classes]


def _train(layers: list[InPlace], x: np.ndarray, target: np.ndarray) -> float:
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
            pulses += layer.update(y, inputs, RATE).pulses
    return pulses / len(x)


def _speed(layers: list[InPlace], repeats: int) -> tuple[float, float]:
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
    layer = Plain(n_out=SIZES[1], n_in=SIZES[0], cells=cells, seed=Seed(1))
    sent: list[int] = []
    seconds = best(lambda: sent.append(layer.update(y, x, rate).pulses), 4 * repeats)
    return seconds / BATCH * 1e6, float(np.mean(sent)) / BATCH


def _machine(repeats: int) -> float:
    """Return how fast this machine's sgemm is, over that of the machine of the recorded figures."""
    rng = np.random.default_rng(3)
    x, w = (rng.standard_normal((n, 512)).astype(np.float32) for n in (BATCH, 512))
    out = np.empty((BATCH, 512), np.float32)
    seconds = best(lambda: [np.matmul(x, w.T, out=out) for _ in range(50)], 4 * repeats) / 50
    return BATCH / seconds / SGEMM


def _speeds(repeats: int) -> dict[str, tuple[float, float]]:
    """Return samples a second and pulses a sample of every way to learn."""
    seed, shapes = Seed(0), list(zip(SIZES[1:], SIZES[:-1], strict=True))
    found = {}
    for name, response in (("constant", Constant()), ("soft_bounds", SoftBounds())):
        cells = Pulsed(response=response, **NOISY)
        layers: list[InPlace] = [
            Plain(n_out=o, n_in=i, cells=cells, seed=seed.child(f"layer {o, i}")) for o, i in shapes
        ]
        found[name] = _speed(layers, repeats)
    cells = Pulsed(response=SoftBounds(), **NOISY)
    for name, more in (
        ("tikitaka2", {}), ("tikitaka4", {"chop": 0.1, "dynamic": True})
    ):  # fmt: skip
        layers = [
            TikiTaka(n_out=o, n_in=i, cells=cells, transfer=0.1, buffered=True, seed=seed, **more)
            for o, i in shapes
        ]
        found[name] = _speed(layers, repeats)
    return found


def _ratios(speeds: dict[str, tuple[float, float]], machine: float) -> Iterator[Figure]:
    """Yield own speed over the recorded one, corrected by what sgemm says of the machines."""
    over = {name: speeds[name][0] / (AIHWKIT[name] * machine) for name in AIHWKIT}
    about = (
        "aihwkit is recorded (1.2.0, one thread), not measured here: {}; own speed is divided by "
        f"{machine:.2f}, the speed of sgemm here over that where it was recorded"
    )
    both = {name: over[name] for name in ("constant", "soft_bounds")}
    said = ", ".join(
        f"{name} {speeds[name][0]:,.0f} against {AIHWKIT[name]:,} samples/s" for name in both
    )
    yield Figure(
        "pulsed_vs_aihwkit", min(both.values()), 2, "higher", "ratio", about.format(said)
    )  # fmt: skip
    said = f"{speeds['tikitaka2'][0]:,.0f} against {AIHWKIT['tikitaka2']:,} samples/s"
    yield Figure(
        "tikitaka2_vs_aihwkit", over["tikitaka2"], 10, "higher", "ratio", about.format(said)
    )  # fmt: skip


def figures(long: bool = False) -> Iterator[Figure]:
    """Yield the two figures of pulsed training that stand against aihwkit."""
    repeats = 20 if long else 5
    yield from _ratios(_speeds(repeats), _machine(repeats))


def measure(long: bool) -> Iterator[Figure]:
    """Yield all figures."""
    repeats = 20 if long else 5
    speeds = _speeds(repeats)
    for name, (speed, pulses) in speeds.items():
        peer = AIHWKIT.get(name, AIHWKIT["tikitaka2"])
        goal, said = (10 if "tiki" in name else 2) * peer, f"{pulses:.0f} pulses a sample"
        figure = f"{name if 'tiki' in name else f'pulsed_{name}'}_samples_s"
        yield Figure(figure, speed, goal, "higher", "samples/s", said)
    for wanted, peer_us in UPDATES_US.items():
        value, pulses = _update_us(wanted, repeats)
        detail = f"{pulses:.0f} pulses a sample; recorded for aihwkit, not measured: {peer_us} us"
        yield Figure(f"pulsed_update_us_{wanted}", value, peer_us / 2, "lower", "us", detail)
    yield from _ratios(speeds, _machine(repeats))


if __name__ == "__main__":
    run(measure, __doc__)
