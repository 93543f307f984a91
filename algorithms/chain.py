"""The chain: an error carried back layer by layer, each weight updated as the error passes."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..mappings import Placement, Recurrent
from .base import Algorithm
from .passes import Pass, Slope
from .through_time import Carry, back_through_time
from .within import slope_within


def learn_backwards(
    algorithm: Algorithm, on: Placement, passed: Pass, error: Any, rate: float, carry: Carry
) -> None:
    """Update every layer from the last to the first, the error carried down by `carry`.

    Through a recurrent layer it is carried step by step, from the last to the first.
    """
    samples = on.batch or len(error)
    before, below = "error", None
    layers = on.network.layers
    slope: Any = slope_within(on, passed, len(layers), error)
    for k in range(len(layers), 0, -1):
        done, enter = before, partial(_enter, on, passed, k - 1)
        if isinstance(layers[k - 1], Recurrent):
            states = passed.outputs[k - 1]
            deltas, below, done = back_through_time(on, k, slope, states, before, carry, enter)
            slope = Slope(deltas, deltas)
        elif k > 1:
            done = f"backward/{k}"
            with on.ledger.stage(done, after=(before,)):
                rows = carry(k, slope.sums)
                h = layers[k - 1].gather_adjoint(rows)
                if h is not rows:
                    on.host.count("GATHER", len(rows), rows.shape[0] * rows.shape[1])
                below = enter(h)
        with on.ledger.stage(f"update/{k}", after=(done,)):
            algorithm.update(on, k, slope, passed.inputs[k - 1], samples, rate)
        slope, before = below, done


def _enter(on: Placement, passed: Pass, k: int, h: Any) -> Any:
    """Return the slope within layer k from that at its units (batch, width_out).

    That of a recurrent layer stays at its states (rows, n_out): what its later steps send comes
    on top.
    """
    layer = on.network.layers[k - 1]
    if isinstance(layer, Recurrent):
        return layer.scatter_adjoint(h)
    return slope_within(on, passed, k, h)
