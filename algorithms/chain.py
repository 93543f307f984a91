"""The chain: an error carried back layer by layer, each weight updated as the error passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..mappings import Placement
from .base import Algorithm, Pass
from .within import slope_within

Carry = Callable[[int, Any], Any]
"""(layer, delta (rows, n_out)) -> rows (rows, n_in): what carries an error through a layer."""


def learn_backwards(
    algorithm: Algorithm, on: Placement, passed: Pass, error: Any, rate: float, carry: Carry
) -> None:
    """Update every layer from the last to the first, the error carried down by `carry`."""
    samples = on.batch or len(error)
    before = "error"
    layers = on.network.layers
    slope = slope_within(on, passed, len(layers), error)
    for k in range(len(layers), 0, -1):
        if k > 1:
            with on.ledger.stage(f"backward/{k}", after=(before,)):
                rows = carry(k, slope.sums)
                h = layers[k - 1].gather_adjoint(rows)
                if h is not rows:
                    on.host.count("GATHER", len(rows), rows.shape[0] * rows.shape[1])
                below = slope_within(on, passed, k - 1, h)
        with on.ledger.stage(f"update/{k}", after=(f"backward/{k}" if k > 1 else before,)):
            algorithm.update(on, k, slope, passed.inputs[k - 1], samples, rate)
        if k > 1:
            slope, before = below, f"backward/{k}"
