"""What a sweep costs beside its trainings: the controller, a second worker, points read again.

    python tests/benchmarks/sweep.py [--json] [--long]

`two_workers` needs two idle cores. `--long` trains more points.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _report import Figure, run

from hwloop.sim.sweep_run import Plan, carry_out, folder_for, read_plan
from hwloop.sim.sweep_train import train

QUICK = """
name = "quick"
[data]
set = "iris"
[network]
hidden = [4]
[train]
epochs = 1
[weight]
device = "matrix_engine"
[feedback]
device = "opu"
"""
LONG = QUICK.replace('"iris"', '"digits"').replace("[4]", "[64, 64]")
GRID = '[sweep]\n"optimizer.rate" = {{ log = [0.01, 1.0], n = {points} }}\n'
SEARCH = """
[search]
objectives = ["accuracy", "energy_J"]
trials = {points}
sampler = "tpe"
[search.space]
"optimizer.rate" = {{ log = [0.01, 1.0] }}
"train.batch" = {{ linear = [8, 64] }}
"""
PRICES = """
[sweep]
"technology.opu_gen3.event.frame.latency_s" = { log = [1e-6, 1e-3], n = 100 }
"technology.nvidia_a100_fp32.idle_W" = { linear = [1.0, 100.0], n = 100 }
"""
SECONDS = 10.0
"""How long a point of `two_workers` trains."""


def carried_out(text: str, folder: Path, workers: int) -> tuple[Plan, float, float]:
    """Return a plan, and the wall and CPU seconds that its controller took for it."""
    file = folder / "plan.toml"
    file.write_text(text)
    plan = read_plan(file)
    where = folder_for(plan, folder / "out")
    wall, cpu = time.perf_counter(), time.process_time()
    state = carry_out(plan, where, lambda state: None, workers)
    assert state.done == len(plan)
    assert not state.failed
    return plan, time.perf_counter() - wall, time.process_time() - cpu


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures, each as soon as it is measured."""
    points = 200 if long else 60
    each = {}
    for name, text in (("grid", GRID), ("search", SEARCH)):
        with tempfile.TemporaryDirectory() as scratch:
            _, _, cpu = carried_out(QUICK + text.format(points=points), Path(scratch), 2)
            each[name] = 1e3 * cpu / points
    yield Figure(
        "controller_ms",
        max(each.values()),
        20.0,
        "lower",
        "ms CPU a point",
        f"{points} trainings on two processes: grid {each['grid']:.1f} ms, "
        f"TPE over two objectives {each['search']:.1f} ms",
    )
    with tempfile.TemporaryDirectory() as scratch:
        plan, wall, cpu = carried_out(QUICK + PRICES, Path(scratch), 1)
    yield Figure(
        "reprice_10k_s",
        cpu,
        60.0,
        "lower",
        "s CPU",
        f"{len(plan):,} points of other prices and times from one training, {wall:.0f} s wall",
    )
    yield _two_workers(8 if long else 4)


def _two_workers(points: int) -> Figure:
    epochs = _epochs()
    text = LONG.replace("epochs = 1", f"epochs = {epochs}") + GRID.format(points=points)
    walls = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            _, walls[workers], _ = carried_out(text, Path(scratch), workers)
    return Figure(
        "two_workers",
        walls[1] / walls[2],
        1.8,
        "higher",
        "times as fast as one",
        f"{points} points of about {SECONDS:g} s: {walls[1]:.1f} s, with two workers "
        f"{walls[2]:.1f} s, their start included",
    )


def _epochs() -> int:
    """Return how many epochs train for about `SECONDS`, measured on some of them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "plan.toml"
        spent = {}
        for epochs in (1, 1, 21):  # the first compiles
            file.write_text(
                LONG.replace("epochs = 1", f"epochs = {epochs}") + GRID.format(points=2)
            )
            plan = read_plan(file)
            raw = next(iter(plan.points())).raw  # type: ignore[union-attr]
            start = time.perf_counter()
            assert "arms" in train({"raw": raw, "where": ""})
            spent[epochs] = time.perf_counter() - start
    return max(2, round(20 * SECONDS / max(spent[21] - spent[1], 1e-3)))


if __name__ == "__main__":
    run(measure, __doc__)
