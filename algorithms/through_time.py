"""Recurrent layers taken step by step, forwards and backwards.

Werbos, "Backpropagation through time: what it does and how to do it", Proc. IEEE 78, 1990.

Every step is a stage that waits for the step before it, and of a recurrent layer below that hands
on all its states for the same step alone: so layers on devices of their own work one behind the
other. The last stage of a layer bears the layer's name, as that of any other layer does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..devices.arrays import zeros
from ..mappings import Network, Placement, Recurrent
from .passes import Response

Carry = Callable[[int, Any], Any]
"""(layer, delta (rows, n_out)) -> rows (rows, n_in): what carries an error through a layer."""


def recurrent(network: Network) -> list[int]:
    """Return the numbers, from 1, of the recurrent layers."""
    return [k for k, layer in enumerate(network.layers, 1) if isinstance(layer, Recurrent)]


def turns(network: Network) -> list[int]:
    """Return how often each layer's matrix is multiplied in a pass: once, or once a step."""
    return [a.steps if isinstance(a, Recurrent) else 1 for a in network.layers]


def carries(network: Network) -> list[bool]:
    """Return whether an error is carried through each layer: all but a first one without steps."""
    return [k > 1 or isinstance(layer, Recurrent) for k, layer in enumerate(network.layers, 1)]


def unroll(
    on: Placement,
    k: int,
    rows: Any,
    name: str,
    after: tuple[str, ...],
    respond: Callable[[Any, slice], Any],
    first: Any = None,
) -> Any:
    """Return the states (rows, n_out) of recurrent layer k, whose inputs are `rows` (rows, n_in).

    The states before each step are written into `rows`. `respond` makes of a product (batch,
    n_out) and the place of its step the state after it. `first` stands for the first step's
    product where that is known. Stages are `name`/k/step; the first waits for `after` too.
    """
    layer = _layer(on.network, k)
    states = zeros(rows, len(rows), layer.n_out)
    batch = len(rows) // layer.steps
    h: Any = None
    for step in range(layer.steps):
        at, stage = layer.at(step), _stage(name, k, step, layer.steps - 1)
        with on.ledger.stage(stage, _waits(on, name, k, step, after)):
            if step:
                rows[at, layer.width :] = h
            if step == 0 and first is not None:
                z = first + 0
            else:
                on.host.count("GATHER", batch, batch * layer.n_in)
                z = on[f"weight/{k}"].multiply(rows[at])
            h = respond(z, at)
            states[at] = h
    return states


def unrolled(
    on: Placement, k: int, rows: Any, name: str, after: tuple[str, ...], keep: bool = False
) -> Response:
    """Return what recurrent layer k makes of its inputs `rows` (rows, n_in), as in `unroll`.

    `keep` keeps what its activations took.
    """
    layer, bias = _layer(on.network, k), on.digital[f"bias/{k}"]
    kept = zeros(rows, len(rows), layer.n_out) if keep else None

    def respond(z: Any, at: slice) -> Any:
        if kept is not None:
            kept[at] = z + bias
        return on.host.activate(z, bias, layer.activation)

    states = unroll(on, k, rows, name, after, respond)
    return Response(states, layer.scatter(states), None, kept)


