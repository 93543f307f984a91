"""A small transformer whose matrix products multiply nothing: piecewise-affine, and L-Mul.

    python examples/multiplication_free.py

Handwritten digits of 8 x 8 pixels, a row a token: one block, two heads, width 32, 20 epochs, three
seeds. Softmax, normalisation and the optimizer stay exact; every product of two matrices is the
engine's arithmetic, forwards and backwards. About four minutes on one core.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hwloop.devices.products import lmul_offset
from hwloop.devices.products_torch import affine_matmul

WIDTH, HEADS, BATCH = 32, 2, 64
Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def exact(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return a b^T as torch multiplies it."""
    return a @ b.transpose(-1, -2)


def pam(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the piecewise-affine a b^T, with its exact derivative."""
    return affine_matmul(a, b)


def pam_approximate(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the piecewise-affine a b^T, with piecewise-affine products for derivatives."""
    return affine_matmul(a, b, exact=False)


def lmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return a b^T by L-Mul, forwards and backwards."""
    return affine_matmul(a, b, lmul_offset(7), exact=False)


class Linear(nn.Linear):
    """A linear layer whose product is given."""

    def __init__(self, n_in: int, n_out: int, product: Product) -> None:
        super().__init__(n_in, n_out)
        self.product = product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (batch, tokens, n_in) to (batch, tokens, n_out)."""
        rows = x.reshape(-1, x.shape[-1])
        return (self.product(rows, self.weight) + self.bias).reshape(*x.shape[:-1], -1)


class Transformer(nn.Module):
    """Tokens of 8 pixels through one block of attention to ten classes."""

    def __init__(self, linear: Product, attention: Product) -> None:
        super().__init__()
        self.attention = attention
        self.embed = Linear(8, WIDTH, linear)
        self.position = nn.Parameter(0.02 * torch.randn(8, WIDTH))
        self.qkv = Linear(WIDTH, 3 * WIDTH, linear)
        self.merge = Linear(WIDTH, WIDTH, linear)
        self.up, self.down = Linear(WIDTH, 64, linear), Linear(64, WIDTH, linear)
        self.one, self.two = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.head = Linear(WIDTH, 10, linear)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map x (batch, 8, 8) to (batch, 10)."""
        x = self.embed(x) + self.position
        batch, tokens, _ = x.shape
        parts = self.qkv(self.one(x)).reshape(batch, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts
        weights = (self.attention(q, k) / q.shape[-1] ** 0.5).softmax(-1)
        seen = self.attention(weights, v.transpose(-1, -2))
        x = x + self.merge(seen.transpose(1, 2).reshape(batch, tokens, WIDTH))
        x = x + self.down(torch.relu(self.up(self.two(x))))
        return self.head(x.mean(1))


def train(linear: Product, attention: Product, seed: int, epochs: int) -> float:
    """Return the test accuracy after so many epochs."""
    torch.manual_seed(seed)
    digits = load_digits()
    x = torch.as_tensor(digits.images / 8 - 1, dtype=torch.float32)
    y = torch.as_tensor(digits.target)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(x)))
    test, rest = order[:450], order[450:]
    model = Transformer(linear, attention)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in rest[torch.randperm(len(rest))].split(BATCH):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(x[test]).argmax(1) == y[test]).float().mean())


def main() -> None:
    """Print the test accuracy of every arithmetic; an argument sets the epochs."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    for name, linear, attention in (
        ("exact", exact, exact),
        ("piecewise affine, exact derivative", pam, pam),
        ("piecewise affine, approximate one", pam_approximate, pam_approximate),
        ("L-Mul in attention alone", exact, lmul),
        ("L-Mul everywhere", lmul, lmul),
    ):
        found = [train(linear, attention, seed, epochs) for seed in range(3)]
        shown = " ".join(f"{100 * a:.1f}" for a in found)
        print(f"{name:<36} {100 * np.mean(found):.1f} %   ({shown})", flush=True)


if __name__ == "__main__":
    main()
