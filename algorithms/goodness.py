"""Goodness: what layers that learn alone are asked to make large for right labels, small for wrong.

softplus(theta - g) of a right label's goodness g, softplus(g - theta) of a wrong one's [Hinton,
"The forward-forward algorithm: some preliminary investigations", 2022].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices.arrays import namespace
from ..mappings import Graph, Network


def verdict(goodness: Any, right: Any, threshold: float) -> tuple[Any, Any]:
    """Return loss and slope by the goodness, both of its shape; `right` is 1 where it is right."""
    xp = namespace(goodness)
    sign = 2.0 * right - 1.0
    margin = sign * (goodness - threshold)
    loss = xp.log(1 + xp.exp(-abs(margin))) + (abs(margin) - margin) / 2
    slope = -sign / (1 + xp.exp(margin.clip(-60, 60)))
    return loss, slope


def unit_length(x: Any) -> Any:
    """Return rows (batch, n) of root mean square 1: what a layer says beside its goodness."""
    size = ((x * x).mean(1) ** 0.5)[:, None]
    return x / (size + 1e-4)


def layer_norm(x: Any) -> Any:
    """Return rows (batch, n) of mean 0 and variance 1 [Ba, Kiros, Hinton 2016]."""
    centred = x - x.mean(1)[:, None]
    return centred / ((centred * centred).mean(1)[:, None] + 1e-5) ** 0.5


def check(rule: str, network: Network, threshold: float, bounded: bool) -> None:
    """Raise ValueError where a rule of goodness cannot train this network.

    `bounded` says that goodness is the mean square of activations, so at most 1 under tanh.
    """
    if not network.hidden:
        raise ValueError(f"{rule} trains hidden layers, and this network has none")
    for k, layer in enumerate(network.hidden, 1):
        if isinstance(layer, Graph):
            raise ValueError(f"{rule} takes dense and convolutional layers; layer {k} is a graph's")
        if bounded and layer.activation in ("tanh", "sigmoid", "sign") and threshold >= 1:
            raise ValueError(
                f"threshold takes less than 1 under {layer.activation}, whose mean square is at "
                f'most 1, got {threshold}; or [network] activation = "relu"'
            )


def positive(threshold: float) -> None:
    """Raise ValueError where a threshold is no number above 0."""
    if not 0 < threshold < np.inf:
        raise ValueError(f"threshold takes a number above 0, got {threshold}")
