"""Forward gradients: the slope of the loss along one random direction in all weights.

Baydin, Pearlmutter, Syme, Wood, Torr, "Gradients without backpropagation", arXiv:2202.08587: with
V_k Gaussian in the shape of W_k, the tangent pass z'_k = W_k h'_{k-1} + V_k h_{k-1} gives the
slope s of the loss along V, and s V is an unbiased estimate of the gradient. In a recurrent layer
h_{k-1} holds the states of the step before, and the tangents go through time with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..devices import Can
from ..mappings import Demand, Network, Placement, Recurrent
from .base import Algorithm
from .passes import Pass
from .through_time import tangents
from .within import tangent_within


@dataclass(frozen=True)
class ForwardGradient(Algorithm):
    """Weights are multiplied twice and written; each direction is written anew and multiplied."""

    by_sample: ClassVar[bool] = False
    by_outer_products: ClassVar[bool] = False

    def demands(self, network: Network) -> Sequence[Demand]:
        needs = Can.MULTIPLY | Can.PROGRAM
        directions = [
            Demand(f"direction/{k}", a.n_out, a.n_in, needs, 1.0, like="weight")
            for k, a in enumerate(network.layers, 1)
        ]
        return [*self.weights(network), *directions]

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": 2 * depth - 1,
            "direction PROGRAM": depth,
            "direction MULTIPLY": depth,
            "weight PROGRAM": depth,
        }

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * (sum(turns) - len(turns))}

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        tangent: Any = None
        directions = []
        for k, layer in enumerate(network.layers, 1):
            v, bias, gain = self._direction(on, k)
            with on.ledger.stage(f"direction/{k}"):
                on[f"direction/{k}"].program(v)
            below = (f"tangent/{k - 1}",) if k > 1 else ()
            if isinstance(layer, Recurrent):
                with on.ledger.stage(f"drive/{k}", (f"direction/{k}", f"forward/{k}")):
                    z = on[f"direction/{k}"].multiply(passed.inputs[k - 1]) + bias
                states = tangents(on, k, tangent, z, passed.outputs[k - 1], (f"drive/{k}",))
                tangent = layer.scatter(states)
            else:
                with on.ledger.stage(f"tangent/{k}", (f"direction/{k}", f"forward/{k}", *below)):
                    z = on[f"direction/{k}"].multiply(passed.inputs[k - 1])
                    if tangent is not None:
                        z = z + on[f"weight/{k}"].multiply(layer.gather(tangent))
                        on.host.count("ADD", len(z), z.shape[0] * z.shape[1])
                    tangent = tangent_within(on, passed, k, z, gain, bias)
            directions.append((v, bias, gain))
        last = network.depth
        with on.ledger.stage("slope", after=("error", f"tangent/{last}")):
            on.host.count("DOT", len(error), error.shape[0] * error.shape[1])
            slope = float((error * tangent).sum()) / samples
        for k, (v, bias, gain) in enumerate(directions, 1):
            with on.ledger.stage(f"update/{k}", after=("slope",)):
                self.optimizer.descend(on, f"weight/{k}", v * slope, rate)
                self.optimizer.shift(on, f"bias/{k}", bias * slope, rate)
                if gain is not None:
                    self.optimizer.shift(on, f"gain/{k}", gain * slope, rate)

    def _direction(self, on: Placement, k: int) -> tuple[Any, Any, Any]:
        """Return Gaussian directions of layer k: weights (n_out, n_in), biases and gains (n_out,).

        Drawn by the step and the layer; None for gains without a norm.
        """
        layer = on.network.layers[k - 1]
        rng = on.seed.child("direction").child(f"weight/{k}").rng(on.steps)
        on.host.count("DRAW", 1, layer.parameters)
        drawn = rng.standard_normal((layer.n_out, layer.n_in + 1), np.float32)
        gain = None
        if layer.norm != "none":
            gain = on.array(rng.standard_normal(layer.n_out, np.float32))
        return on.array(np.ascontiguousarray(drawn[:, :-1])), on.array(drawn[:, -1].copy()), gain
