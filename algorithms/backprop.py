"""Backpropagation: the error goes back through the transposes of the weights.

Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm, Pass
from .chain import learn_backwards


@dataclass(frozen=True)
class Backprop(Algorithm):
    """Every weight but the first is multiplied, transposed and updated, one after another."""

    scales_error = True

    def demands(self, network: Network) -> Sequence[Demand]:
        also = [Can(0), *[Can.TRANSPOSE] * len(network.hidden)]
        return self.weights(network, also)

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": depth,
            "weight TRANSPOSE": depth - 1,
            "weight UPDATE": depth,
        }

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        def carry(k: int, delta: Any) -> Any:
            return on[f"weight/{k}"].transpose(delta)

        learn_backwards(self, on, passed, error, rate, carry)
