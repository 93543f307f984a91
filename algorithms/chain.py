"""The chain: an error carried back layer by layer, each weight updated as the error passes."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..mappings import Placement, Recurrent
from .base import Algorithm, Pass
from .through_time import Carry, back_through_time


def learn_backwards(
    algorithm: Algorithm, on: Placement, passed: Pass, error: Any, rate: float, carry: Carry
) -> None:
    """Update every layer from the last to the first, the error carried down by `carry`.

    Through a recurrent layer it is carried step by step, from the last to the first.
    """
    samples = on.batch or len(error)
    before, below = "error", None
    layers = on.network.layers
    delta = layers[-1].scatter_adjoint(error)
    for k in range(len(layers), 0, -1):
        done, enter = before, partial(_enter, on, passed, k - 1)
        if isinstance(layers[k - 1], Recurrent):
            states = passed.outputs[k - 1]
            delta, below, done = back_through_time(on, k, delta, states, before, carry, enter)
        elif k > 1:
            done = f"backward/{k}"
            with on.ledger.stage(done, after=(before,)):
                rows = carry(k, delta)
                h = layers[k - 1].gather_adjoint(rows)
                if h is not rows:
                    on.host.count("GATHER", len(rows), rows.shape[0] * rows.shape[1])
                below = enter(h)
        with on.ledger.stage(f"update/{k}", after=(done,)):
            algorithm.update(on, k, delta, passed.inputs[k - 1], samples, rate)
        delta, before = below, done


def _enter(on: Placement, passed: Pass, k: int, h: Any) -> Any:
    """Return slopes at the units of layer k (batch, width_out) at its sums (rows, n_out).

    Those of a recurrent layer stay at its states: what its later steps send comes on top.
    """
    layer = on.network.layers[k - 1]
    rows = layer.scatter_adjoint(h)
    if isinstance(layer, Recurrent):
        return rows
    return on.host.slope(rows, passed.outputs[k - 1], layer.activation)
