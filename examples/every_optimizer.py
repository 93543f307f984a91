"""Every optimizer, side by side: accuracy, what it keeps, its price, who may project for it.

    python examples/every_optimizer.py          # digits, 64-128-128-10, backpropagation
    python examples/every_optimizer.py flora    # those whose kind begins so

One core. Each at the best of its rates (and of its gaps and noises, where it has them), judged
on a validation part by one seed of its own after ten epochs; then thirty epochs of three seeds,
judged on the test part: with projections computed exactly, and, at the same settings, by light and
by a crossbar where those can. Joules and milliseconds are those of an A100's model that holds every
matrix. Rank 8.
"""

import itertools
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwloop.algorithms.compact import Compressed
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.prepare import prepare_all

ENGINE = {"device": "matrix_engine", "technology": "nvidia_a100_fp32"}
PROJECTED = {
    "light": {"device": "opu", "input_bits": 6},
    "crossbar": {"device": "crossbar"},
}
STEEP = (0.03, 0.1, 0.3, 1.0)
FLAT = (0.001, 0.003, 0.01, 0.03)
GAPS = (10, 50, 200)
EPOCHS = 30


@dataclass(frozen=True)
class Entry:
    """An optimizer as the table names it, and what is chosen among for it."""

    kind: str
    rates: tuple[float, ...]
    more: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def settings(self) -> list[dict[str, Any]]:
        """Return every [optimizer] table that is tried."""
        names = ["rate", *self.grid]
        choices = itertools.product(self.rates, *self.grid.values())
        fixed = {"kind": self.kind, **self.more}
        return [{**fixed, **dict(zip(names, one, strict=True))} for one in choices]


ENTRIES = {
    "SGD": Entry("sgd", STEEP),
    "momentum": Entry("sgd", STEEP, {"momentum": 0.9}),
    "Adam": Entry("adam", FLAT),
    "APOLLO": Entry("apollo", (0.003, 0.01, 0.03, 0.1), {"rank": 8}),
    "Flora": Entry("flora", FLAT, {"rank": 8}, {"every": GAPS}),
    "GaLore": Entry("galore", (0.03, 0.1, 0.3, 1.0), {"rank": 8}, {"every": GAPS}),
    "COAP": Entry("coap", (0.01, 0.03, 0.1, 0.3), {"rank": 8}, {"every": GAPS}),
    "CompAct": Entry("compact", (0.01, 0.03, 0.1, 0.3), {"rank": 8}, {"every": GAPS}),
    "CompAct, plain": Entry(
        "compact", (0.01, 0.03, 0.1, 0.3), {"rank": 8, "inner": "sgd", "scale": 1.0},
        {"every": (1, *GAPS)},
    ),
    "noise on SGD": Entry("gradient_noise", STEEP, {}, {"eta": (1e-2, 1e-4, 1e-6)}),
}  # fmt: skip


def arm(optimizer: dict[str, Any], seed: int, epochs: int, projection: dict[str, Any]):
    """Return a trained arm of the experiment that these settings describe."""
    raw = {
        "seed": seed,
        "data": {"set": "digits", "validation": 0.16},
        "network": {"hidden": [128, 128]},
        "algorithm": {"rule": "backprop"},
        "optimizer": optimizer,
        "train": {"epochs": epochs, "batch": 32, "schedule": "linear"},
        "weight": ENGINE,
        "projection": projection,
    }
    made = prepare_all(parse(raw))["main"]
    made.train(lambda progress: None, lambda: False, lambda: None)
    return made


def tested(optimizer: dict[str, Any], projection: dict[str, Any]) -> tuple[str, Any]:
    """Return mean and std of the test accuracy over three seeds in percent, and the last arm."""
    arms = [arm(optimizer, seed, EPOCHS, projection) for seed in range(3)]
    found = [0.0 if one.diverged else 100 * one.accuracy("test") for one in arms]
    return f"{np.mean(found):.1f} ± {np.std(found):.1f}", arms[-1]


def activations(one: Any) -> int:
    """Return how many numbers of layers' inputs are kept from a forward pass to the updates."""
    on, algorithm = one.placement, one.experiment.algorithm
    with on.ledger.step("free", samples=32):
        inputs = algorithm.forward(on, one.data.x[:32], learning=True).inputs
    return sum(kept.z.size if isinstance(kept, Compressed) else kept.size for kept in inputs)


def row(name: str, entry: Entry) -> str:
    """Return a line of the table."""
    judged = []
    for settings in entry.settings():
        made = arm(settings, 100, EPOCHS // 3, ENGINE)
        judged.append(0.0 if made.diverged else made.curve[-1]["accuracy"])
    best = entry.settings()[int(np.argmax(judged))]
    test, one = tested(best, ENGINE)
    state = sum(a.size for k, a in one.placement.digital.items() if "weight" in k and a.ndim == 2)
    chosen = ", ".join(f"{best[key]:g}" for key in ["rate", *entry.grid])
    last = one.curve[-1]
    cells = [test, chosen, f"{state:,}", f"{activations(one):,}"]
    cells += [f"{last['energy_J'] / EPOCHS:.3g}", f"{1e3 * last['latency_s'] / EPOCHS:.3g}"]
    for projection in PROJECTED.values():
        try:
            uses = any(key.startswith("projection") for key in one.placement.devices)
            cells.append(tested(best, projection)[0] if uses else "-")
        except BadInput:
            cells.append("cannot")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, line by line."""
    begins = sys.argv[1] if len(sys.argv) > 1 else ""
    head = ["optimizer", "test, %", "chosen", "state", "inputs kept", "J an epoch", "ms an epoch"]
    head += [f"projected by {'a ' * (k == 'crossbar')}{k}" for k in PROJECTED]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for name, entry in ENTRIES.items():
        if entry.kind.startswith(begins):
            print(row(name, entry), flush=True)


if __name__ == "__main__":
    main()
