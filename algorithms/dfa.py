"""Direct feedback alignment: the error reaches every hidden layer through one fixed random matrix.

Nokland, "Direct feedback alignment provides learning in deep neural networks", NeurIPS 2016:
d_k = (B_k e) * f'(z_k), the B_k stacked into one matrix here, so that one device projects the
error to all layers at once. On graphs the error is carried to the neighbours first, as in
DFA-GNN (NeurIPS 2024, eq. 4-6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..devices import Can
from ..devices.release import Release
from ..mappings import Demand, Graph, Network, Placement
from .base import Algorithm, Pass
from .losses import SoftmaxCrossEntropy
from .sensitivity import label_release


@dataclass(frozen=True)
class DFA(Algorithm):
    """Weights are multiplied and updated, never transposed; the feedback is only multiplied."""

    def demands(self, network: Network) -> Sequence[Demand]:
        demands = self.weights(network)
        if not network.hidden:
            return demands
        units = sum(layer.width_out for layer in network.hidden)
        classes = network.layers[-1].width_out
        return [*demands, Demand("feedback", units, classes, Can.MULTIPLY, classes**-0.5)]

    def releases(self, on: Placement, sampling: str, rate: float) -> tuple[Release, ...]:
        """Return the private training's release, or what the feedback's noise says of labels."""
        if self.private is not None or not on.network.hidden:
            return super().releases(on, sampling, rate)
        mixed = any(isinstance(layer, Graph) for layer in on.network.layers)
        if mixed or not isinstance(self.loss, SoftmaxCrossEntropy):
            return ()
        device = on["feedback"]
        floor = device.noise_std()
        if floor is None:
            return ()
        threshold, relative, rescaled = self._code()
        return (
            label_release(
                {"feedback": (device.matrix(), floor)},
                sampling,
                rate,
                threshold,
                relative,
                rescaled,
            ),
        )

    def _code(self) -> tuple[float | None, bool, bool]:
        """Return the ternary threshold if any, whether it is relative, and whether rescaled."""
        return None, False, False

    def project(self, on: Placement, error: Any) -> Any:
        """Return the error (batch, n_classes) at all hidden units (batch, sum of widths)."""
        return on["feedback"].multiply(error)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        if network.hidden:
            with on.ledger.stage("feedback", after=("error",)):
                projected = self.project(on, error)
        start = 0
        for k, layer in enumerate(network.hidden, 1):
            mine = projected[:, start : start + layer.width_out]
            start += layer.width_out
            with on.ledger.stage(f"update/{k}", after=("feedback",)):
                delta = layer.scatter_adjoint(network.spread(mine, k))
                delta = on.host.slope(delta, passed.outputs[k - 1], layer.activation)
                self.update(on, k, delta, passed.inputs[k - 1], samples, rate)
        last = network.depth
        with on.ledger.stage(f"update/{last}", after=("error",)):
            rows = network.layers[-1].scatter_adjoint(error)
            self.update(on, last, rows, passed.inputs[-1], samples, rate)
