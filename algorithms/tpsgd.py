"""Target projection SGD: each hidden layer pulls its units to a random projection of the label.

Lomnitz, Daniels, Zhang, Piacentino, "Learning with local gradients at the edge",
arXiv:2208.08503: layer k descends a loss of its own, |h_k - t_k|^2 / 2 or the sum of |h_k - t_k|,
or any other whose slope a subclass gives. The target is t_k = f(P_k y) here, the projected label
within reach of the layer's activation.

A recurrent layer has its target at every step: it descends the mean over the steps of |h_t - t|^2
/ 2 (or of |h_t - t|), the state before each step an input like any other. That target projection
extends to recurrent layers, layer by layer, with forward passes alone, is said in the paper's
abstract, the one part of it on them that could be read; that the target is the same at every step
and the losses are averaged is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..devices.arrays import namespace
from ..mappings import Placement
from .drtp import DRTP
from .passes import Pass


@dataclass(frozen=True)
class TargetProjection(DRTP):
    """The calls of DRTP, with a local loss of each hidden layer."""

    local_loss: Literal["square", "absolute"] = "square"
    """Of the difference between a layer's units and its target."""

    def __post_init__(self) -> None:
        if self.local_loss not in ("square", "absolute"):
            raise ValueError(f'local_loss takes "square" or "absolute", got {self.local_loss!r}')

    def signals(self, on: Placement, passed: Pass, projected: Sequence[Any]) -> list[Any]:
        found = []
        for layer, part, h in zip(on.network.hidden, projected, passed.outputs, strict=False):
            zero = on.array(np.zeros(part.shape[1], np.float32))
            target = on.host.activate(part + 0, zero, layer.activation)
            slope = self.local_slope(layer.moments(h), target[:, None])
            width = slope.shape[1] * slope.shape[2]
            on.host.count("DIFFERENCE", len(part), len(part) * width)
            found.append(slope.reshape(len(part), width))
        return found

    def local_slope(self, units: Any, target: Any) -> Any:
        """Return the local loss's slope at units (batch, moments, width), one of target's a moment.

        target is (batch, 1, width). Override it for a loss of your own.
        """
        difference = units - target
        if self.local_loss == "absolute":
            return namespace(difference).sign(difference)
        return difference
