"""How far one pulse moves a resistive cell, as a function of where the cell is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from .arrays import Array

LINEAR, EXPONENTIAL, TABLE = range(3)
"""The codes by which the kernels know the responses."""


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """Every pulse moves the cell by its step until it meets a bound; `Linear` with slopes of 0."""

    kind = LINEAR

    def form(self) -> Array:
        """Return the two slopes."""
        return np.zeros(2, np.float32)


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """The step shrinks linearly on the way to a bound: 1 - slope * w / bound.

    `slope_up` belongs to pulses that raise w and to the upper bound, `slope_down` to the others.
    0 is a constant step, 1 a step that vanishes at the bound. Raises ValueError outside [0, 1].
    """

    slope_up: float = 0.1
    slope_down: float = 0.1

    kind = LINEAR

    def __post_init__(self) -> None:
        for name, slope in (("slope_up", self.slope_up), ("slope_down", self.slope_down)):
            if not 0 <= slope <= 1:
                raise ValueError(f"Linear: {name} takes 0 to 1, got {slope!r}")

    def form(self) -> Array:
        """Return the two slopes."""
        return np.array([self.slope_up, self.slope_down], np.float32)


@final
@dataclass(frozen=True, slots=True)
class SoftBounds:
    """The step vanishes at the cell's own bound: 1 - w / bound; `Linear` with slopes of 1."""

    kind = LINEAR

    def form(self) -> Array:
        """Return the two slopes."""
        return np.ones(2, np.float32)


@final
@dataclass(frozen=True, slots=True)
class Exponential:
    """The step is max(0, 1 - A exp(+-gamma z)), z = 2 a w / (w_max - w_min) + b; plus for up.

    The form is ExpStep of IBM's aihwkit, fitted there to the oxide RRAM of Gong and others,
    "Signal and noise extraction from analog memory elements for neuromorphic computing",
    Nature Communications 9 (2018).
    """

    a: float
    b: float
    a_up: float
    gamma_up: float
    a_down: float
    gamma_down: float

    kind = EXPONENTIAL

    def form(self) -> Array:
        """Return the six numbers in the order of the fields."""
        numbers = (self.a, self.b, self.a_up, self.gamma_up, self.a_down, self.gamma_down)
        return np.array(numbers, np.float32)


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """A measured response: relative steps at equal distances from the lower to the upper bound.

    Between the points the step is interpolated linearly. Raises ValueError for fewer than two
    points, for curves of different lengths, and for steps that are negative or not finite.
    """

    up: tuple[float, ...]
    down: tuple[float, ...]

    kind = TABLE

    def __post_init__(self) -> None:
        if len(self.up) != len(self.down) or len(self.up) < 2:
            raise ValueError(
                "Curve takes two or more steps, as many down as up, "
                f"got {len(self.up)} up and {len(self.down)} down"
            )
        if not (np.isfinite(self.form()).all() and (self.form() >= 0).all()):
            raise ValueError("Curve takes finite steps of at least 0")

    def form(self) -> Array:
        """Return the steps up, then those down."""
        return np.array([*self.up, *self.down], np.float32)


def measured(up: Array, down: Array) -> tuple[Curve, float]:
    """Return the response that conductances after 0, 1, 2, ... pulses show, and its mean step.

    The range is what both series cross. Each series is smoothed to a monotone one (isotonic
    regression), the pulses n(g) to reach g are read off it, and the step at g is 1 / n'(g),
    averaged over at most 32 equal stretches of the range; beyond a series' last stretch the step
    stays. The mean step is in units of a range from -1 to 1.
    """
    from scipy.optimize import isotonic_regression

    fits = [
        isotonic_regression(np.asarray(g, float), increasing=rising).x
        for g, rising in ((up, True), (down, False))
    ]
    low, high = max(f.min() for f in fits), min(f.max() for f in fits)
    points = int(np.clip(min(map(len, fits)) // 4, 1, 32)) + 1
    grid = np.linspace(low, high, points)
    steps = []
    for fit in fits:
        g, first = np.unique(fit, return_index=True)
        last = len(fit) - 1 - np.unique(fit[::-1], return_index=True)[1]
        n = np.interp(grid, g, (first + last) / 2)
        stretch = 2 / (points - 1) / np.maximum(np.abs(np.diff(n)), 1e-9)
        steps.append(np.concatenate([stretch[:1], (stretch[1:] + stretch[:-1]) / 2, stretch[-1:]]))
    mean = float(np.mean(steps))
    return Curve(*(tuple((s / mean).tolist()) for s in steps)), mean


Response = Constant | Linear | SoftBounds | Exponential | Curve


def relative_step(response: Response, w: Array, low: Array, high: Array, down: bool) -> Array:
    """Return the size of one pulse at w over the cell's `step`, in w's shape.

    `low` and `high` are the bounds of the cells. The kernels' own code is checked against this.
    """
    form, d = response.form(), int(down)
    if response.kind == LINEAR:
        return np.asarray(1 - form[d] * w / (low if down else high))
    if response.kind == EXPONENTIAL:
        z = 2 * form[0] * w / (high - low) + form[1]
        gamma = -form[5] if down else form[3]
        return np.asarray(np.maximum(0, 1 - form[2 + 2 * d] * np.exp(gamma * z)))
    n = len(form) // 2
    u = (w - low) / (high - low) * np.float32(n - 1)
    k = np.clip(u.astype(int), 0, n - 2)
    f = u - k.astype(u.dtype)
    curve = form[d * n : (d + 1) * n]
    return np.asarray(curve[k] * (1 - f) + curve[k + 1] * f)
