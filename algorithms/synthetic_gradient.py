"""Synthetic gradients: each hidden layer has a model of the slope it will be sent, and uses that.

Jaderberg et al., "Decoupled neural interfaces using synthetic gradients", arXiv:1608.05343, in its
label-conditioned linear form: s_k = M_k [h_k, y] stands for dL/dh_k, so that layer k updates at
once. M_k starts at zero and descends |s_k - t_k|^2 / 2, where t_k is what layer k + 1 sends down
from its own synthetic slope, or at the top from the true error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..devices import Can
from ..devices.arrays import namespace
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .direct import teach_output
from .passes import Pass
from .within import slope_within


@dataclass(frozen=True)
class SyntheticGradient(Algorithm):
    """Weights are multiplied, updated and, but for the first, transposed; the models never are."""

    synthesis: float = 1.0
    """Factor on the optimizer's rate for the models of slopes."""

    by_sample: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.synthesis < float("inf"):
            raise ValueError(f"synthesis takes a number above 0, got {self.synthesis}")

    def demands(self, network: Network) -> Sequence[Demand]:
        also = [Can(0), *[Can.TRANSPOSE] * len(network.hidden)]
        classes = network.layers[-1].width_out
        needs = Can.MULTIPLY | Can.PROGRAM | self.optimizer.needs
        models = [
            Demand(f"head/{k}", a.width_out, a.width_out + classes, needs, 0.0, like="weight")
            for k, a in enumerate(network.hidden, 1)
        ]
        return [*self.weights(network, also), *models, *self.optimizer.demands(models)]

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": depth,
            "weight TRANSPOSE": depth - 1,
            "weight UPDATE": depth,
            "head MULTIPLY": depth - 1,
            "head UPDATE": depth - 1,
        }

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        layers = network.layers
        said, slopes = [], []
        for k in range(1, network.depth):
            with on.ledger.stage(f"local/{k}", after=(f"forward/{k}",)):
                h = passed.units[k - 1]
                seen = namespace(h).concatenate([h, passed.target], 1)
                slope = on[f"head/{k}"].multiply(seen)
                slopes.append(slope_within(on, passed, k, slope + 0))
            said.append((seen, slope))
        slopes.append(slope_within(on, passed, network.depth, error))
        for k, (seen, slope) in enumerate(said, 1):
            above = layers[k]
            sent = ("error",) if k + 1 == network.depth else (f"local/{k + 1}",)
            with on.ledger.stage(f"update/head/{k}", after=(f"local/{k}", *sent)):
                rows = on[f"weight/{k + 1}"].transpose(slopes[k].sums)
                wrong = slope - above.gather_adjoint(rows)
                on.host.count("DIFFERENCE", len(wrong), wrong.shape[0] * wrong.shape[1])
                scaled = rate * self.synthesis
                self.optimizer.change(on, f"head/{k}", wrong, seen, 1.0 / samples, scaled)
        for k in range(1, network.depth):
            with on.ledger.stage(f"update/{k}", after=(f"local/{k}",)):
                self.update(on, k, slopes[k - 1], passed.inputs[k - 1], samples, rate)
        teach_output(self, on, passed, error, samples, rate)
