"""PEPITA: the error is added to the input, and what it changes in every layer teaches that layer.

Dellaferrera, Kreiman, "Error-driven input modulation: solving the credit assignment problem
without a backward pass", ICML 2022, as in the authors' code (github.com/GiorgiaD/PEPITA): a
second pass takes x' = x + F e; hidden layer k descends (h_k - h'_k) h'_{k-1}^T, the output layer
its error in the second pass times h'. With a norm h_k - h'_k is the slope after it. Entries of F
have a standard deviation of 0.05 sqrt(2 / features).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..devices import Can
from ..mappings import Demand, Graph, Network, Placement
from .base import Algorithm
from .passes import Pass
from .within import slope_beneath, slope_within


@dataclass(frozen=True)
class PEPITA(Algorithm):
    """Weights are multiplied twice and updated; the feedback (features, classes) is multiplied."""

    modulation: float = 1.0
    """Factor on F e; a device whose matrix cannot be written has its own size of entries."""

    keeps_inputs: ClassVar[bool] = True

    def demands(self, network: Network) -> Sequence[Demand]:
        if any(isinstance(layer, Graph) for layer in network.layers):
            raise ValueError("pepita takes dense and convolutional layers; this network is a graph")
        features, classes = network.layers[0].width_in, network.layers[-1].width_out
        spread = 0.05 * (2 / features) ** 0.5
        into = Demand("feedback", features, classes, Can.MULTIPLY, spread)
        return [*self.weights(network), into]

    def calls(self, depth: int) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * depth, "feedback MULTIPLY": 1, "weight UPDATE": depth}

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        with on.ledger.stage("feedback", after=("error",)):
            change = on["feedback"].multiply(error) * self.modulation
            on.host.count("MODULATE", len(change), change.shape[0] * change.shape[1])
        again = self.forward(on, passed.x + change, "modulated", ("feedback",), train=True)
        last = network.depth
        with on.ledger.stage("error/modulated", after=(f"modulated/{last}",)):
            _, late = self.loss.error(on.host, again.output, passed.target, passed.share)
        for k in range(1, last):
            with on.ledger.stage(f"update/{k}", after=(f"modulated/{k}",)):
                delta = passed.outputs[k - 1] - again.outputs[k - 1]
                on.host.count("DIFFERENCE", len(delta), delta.shape[0] * delta.shape[1])
                self.update(
                    on, k, slope_beneath(on, again, k, delta), again.inputs[k - 1], samples, rate
                )
        with on.ledger.stage(f"update/{last}", after=("error/modulated",)):
            slope = slope_within(on, again, last, late)
            self.update(on, last, slope, again.inputs[-1], samples, rate)
