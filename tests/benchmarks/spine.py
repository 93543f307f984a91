"""The main job: how well and how fast the default trains, beside what a user would pick instead.

One thread for everything, CPU time, medians of the ratios of interleaved rounds, so that a busy
machine slows both sides alike. `--long` adds the ten-epoch table on MNIST and Fashion-MNIST, which
needs their files in HWLOOP_DATA_DIR and about a quarter of an hour.
"""

from __future__ import annotations

import _report  # isort: skip

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from _report import Figure

from hwloop.algorithms import DFA, SGD, Backprop
from hwloop.devices import Ideal, Seed
from hwloop.devices.blas import add_outer
from hwloop.devices.kernels import elementwise
from hwloop.mappings import Placement, build, place

ROUNDS, STEPS, BATCH = 60, 3, 128
SIZES = (784, 1000, 1000, 10)
EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist_by_light.toml"
rng = np.random.default_rng(0)
X = rng.random((BATCH, SIZES[0]), np.float32)
T = np.eye(SIZES[-1], dtype=np.float32)[rng.integers(SIZES[-1], size=BATCH)]


def placed(rule: type[DFA] | type[Backprop]) -> Callable[[], object]:
    """Return a training step of a rule on ideal devices, ledger and all."""
    algorithm = rule(optimizer=SGD(rate=0.01))
    network = build((SIZES[0],), SIZES[-1], SIZES[1:-1])
    demands = algorithm.demands(network)

    def ideal(demand, ledger, seed):
        return Ideal(
            n_out=demand.n_out, n_in=demand.n_in, name=demand.name, seed=seed, ledger=ledger
        )

    roles = {d.role: ideal for d in demands}
    on: Placement = place(network, demands, roles, "ideal", Seed(0))

    def step() -> None:
        with on.ledger.step("train", samples=BATCH):
            algorithm.step(on, X, T)

    return step


def bare_dfa() -> Callable[[], object]:
    """Return the arithmetic of DFA's step alone: the same BLAS calls and kernels, nothing else."""
    shapes = list(zip(SIZES[1:], SIZES, strict=False))
    w = [(rng.standard_normal(s) / s[1] ** 0.5).astype(np.float32) for s in shapes]
    bias = [np.zeros(s[0], np.float32) for s in shapes]
    feedback = (rng.standard_normal((2000, 10)) / 2000**0.5).astype(np.float32)
    rate = -0.01 / BATCH

    def step() -> None:
        h = [X]
        for k in range(3):
            z = h[-1] @ w[k].T
            elementwise.activate(z, bias[k], elementwise.TANH if k < 2 else elementwise.IDENTITY)
            h.append(z)
        shifted = h[-1] - h[-1].max(1)[:, None]
        e = np.exp(shifted)
        total = e.sum(1)
        float((np.log(total) - (shifted * T).sum(1)).mean())
        error = e / total[:, None] - T
        projected = error @ feedback.T
        for k in range(2):
            delta = np.ascontiguousarray(projected[:, 1000 * k : 1000 * (k + 1)])
            elementwise.slope(delta, h[k + 1], elementwise.TANH)
            add_outer(w[k], delta, h[k], rate)
            bias[k] += rate * delta.sum(0)
        add_outer(w[2], error, h[2], rate)
        bias[2] += rate * error.sum(0)

    return step


