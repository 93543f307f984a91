"""Backpropagation: the error goes back through the transposes of the weights.

Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", 1986.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm, Pass


@dataclass(frozen=True)
class Backprop(Algorithm):
    """Every weight but the first is multiplied, transposed and updated, one after another."""

    def demands(self, network: Network) -> Sequence[Demand]:
        also = [Can(0), *[Can.TRANSPOSE] * len(network.hidden)]
        return self.weights(network, also)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        samples = on.batch or len(error)
        before = "error"
        layers = on.network.layers
        delta = layers[-1].scatter_adjoint(error)
        for k in range(len(layers), 0, -1):
            if k > 1:
                with on.ledger.stage(f"backward/{k}", after=(before,)):
                    rows = on[f"weight/{k}"].transpose(delta)
                    h = layers[k - 1].gather_adjoint(rows)
                    if h is not rows:
                        on.host.count("GATHER", len(rows), rows.shape[0] * rows.shape[1])
                    below = layers[k - 2]
                    h = below.scatter_adjoint(h)
                    next_delta = on.host.slope(h, passed.outputs[k - 2], below.activation)
            with on.ledger.stage(f"update/{k}", after=(f"backward/{k}" if k > 1 else before,)):
                self.update(on, k, delta, passed.inputs[k - 1], samples, rate)
            if k > 1:
                delta, before = next_delta, f"backward/{k}"
