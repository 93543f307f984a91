"""The frozen-hidden control: only the output layer learns.

What a rule reaches beyond this is what it taught the hidden layers; what it does not, it did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..mappings import Demand, Network, Placement
from .base import Algorithm, Pass


@dataclass(frozen=True)
class Frozen(Algorithm):
    """Hidden weights stay as they started: a random feature machine."""

    def trains(self, layer: int, network: Network) -> bool:
        return layer == network.depth

    def demands(self, network: Network) -> Sequence[Demand]:
        return self.weights(network)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        last = on.network.depth
        with on.ledger.stage(f"update/{last}", after=("error",)):
            rows = on.network.layers[-1].scatter_adjoint(error)
            self.update(on, last, rows, passed.inputs[-1], on.batch or len(error), rate)
