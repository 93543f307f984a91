"""DFA's training step beside BioTorch's DFA and PyTorch's backpropagation, on two threads.

784-1024-1024-10, batch 128, float32; medians of the ratios of interleaved rounds, wall time.
BioTorch is no dependency: pip install --no-deps biotorch
"""

from __future__ import annotations

import _report  # isort: skip

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from _report import Figure

from hwloop.algorithms import DFA, SGD
from hwloop.devices import Ideal, Seed
from hwloop.mappings import build, place
from hwloop.sim.threads import sharing

ROUNDS, STEPS, BATCH, THREADS = 40, 3, 128, 2
PAUSE_S = 0.3
"""After which the threads of whoever worked last have stopped waiting for more in a loop."""
SIZES = (784, 1024, 1024, 10)
rng = np.random.default_rng(0)
X = rng.random((BATCH, SIZES[0]), np.float32)
T = np.eye(SIZES[-1], dtype=np.float32)[rng.integers(SIZES[-1], size=BATCH)]


def ours() -> Callable[[], object]:
    """Return a step of DFA on ideal devices, ledger and all."""
    algorithm = DFA(optimizer=SGD(rate=0.01))
    network = build((SIZES[0],), SIZES[-1], SIZES[1:-1])
    demands = algorithm.demands(network)

    def ideal(demand, ledger, seed):
        return Ideal(
            n_out=demand.n_out, n_in=demand.n_in, name=demand.name, seed=seed, ledger=ledger
        )

    on = place(network, demands, dict.fromkeys(("weight", "feedback"), ideal), "ideal", Seed(0))

    def step() -> None:
        with on.ledger.step("train", samples=BATCH):
            algorithm.step(on, X, T)

    return step


def perceptron():
    """Return the network as PyTorch writes it."""
    import torch

    layers: list[torch.nn.Module] = []
    for n_out, n_in in zip(SIZES[1:], SIZES, strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


def torch_backprop() -> Callable[[], object]:
    """Return the step of autograd and SGD."""
    import torch

    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.tensor(X), torch.tensor(T.argmax(1))

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def biotorch_dfa() -> Callable[[], object]:
    """Return the step of BioTorch's DFA."""
    import torch
    from biotorch.module.biomodule import BioModule

    model = BioModule(perceptron(), mode="dfa", output_dim=SIZES[-1])
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    x, y = torch.tensor(X), torch.tensor(T.argmax(1))
    loss_function = torch.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        loss = loss_function(model(x, y, loss_function), y)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def measure(long: bool) -> Iterator[Figure]:
    """Yield the ratios."""
    warnings.simplefilter("ignore")  # BioTorch's hooks are deprecated
    steps = {"ours": ours()}
    with contextlib.suppress(ImportError):
        steps["torch"] = torch_backprop()
        steps["biotorch"] = biotorch_dfa()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    with sharing(THREADS):
        for number in range(ROUNDS * (3 if long else 1)):
            for name in list(steps) if number % 2 else reversed(steps):
                time.sleep(PAUSE_S)
                steps[name]()
                start = time.perf_counter()
                for _ in range(STEPS):
                    steps[name]()
                taken[name].append((time.perf_counter() - start) / STEPS)
    mine = taken["ours"]
    for name, peer, goal in (
        ("dfa_vs_biotorch", "biotorch", 1.5),
        ("dfa_vs_torch_bp", "torch", 1.2),
    ):
        if peer not in taken:
            absent = "BioTorch is not installed: pip install --no-deps biotorch"
            yield Figure(name, None, goal, "higher", "ratio", absent)
            continue
        value = statistics.median(b / a for a, b in zip(mine, taken[peer], strict=True))
        ms = (1e3 * statistics.median(taken[one]) for one in ("ours", peer))
        detail = "{:.1f} ms a step against {:.1f} ms, two threads".format(*ms)
        yield Figure(name, value, goal, "higher", "ratio", detail)


if __name__ == "__main__":
    _report.run(measure, __doc__)
