"""Forward gradients in activities: one random direction for each sample's units, not the weights.

Ren, Kornblith, Liao, Hinton, "Scaling forward gradient with local losses", arXiv:2210.03310:
perturbing units needs far fewer random numbers than perturbing weights, and the variance of the
estimate grows with the units alone. With u_k Gaussian at the input of every hidden activation, the
tangent pass z'_k = W_k h'_{k-1} + u_k gives each sample's slope s, and d_k = s u_k is an unbiased
estimate of the slope at z_k. The output layer's own error is known and used as it is. A recurrent
layer has a direction for every step, and its tangents go through time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..mappings import Demand, Graph, Network, Placement, Recurrent
from .base import Algorithm
from .direct import teach_output
from .passes import Pass
from .through_time import tangents
from .within import refuse_norm, slope_beneath, tangent_within


@dataclass(frozen=True)
class ActivityGradient(Algorithm):
    """Weights are multiplied twice and updated: no transpose, no second matrix."""

    def demands(self, network: Network) -> Sequence[Demand]:
        if any(isinstance(layer, Graph) for layer in network.layers):
            raise ValueError(
                "activity_gradient takes dense and convolutional layers, whose samples do not mix"
            )
        why = 'traces each sample by itself: take norm = "layer"'
        refuse_norm("activity_gradient", network, ("batch",), why)
        return self.weights(network)

    def calls(self, depth: int) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * depth - 1, "weight UPDATE": depth}

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": 2 * (sum(turns) - len(turns))}

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        tangent: Any = None
        drawn = []
        for k, layer in enumerate(network.layers if network.hidden else (), 1):
            below = (f"tangent/{k - 1}",) if k > 1 else ()
            if isinstance(layer, Recurrent):
                with on.ledger.stage(f"draw/{k}"):
                    drawn.append(self._direction(on, k, passed.outputs[k - 1]))
                waits = (f"draw/{k}", f"forward/{k}")
                rows = tangents(on, k, tangent, drawn[-1], passed.outputs[k - 1], waits)
                tangent = layer.scatter(rows)
                continue
            with on.ledger.stage(f"tangent/{k}", (f"forward/{k}", *below)):
                h = passed.outputs[k - 1]
                z = None if tangent is None else on[f"weight/{k}"].multiply(layer.gather(tangent))
                u: Any = None
                if k < network.depth:
                    u = self._direction(on, k, h)
                    drawn.append(u)
                tangent = tangent_within(on, passed, k, z, bias=u)
        if drawn:
            with on.ledger.stage("slope", after=("error", f"tangent/{network.depth}")):
                on.host.count("DOT", len(error), error.shape[0] * error.shape[1])
                slope = (error * tangent).sum(1)
        for k, u in enumerate(drawn, 1):
            layer = network.layers[k - 1]
            with on.ledger.stage(f"update/{k}", after=("slope",)):
                on.host.count("SCALE", len(u), u.shape[0] * u.shape[1])
                units = u.reshape(len(slope), layer.rows_per_sample * layer.n_out) * slope[:, None]
                slope_at = slope_beneath(on, passed, k, units.reshape(len(u), layer.n_out))
                self.update(on, k, slope_at, passed.inputs[k - 1], samples, rate)
        teach_output(self, on, passed, error, samples, rate)

    def _direction(self, on: Placement, k: int, like: Any) -> Any:
        """Return a Gaussian direction for the sums of layer k, drawn by the step, shaped `like`."""
        rng = on.seed.child("activity").child(f"layer/{k}").rng(on.steps)
        on.host.count("DRAW", len(like), like.shape[0] * like.shape[1])
        return on.array(rng.standard_normal(tuple(like.shape), np.float32))
