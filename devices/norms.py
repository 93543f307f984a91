"""Batch and layer normalisation of rows, and its adjoint, on numpy by kernels and on torch.

The formulas and their sources stand with the kernels, in kernels/norms.py.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from .arrays import namespace

Norm = Literal["none", "batch", "layer"]
"""None; by each column over the batch; by each sample over all of its units."""

EPSILON = 1e-5
"""Added to every variance, as PyTorch adds it."""
MOMENTUM = 0.1
"""Share of a batch in the running mean and variance, as in PyTorch."""


class Normed(NamedTuple):
    """What normalising left for the way back."""

    rows: Any
    """(rows, n), of mean 0 and variance 1."""
    inverse: Any
    """One over the standard deviations: (n,) over a batch, (samples,) over each sample."""
    each: int
    """Rows of a sample that was normalised by itself; 0: columns were, over the batch."""
    mean: Any = None
    """(n,), over the batch."""
    variance: Any = None
    """(n,), over the batch, divided by the number of rows."""


def normalise(z: Any, gain: Any, each: int) -> tuple[Any, Normed]:
    """Return gain * n, and n = (z - mean) / std with what its way back takes.

    z is (rows, n), gain (n,). `each` is as in `Normed`. A numpy z is overwritten.
    """
    if namespace(z) is np:
        return _normalise_numpy(z, gain, each)
    torch = namespace(z)
    wide = z.to(torch.promote_types(z.dtype, torch.float32))
    grouped = wide.reshape(-1, each * z.shape[1]) if each else wide
    variance, mean = torch.var_mean(grouped, 1 if each else 0, correction=0)
    inverse = (variance + EPSILON).rsqrt()
    if each:
        rows = ((grouped - mean[:, None]) * inverse[:, None]).reshape(z.shape)
        return rows * gain, Normed(rows, inverse, each)
    rows = (wide - mean) * inverse
    return rows * gain, Normed(rows, inverse, 0, mean, variance)


def _normalise_numpy(z: Any, gain: Any, each: int) -> tuple[Any, Normed]:
    from .kernels import norms

    quick = z.dtype == np.float32
    z = np.ascontiguousarray(z)
    if each:
        inverse = np.empty(len(z) // each, z.dtype)
        by_sample = norms.normalise_samples if quick else norms.normalise_samples_reference
        return by_sample(z, gain, EPSILON, each, inverse), Normed(z, inverse, each)
    mean, variance = np.empty_like(z[0]), np.empty_like(z[0])
    by_column = norms.normalise_columns if quick else norms.normalise_columns_reference
    scaled = by_column(z, gain, EPSILON, mean, variance)
    inverse = (1 / np.sqrt(variance + z.dtype.type(EPSILON))).astype(z.dtype)
    return scaled, Normed(z, inverse, 0, mean, variance)


def adjoint(delta: Any, gain: Any, normed: Normed) -> Any:
    """Return the slope (rows, n) by z of what has the slope delta (rows, n) by gain * n.

    The derivative of n by z is symmetric: with a gain of 1 this carries a tangent forwards too.
    """
    each = normed.each
    if namespace(delta) is np:
        from .kernels import norms

        quick = delta.dtype == normed.rows.dtype == np.float32
        delta = np.ascontiguousarray(delta)
        if each:
            by_sample = norms.adjoint_samples if quick else norms.adjoint_samples_reference
            return by_sample(delta, gain, normed.rows, normed.inverse, each)
        by_column = norms.adjoint_columns if quick else norms.adjoint_columns_reference
        return by_column(delta, gain, normed.rows, normed.inverse)
    d, n, axis = delta * gain, normed.rows, 0
    if each:
        d, n, axis = d.reshape(-1, each * d.shape[1]), n.reshape(-1, each * n.shape[1]), 1
    back = d - d.mean(axis, keepdim=True) - n * (d * n).mean(axis, keepdim=True)
    inverse = normed.inverse[:, None] if each else normed.inverse
    return (back * inverse).reshape(delta.shape)


def remember(normed: Normed, mean: Any, variance: Any) -> None:
    """Move the running mean and variance (n,) towards a batch's, in place.

    The running variance is the unbiased one, over one row less [as in PyTorch's BatchNorm].
    """
    rows = len(normed.rows)
    mean += MOMENTUM * (normed.mean - mean)
    variance += MOMENTUM * (normed.variance * (rows / (rows - 1)) - variance)
