"""Equilibrium propagation: a network of two-way connections settles, is nudged, and settles again.

Scellier, Bengio, "Equilibrium propagation: bridging the gap between energy-based models and
backpropagation", Frontiers in Computational Neuroscience 11, 2017, nudged both ways [Laborieux et
al., Frontiers in Neuroscience 15, 2021]. The energy is that of Hopfield's graded units: a state
s_k = f(W_k s_{k-1} + b_k + W_{k+1}^T s_{k+1}) is where it is stationary. With the output pulled by
+beta or -beta towards its target, W_k gains
(s_k^+ s_{k-1}^+ - s_k^- s_{k-1}^-) / (2 beta), which tends to minus the slope of the squared
error at the output in the free state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..devices import Can
from ..mappings import Convolution, Demand, Graph, Network, Placement
from .base import Algorithm
from .losses import MeanSquare
from .passes import Pass, Slope
from .within import refuse_norm

START = 0.4
"""Factor on the std that weights start with. Two layers that drive each other hold on to any state
where the largest singular value between them exceeds 1; Gaussian square matrices have 2."""


@dataclass(frozen=True)
class EquilibriumPropagation(Algorithm):
    """Weights are multiplied and transposed in every relaxation step, and updated twice."""

    beta: float = 0.2
    """How strongly the output is pulled."""
    settle: int = 20
    """Steps of relaxation without a pull."""
    nudge: int = 10
    """Steps of relaxation under each pull."""
    damping: float = 0.5
    """Part of the old state that a step keeps."""

    by_sample: ClassVar[bool] = False
    keeps_sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.beta < 1:
            raise ValueError(f"beta takes a number between 0 and 1, got {self.beta}")
        for name in ("settle", "nudge"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} takes a whole number from 1, got {getattr(self, name)}")
        if not 0 <= self.damping < 1:
            raise ValueError(f"damping takes a number from 0 to below 1, got {self.damping}")

    def demands(self, network: Network) -> Sequence[Demand]:
        if any(isinstance(layer, Graph) for layer in network.layers):
            raise ValueError("equilibrium takes dense and convolutional layers, no graph's")
        if any(isinstance(layer, Convolution) and layer.pool > 1 for layer in network.layers):
            raise ValueError("equilibrium takes convolutions without pooling: pool = 1")
        why = "has an energy of two-way connections alone: leave norm out"
        refuse_norm("equilibrium", network, ("batch", "layer"), why)
        if not isinstance(self.loss, MeanSquare):
            raise ValueError('loss takes "mean_square" for equilibrium: the pull is its slope')
        also = [Can(0), *[Can.TRANSPOSE] * len(network.hidden)]
        return [replace(d, spread=START * d.spread) for d in self.weights(network, also)]

    def calls(self, depth: int) -> Mapping[str, int]:
        relaxed = self.settle + 2 * self.nudge
        return {
            "weight MULTIPLY": depth + relaxed * (depth - 1),
            "weight TRANSPOSE": relaxed * (depth - 1),
            "weight UPDATE": 2 * depth,
        }

    def predict(self, on: Placement, x: Any) -> Any:
        start = self._start(on, self.forward(on, x))
        states = self._relax(on, start, None, 0.0, self.settle, "free", "forward")
        return self.decoded(on, states[-1])

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        on.steps += 1
        samples, depth = on.batch or len(x), on.network.depth
        start = self._start(on, self.forward(on, x))
        free = self._relax(on, start, None, 0.0, self.settle, "free", "forward")
        with on.ledger.stage("error", after=(f"free/{self.settle}",)):
            loss, _ = self.loss.error(on.host, free[-1], target, mask)
        pulled = [
            (name, sign, self._relax(on, free, target, sign * self.beta, self.nudge, name, "free"))
            for name, sign in (("plus", 1.0), ("minus", -1.0))
        ]
        for name, sign, last in pulled:
            states = [x, *last[1:]]
            for k in range(1, depth + 1):
                layer = on.network.layers[k - 1]
                with on.ledger.stage(f"update/{name}/{k}", after=(f"{name}/{self.nudge}",)):
                    delta = layer.scatter_adjoint(states[k]) * (-sign / (2 * self.beta))
                    self.update(
                        on, k, Slope(delta, delta), layer.gather(states[k - 1]), samples, rate
                    )
        return loss

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("equilibrium learns from states at rest: call `step`")

    def _start(self, on: Placement, passed: Pass) -> list[Any]:
        """Return the drive of the first layer, which never changes, and the states (batch, width).

        The first entry is W_1 x (rows, n_out), free of the bias.
        """
        return [passed.sums[0] - on.digital["bias/1"], *passed.units]

    def _relax(
        self,
        on: Placement,
        states: list[Any],
        target: Any,
        beta: float,
        steps: int,
        name: str,
        after: str,
    ) -> list[Any]:
        """Return the states after so many steps, all layers at once, the output pulled by beta."""
        layers, depth = on.network.layers, on.network.depth
        before = f"{after}/{depth if after == 'forward' else self.settle}"
        for step in range(1, steps + 1):
            moved = [states[0]]
            with on.ledger.stage(f"{name}/{step}", after=(before,)):
                for k, layer in enumerate(layers, 1):
                    rows = layer.gather(states[k - 1]) if k > 1 else None
                    z = on[f"weight/{k}"].multiply(rows) if k > 1 else states[0] + 0
                    if k < depth:
                        above = layers[k]
                        down = on[f"weight/{k + 1}"].transpose(above.scatter_adjoint(states[k + 1]))
                        z = z + layer.scatter_adjoint(above.gather_adjoint(down))
                        on.host.count("ADD", len(z), z.shape[0] * z.shape[1])
                    h = layer.scatter(
                        on.host.activate(z, on.digital[f"bias/{k}"], layer.activation)
                    )
                    if k == depth and beta:
                        h = (h + beta * target) / (1 + beta)
                    on.host.count("RELAX", len(h), h.shape[0] * h.shape[1])
                    moved.append(self.damping * states[k] + (1 - self.damping) * h)
            states, before = moved, f"{name}/{step}"
        return states
