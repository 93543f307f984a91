"""Forward-forward: layers tell a right label from a wrong one by how strongly they respond.

Hinton, "The forward-forward algorithm: some preliminary investigations", 2022. The label is
written over the first features. Each hidden layer learns from two passes, one with the right
label and one with a wrong one, to make its goodness, the mean square of its units, exceed a
threshold or stay below it. What the next layer sees is freed of its length. The answer is the
label under which all layers together respond most, so that an answer takes a pass a class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..devices.arrays import namespace
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .goodness import check, positive, unit_length, verdict
from .passes import Pass, passed_of
from .within import refuse_norm, respond, slope_within


@dataclass(frozen=True)
class ForwardForward(Algorithm):
    """Weights of hidden layers are multiplied and updated; the output layer is not used."""

    threshold: float = 2.0
    """Goodness, a mean square, that tells right from wrong."""
    label: float = 1.0
    """What the label's feature is set to: about the largest that the data's features take, as in
    github.com/mpezeshki/pytorch_forward_forward. One of many far smaller is hardly noticed."""

    by_sample: ClassVar[bool] = False
    takes_codes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive(self.threshold)
        if not 0 < self.label < np.inf:
            raise ValueError(f"label takes a number above 0, got {self.label}")

    def trains(self, layer: int, network: Network) -> bool:
        return layer < network.depth

    def demands(self, network: Network) -> Sequence[Demand]:
        check("forward_forward", network, self.threshold, bounded=True)
        why = "tells labels by the length of what a sample says, which it takes away: leave it out"
        refuse_norm("forward_forward", network, ("layer",), why)
        first, last = network.layers[0], network.layers[-1]
        if first.width_in <= last.width_out:
            raise ValueError(
                f"forward_forward writes the label over the first {last.width_out} features, and "
                f"the data has {first.width_in}"
            )
        unused = f"weight/{network.depth}"
        return [d for d in self.weights(network) if d.name != unused]

    def calls(self, depth: int) -> Mapping[str, int]:
        return {"weight MULTIPLY": depth - 1, "weight UPDATE": depth - 1}

    def predict(self, on: Placement, x: Any) -> Any:
        classes = on.network.layers[-1].width_out
        scores = []
        for c in range(classes):
            label = on.array(np.eye(classes, dtype=np.float32)[[c]])
            passed = self._hidden(on, self._written(x, label), f"label/{c}")
            scores.append(sum(_goodness(on, passed, k) for k in range(len(passed.inputs))))
        return namespace(x).stack(scores, 1)

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        on.steps += 1
        samples = on.batch or len(x)
        xp = namespace(x)
        both = [self._written(x, target), self._written(x, self._wrong(on, target))]
        passed = self._hidden(on, xp.concatenate(both), "forward", train=True)
        right = on.array(np.repeat(np.array([1, 0], np.float32), len(x)))
        total = 0.0
        for k, layer in enumerate(on.network.hidden, 1):
            with on.ledger.stage(f"update/{k}", after=(f"forward/{k}",)):
                each, slope = verdict(_goodness(on, passed, k - 1), right, self.threshold)
                total += float(each.sum()) / max(len(x), 1)
                local = passed.units[k - 1] * (slope * (2 / layer.width_out))[:, None]
                within = slope_within(on, passed, k, local)
                self.update(on, k, within, passed.inputs[k - 1], samples, rate)
        return total / len(on.network.hidden)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("forward_forward learns from two passes: call `step`")

    def _hidden(self, on: Placement, x: Any, name: str, train: bool = False) -> Pass:
        """Run x (batch, features) through the hidden layers, each freed of its length first."""
        inputs, responses = [], []
        before: tuple[str, ...] = ()
        for k, layer in enumerate(on.network.hidden, 1):
            stage = f"{name}/{k}"
            with on.ledger.stage(stage, after=before):
                on.host.count("NORMALISE", len(x), 2 * x.shape[0] * x.shape[1])
                rows = layer.gather(unit_length(x))
                z = on[f"weight/{k}"].multiply(rows)
                response = respond(on, k, z, train)
                x = response.units
            inputs.append(rows)
            responses.append(response)
            before = (stage,)
        return passed_of(inputs, responses, x)

    def _wrong(self, on: Placement, target: Any) -> Any:
        """Return for every target (batch, n_classes) another one, drawn by the step."""
        truth = target.argmax(1)
        plain = truth if namespace(truth) is np else truth.cpu().numpy()
        classes = target.shape[1]
        shift = on.seed.child("wrong").rng(on.steps).integers(1, classes, len(plain))
        return on.array(np.eye(classes, dtype=np.float32)[(plain + shift) % classes])

    def _written(self, x: Any, label: Any) -> Any:
        """Return x (batch, features), a label (batch or 1, n_classes) over its first features."""
        written = x + 0
        written[:, : label.shape[1]] = self.label * label
        return written


def _goodness(on: Placement, passed: Pass, k: int) -> Any:
    """Return the mean square (batch,) of the units of hidden layer k, counted from 0."""
    h = passed.units[k]
    on.host.count("GOODNESS", len(h), h.shape[0] * h.shape[1])
    return (h * h).mean(1)
