"""Every way to learn, side by side: accuracy, joules, seconds, and the noise that each stands.

    python examples/every_rule.py                    # digits, 64-128-128-10; ten minutes
    python examples/every_rule.py fashion_mnist      # 784-500-500-10; most of an hour
    python examples/every_rule.py digits dfa frozen  # some rules alone

One core. Each rule at the best of its rates, judged on a validation part by one seed of its own;
then three seeds, judged on the test part. Joules and seconds are those of an A100's model that
holds every matrix. On digits the whole is repeated with Gaussian noise on every output of the
weights during training (a share of the outputs' std), evaluated without it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ternary_codes import Noisy

from hwloop.algorithms import (
    DFA,
    DRTP,
    PEPITA,
    SGD,
    ActivityGradient,
    Algorithm,
    Backprop,
    CascadedForward,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    ForwardGradient,
    Frozen,
    LikelihoodRatio,
    MeanSquare,
    MonoForward,
    QuantizedZerothOrder,
    ScalableForwardForward,
    SignDFA,
    SyntheticGradient,
    TargetProjection,
    TernaryDFA,
    ZerothOrder,
)
from hwloop.devices import Device, Ideal, MatrixEngine, Seed
from hwloop.mappings import Placement, Recur, build, place
from hwloop.sim.data import Data, load
from hwloop.sim.meter import Meter
from hwloop.sim.threads import sharing

ENGINE = "nvidia_a100_fp32"
MIDDLE = (0.1, 0.3, 1.0, 3.0)
LOW = (0.01, 0.03, 0.1, 0.3)
TINY = (0.0005, 0.001, 0.002, 0.004)
STEPS = (0.008, 0.016, 0.032)


@dataclass(frozen=True)
class Entry:
    """A rule as the table names it, its rates, and what else it asks for."""

    rule: Callable[..., Algorithm]
    rates: tuple[float, ...] = MIDDLE
    more: dict = field(default_factory=dict)
    activation: str = "tanh"

    def at(self, rate: float) -> Algorithm:
        """Return the rule at a rate."""
        return self.rule(optimizer=SGD(rate=rate), **self.more)


ENTRIES = {
    "backprop": Entry(Backprop),
    "feedback alignment": Entry(FeedbackAlignment),
    "uSF": Entry(FeedbackAlignment, more={"signs": "uniform"}),
    "frSF": Entry(FeedbackAlignment, more={"signs": "fixed"}),
    "DFA": Entry(DFA),
    "DFA, shared": Entry(DFA, more={"shared": True}),
    "ternary DFA": Entry(TernaryDFA),
    "ternary DFA, relative": Entry(TernaryDFA, more={"mode": "relative"}),
    "sign DFA": Entry(SignDFA, LOW),
    "DRTP": Entry(DRTP, LOW),
    "tpSGD": Entry(TargetProjection, LOW),
    "PEPITA": Entry(PEPITA, (0.01, 0.03, 0.1), {"modulation": 4.0}, "relu"),
    "mono-forward": Entry(MonoForward),
    "cascaded forward": Entry(CascadedForward, (0.3, 1.0, 3.0, 10.0)),
    "cascaded forward, closed": Entry(CascadedForward, (1.0,), {"heads": "closed"}),
    "cascaded forward, DFA": Entry(CascadedForward, MIDDLE, {"blocks": "dfa"}),
    "forward-forward": Entry(ForwardForward, (0.3, 1.0, 3.0, 10.0), {}, "relu"),
    "scalable forward-forward": Entry(ScalableForwardForward, LOW),
    "synthetic gradients": Entry(SyntheticGradient, LOW, {"synthesis": 0.1}),
    "activity forward gradient": Entry(ActivityGradient, LOW),
    "likelihood ratio": Entry(LikelihoodRatio, LOW),
    "weight forward gradient": Entry(ForwardGradient, TINY),
    "zeroth order (SPSA)": Entry(ZerothOrder, TINY),
    "fixed point, 16w8a, m = 1": Entry(QuantizedZerothOrder, STEPS),
    "fixed point, 16w8a, m = 3": Entry(QuantizedZerothOrder, STEPS, {"directions": 3}),
    "fixed point, 16w8a, m = 3, nearby": Entry(
        QuantizedZerothOrder, STEPS, {"directions": 3, "neighbourhood": 0.01}
    ),
    "fixed point, 8w8a, m = 3": Entry(
        QuantizedZerothOrder, STEPS, {"directions": 3, "weight_bits": 8}
    ),
    "equilibrium": Entry(EquilibriumPropagation, (0.03, 0.1, 0.3), {"loss": MeanSquare()}),
    "frozen control": Entry(Frozen, (0.3, 1.0, 3.0, 10.0)),
}


@dataclass(frozen=True)
class Task:
    """What is learned, how long, and what is asked of it."""

    name: str
    hidden: tuple[int | Recur, ...]
    epochs: int
    batch: int
    target: float
    """The validation accuracy that energy is counted to."""
    shares: tuple[float, ...]
    scale: str | None = None
    limit: int | None = None
    """Training samples at most."""

    def data(self, seed: Seed) -> Data:
        """Return the set, a sixth of its training part for validation."""
        return load(
            self.name,
            seed=seed.child("data"),
            validation=0.16,
            scale=self.scale,
            limit_train=self.limit,
        )


TASKS = {
    "digits": Task("digits", (128, 128), 30, 32, 0.95, (0.0, 0.6, 1.0)),
    "fashion_mnist": Task("fashion_mnist", (500, 500), 10, 128, 0.85, (0.0,), "standard"),
}


def placed(
    algorithm: Algorithm,
    data: Data,
    task: Task,
    seed: Seed,
    kind: Callable[..., Device],
    act: str,
    feedback: Callable[..., Device] = Ideal,
) -> Placement:
    """Return the task's network, weights on devices of `kind`, feedback on those of its own."""
    network = build((data.x.shape[1],), data.n_classes, task.hidden, act)
    demands = algorithm.demands(network)

    def made(cls: Callable[..., Device]):
        return lambda d, ledger, seed: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )

    on = {d.role: made(feedback if d.role == "feedback" else kind) for d in demands}
    return place(network, demands, on, ENGINE, seed)


