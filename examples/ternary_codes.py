"""Which ternary code stands noise in the forward pass? Digits, 64-128-128-10, three seeds.

A device of one's own, in twenty lines: a matrix whose every output carries Gaussian noise of a
stated share of that output's std. Training runs on it, evaluation on the matrix itself. Each code
is shown at the best of three rates. Takes about two minutes on one core.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwloop.algorithms import SGD, Algorithm, Backprop, Frozen, TernaryDFA
from hwloop.devices import Can, Count, Device, Ideal, Seed
from hwloop.devices.seeds import Draw
from hwloop.mappings import build, place
from hwloop.sim.data import Data, load

NETWORK = build((64,), 10, [128, 128])
EPOCHS, BATCH, SEEDS = 30, 32, 3
RULES: dict[str, list[Algorithm]] = {
    "backpropagation": [Backprop(optimizer=SGD(rate=r)) for r in (0.02, 0.1, 0.3)],
    "balanced": [TernaryDFA(optimizer=SGD(rate=r)) for r in (0.02, 0.1, 0.3)],
    "relative": [TernaryDFA(optimizer=SGD(rate=r), mode="relative") for r in (0.02, 0.1, 0.3)],
    "fixed 0.1": [
        TernaryDFA(optimizer=SGD(rate=r), mode="fixed", threshold=0.1) for r in (0.005, 0.02, 0.1)
    ],
    "frozen control": [Frozen(optimizer=SGD(rate=r)) for r in (0.1, 0.3, 1.0)],
}


@dataclass(kw_only=True, eq=False)
class Noisy(Device):
    """An exact matrix behind noise."""

    share: float = 0.0
    """Std of the noise over the std of all outputs of the batch, dimensionless."""

    usual_technology = "ideal"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._w = np.zeros((self.n_out, self.n_in), np.float32)

    def matrix(self) -> np.ndarray:
        """Return the matrix, free of noise."""
        return self._w.copy()

    def _noisy(self, y: np.ndarray, draw: Draw) -> np.ndarray:
        noise = draw.rng().standard_normal(y.shape, np.float32)
        return y + np.float32(self.share * y.std()) * noise

    def _multiply(self, x: np.ndarray, draw: Draw) -> np.ndarray:
        return self._noisy(x @ self._w.T, draw)

    def _transpose(self, y: np.ndarray, draw: Draw) -> np.ndarray:
        return self._noisy(y @ self._w, draw)

    def _program(self, w: np.ndarray, draw: Draw) -> None:
        self._w[:] = w

    def _update(self, y: np.ndarray, x: np.ndarray, rate: float, draw: Draw) -> None:
        self._w += np.float32(rate) * (y.T @ x)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return {}


def accuracy(algorithm: Algorithm, share: float, data: Data, seed: Seed) -> float:
    """Return the test accuracy after training on noisy weights."""

    def weight(d, ledger, seed):
        return Noisy(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger, share=share)

    def feedback(d, ledger, seed):
        return Ideal(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

    demands = algorithm.demands(NETWORK)
    roles = {d.role for d in demands}
    builders = {"weight": weight, "feedback": feedback}
    on = place(NETWORK, demands, {r: builders[r] for r in roles}, "ideal", seed)
    target = np.eye(10, dtype=np.float32)[data.y]
    for epoch in range(EPOCHS):
        order = seed.child("order").rng(epoch).permutation(data.train)
        for k in range(0, len(order), BATCH):
            rows = order[k : k + BATCH]
            with on.ledger.step("train", samples=len(rows)):
                algorithm.step(on, data.x[rows], target[rows], rate=1 - epoch / EPOCHS)
    h = data.x[data.test]
    for k, layer in enumerate(NETWORK.layers, 1):
        h = h @ on[f"weight/{k}"].matrix().T + on.digital[f"bias/{k}"]
        h = np.tanh(h) if layer.activation == "tanh" else h
    return float((h.argmax(1) == data.y[data.test]).mean())


def main() -> None:
    """Print the table."""
    shares = (0.0, 0.6, 1.0)
    print("| rule | " + " | ".join(f"noise {share:g}" for share in shares) + " |")
    print("|---|" + "---|" * len(shares))
    for name, variants in RULES.items():
        cells = []
        for share in shares:
            found = []
            for algorithm in variants:
                runs = []
                for number in range(SEEDS):
                    seed = Seed(number)
                    runs.append(
                        accuracy(algorithm, share, load("digits", seed=seed.child("data")), seed)
                    )
                found.append((float(np.mean(runs)), float(np.std(runs))))
            mean, std = max(found)
            cells.append(f"{100 * mean:.1f} ± {100 * std:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
