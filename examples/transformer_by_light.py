"""A small character transformer whose layers learn by direct feedback alignment, and by light.

    python examples/transformer_by_light.py           # the table: three seeds, at the rates below
    python examples/transformer_by_light.py choose    # those rates, on the validation part

It reads the text that Python itself ships (pydoc's topics), so nothing is downloaded: eight tenths
to train, one to choose rates, the last to test. Blocks are the embedding, each of two layers of 64
(four heads, 32 characters at a time), and the readout. Every block ends in its normalisation and
all share one feedback matrix: `algorithms/torch_blocks.py` says why, a row without shows it. Two
controls: nothing below the readout learns, and no layer at all.
Needs PyTorch: pip install -e '.[torch]'.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pydoc_data.topics import topics
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import hwloop
from hwloop.algorithms import DFA, Algorithm, Backprop, Frozen, TernaryDFA
from hwloop.devices import OPU, Device, Ideal, Ledger
from hwloop.sim.pricing import bill, part_of, technologies, total_J
from hwloop.sim.sweep_run import usual_workers
from hwloop.sim.timing import replay

WIDTH, LAYERS, CONTEXT, BATCH, STEPS, SEEDS = 64, 2, 32, 32, 500, 3
LIGHT = "the same, by light"
GRID = 4e-3, 8e-3, 1.6e-2


class Case(NamedTuple):
    """A row of the table."""

    rule: Algorithm
    feedback: Callable[..., Device] | None
    rate: float
    """Adam's first rate; it falls to a tenth of that."""
    layers: int = LAYERS
    pre_norm: bool = False


CASES = {
    "backpropagation": Case(Backprop(), None, 8e-3),
    "frozen control": Case(Frozen(), None, 1.6e-2),
    "no layers, backpropagation": Case(Backprop(), None, 1.6e-2, layers=0),
    "DFA": Case(DFA(shared=True), Ideal, 4e-3),
    "ternary DFA, stochastic": Case(TernaryDFA(shared=True, mode="stochastic"), Ideal, 4e-3),
    LIGHT: Case(TernaryDFA(shared=True, mode="stochastic"), partial(OPU, signed=False), 4e-3),
    "ternary DFA, relative": Case(TernaryDFA(shared=True, mode="relative"), Ideal, 4e-3),
    "ternary DFA, balanced": Case(TernaryDFA(shared=True), Ideal, 4e-3),
    "DFA, pre-norm, a matrix a block": Case(DFA(), Ideal, 4e-3, pre_norm=True),
}


class Embedded(nn.Module):
    """Characters and their places (batch, tokens) to (batch, tokens, WIDTH)."""

    def __init__(self, characters: int, pre_norm: bool) -> None:
        super().__init__()
        self.what = nn.Embedding(characters, WIDTH)
        self.where = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.1)
        self.norm = nn.Identity() if pre_norm else nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the vectors."""
        return self.norm(self.what(x) + self.where[: x.shape[1]])


class Layer(nn.Module):
    """One transformer layer that looks back alone."""

    def __init__(self, pre_norm: bool) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=pre_norm
        )
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the layer makes of x (batch, tokens, WIDTH)."""
        return self.layer(x, src_mask=self.mask, is_causal=True)


def text() -> tuple[torch.Tensor, int]:
    """Return the text as numbers, and how many characters it knows."""
    whole = "\n".join(topics[key] for key in sorted(topics))
    known = sorted(set(whole))
    number = {c: k for k, c in enumerate(known)}
    return torch.tensor([number[c] for c in whole]), len(known)


