"""A small character transformer, its blocks taught by backpropagation, by DFA, and by light.

    python examples/transformer_by_light.py             # 600 steps a rule at a rate of 2e-3
    python examples/transformer_by_light.py 600 1e-3

It reads the text that Python itself ships (pydoc's topics), so nothing is downloaded. Two layers
of 64, four heads, 64 characters at a time; cross entropy on the last tenth of the text. Blocks are
the embedding, each layer, and the readout. Needs PyTorch: pip install -e '.[torch]'.
"""

import sys
from functools import partial
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import nn

import hwloop
from hwloop.algorithms import DFA, Algorithm, Backprop, Frozen, TernaryDFA
from hwloop.devices import OPU, Ideal
from hwloop.sim.meter import Meter

WIDTH, LAYERS, CONTEXT, BATCH = 64, 2, 64, 32
RULES = {
    "backprop": (Backprop(), None),
    "DFA": (DFA(), Ideal),
    "ternary DFA": (TernaryDFA(), Ideal),
    "ternary DFA, by light": (TernaryDFA(), partial(OPU, signed=False)),
    "frozen control": (Frozen(), None),
}


class Embedded(nn.Module):
    """Characters and their places (batch, tokens) to (batch, tokens, WIDTH)."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.what = nn.Embedding(characters, WIDTH)
        self.where = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the vectors."""
        return self.what(x) + self.where[: x.shape[1]]


class Layer(nn.Module):
    """One pre-norm transformer layer that looks back alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
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


def run(rule: Algorithm, feedback, steps: int, rate: float) -> tuple[float, float, float]:
    """Train; return the cross entropy of unseen text, joules and seconds beside autograd."""
    torch.manual_seed(0)
    line, characters = text()
    cut = int(0.9 * len(line))
    rng = np.random.default_rng(0)
    x, _ = windows(line, rng.integers(0, cut - CONTEXT - 1, BATCH))
    parts = [
        Embedded(characters),
        *(Layer() for _ in range(LAYERS)),
        nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters)),
    ]
    blocks = hwloop.torch.Blocks(parts, x, rule, feedback)
    optimizer = torch.optim.Adam(blocks.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        blocks.teach(*windows(line, rng.integers(0, cut - CONTEXT - 1, BATCH)))
        optimizer.step()
        schedule.step()
    losses = []
    with torch.no_grad():
        for start in range(cut, len(line) - BATCH * (CONTEXT + 1), BATCH * CONTEXT):
            x, y = windows(line, start + CONTEXT * np.arange(BATCH))
            losses.append(nn.functional.cross_entropy(blocks(x).flatten(0, 1), y.flatten()).item())
    joules, seconds = Meter().read(blocks.ledger)
    return float(np.mean(losses)), joules, seconds


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    rate = float(sys.argv[2]) if len(sys.argv) > 2 else 2e-3
    print("| rule | nats a character | feedback and host, J | s |\n|---|---|---|---|")
    for name, (rule, feedback) in RULES.items():
        nats, joules, seconds = run(rule, feedback, steps, rate)
        print(f"| {name} | {nats:.3f} | {joules:.3g} | {seconds:.3g} |", flush=True)


if __name__ == "__main__":
    main()