def tangents(
    on: Placement, k: int, below: Any, drive: Any, states: Any, after: tuple[str, ...]
) -> Any:
    """Return by how much the states (rows, n_out) of layer k move, in stages tangent/k/step.

    `below` (batch, width_in) is by how much moves what comes in, None where nothing does; `drive`
    (rows, n_out) is what the sums gain beside.
    """
    layer = _layer(on.network, k)

    def respond(z: Any, at: slice) -> Any:
        on.host.count("ADD", len(z), z.shape[0] * z.shape[1])
        return on.host.slope(z + drive[at], states[at], layer.activation)

    if below is not None:
        return unroll(on, k, layer.gather(below), "tangent", after, respond)
    nothing = zeros(states, len(states) // layer.steps, layer.n_out)
    rows = zeros(states, len(states), layer.n_in)
    return unroll(on, k, rows, "tangent", after, respond, first=nothing)


def back_through_time(
    on: Placement,
    k: int,
    slopes: Any,
    states: Any,
    before: str,
    carry: Carry,
    enter: Callable[[Any], Any],
) -> tuple[Any, Any, str]:
    """Carry slopes at the states (rows, n_out) of layer k back, from its last step to its first.

    Returns the slopes at its sums (rows, n_out), what `enter` makes in the last stage of the
    slopes at what came in (batch, width_in), None for the first layer, and that stage. Waits for
    the stage `before`. Step by step, delta_t = (slope_t + V delta_(t+1)) * f'(z_t), where V is
    those rows of the carrying matrix that lead to the states. A first layer is carried through
    from its second step on alone: what led to its first step is no state.
    """
    layer = _layer(on.network, k)
    deltas, inputs = zeros(slopes, *slopes.shape), zeros(slopes, len(slopes), layer.n_in)
    done, carried, below = before, None, None
    last = 0 if k > 1 else 1
    for step in range(layer.steps - 1, last - 1, -1):
        stage = _stage("backward", k, step, last)
        after = _waits_back(on, k, step, last, done, before)
        with on.ledger.stage(stage, after):
            _descend(on, layer, step, slopes, carried, states, deltas)
            found = carry(k, deltas[layer.at(step)])
            carried = found[:, layer.width :]
            inputs[layer.at(step)] = found
            if step == last and k > 1:
                below = enter(layer.gather_adjoint(inputs))
            elif step == last:
                _descend(on, layer, 0, slopes, carried, states, deltas)
        done = stage
    return deltas, below, done


def _descend(
    on: Placement, layer: Recurrent, step: int, slopes: Any, carried: Any, states: Any, deltas: Any
) -> None:
    """Write the slopes at the sums of one step into `deltas`."""
    at = layer.at(step)
    slope = slopes[at] if carried is None else carried
    if carried is not None and layer.states == "all":
        on.host.count("ADD", len(slope), slope.shape[0] * slope.shape[1])
        slope = slopes[at] + carried
    deltas[at] = on.host.slope(slope + 0, states[at], layer.activation)


def _layer(network: Network, k: int) -> Recurrent:
    layer = network.layers[k - 1]
    assert isinstance(layer, Recurrent)
    return layer


def _stage(name: str, k: int, step: int, last: int) -> str:
    """Return the stage of a step of layer k, whose stage ends with the step `last`."""
    return f"{name}/{k}" if step == last else f"{name}/{k}/{step + 1}"


def _in_step(network: Network, k: int) -> bool:
    """Whether layer k takes the states of layer k - 1, one after each of its own steps."""
    if k < 2:
        return False
    below, above = network.layers[k - 2 : k]
    if not isinstance(below, Recurrent) or not isinstance(above, Recurrent):
        return False
    return below.states == "all" and below.steps == above.steps


def _waits(on: Placement, name: str, k: int, step: int, after: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a step of layer k waits for, on its way forwards."""
    last = _layer(on.network, k).steps - 1
    own = (_stage(name, k, step - 1, last),) if step else ()
    first = after if step == 0 else ()
    there = on.ledger.stages
    if _in_step(on.network, k) and (lower := _stage(name, k - 1, step, last)) in there:
        return (*first, lower, *own)
    lower = f"{name}/{k - 1}"
    return (*first, lower) if step == 0 and lower in there else (*first, *own)


def _waits_back(
    on: Placement, k: int, step: int, last: int, done: str, before: str
) -> tuple[str, ...]:
    """Return what a step of layer k waits for, on its way backwards."""
    if k == on.network.depth or not _in_step(on.network, k + 1):
        return (done,)
    upper = _stage("backward", k + 1, 0 if step == last else step, 0)
    return (upper,) if done == before else (upper, done)
