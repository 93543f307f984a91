"""Zeroth order: all weights are shifted along one random direction, forth and back.

Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient
approximation", 1992, with signs as the direction (SPSA); Malladi et al., "Fine-tuning language
models with just forward passes", arXiv:2305.17333, with a Gaussian one (MeZO):
(L(W + eps Z) - L(W - eps Z)) / (2 eps) Z estimates the gradient from two losses. Only the seed of
Z is kept: it is drawn again wherever it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .optimizers import digital_copy
from .passes import Pass

Direction = Literal["signs", "gaussian"]


@dataclass(frozen=True)
class ZerothOrder(Algorithm):
    """Weights are written three times and multiplied twice; no gradient has a way of its own."""

    direction: Direction = "signs"
    """What a shift of the weights is drawn from: signs, as SPSA does, or normals, as MeZO does."""
    shift: float = 0.01
    """How far the weights are shifted, eps."""

    by_sample: ClassVar[bool] = False
    by_outer_products: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_shift(self.direction, self.shift)

    def demands(self, network: Network) -> Sequence[Demand]:
        return self.weights(network)

    def calls(self, depth: int) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * depth, "weight PROGRAM": 3 * depth}

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * (sum(turns) - len(turns))}

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        on.steps += 1
        losses = []
        before: tuple[str, ...] = ()
        for name, sign in (("plus", 1.0), ("minus", -1.0)):
            with on.ledger.stage(f"shift/{name}", after=before):
                self._shift(on, sign * self.shift)
            passed = self.forward(on, x, name, (f"shift/{name}",), train=True)
            with on.ledger.stage(f"error/{name}", after=(f"{name}/{on.network.depth}",)):
                losses.append(self.loss.error(on.host, passed.output, target, mask)[0])
            self._shift(on, -sign * self.shift, write=False)
            before = (f"error/{name}",)
        slope = (losses[0] - losses[1]) / (2 * self.shift)
        for k, (weights, digital) in enumerate(directions(on, self.direction, on.steps), 1):
            with on.ledger.stage(f"update/{k}", after=before):
                self.optimizer.descend(on, f"weight/{k}", weights * slope, rate)
                for name, direction in digital.items():
                    self.optimizer.shift(on, name, direction * slope, rate)
        return float(sum(losses)) / 2

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("zeroth_order learns from two losses: call `step`")

    def _shift(self, on: Placement, by: float, write: bool = True) -> None:
        """Write every matrix shifted along its direction; biases and gains move where they are.

        Without `write` only these go back: the next shift writes every matrix anew.
        """
        for k, (weights, digital) in enumerate(directions(on, self.direction, on.steps), 1):
            for name, along in digital.items():
                on.digital[name] = on.digital[name] + along * by
            if write:
                on.host.count("ADD", 1, weights.shape[0] * weights.shape[1])
                copy = digital_copy(on, f"weight/{k}")
                on[f"weight/{k}"].program(copy + weights * by)


def directions(
    on: Placement, direction: Direction, at: int
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield draw number `at` of the directions of weights (n_out, n_in), and of biases and gains.

    Layer by layer, the latter (n_out,) by name; the same number gives the same directions again.
    """
    for k, layer in enumerate(on.network.layers, 1):
        rng = on.seed.child("direction").child(f"weight/{k}").rng(at)
        names = [f"bias/{k}"] if layer.norm == "none" else [f"bias/{k}", f"gain/{k}"]
        drawn = rng.standard_normal((layer.n_out, layer.n_in + len(names)), np.float32)
        on.host.count("DRAW", 1, drawn.size)
        if direction == "signs":
            drawn = np.where(drawn < 0, np.float32(-1), np.float32(1))
        columns = enumerate(names, layer.n_in)
        digital = {name: on.array(drawn[:, column].copy()) for column, name in columns}
        yield on.array(np.ascontiguousarray(drawn[:, : layer.n_in])), digital


def check_shift(direction: str, shift: float) -> None:
    """Raise ValueError where there is no such direction, or no shift along it."""
    if direction not in get_args(Direction):
        raise ValueError(f'direction takes "signs" or "gaussian", got {direction!r}')
    if not 0 < shift < np.inf:
        raise ValueError(f"shift takes a number above 0, got {shift}")
