"""Every way to learn, side by side: accuracy, passes, joules, and the noise that each stands.

    python examples/every_rule.py                    # digits, 64-128-128-10; a quarter of an hour
    python examples/every_rule.py fashion_mnist      # 784-500-500-10; an hour or two
    python examples/every_rule.py mnist cora cifar10 # some rules each; fifteen minutes
    python examples/every_rule.py digits --rules DFA "frozen control"

One core. Each rule at the best of its rates, judged on a validation part by one seed of its own:
on digits of those that stand in rules_compared.py, elsewhere by climbing from there through 1 and
3 of every decade until it gets worse. Then three seeds (`--seeds`), judged on the test part.
Joules are those of an A100's model that holds every matrix. On digits the whole is repeated with
Gaussian noise on every output of the weights during training (a share of the outputs' std),
evaluated without it.

Every finished training is kept in runs/every_rule/TASK.json: what was broken off goes on where
it was, `--table` prints what there is, and a file that is removed is made anew.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rules_compared import ENTRIES, SEEDS, TASKS, Entry, Task, data_of
from ternary_codes import Noisy

from hwloop.algorithms import Algorithm
from hwloop.devices import Device, Ideal, Ledger, MatrixEngine, Seed
from hwloop.mappings import Demand, Placement, build, place
from hwloop.sim.data import Data
from hwloop.sim.files import read_json, write_json
from hwloop.sim.meter import Meter
from hwloop.sim.rules import chains
from hwloop.sim.threads import sharing

ENGINE = "nvidia_a100_fp32"
RESULTS = Path("runs/every_rule")
CHOOSER = 100
"""The seed that chooses rates."""
VERBS = {"MULTIPLY": "m", "TRANSPOSE": "t", "UPDATE": "u", "PROGRAM": "w"}


def placed(
    algorithm: Algorithm, data: Data, task: Task, seed: Seed, kind: Callable[..., Device], act: str
) -> Placement:
    """Return the task's network, every matrix on a device of this kind."""
    network = build(data.shape, data.n_classes, task.hidden, act, data.graph)
    demands = algorithm.demands(network)

    def made(d: Demand, ledger: Ledger, seed: Seed) -> Device:
        return kind(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

    on = {d.role: made for d in demands}
    return place(network, demands, on, ENGINE, seed)


def right(algorithm: Algorithm, on: Placement, exact: Placement, data: Data, part) -> float:
    """Return the accuracy on a part, every matrix taken free of noise."""
    for name, device in on.devices.items():
        if name in exact.devices and name.split("/")[0] != "feedback":
            exact[name].program(device.matrix())
    exact.digital = on.digital
    said = []
    if data.graph is not None:
        with exact.ledger.step("evaluate", samples=1):
            said.append(algorithm.predict(exact, data.x)[part].argmax(1))
    else:
        for k in range(0, len(part), 500):
            with exact.ledger.step("evaluate", samples=1):
                said.append(algorithm.predict(exact, data.x[part[k : k + 500]]).argmax(1))
    return float((np.concatenate(said) == data.y[part]).mean())


def steps_of(task: Task, data: Data, seed: Seed, epoch: int) -> list[tuple[Any, Any]]:
    """Return the rows and the mask of every step of an epoch; a graph's step takes all nodes."""
    if data.graph is not None:
        nodes = np.arange(len(data.x))
        return [(nodes, np.isin(nodes, data.train).astype(np.float32))]
    order = seed.child("order").rng(epoch).permutation(data.train)
    return [(order[k : k + task.batch], None) for k in range(0, len(order), task.batch)]


def onehot(data: Data) -> np.ndarray:
    """Return the targets (n, n_classes), none where a class is not known."""
    known = data.y >= 0
    return np.eye(data.n_classes, dtype=np.float32)[data.y * known] * known[:, None]


def trained(
    task: Task,
    entry: Entry,
    rate: float,
    share: float,
    data: Data,
    number: int,
    epochs: int,
    checks: int,
) -> dict[str, Any]:
    """Return accuracies at every check and, after the last epoch, on the test part."""
    seed, algorithm = Seed(number), task.algorithm(entry, rate)

    def noisy(name: str, **more) -> Device:
        exact = not share or name.split("/")[0] == "feedback"
        return Ideal(name=name, **more) if exact else Noisy(share=share, name=name, **more)

    on = placed(algorithm, data, task, seed, noisy, entry.activation)
    exact = placed(algorithm, data, task, seed, Ideal, entry.activation)
    target, part = onehot(data), data.validation if len(data.validation) else data.test
    curve, began = [], time.perf_counter()
    for epoch in range(epochs):
        steps = steps_of(task, data, seed, epoch)
        samples = sum(len(rows) for rows, _ in steps)
        looks = {len(steps) * (k + 1) // checks - 1 for k in range(checks)}
        for k, (rows, mask) in enumerate(steps):
            factor = 1 - (epoch + k * len(steps[0][0]) / samples) / epochs
            with np.errstate(all="ignore"), on.ledger.step("train", samples=len(rows)):
                loss = algorithm.step(on, data.x[rows], target[rows], mask, rate=factor)
            if not np.isfinite(loss):
                return {"rate": rate, "curve": [], "test": 0.0}
            if k in looks:
                curve.append(right(algorithm, on, exact, data, part))
    test = curve[-1] if part is data.test else right(algorithm, on, exact, data, data.test)
    wall = round(time.perf_counter() - began, 1)
    return {"rate": rate, "curve": curve, "test": test, "wall_s": wall}


class Kept:
    """What has been trained of a task, in a file that every finished training is written to."""

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.path = task, folder / f"{task.name}.json"
        self.found: dict[str, Any] = {}
        self._look()

    def _look(self) -> None:
        if self.path.exists():
            self.found |= read_json(self.path)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what is kept by a key; make and keep it if there is nothing."""
        if key not in self.found:
            made = make()
            self._look()  # another process may have finished something meanwhile
            self.found[key] = made
            write_json(self.path, self.found)
        return self.found[key]

    def rate(self, name: str, share: float) -> float:
        """Return the best rate of a rule: by a grid, or up and down to a better one."""
        rates = self.task.entry(name).rates
        if self.task.grid:
            return max(rates, key=lambda rate: (self.judged(name, share, rate), -rate))
        start = self.task.start or rates[:2][-1]
        best = round(2 * np.log10(start))
        while True:
            near = (best, best - 1, best + 1)
            new = max(near, key=lambda rung: self.judged(name, share, rung_rate(rung)))
            if new == best:
                return rung_rate(best)
            best = new

    def judged(self, name: str, share: float, rate: float) -> float:
        """Return the accuracy on a validation part after a short training; 0 if it diverged."""
        task, number = self.task, CHOOSER
        limit, validation, epochs = task.choose

        def make() -> float:
            data = data_of(task.name, task.scale, number, validation, limit)
            run = trained(task, task.entry(name), rate, share, data, number, epochs, 1)
            return run["curve"][-1] if run["curve"] else 0.0

        return self.once(f"{name} | noise {share:g} | rate {rate:g}", make)

    def run(self, name: str, share: float, number: int) -> dict[str, Any]:
        """Return one training of a rule at its best rate."""
        task, rate = self.task, self.rate(name, share)
        own = number if task.held else 0  # a set with a test part of its own is the same for all

        def make() -> dict[str, Any]:
            data = data_of(task.name, task.scale, own, task.held, task.limit)
            epochs, _ = task.effort(name)
            return trained(task, task.entry(name), rate, share, data, number, epochs, task.checks)

        return self.once(f"{name} | noise {share:g} | seed {number}", make)

    def runs(self, name: str, share: float) -> list[dict[str, Any]]:
        """Return the finished trainings of a rule."""
        keys = [f"{name} | noise {share:g} | seed {n}" for n in range(SEEDS)]
        return [self.found[key] for key in keys if key in self.found]

    def price(self, name: str) -> dict[str, Any]:
        """Return joules and seconds of a pass over the data, and the stages that wait in a step."""
        task, entry = self.task, self.task.entry(name)

        def make() -> dict[str, Any]:
            data = data_of(task.name, task.scale, 0, task.held, task.limit)
            algorithm = task.algorithm(entry, entry.rates[0])

            def engine(**more) -> Device:
                return MatrixEngine(technology=ENGINE, **more)

            on = placed(algorithm, data, task, Seed(0), engine, entry.activation)
            steps = steps_of(task, data, Seed(0), 0)
            rows, mask = steps[0]
            with on.ledger.step("train", samples=len(rows)):
                algorithm.step(on, data.x[rows], onehot(data)[rows], mask)
            joules, seconds = Meter().read(on.ledger)
            [step] = [step for step in on.ledger.steps if step.kind == "train"]
            calls = algorithm.calls(on.network.depth)
            return {
                "J": joules * len(steps),
                "s": seconds * len(steps),
                "calls": {v: sum(n for k, n in calls.items() if k.endswith(v)) for v in VERBS},
                "stages": chains(dict(step.after)),
            }

        return self.once(f"{name} | price", make)


def rung_rate(rung: int) -> float:
    """Return 1, 3, 10, 30, ... and 0.3, 0.1, ... by their number from 0."""
    return float(f"{10 ** (rung / 2):.0e}")


def plural(n: int, what: str) -> str:
    """Return how many there are, in words."""
    return f"{n} {what}{'s' * (n > 1)}"


def mean_test(runs: list[dict[str, Any]]) -> float:
    """Return the mean test accuracy."""
    return float(np.mean([run["test"] for run in runs]))


def spread(runs: list[dict[str, Any]]) -> str:
    """Return mean and, of several, std of test accuracies in percent."""
    if not runs:
        return "-"
    std = f" ± {100 * np.std([run['test'] for run in runs]):.1f}" if len(runs) > 1 else ""
    return f"{100 * mean_test(runs):.1f}{std}"


Noise = tuple[str, Kept, float]
"""A column: its head, where its trainings are kept, and the share of noise."""


def row(name: str, kept: Kept, noises: Sequence[Noise] = ()) -> list[str]:
    """Return a line of the table."""
    task, price, runs = kept.task, kept.price(name), kept.runs(name, 0.0)
    reached = [
        next((k for k, a in enumerate(run["curve"], 1) if a >= task.target), 0) / task.checks
        for run in runs
    ]
    needed = float(np.mean(reached)) if all(reached) else 0.0
    epochs, seeds = task.effort(name)[0], len(runs)
    usual = (epochs, seeds) == (task.epochs, SEEDS)
    budget = f" ({plural(epochs, 'epoch')}, {plural(seeds, 'seed')})"
    calls = " ".join(f"{n} {VERBS[verb]}" for verb, n in price["calls"].items() if n)
    over, control = "-", kept.runs("frozen control", 0.0)
    if control:
        over = f"{100 * (mean_test(runs) - mean_test(control)):+.1f}"
    return [
        name,
        calls,
        "{} / {}".format(*price["stages"]),
        spread(runs) + ("" if usual else budget),
        over,
        f"{runs[0]['rate']:g}",
        *(spread(where.runs(name, share)) for _, where, share in noises),
        f"{price['J']:.3g}",
        f"{1e3 * price['s']:.3g}",
        *([f"{needed:.1f}", f"{needed * price['J']:.3g}"] if needed else ["never", "-"]),
    ]


def table(kept: Kept, names: list[str]) -> str:
    """Return what there is of a task in Markdown."""
    task, digits = kept.task, Kept(TASKS["digits"], kept.path.parent)
    noises: list[Noise] = [(f"noise {share:g}", kept, share) for share in task.shares[1:]]
    if not noises and any(digits.runs(name, 1.0) for name in names):
        noises = [("digits, noise 1", digits, 1.0)]
    head = ["rule", "calls", "stages", "test, %", "over the control", "rate"]
    head += [*(column for column, _, _ in noises), "J a pass", "ms a pass"]
    head += [f"passes to {100 * task.target:g} %", f"J to {100 * task.target:g} %"]
    lines = [head, ["---"] * len(head), *(row(n, kept, noises) for n in names if kept.runs(n, 0.0))]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Train what is not kept yet, seed by seed, and print the tables."""
    parser = argparse.ArgumentParser(description="Compare every way to learn.")
    parser.add_argument(
        "tasks", nargs="*", default=["digits"], metavar="TASK", help=" ".join(TASKS)
    )
    parser.add_argument("--rules", nargs="+", default=[], metavar="RULE", choices=list(ENTRIES))
    parser.add_argument("--seeds", type=int, default=SEEDS, choices=range(1, SEEDS + 1))
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--table", action="store_true", help="print what is kept, train nothing")
    said = parser.parse_args()
    if wrong := [task for task in said.tasks if task not in TASKS]:
        parser.error(f"TASK takes {', '.join(TASKS)}, got {wrong[0]!r}")
    for task in map(TASKS.__getitem__, said.tasks):
        seeds, names = 0 if said.table else said.seeds, said.rules or list(task.rules)
        compare(Kept(task, said.results), names, seeds)


def compare(kept: Kept, names: list[str], seeds: int = SEEDS) -> None:
    """Train what is not kept yet of these rules, seed by seed, and print the table."""
    task = kept.task
    with sharing(1):
        for number in range(seeds):
            for name in names:
                for share in task.shares if number < task.effort(name)[1] else ():
                    run = kept.run(name, share, number)
                    cell = f"{100 * run['test']:.2f} % at {run['rate']:g}"
                    print(f"{name}, noise {share:g}, seed {number}: {cell}", flush=True)
        print(table(kept, names), flush=True)


if __name__ == "__main__":
    main()
