"""Likelihood ratio: known noise is added at a layer, and the loss it causes is laid at its door.

Jiang et al., "One forward is enough for neural network training via likelihood ratio method",
arXiv:2305.08960: with eps ~ N(0, s^2) at the inputs z_k of a hidden activation,
E[(L(z_k + eps) - L(z_k - eps)) eps] / (2 s^2) is the slope of the smoothed loss [the score
function of a Gaussian, with antithetic pairs]. The noise must be known, so the host draws it;
what a device adds of its own is not of use. Layer by layer, only the layers above are passed again.
The noise of a recurrent layer enters at every step, and the layer is passed again from its second
step on, for its states feel it; its weights are charged at the states without noise, so that the
mean of the estimate is the gradient to the order s^2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..mappings import Demand, Graph, Network, Placement, Recurrent
from .base import Algorithm
from .direct import teach_output
from .passes import Pass
from .through_time import unroll, unrolled
from .within import pooled, refuse_norm, respond, slope_beneath


@dataclass(frozen=True)
class LikelihoodRatio(Algorithm):
    """Weights are multiplied, above each hidden layer twice again, and updated."""

    noise: float = 0.1
    """Standard deviation of the noise, in units of z."""
    pairs: int = 1
    """Antithetic pairs of each layer."""

    keeps_sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.noise < np.inf:
            raise ValueError(f"noise takes a number above 0, got {self.noise}")
        if self.pairs < 1:
            raise ValueError(f"pairs takes a whole number from 1, got {self.pairs}")

    def demands(self, network: Network) -> Sequence[Demand]:
        if any(isinstance(layer, Graph) for layer in network.layers):
            raise ValueError(
                "likelihood_ratio takes dense and convolutional layers, whose samples do not mix"
            )
        why = 'lays each loss at its own sample\'s noise: take norm = "layer"'
        refuse_norm("likelihood_ratio", network, ("batch",), why)
        return self.weights(network)

    def calls(self, depth: int) -> Mapping[str, int]:
        again = self.pairs * depth * (depth - 1)
        return {"weight MULTIPLY": depth + again, "weight UPDATE": depth}

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        more = [turn - 1 for turn in turns]
        again = sum(sum(more[k:]) for k in range(len(more) - 1))
        return {"weight MULTIPLY": sum(more) + 2 * self.pairs * again}

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        for k, layer in enumerate(network.hidden, 1):
            z = passed.sums[k - 1]
            delta: Any = 0.0
            before: tuple[str, ...] = (f"forward/{k}",)
            for pair in range(self.pairs):
                score, noise, before = self._score(on, passed, k, pair, before)
                units = (
                    noise.reshape(len(score), layer.rows_per_sample * layer.n_out) * score[:, None]
                )
                delta = delta + units.reshape(len(z), layer.n_out)
            with on.ledger.stage(f"update/{k}", after=before):
                on.host.count("SCALE", len(z), self.pairs * z.shape[0] * z.shape[1])
                self.update(
                    on, k, slope_beneath(on, passed, k, delta), passed.inputs[k - 1], samples, rate
                )
        teach_output(self, on, passed, error, samples, rate)

    def _score(
        self, on: Placement, passed: Pass, k: int, pair: int, before: tuple[str, ...]
    ) -> tuple[Any, Any, tuple[str, ...]]:
        """Return what one pair says: score (batch,), its noise (rows, n_out), the last stages."""
        z, name = passed.sums[k - 1], f"noise/{k}/{pair}"
        with on.ledger.stage(name, after=before):
            rng = on.seed.child("noise").child(f"layer/{k}/{pair}").rng(on.steps)
            drawn = rng.standard_normal(tuple(z.shape), np.float32) * np.float32(self.noise)
            noise = on.array(drawn)
            on.host.count("DRAW", len(z), z.shape[0] * z.shape[1])
        plus, high = self._above(on, passed, k, noise, f"{name}/plus", name)
        minus, low = self._above(on, passed, k, -noise, f"{name}/minus", name)
        score = (plus - minus) / (2 * self.noise**2 * self.pairs)
        return score if passed.share is None else score * passed.share, noise, (high, low)

    def _above(
        self, on: Placement, passed: Pass, k: int, noise: Any, name: str, after: str
    ) -> tuple[Any, str]:
        """Return the loss of each sample (batch,) with noise (rows, n_out) on the sums of layer k.

        And the stage in which it is known.
        """
        x, stage = None, after
        for j, layer in enumerate(on.network.layers[k - 1 :], k):
            if isinstance(layer, Recurrent):
                if x is None:
                    x = layer.scatter(self._noisy_states(on, passed, k, noise, name, after))
                else:
                    x = unrolled(on, j, layer.gather(x), name, ()).units
                stage = f"{name}/{j}"
                continue
            with on.ledger.stage(f"{name}/{j}", after=(stage,)):
                if x is None:  # norm and bias are in the sums already
                    z, none = passed.sums[k - 1] + noise, on.digital[f"bias/{j}"] * 0
                    x = pooled(on, j, on.host.activate(z, none, layer.activation))
                else:
                    z = on[f"weight/{j}"].multiply(layer.gather(x))
                    x = respond(on, j, z, train=False).units
            stage = f"{name}/{j}"
        with on.ledger.stage(f"{name}/loss", after=(stage,)):
            each = self.loss.each(on.host, x, passed.target)
        return each, f"{name}/loss"

    def _noisy_states(
        self, on: Placement, passed: Pass, k: int, noise: Any, name: str, after: str
    ) -> Any:
        """Return the states (rows, n_out) of recurrent layer k under noise on all its sums."""
        layer, bias = on.network.layers[k - 1], on.digital[f"bias/{k}"]

        def noisy(z: Any, at: slice) -> Any:
            return on.host.activate(z + noise[at], bias, layer.activation)

        rows = layer.gather(layer.gather_adjoint(passed.inputs[k - 1]))
        first = passed.sums[k - 1][:: layer.rows_per_sample] - bias
        return unroll(on, k, rows, name, (after,), noisy, first)
