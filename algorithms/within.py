"""What happens within a layer beside its matrix: norm, bias, activation, pooling; and the way back.

Whatever a rule says of a layer's units reaches the matrix, the bias and the gain through these.
"""

from __future__ import annotations

from typing import Any

from ..mappings import Network, Placement
from .passes import Pass, Response, Slope


def respond(on: Placement, k: int, z: Any, train: bool, keep: bool = False) -> Response:
    """Return what layer k makes of z (rows, n_out), which is overwritten where it is numpy's.

    In training, batch norm takes the mean and variance of the batch, and its running ones follow;
    else it takes those. `keep` keeps what the activation took. Raises ValueError where batch norm
    is trained on less than two samples.
    """
    layer = on.network.layers[k - 1]
    bias, normed = on.digital[f"bias/{k}"], None
    if layer.norm != "none":
        gain = on.digital[f"gain/{k}"]
        if layer.norm == "layer":
            z, normed = on.host.normalise(z, gain, layer.rows_per_sample)
        else:
            running = on.digital[f"running_mean/{k}"], on.digital[f"running_variance/{k}"]
            if not train:
                z, bias = on.host.fold_norm(z, gain, bias, *running)
            elif len(z) < 2 * layer.rows_per_sample:
                raise ValueError(
                    f'layer {k}: norm = "batch" takes 2 samples or more in a training step, got '
                    f"{len(z) // layer.rows_per_sample}"
                )
            else:
                z, normed = on.host.normalise(z, gain, 0, *running)
    sums = z + bias if keep else None
    rows = on.host.activate(z, bias, layer.activation)
    return Response(rows, pooled(on, k, rows), normed, sums)


def pooled(on: Placement, k: int, rows: Any) -> Any:
    """Return the units (batch, width_out) of layer k for activated rows (rows, n_out)."""
    layer = on.network.layers[k - 1]
    units = layer.scatter(rows)
    if layer.pools:
        on.host.count("POOL", len(units), rows.shape[0] * rows.shape[1])
    return units


def slope_within(on: Placement, passed: Pass, k: int, slope: Any, direct: bool = False) -> Slope:
    """Return the slope within layer k from that at its units (batch, width_out).

    Or, `direct`, from a signal that was sent straight to the layer, as its `deliver` takes it.
    """
    layer = on.network.layers[k - 1]
    rows = passed.outputs[k - 1]
    if layer.pools:
        on.host.count("POOL_ADJOINT", len(slope), rows.shape[0] * rows.shape[1])
    back = layer.deliver if direct else layer.scatter_adjoint
    delta = back(slope, rows, passed.units[k - 1])
    return slope_beneath(on, passed, k, on.host.slope(delta, rows, layer.activation))


def slope_beneath(on: Placement, passed: Pass, k: int, delta: Any) -> Slope:
    """Return the slope within layer k from that at what its activation took (rows, n_out)."""
    normed = passed.norms[k - 1]
    if normed is None:
        return Slope(delta, delta)
    gain = on.digital[f"gain/{k}"]
    return Slope(on.host.normalise_adjoint(delta, gain, normed), delta, normed.rows)


def tangent_within(
    on: Placement, passed: Pass, k: int, tangent: Any, gain: Any = None, bias: Any = None
) -> Any:
    """Return the tangent at layer k's units from that at what its matrix left (rows, n_out).

    None is no tangent there. Gain and bias (n_out,) move too where their own tangents are given;
    that of the bias may be rows (rows, n_out).
    """
    layer = on.network.layers[k - 1]
    rows, units, normed = passed.outputs[k - 1], passed.units[k - 1], passed.norms[k - 1]
    if normed is not None and tangent is not None:
        held = on.digital[f"gain/{k}"]
        tangent = on.host.normalise_adjoint(tangent, held * 0 + 1, normed) * held
    if gain is not None:
        on.host.count("SCALE", len(rows), rows.shape[0] * rows.shape[1])
        tangent = tangent + normed.rows * gain
    if bias is not None:
        tangent = bias + (0 if tangent is None else tangent)
    along = on.host.slope(tangent, rows, layer.activation)
    if layer.pools:
        on.host.count("POOL", len(units), rows.shape[0] * rows.shape[1])
    return layer.scatter_tangent(along, rows, units)


def refuse_norm(rule: str, network: Network, norms: tuple[str, ...], why: str) -> None:
    """Raise ValueError where a hidden layer has one of these norms, which a rule cannot have."""
    for k, layer in enumerate(network.layers, 1):
        if layer.norm in norms:
            raise ValueError(f'layer {k} has norm = "{layer.norm}", and {rule} {why}')