def right(algorithm: Algorithm, on: Placement, exact: Placement, data: Data, part) -> float:
    """Return the accuracy on a part, every matrix taken free of noise."""
    for name, device in on.devices.items():
        if name in exact.devices and name.split("/")[0] != "feedback":
            exact[name].program(device.matrix())
    exact.digital = on.digital
    said = []
    for k in range(0, len(part), 1000):
        with exact.ledger.step("evaluate", samples=1):
            said.append(algorithm.predict(exact, data.x[part[k : k + 1000]]).argmax(1))
    return float((np.concatenate(said) == data.y[part]).mean())


def trained(entry: Entry, rate: float, share: float, task: Task, number: int, epochs: int):
    """Return accuracies on the validation part, one an epoch, and the last on the test part."""
    seed = Seed(number)
    data, algorithm = task.data(seed), entry.at(rate)

    def noisy(**more) -> Device:
        return Noisy(share=share, **more) if share else Ideal(**more)

    on = placed(algorithm, data, task, seed, noisy, entry.activation)
    exact = placed(algorithm, data, task, seed, Ideal, entry.activation)
    target = np.eye(data.n_classes, dtype=np.float32)[data.y]
    curve = []
    for epoch in range(epochs):
        order = seed.child("order").rng(epoch).permutation(data.train)
        batches = range(0, len(order), task.batch)
        for k in batches:
            rows = order[k : k + task.batch]
            factor = 1 - (epoch + k / len(order)) / epochs
            with np.errstate(all="ignore"), on.ledger.step("train", samples=len(rows)):
                loss = algorithm.step(on, data.x[rows], target[rows], rate=factor)
            if not np.isfinite(loss):
                return [0.0] * epochs, 0.0
        curve.append(right(algorithm, on, exact, data, data.validation))
    return curve, right(algorithm, on, exact, data, data.test)


def price(entry: Entry, task: Task) -> tuple[float, float]:
    """Return joules and seconds of one epoch on the engine, from one step's ledger."""
    data, algorithm = task.data(Seed(0)), entry.at(entry.rates[0])

    def engine(**more) -> Device:
        return MatrixEngine(technology=ENGINE, **more)

    on = placed(algorithm, data, task, Seed(0), engine, entry.activation, engine)
    target = np.eye(data.n_classes, dtype=np.float32)[data.y]
    rows = data.train[: task.batch]
    with on.ledger.step("train", samples=len(rows)):
        algorithm.step(on, data.x[rows], target[rows])
    joules, seconds = Meter().read(on.ledger)
    steps = -(-len(data.train) // task.batch)
    return joules * steps, seconds * steps


def row(name: str, entry: Entry, task: Task) -> str:
    """Return a line of the table."""
    short = max(task.epochs // 3, 1)
    cells, epochs_to = [], []
    for share in task.shares:
        judged = [
            (trained(entry, rate, share, task, 100, short)[0][-1], -rate) for rate in entry.rates
        ]
        rate = -max(judged)[1]
        runs = [trained(entry, rate, share, task, n, task.epochs) for n in range(3)]
        tests = [100 * test for _, test in runs]
        cells.append(f"{np.mean(tests):.1f} ± {np.std(tests):.1f}")
        if not share:
            cells.append(f"{rate:g}")
            for curve, _ in runs:
                reached = [k for k, a in enumerate(curve, 1) if a >= task.target]
                epochs_to.append(reached[0] if reached else 0)
    joules, seconds = price(entry, task)
    needed = float(np.mean(epochs_to)) if all(epochs_to) else 0.0
    cells += [f"{joules:.3g}", f"{1e3 * seconds:.3g}"]
    cells += [f"{needed:.1f}", f"{needed * joules:.3g}"] if needed else ["not reached", "-"]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table of the task and the rules that are asked for."""
    chosen = sys.argv[1:] or ["digits"]
    task = TASKS[chosen[0]]
    table(task, {name: ENTRIES[name] for name in chosen[1:] or ENTRIES})


def table(task: Task, entries: dict[str, Entry]) -> None:
    """Print the table of a task, line by line."""
    noise = [f"noise {share:g}" for share in task.shares[1:]]
    head = ["rule", "test, %", "rate", *noise, "J an epoch", "ms an epoch"]
    head += [f"epochs to {100 * task.target:g} %", f"J to {100 * task.target:g} %"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    with sharing(1):
        for name, entry in entries.items():
            print(row(name, entry, task), flush=True)


if __name__ == "__main__":
    main()
