"""Feedback alignment: the error goes back layer by layer through matrices of their own.

Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error
backpropagation for deep learning", Nature Communications 7, 2016: each transpose is replaced by
a fixed random matrix of its shape. The sign-concordant variants keep the signs of the weights:
B = M * sign(W^T), with magnitudes M all alike (uSF), drawn anew at every step (brSF) or once
(frSF) [Liao, Leibo, Poggio, "How important is weight symmetry in backpropagation?",
arXiv:1510.05067; M is made positive here]. Recurrent layers have their matrix too, through which
the error goes back in time, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..devices import Can
from ..devices.arrays import namespace
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .chain import learn_backwards
from .passes import Pass
from .through_time import carries

Signs = Literal["none", "uniform", "batchwise", "fixed"]


@dataclass(frozen=True)
class FeedbackAlignment(Algorithm):
    """Weights are multiplied and updated; the feedback of each layer is only multiplied.

    With signs, the weights are read by multiplying the identity, and the feedback written anew,
    at every step: a matrix nobody knows has to be read.
    """

    signs: Signs = "none"
    """none: FA. uniform: uSF. batchwise: brSF. fixed: frSF."""

    def __post_init__(self) -> None:
        if self.signs not in ("none", "uniform", "batchwise", "fixed"):
            raise ValueError(
                f'signs takes "none", "uniform", "batchwise" or "fixed", got {self.signs!r}'
            )

    def demands(self, network: Network) -> Sequence[Demand]:
        demands = self.weights(network)
        needs = Can.MULTIPLY if self.signs == "none" else Can.MULTIPLY | Can.PROGRAM
        feedback = [
            Demand(f"feedback/{k}", w.n_in, w.n_out, needs, w.spread)
            for k, (w, carried) in enumerate(zip(demands, carries(network), strict=False), 1)
            if carried
        ]
        return [*demands, *feedback]

    def calls(self, depth: int) -> Mapping[str, int]:
        calls = {
            "weight MULTIPLY": depth,
            "feedback MULTIPLY": depth - 1,
            "weight UPDATE": depth,
        }
        if self.signs != "none":
            calls["weight MULTIPLY"] += depth - 1
            calls["feedback PROGRAM"] = depth - 1
        return calls

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        more, first = sum(turns) - len(turns), int(turns[0] > 1)
        calls = {"weight MULTIPLY": more, "feedback MULTIPLY": more}
        if self.signs != "none":
            calls["weight MULTIPLY"] += first
            calls["feedback PROGRAM"] = first
        return calls

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        aligned = set()

        def carry(k: int, delta: Any) -> Any:
            if self.signs != "none" and k not in aligned:
                self._align(on, k)
                aligned.add(k)
            return on[f"feedback/{k}"].multiply(delta)

        learn_backwards(self, on, passed, error, rate, carry)

    def _align(self, on: Placement, k: int) -> None:
        """Write the feedback of layer k with the signs of its weights as they are read."""
        layer = on.network.layers[k - 1]
        shape = (layer.n_in, layer.n_out)
        read = on[f"weight/{k}"].multiply(on.array(np.eye(layer.n_in, dtype=np.float32)))
        spread = np.float32(layer.n_in**-0.5)
        if self.signs == "uniform":
            size: Any = spread
        else:
            draw = on.steps if self.signs == "batchwise" else 0
            rng = on.seed.child("magnitude").child(f"feedback/{k}").rng(draw)
            size = on.array(np.abs(rng.standard_normal(shape, np.float32)) * spread)
        on.host.count("SIGN", 1, shape[0] * shape[1])
        on[f"feedback/{k}"].program(namespace(read).sign(read) * size)
