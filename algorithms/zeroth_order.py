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
from typing import Any, ClassVar, Literal

import numpy as np

from ..mappings import Demand, Network, Placement
from .base import Algorithm, Pass
from .optimizers import digital_copy


@dataclass(frozen=True)
class ZerothOrder(Algorithm):
    """Weights are written three times and multiplied twice; no gradient has a way of its own."""

    direction: Literal["signs", "gaussian"] = "signs"
    shift: float = 0.01
    """How far the weights are shifted, eps."""

    by_sample: ClassVar[bool] = False
    by_outer_products: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.direction not in ("signs", "gaussian"):
            raise ValueError(f'direction takes "signs" or "gaussian", got {self.direction!r}')
        if not 0 < self.shift < np.inf:
            raise ValueError(f"shift takes a number above 0, got {self.shift}")

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
            passed = self.forward(on, x, name, (f"shift/{name}",))
            with on.ledger.stage(f"error/{name}", after=(f"{name}/{on.network.depth}",)):
                losses.append(self.loss.error(on.host, passed.output, target, mask)[0])
            self._shift(on, -sign * self.shift, write=False)
            before = (f"error/{name}",)
        slope = (losses[0] - losses[1]) / (2 * self.shift)
        for k, (weights, biases) in enumerate(self._directions(on), 1):
            with on.ledger.stage(f"update/{k}", after=before):
                self.optimizer.descend(on, f"weight/{k}", weights * slope, rate)
                self.optimizer.shift(on, f"bias/{k}", biases * slope, rate)
        return float(sum(losses)) / 2

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("zeroth_order learns from two losses: call `step`")

    def _shift(self, on: Placement, by: float, write: bool = True) -> None:
        """Write every matrix shifted along its direction; biases are shifted where they are.

        Without `write` only the biases go back: the next shift writes every matrix anew.
        """
        for k, (weights, biases) in enumerate(self._directions(on), 1):
            on.digital[f"bias/{k}"] = on.digital[f"bias/{k}"] + biases * by
            if write:
                on.host.count("ADD", 1, weights.shape[0] * weights.shape[1])
                copy = digital_copy(on, f"weight/{k}")
                on[f"weight/{k}"].program(copy + weights * by)

    def _directions(self, on: Placement) -> Iterator[tuple[Any, Any]]:
        """Yield the directions of weights (n_out, n_in) and biases (n_out,), by step and layer."""
        for k, layer in enumerate(on.network.layers, 1):
            rng = on.seed.child("direction").child(f"weight/{k}").rng(on.steps)
            drawn = rng.standard_normal((layer.n_out, layer.n_in + 1), np.float32)
            on.host.count("DRAW", 1, drawn.size)
            if self.direction == "signs":
                drawn = np.where(drawn < 0, np.float32(-1), np.float32(1))
            yield on.array(np.ascontiguousarray(drawn[:, :-1])), on.array(drawn[:, -1].copy())
