"""Backpropagation: the error goes back through the transposes of the weights.

Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", 1986; through
recurrent layers step by step [Werbos 1990].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .chain import learn_backwards
from .passes import Pass
from .through_time import carries


@dataclass(frozen=True)
class Backprop(Algorithm):
    """Every weight but the first is multiplied, transposed and updated, one after another."""

    scales_error = True

    def demands(self, network: Network) -> Sequence[Demand]:
        also = [Can.TRANSPOSE if carried else Can(0) for carried in carries(network)]
        return self.weights(network, also)

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": depth,
            "weight TRANSPOSE": depth - 1,
            "weight UPDATE": depth,
        }

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        more = sum(turns) - len(turns)
        return {"weight MULTIPLY": more, "weight TRANSPOSE": more}

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        def carry(k: int, delta: Any) -> Any:
            return on[f"weight/{k}"].transpose(delta)

        learn_backwards(self, on, passed, error, rate, carry)
