"""Direct feedback alignment: the error reaches every hidden layer through one fixed random matrix.

Nokland, "Direct feedback alignment provides learning in deep neural networks", NeurIPS 2016:
d_k = (B_k e) * f'(z_k), the B_k stacked into one matrix here, so that one device projects the
error to all layers at once; or one B for all layers, each taking its first rows, so that a device
needs outputs for the widest layer alone [as LightOn's TinyDFA does, github.com/lightonai]. On
graphs the error is carried to the neighbours first, as in DFA-GNN (NeurIPS 2024, eq. 4-6).

A recurrent layer takes one projection at all its steps: d_t = (B e) * f'(z_t) / T, the change is
the sum of d_t [x_t, h_(t-1)]^T, and nothing goes back in time, so that all steps learn at once
[Cossu, Ceni, Lomonaco, Bacciu, Gallicchio, "Direct feedback alignment for recurrent neural
networks", 2026, whose update takes the time steps in parallel]. It is what random feedback local
online learning becomes without a leak, for one error at the end [Murray, eLife 8:e43299, 2019: its
trace at tau = 1 is f'(z_t) h_(t-1)]. That it is the mean over the T steps is ours: a rate then
suits sequences of any length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..devices.release import Release
from ..mappings import Demand, Graph, Network, Placement
from .base import Algorithm
from .direct import feedback, split, teach_hidden, teach_output
from .losses import SoftmaxCrossEntropy
from .passes import Pass
from .sensitivity import label_release


@dataclass(frozen=True)
class DFA(Algorithm):
    """Weights are multiplied and updated, never transposed; the feedback is only multiplied."""

    shared: bool = False
    """One projection as wide as the widest hidden layer, whose first units serve each layer."""

    scales_error = True

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": depth,
            "feedback MULTIPLY": int(depth > 1),
            "weight UPDATE": depth,
        }

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": sum(turns) - len(turns)}

    def demands(self, network: Network) -> Sequence[Demand]:
        return [*self.weights(network), *feedback(network, self.shared)]

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
        samples = on.batch or len(error)
        if on.network.hidden:
            with on.ledger.stage("feedback", after=("error",)):
                projected = self.project(on, error)
            signals = split(on.network, projected, self.shared)
            teach_hidden(self, on, passed, signals, samples, rate, lambda k: ("feedback",))
        teach_output(self, on, passed, error, samples, rate)
