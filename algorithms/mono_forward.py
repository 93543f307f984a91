"""Mono-forward: every hidden layer has a head that classifies, and learns from its head's error.

"Mono-Forward: Backpropagation-free algorithm for efficient neural network training harnessing
local errors", arXiv:2501.09238: G_k = M_k h_k, a loss of each G_k, and layer k descends it
through M_k^T. The head of the last hidden layer is the output layer, which answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .direct import teach_output
from .passes import Pass
from .within import slope_within


@dataclass(frozen=True)
class MonoForward(Algorithm):
    """No layer waits for a later one; only the small heads are transposed."""

    by_sample: ClassVar[bool] = False

    def demands(self, network: Network) -> Sequence[Demand]:
        hidden = len(network.hidden)
        also = [*[Can(0)] * hidden, Can.TRANSPOSE if hidden else Can(0)]
        needs = Can.MULTIPLY | Can.TRANSPOSE | Can.PROGRAM | self.optimizer.needs
        more = heads(network, needs)
        return [*self.weights(network, also), *more, *self.optimizer.demands(more)]

    def calls(self, depth: int) -> Mapping[str, int]:
        heads = max(depth - 2, 0)
        return {
            "weight MULTIPLY": depth,
            "weight TRANSPOSE": int(depth > 1),
            "weight UPDATE": depth,
            "head MULTIPLY": heads,
            "head TRANSPOSE": heads,
            "head UPDATE": heads,
        }

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        last = network.layers[-1]
        for k in range(1, network.depth):
            top = k == len(network.hidden)
            h = passed.units[k - 1]
            with on.ledger.stage(f"local/{k}", after=("error",) if top else (f"forward/{k}",)):
                if top:
                    local = error
                    within = slope_within(on, passed, network.depth, error)
                    rows = on[f"weight/{network.depth}"].transpose(within.sums)
                    slope = last.gather_adjoint(rows)
                else:
                    said = on[f"head/{k}"].multiply(h)
                    _, local = self.loss.error(on.host, said, passed.target, passed.share)
                    slope = on[f"head/{k}"].transpose(local)
            with on.ledger.stage(f"update/{k}", after=(f"local/{k}",)):
                within = slope_within(on, passed, k, slope)
                self.update(on, k, within, passed.inputs[k - 1], samples, rate)
            if not top:
                with on.ledger.stage(f"update/head/{k}", after=(f"local/{k}",)):
                    self.optimizer.change(on, f"head/{k}", local, h, 1.0 / samples, rate)
        teach_output(self, on, passed, error, samples, rate)


def heads(network: Network, needs: Can) -> list[Demand]:
    """Return a demand (n_classes, width) for a head on every hidden layer but the last.

    The last hidden layer has the output layer.
    """
    classes = network.layers[-1].width_out
    return [
        Demand(f"head/{k}", classes, a.width_out, needs, a.width_out**-0.5, like="weight")
        for k, a in enumerate(network.hidden[:-1], 1)
    ]
