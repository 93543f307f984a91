"""What a forward pass leaves for learning, and what learning hands to a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..devices.norms import Normed


class Response(NamedTuple):
    """What a layer makes of what its matrix left."""

    rows: Any
    """Activated (rows, n_out)."""
    units: Any
    """(batch, width_out): what the next layer gathers."""
    normed: Normed | None
    """What normalising left for the way back; None without a norm."""
    sums: Any
    """What the activation took (rows, n_out), where it is kept."""


class Slope(NamedTuple):
    """The slope of a loss within a layer, where its parameters stand."""

    sums: Any
    """(rows, n_out), at what the matrix left."""
    shifted: Any
    """(rows, n_out), at what the activation took: the bias's. The same where there is no norm."""
    normal: Any = None
    """(rows, n_out), what the gain multiplied; None without a norm."""


class Pass(NamedTuple):
    """What a forward pass leaves for learning: the rows into and out of every matrix."""

    inputs: list[Any]
    """Per layer, the gathered rows (batch * rows_per_sample, n_in)."""
    outputs: list[Any]
    """Per layer, the activated rows (batch * rows_per_sample, n_out)."""
    units: list[Any]
    """Per layer, what is left of the outputs after pooling, (batch, width_out)."""
    norms: list[Any]
    """Per layer, what normalising left for the way back; None without a norm."""
    output: Any
    """What the network says: (batch, n_classes), before the loss."""
    x: Any = None
    """The features (batch, width) that went in."""
    target: Any = None
    """What it should have said (batch, n_classes); None where it is not being taught."""
    sums: Any = None
    """Per layer, what its activation took (rows, n_out), for rules that keep it."""
    share: Any = None
    """What each sample (batch,) counts, 1 on average; None where all count alike."""


def passed_of(inputs: list[Any], responses: Sequence[Response], output: Any, x: Any = None) -> Pass:
    """Return the pass of layers that took these inputs and made these responses."""
    rows, units = [r.rows for r in responses], [r.units for r in responses]
    return Pass(inputs, rows, units, [r.normed for r in responses], output, x)