def torch_backprop() -> Callable[[], object]:
    """Return the step that a PyTorch user writes: autograd and SGD."""
    import torch

    torch.set_num_threads(1)
    layers: list[torch.nn.Module] = []
    for n_out, n_in in zip(SIZES[1:], SIZES, strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.Tanh()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.tensor(X), torch.tensor(T.argmax(1))

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def rounds(steps: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the CPU seconds of a step, round by round: each takes its turn, then in reverse.

    A contestant warms the caches with one step before its clock starts.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS):
        for name in list(steps) if number % 2 else reversed(steps):
            steps[name]()
            start = time.process_time()
            for _ in range(STEPS):
                steps[name]()
            taken[name].append((time.process_time() - start) / STEPS)
    return taken


def ratio(above: list[float], below: list[float]) -> float:
    """Return the median of the ratios of one round each."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def training() -> Iterator[Figure]:
    """Yield the speed of a step, and what the bookkeeping costs of it."""
    steps = {"dfa": placed(DFA), "backprop": placed(Backprop), "bare": bare_dfa()}
    with contextlib.suppress(ImportError):
        steps["torch"] = torch_backprop()
    taken = rounds(steps)
    took = {name: statistics.median(times) for name, times in taken.items()}
    size = "-".join(map(str, SIZES))
    ours = f"{size}, batch {BATCH}, one thread: DFA {1e3 * took['dfa']:.2f} ms a step"
    if "torch" in took:
        yield Figure(
            "dfa_vs_torch_bp",
            ratio(taken["torch"], taken["dfa"]),
            1.2,
            "higher",
            "ratio",
            f"{ours}, torch autograd backpropagation {1e3 * took['torch']:.2f} ms, hwloop's "
            f"backpropagation {1e3 * took['backprop']:.2f} ms",
        )
    else:
        yield Figure("dfa_vs_torch_bp", None, 1.2, "higher", "ratio", "torch is not installed")
    yield Figure(
        "bookkeeping_share",
        1 - ratio(taken["bare"], taken["dfa"]),
        0.05,
        "lower",
        "share",
        f"{ours}, the same arithmetic without devices, ledger and stages "
        f"{1e3 * took['bare']:.2f} ms",
    )


def seconds(code: str, repeats: int = 5) -> float:
    """Return the median wall time of a fresh interpreter that runs `code`, less an empty one."""

    def once(text: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
        return time.perf_counter() - start

    return statistics.median(once(code) - once("pass") for _ in range(repeats))


def command(*args: str) -> float:
    """Return the wall time of `hwloop` with these arguments."""
    start = time.perf_counter()
    main = "import sys; from hwloop.sim.cli import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", main, *args], check=True, capture_output=True)
    return time.perf_counter() - start


def default() -> Iterator[Figure]:
    """Yield what `hwloop run` without a file takes and reaches, a first and a second time."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = f"{folder}/numba"
        first = command("run", "--out", f"{folder}/first")
        second = command("run", "--out", f"{folder}/second")
        short = ("run", "--set", "train.epochs=1", "--set", "compare={}")
        start_s = statistics.median(command(*short, "--out", f"{folder}/{k}") for k in range(3))
        report = json.loads(Path(folder, "first", "report.json").read_text())
    accuracy = {arm["name"]: 100 * arm["accuracy"]["test"] for arm in report["arms"]}
    reached = ", ".join(f"{name} {value:.2f} %" for name, value in accuracy.items())
    yield Figure(
        "default_run_s",
        first,
        60,
        "lower",
        "s",
        f"hwloop run, one thread, kernels compiled on the way; a second run {second:.1f} s",
    )
    yield Figure(
        "default_gap_points",
        accuracy["backpropagation"] - accuracy["main"],
        2,
        "lower",
        "points",
        f"test accuracy on 450 digits: {reached}",
    )
    yield Figure(
        "second_start_s",
        start_s,
        10,
        "lower",
        "s",
        "hwloop run for one epoch with every kernel in the cache: imports, data, report and all",
    )


def optical(long: bool) -> Iterator[Figure]:
    """Yield how far light falls behind the same ternary rule done digitally, ten epochs."""
    name, unit = "optical_gap_points", "points"
    if not long:
        yield Figure(name, None, 1, "lower", unit, "ten epochs on two sets: run with --long")
        return
    gaps, detail = [], []
    for data, scale in (("mnist", "unit"), ("fashion_mnist", "standard")):
        with tempfile.TemporaryDirectory() as folder:
            run = f"{folder}/run"
            settings = ("--set", f"data.set={data}", "--set", f"data.scale={scale}")
            took_s = command("run", str(EXAMPLE), *settings, "--out", run)
            report = json.loads(Path(run, "report.json").read_text())
        accuracy = {arm["name"]: 100 * arm["accuracy"]["test"] for arm in report["arms"]}
        gaps.append(accuracy["ternary_dfa"] - accuracy["main"])
        arms = ", ".join(f"{arm} {value:.2f} %" for arm, value in accuracy.items())
        detail.append(f"{data}: {arms} ({took_s:.0f} s)")
    yield Figure(name, max(gaps), 1, "lower", unit, "; ".join(detail))


def measure(long: bool) -> Iterable[Figure]:
    """Yield every figure."""
    yield from training()
    yield Figure(
        "import_s",
        seconds("import hwloop"),
        0.3,
        "lower",
        "s",
        "beyond an empty interpreter; with hwloop.devices, mappings and algorithms "
        f"{seconds('import hwloop.algorithms'):.2f} s",
    )
    yield from default()
    yield from optical(long)


if __name__ == "__main__":
    _report.run(measure, __doc__)
