"""The direct way: one signal for all hidden layers, each of which learns from its own part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..devices import Can
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .passes import Pass
from .within import slope_within


def feedback(network: Network, shared: bool = False) -> list[Demand]:
    """Return the demand for the matrix (units, n_classes) that reaches all hidden layers, if any.

    Entries have a variance of 1 / n_classes. `shared`: as many units as the widest layer has.
    """
    widths = [layer.signal_width for layer in network.hidden]
    if not widths:
        return []
    units = max(widths) if shared else sum(widths)
    classes = network.layers[-1].width_out
    return [Demand("feedback", units, classes, Can.MULTIPLY, classes**-0.5)]


def split(network: Network, projected: Any, shared: bool = False) -> list[Any]:
    """Return the part (batch, signal_width) of each hidden layer of what was projected.

    That is (batch, units). `shared`: all layers take the same units, each as many as it is wide.
    """
    parts, start = [], 0
    for layer in network.hidden:
        if shared:
            parts.append(projected[:, : layer.signal_width] + 0)  # a copy: slopes work in place
        else:
            parts.append(projected[:, start : start + layer.signal_width])
            start += layer.signal_width
    return parts


def teach_hidden(
    algorithm: Algorithm,
    on: Placement,
    passed: Pass,
    signals: Sequence[Any],
    samples: int,
    rate: float,
    after: Callable[[int], tuple[str, ...]],
) -> None:
    """Update every hidden layer k from signals[k - 1], slopes that its `deliver` takes.

    A recurrent layer learns at every step from that step alone, and what it learns is the mean over
    its steps: what its states were before is an input like any other, and nothing goes back in
    time. `after` says what the update of layer k waits for.
    """
    for k in range(1, on.network.depth):
        with on.ledger.stage(f"update/{k}", after=after(k)):
            signal = on.network.spread(signals[k - 1], k)
            slope = slope_within(on, passed, k, signal, direct=True)
            algorithm.update(on, k, slope, passed.inputs[k - 1], samples, rate)


def teach_output(
    algorithm: Algorithm, on: Placement, passed: Pass, error: Any, samples: int, rate: float
) -> None:
    """Update the output layer from its own error (batch, n_classes)."""
    last = on.network.depth
    with on.ledger.stage(f"update/{last}", after=("error",)):
        slope = slope_within(on, passed, last, error)
        algorithm.update(on, last, slope, passed.inputs[-1], samples, rate)
