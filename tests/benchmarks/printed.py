"""Printed circuits: how fast populations are evaluated, whether Verilog agrees, what is gained.

Evaluation is measured at 7494 samples of a 16-5-10 network, every connection wired, on one thread.
A run is one start trained by gradients and 400 generations of 300 circuits on Pendigits. Mismatches
are counted over every row of eight data sets, between kernel, numpy reference and Icarus Verilog.
Gains are against the exact bespoke circuit of the same topology, both mapped by Yosys to the same
printed cells: the smallest circuit within five points of its training accuracy. By default the
searches are short and leave Pendigits out; `--long` runs the designs in examples/printed whole.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import Figure, best, run  # isort: skip  (sets BLAS to one thread)

import numpy as np

from hwloop.algorithms.genes import Genes, Task
from hwloop.algorithms.genetic import Evolution, Genetic
from hwloop.algorithms.printed_gradient import Gradient, train
from hwloop.devices import Seed
from hwloop.devices.kernels.printed import count_correct, count_correct_reference
from hwloop.devices.printed_circuit import Circuit, Topology
from hwloop.devices.technology import load
from hwloop.sim.datasets import KNOWN, data_directory
from hwloop.sim.eda import simulate
from hwloop.sim.print_pieces import prices
from hwloop.sim.print_run import area_of, work
from hwloop.sim.print_settings import read_design
from hwloop.sim.print_tasks import cores
from hwloop.sim.printed_data import words

SETS = {
    "breast_cancer_wisconsin": 3, "cardiotocography": 3, "pendigits": 5, "winequality_red": 2,
    "winequality_white": 4, "seeds": 3, "vertebral_2c": 3, "vertebral_3c": 3,
}  # fmt: skip
DESIGNS = Path(__file__).parents[2] / "examples" / "printed"
NAMES = ("breast_cancer", "red_wine", "white_wine", "cardiotocography", "pendigits")
SHORT = ["search.generations=150", "search.starts=2", "search.epochs=60", "search.seeds=1",
         "cost.circuits=6", "faults.copies=0"]  # fmt: skip


def _there(name: str) -> bool:
    return all((data_directory() / file).is_file() for file in KNOWN[name].files)


def _speed(repeats: int) -> Figure:
    rng = np.random.default_rng(0)
    t = Topology((16, 5, 10))
    x = rng.integers(0, 15, (16, 7494)).astype(np.int32)
    y = rng.integers(0, 10, 7494).astype(np.int32)
    shape = (200, t.weights)
    weight = (rng.choice([-1, 1], shape) << rng.integers(0, 8, shape)).astype(np.int32)
    mask = rng.integers(1, 1 << t.word_bits(), shape).astype(np.int32)
    bias = rng.integers(-500, 500, (200, t.units)).astype(np.int32)
    sizes, shift = np.array(t.sizes, np.int32), np.array(t.shifts, np.int32)
    found = np.empty(200, np.int64)
    seconds = best(
        lambda: count_correct(x, y, sizes, weight, mask, bias, shift, t.top, found), repeats
    )
    few = np.empty(10, np.int64)
    slow = best(
        lambda: count_correct_reference(
            x, y, sizes, weight[:10], mask[:10], bias[:10], shift, t.top, few
        ),
        2,
    )
    assert (found[:10] == few).all()
    each, each_slow = seconds / 200, slow / 10
    detail = f"{1 / each:,.0f} networks/s; numpy does {7.494e-3 / each_slow:.1f} M inferences/s"
    return Figure("inferences_m_s", 7.494e-3 / each, 40, "higher", "M inferences/s", detail)


def _run() -> Figure:
    if not _there("pendigits"):
        return Figure("run_s", None, 90, "lower", "s", "pendigits is not in HWLOOP_DATA_DIR")
    data = words("pendigits")
    genes = Genes(Topology((16, 5, 10), shifts=(5,)))
    began = time.perf_counter()
    exact = train(
        Gradient(weights="fixed", epochs=60), data.x_train, data.y_train, genes.topology, Seed(0)
    )
    start = train(
        Gradient(rate=0.01, epochs=60), data.x_train, data.y_train, genes.topology, Seed(0), exact
    )
    loss = 1 - exact.accuracy(data.x_train, data.y_train) + 0.1
    task = Task(genes, data.x_train, data.y_train, prices(load("egfet_1v0")), loss)
    evolution = Evolution(Genetic(300, 400), task, Seed(0), [start])
    while not evolution.done:
        evolution.step()
    seconds = time.perf_counter() - began
    _, values = evolution.front()
    near = values[values[:, 0] <= loss - 0.05, 1]
    detail = (
        f"two trainings and {evolution.evaluations:,} evaluations in one process; best training "
        f"accuracy {1 - values[:, 0].min():.1%}"
    )
    if near.size:
        detail += f", within 5 points of the exact one {1e4 * near.min():.3g} cm2 as counted"
    return Figure("run_s", seconds, 90, "lower", "s", detail)


def _mismatches() -> Figure:
    name, unit = "verilog_mismatches", "rows"
    if shutil.which("iverilog") is None:
        return Figure(name, None, 0, "lower", unit, "iverilog is not installed")
    wrong = rows = circuits = 0
    for set_, hidden in SETS.items():
        if not _there(set_):
            continue
        data = words(set_)
        x = np.concatenate([data.x_train, data.x_test])
        topology = Topology((data.features, hidden, len(data.classes)))
        exact = train(
            Gradient(weights="fixed", epochs=5), data.x_train, data.y_train, topology, Seed(0)
        )
        rng = np.random.default_rng(0)
        genes = Genes(topology)
        cut = genes.circuit(genes.encode(exact))
        mask = cut.mask & rng.integers(0, 1 << topology.word_bits())
        for circuit in (exact, cut, Circuit(topology, cut.weight, mask, cut.bias)):
            classes = circuit.scores(x).argmax(1)
            wrong += int((classes != circuit.predict(x)).sum()) + simulate(circuit, x)
            rows, circuits = rows + len(x), circuits + 1
    detail = f"{circuits} circuits, {rows:,} rows: kernel, reference and Icarus Verilog"
    return Figure(name, float(wrong), 0, "lower", unit, detail)


def _gains(long: bool) -> Iterator[Figure]:
    errors: list[float] = []
    for name in NAMES:
        design_file = DESIGNS / f"{name}.toml"
        missing = ""
        if shutil.which("yosys") is None or shutil.which("iverilog") is None:
            missing = "yosys or iverilog is not installed"
        elif name == "pendigits" and not long:
            missing = "takes minutes: run with --long"
        elif not _there(read_design(design_file).data.set):
            missing = "the set is not in HWLOOP_DATA_DIR"
        if missing:
            for kind in ("area", "power"):
                yield Figure(f"{kind}_gain_{name}", None, 5, "higher", "ratio", missing)
            continue
        design = read_design(design_file, [] if long else SHORT)
        with tempfile.TemporaryDirectory() as folder:
            report = work(design, Path(folder), cores(), lambda *_: None, lambda: False)
        assert report is not None
        for entry in [report["exact"], *report["front"]]:
            if area_of(entry) >= 0.5e-4:
                errors.append(abs(entry["estimate_m2"] / area_of(entry) - 1))
        yield from _gain(name, report)
    if errors:
        detail = f"adders against cells, mean over {len(errors)} circuits of 0.5 cm2 and more"
        yield Figure("proxy_error", float(np.mean(errors)), 0.3, "lower", "share", detail)


def _gain(name: str, report: dict[str, Any]) -> Iterator[Figure]:
    exact = report["exact"]
    gain = next(g for g in report["gains"] if g["loss"] == 0.05)
    one = report["front"][gain["circuit"]]
    detail = (
        f"{1e4 * area_of(exact):.3g} cm2 and {exact['test']:.1%} of the test rows, against "
        f"{1e4 * area_of(one):.3g} cm2 and {one['test']:.1%}"
    )
    yield Figure(f"area_gain_{name}", gain["area"], 5, "higher", "ratio", detail)
    yield Figure(f"power_gain_{name}", gain["power"], 5, "higher", "ratio", detail)


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures."""
    yield _speed(20 if long else 5)
    yield _run()
    yield _mismatches()
    yield from _gains(long)


if __name__ == "__main__":
    run(measure, __doc__)
