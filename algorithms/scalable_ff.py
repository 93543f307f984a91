"""Scalable forward-forward: each block asks a small head how well every class fits.

Krutsylo, "Scalable Forward-Forward algorithm", arXiv:2501.03176: a head with one channel a class
reads each position of a layer; the mean square of a class's channel is its goodness, to exceed a
threshold for the true class and stay below it for the others. Layers are layer-normalised and
learn alone: one pass, and no label in the data. All blocks vote. A block is one layer here, and
the loss is that of forward-forward, the wrong classes averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .goodness import check, layer_norm, positive, verdict
from .passes import Pass, passed_of
from .within import respond, slope_beneath


@dataclass(frozen=True)
class ScalableForwardForward(Algorithm):
    """Hidden weights are multiplied and updated, heads transposed too; no output layer is used."""

    threshold: float = 2.0
    """Goodness, a mean square, that tells right from wrong."""

    by_sample: ClassVar[bool] = False
    takes_codes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive(self.threshold)

    def trains(self, layer: int, network: Network) -> bool:
        return layer < network.depth

    def demands(self, network: Network) -> Sequence[Demand]:
        check("scalable_ff", network, self.threshold, bounded=False)
        classes = network.layers[-1].width_out
        needs = Can.MULTIPLY | Can.TRANSPOSE | Can.PROGRAM | self.optimizer.needs
        heads = [
            Demand(f"head/{k}", classes, a.n_out, needs, a.n_out**-0.5, like="weight")
            for k, a in enumerate(network.hidden, 1)
        ]
        unused = f"weight/{network.depth}"
        found = [d for d in self.weights(network) if d.name != unused]
        return [*found, *heads, *self.optimizer.demands(heads)]

    def calls(self, depth: int) -> Mapping[str, int]:
        hidden = depth - 1
        verbs = ("weight MULTIPLY", "weight UPDATE", "head MULTIPLY", "head TRANSPOSE")
        return dict.fromkeys((*verbs, "head UPDATE"), hidden)

    def predict(self, on: Placement, x: Any) -> Any:
        votes: Any = 0.0
        for k, rows in enumerate(self._blocks(on, x).outputs, 1):
            with on.ledger.stage(f"local/{k}", after=(f"forward/{k}",)):
                votes = votes + self._read(on, k, rows)[1]
        return votes

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        on.steps += 1
        samples, classes = on.batch or len(x), target.shape[1]
        passed = self._blocks(on, x, train=True)
        weight = target + (1 - target) / max(classes - 1, 1)
        total = 0.0
        for k, layer in enumerate(on.network.hidden, 1):
            rows = passed.outputs[k - 1]
            with on.ledger.stage(f"local/{k}", after=(f"forward/{k}",)):
                channels, goodness = self._read(on, k, rows)
                each, slope = verdict(goodness, target, self.threshold)
                total += float((weight * each).sum()) / max(len(x), 1)
                slope = (weight * slope)[:, None, :] * (2 / layer.rows_per_sample)
                local = (channels * slope).reshape(len(rows), classes)
                delta = on[f"head/{k}"].transpose(local)
            with on.ledger.stage(f"update/{k}", after=(f"local/{k}",)):
                delta = on.host.slope(delta, rows, layer.activation)
                self.update(
                    on, k, slope_beneath(on, passed, k, delta), passed.inputs[k - 1], samples, rate
                )
            with on.ledger.stage(f"update/head/{k}", after=(f"local/{k}",)):
                self.optimizer.change(on, f"head/{k}", local, rows, 1.0 / samples, rate)
        return total / len(on.network.hidden)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("scalable_ff learns block by block: call `step`")

    def _blocks(self, on: Placement, x: Any, train: bool = False) -> Pass:
        """Run x (batch, features) through the hidden layers, layer-normalised in between."""
        inputs, responses = [], []
        before: tuple[str, ...] = ()
        for k, layer in enumerate(on.network.hidden, 1):
            with on.ledger.stage(f"forward/{k}", after=before):
                if k > 1:
                    on.host.count("NORMALISE", len(x), 3 * x.shape[0] * x.shape[1])
                    x = layer_norm(x)
                rows = layer.gather(x)
                z = on[f"weight/{k}"].multiply(rows)
                response = respond(on, k, z, train)
                x = response.units
            inputs.append(rows)
            responses.append(response)
            before = (f"forward/{k}",)
        return passed_of(inputs, responses, x)

    def _read(self, on: Placement, k: int, rows: Any) -> tuple[Any, Any]:
        """Return channels (batch, positions, n_classes) of a layer, and goodness by class."""
        said = on[f"head/{k}"].multiply(rows)
        on.host.count("GOODNESS", len(said), said.shape[0] * said.shape[1])
        channels = said.reshape(-1, on.network.hidden[k - 1].rows_per_sample, said.shape[1])
        return channels, (channels * channels).mean(1)