def windows(line: torch.Tensor, starts: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets (batch, CONTEXT), the targets one character on."""
    cut = torch.stack([line[s : s + CONTEXT + 1] for s in starts])
    return cut[:, :-1], cut[:, 1:]


def nats(blocks: nn.Module, line: torch.Tensor) -> float:
    """Return the cross entropy of a part of the text, a character."""
    losses = []
    with torch.no_grad():
        for start in range(0, len(line) - BATCH * CONTEXT, BATCH * CONTEXT):
            x, y = windows(line, start + CONTEXT * np.arange(BATCH))
            losses.append(nn.functional.cross_entropy(blocks(x).flatten(0, 1), y.flatten()).item())
    return float(np.mean(losses))


def prices(ledger: Ledger) -> tuple[float, float, float]:
    """Return the joules of the feedback device, those of it and the host, and the seconds."""
    chosen = technologies(ledger)
    seconds = {step: replay(step, ledger, chosen).makespan_s for step in ledger.steps}
    rows = bill(ledger, chosen, seconds, ("train",))
    device = ledger.devices.get("feedback")
    part = None if device is None else part_of(device, chosen["feedback"])
    on = sum(seconds[step] * tally.times for step, tally in ledger.steps.items())
    return total_J(row for row in rows if row.part == part), total_J(rows), on


def run(
    name: str, rate: float, seed: int, part: str
) -> tuple[float, list[float], tuple[float, float, float]]:
    """Train; return the nats on a part of the text, the alignment, and the prices.

    The alignment is that of every block but the readout, the mean of the last ten steps.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    case = CASES[name]
    line, characters = text()
    train, choose = int(0.8 * len(line)), int(0.9 * len(line))
    unseen = {"validation": line[train:choose], "test": line[choose:]}[part]
    rng = np.random.default_rng(seed)
    body = [Embedded(characters, case.pre_norm)]
    body += [Layer(case.pre_norm) for _ in range(case.layers)]
    readout = nn.Linear(WIDTH, characters)
    last = nn.Sequential(nn.LayerNorm(WIDTH), readout) if case.pre_norm else readout
    x, y = windows(line, rng.integers(0, train - CONTEXT - 1, BATCH))
    blocks = hwloop.torch.Blocks([*body, last], x, case.rule, case.feedback, seed=seed)
    optimizer = torch.optim.Adam(blocks.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
    aligned = []
    for step in range(STEPS):
        optimizer.zero_grad()
        x, y = windows(line, rng.integers(0, train - CONTEXT - 1, BATCH))
        blocks.teach(x, y)
        if step >= STEPS - 10:
            aligned.append(blocks.alignment(x, y)[:-1])
        optimizer.step()
        schedule.step()
    return nats(blocks, unseen), np.mean(aligned, 0).tolist(), prices(blocks.ledger)


def choose(pool: ProcessPoolExecutor) -> None:
    """Print the nats of the validation part by rate; light takes the rate of its digital twin."""
    print("| rule | " + " | ".join(f"{rate:g}" for rate in GRID) + " |")
    print("|---|" + "---|" * len(GRID))
    found = {
        n: [pool.submit(run, n, r, 0, "validation") for r in GRID] for n in CASES if n != LIGHT
    }
    for name, runs in found.items():
        cells = " | ".join(f"{one.result()[0]:.3f}" for one in runs)
        print(f"| {name} | {cells} |", flush=True)


def table(pool: ProcessPoolExecutor) -> None:
    """Print the nats of the test part, the alignment, and what the feedback takes."""
    print("| rule | rate | nats a character | alignment | feedback, J | with host, J | s |")
    print("|---|---|---|---|---|---|---|")
    found = {
        n: [pool.submit(run, n, case.rate, seed, "test") for seed in range(SEEDS)]
        for n, case in CASES.items()
    }
    for name, runs in found.items():
        results = [one.result() for one in runs]
        mean, std = np.mean([r[0] for r in results]), np.std([r[0] for r in results])
        cosines = ", ".join(f"{c:.2f}" for c in np.mean([r[1] for r in results], 0))
        device, both, seconds = np.mean([r[2] for r in results], 0)
        print(
            f"| {name} | {CASES[name].rate:g} | {mean:.3f} ± {std:.3f} | {cosines} | "
            f"{device:.3g} | {both:.3g} | {seconds:.3g} |",
            flush=True,
        )


if __name__ == "__main__":
    with ProcessPoolExecutor(usual_workers(), mp_context=get_context("spawn")) as workers:
        (choose if sys.argv[1:] == ["choose"] else table)(workers)
