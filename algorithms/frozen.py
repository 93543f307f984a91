"""The frozen-hidden control: only the output layer learns.

What a rule reaches beyond this is what it taught the hidden layers; what it does not, it did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .direct import teach_output
from .passes import Pass


@dataclass(frozen=True)
class Frozen(Algorithm):
    """Hidden weights stay as they started: a random feature machine."""

    def trains(self, layer: int, network: Network) -> bool:
        return layer == network.depth

    def calls(self, depth: int) -> Mapping[str, int]:
        return {"weight MULTIPLY": depth, "weight UPDATE": 1}

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": sum(turns) - len(turns)}

    def demands(self, network: Network) -> Sequence[Demand]:
        return self.weights(network)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        teach_output(self, on, passed, error, on.batch or len(error), rate)
