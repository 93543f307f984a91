"""Blind gain calibration: unknown gains of pixels or columns, found together with the signal.

A camera sees y_l = diag(d) A_l x for l = 1 ... p known patterns A_l, with one unknown gain d_i for
each of its m pixels and an unknown signal x of n numbers. Both are found by gradient descent on the
squared error from a start that the data give (Cambareri and Jacques, "Through the haze: a
non-convex approach to blind gain calibration for linear random sensing models", arXiv
1610.09028).

What only the product fixes is a common factor: the mean gain is set to 1, and x takes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import namespace

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gains:
    """What a calibration found."""

    signal: Doubles
    """The signal, (n,)."""
    gains: Doubles
    """The gains, (m,), of mean 1."""
    residual: float
    """Norm of what they leave unexplained over the norm of y: 0 without noise, once found."""
    iterations: int
    """Descent steps taken."""


def _doubles(name: str, got: Any, ndim: int) -> Doubles:
    rows: Doubles = np.asarray(
        got if namespace(got) is np else got.detach().cpu().numpy(), np.float64
    )
    if rows.ndim != ndim or not rows.size:
        raise ValueError(f"{name} takes {ndim} dimensions, none empty, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} takes finite numbers, got inf or nan")
    return rows


def _ratio(over: float, under: float) -> float:
    return over / under if under > 0 else 0.0


def calibrate_gains(
    y: Any, a: Any, *, tolerance: float = 1e-7, max_iterations: int = 20_000
) -> Gains:
    """Return signal and gains of the measurements y (p, m) of the patterns a (p, m, n).

    From the signal along sum_l A_l' y_l and gains of 1, every step moves both down their gradients
    of ||diag(gains) A signal - y||^2, each by the length that is best for it alone; the gradient
    of the gains is freed of its mean, which keeps their mean 1. It ends when the residual is below
    `tolerance`, when a step lessens it by less than a 1e-12th of itself, or after
    `max_iterations`: look at `Gains.residual`.

    For Gaussian patterns and gains within +-50 %, p = 6 patterns and m p >= 2 (n + m) numbers find
    both in 95 % of cases and more. For a signal in a known subspace, signal = C z, pass a @ C and
    get z. Raises ValueError for shapes that do not fit, numbers that are not finite, and y = 0.
    """
    y, a = _doubles("y", y, 2), _doubles("a", a, 3)
    if a.shape[:2] != y.shape:
        raise ValueError(f"a takes (p, m, n) with (p, m) = {y.shape} of y, got {a.shape}")
    size = float(np.linalg.norm(y))
    if size == 0:
        raise ValueError("y is 0: no gain can be told from it")
    p, m, n = a.shape
    rows = a.reshape(p * m, n)
    signal, gains = y.reshape(-1) @ rows, np.ones(m)
    clean = (rows @ signal).reshape(p, m)
    length = _ratio(float((clean * y).sum()), float((clean * clean).sum()))
    signal, clean = length * signal, length * clean
    before, taken, residual = np.inf, 0, 1.0
    while True:
        error = gains * clean - y
        residual = float(np.linalg.norm(error)) / size
        small = residual <= tolerance or before - residual <= 1e-12 * residual
        if small or taken == max_iterations:
            break
        before, taken = residual, taken + 1
        down_signal = (gains * error).reshape(-1) @ rows
        down_clean = (rows @ down_signal).reshape(p, m)
        down_gains = (error * clean).sum(0)
        down_gains -= down_gains.mean()
        step = _ratio(down_signal @ down_signal, float(((gains * down_clean) ** 2).sum()))
        turn = _ratio(down_gains @ down_gains, float(((down_gains * clean) ** 2).sum()))
        signal, clean = signal - step * down_signal, clean - step * down_clean
        gains = gains - turn * down_gains
    return Gains(signal, gains, residual, taken)


def gains_of_known(y: Any, clean: Any) -> Gains:
    """Return the gains where the clean measurements A_l x are known, both (p, m).

    The least-squares solution for each pixel alone, divided by its mean, which `Gains.signal`
    holds as its one number. Raises ValueError for shapes that do not fit, numbers that are not
    finite, and a pixel whose clean measurements are all 0.
    """
    y, clean = _doubles("y", y, 2), _doubles("clean", clean, 2)
    if y.shape != clean.shape:
        raise ValueError(f"clean takes the shape {y.shape} of y, got {clean.shape}")
    power = (clean * clean).sum(0)
    if not power.all():
        raise ValueError(f"pixel {int(np.argmin(power))} shows 0 in all clean measurements")
    gains = (y * clean).sum(0) / power
    mean = float(gains.mean())
    if mean == 0:
        raise ValueError("the gains have mean 0: they cannot be scaled to mean 1")
    residual = _ratio(float(np.linalg.norm(gains * clean - y)), float(np.linalg.norm(y)))
    return Gains(np.array([mean]), gains / mean, residual, 0)
