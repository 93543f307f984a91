"""The laws that published models of resistive cells are fitted in, read from a technology file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .technology import Technology

TINY = 1e-6
"""Conductance over the largest at which a law's logarithm stops: models know no cell at zero."""


def value(technology: Technology, name: str, default: float) -> float:
    """Return a constant of a technology file, or what stands for it where the file has none."""
    return technology.parameter(name) if name in technology.parameters else default


def coefficients(technology: Technology, name: str) -> tuple[float, ...]:
    """Return the constants `name`_0, `name`_1, ... of a polynomial; none where there is none."""
    found: list[float] = []
    while f"{name}_{len(found)}" in technology.parameters:
        found.append(technology.parameter(f"{name}_{len(found)}"))
    return tuple(found)


def evaluate(polynomial: tuple[float, ...], x: Array) -> Array:
    """Return a polynomial, the constant first, at x."""
    total = np.zeros_like(x)
    for c in reversed(polynomial):
        total = total * x + np.float32(c)
    return total


def polyval(polynomial: tuple[float, ...], x: Array) -> Array:
    """Return a polynomial at x, in float64: for those whose terms cancel."""
    return np.asarray(np.polynomial.polynomial.polyval(x.astype(np.float64), polynomial))


@dataclass(frozen=True)
class Law:
    """A statistic of a cell against its conductance x over the largest, dimensionless.

    Below the knee clip(log * ln x + scale * x^power + constant, least, most), above it a
    polynomial. This is the form in which the PCM models of Nandakumar et al. (ICECS 2019) and
    Le Gallo et al. (2023) are fitted.
    """

    knee: float
    log: float
    scale: float
    power: float
    constant: float
    least: float
    most: float
    polynomial: tuple[float, ...]

    @classmethod
    def of(cls, technology: Technology, name: str) -> Law | None:
        """Return the law whose constants a technology file calls `name`_..., None without any."""
        words = ("knee", "log", "scale", "power", "constant", "least", "most", "0")
        if not any(f"{name}_{word}" in technology.parameters for word in words):
            return None
        polynomial = coefficients(technology, name)
        knee = value(technology, f"{name}_knee", 0.0 if polynomial else math.inf)
        return cls(
            knee,
            value(technology, f"{name}_log", 0.0),
            value(technology, f"{name}_scale", 0.0),
            value(technology, f"{name}_power", 0.0),
            value(technology, f"{name}_constant", 0.0),
            value(technology, f"{name}_least", -math.inf),
            value(technology, f"{name}_most", math.inf),
            polynomial,
        )

    def __call__(self, x: Array) -> Array:
        """Return the statistic at x, any shape."""
        x = np.maximum(x, np.float32(TINY))
        below = self.log * np.log(x) + self.constant
        if self.scale:
            below += self.scale * x**self.power
        below = np.clip(below, self.least, self.most)
        if self.knee == math.inf:
            return np.asarray(below, np.float32)
        return np.where(x < self.knee, below, evaluate(self.polynomial, x)).astype(np.float32)


@dataclass(frozen=True)
class Spread:
    """A std in siemens against x: a polynomial plus amount (1 - exp(-x / scale)), never below 0.

    The second term, in which a charge-trapping cell's std saturates, is that of Agrawal et al.
    (IEDM 2022).
    """

    polynomial: tuple[float, ...]
    amount: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, technology: Technology, name: str) -> Spread:
        """Return the law whose constants a technology file calls `name`_...; 0 without any."""
        amount, scale = (f"{name}_{word}" for word in ("amount", "scale"))
        return cls(
            coefficients(technology, name),
            value(technology, amount, 0.0),
            value(technology, scale, 1.0) if amount in technology.parameters else 1.0,
        )

    def __bool__(self) -> bool:
        return any(self.polynomial) or self.amount > 0

    def times(self, stretch: float) -> Spread:
        """Return the law for cells whose range is `stretch` times as wide."""
        return Spread(
            tuple(c * stretch for c in self.polynomial), self.amount * stretch, self.scale
        )

    def __call__(self, x: Array) -> Array:
        """Return the std at x, any shape."""
        std = evaluate(self.polynomial, x)
        if self.amount:
            std = std + np.float32(self.amount) * -np.expm1(-x / np.float32(self.scale))
        return np.maximum(std, 0)


@dataclass(frozen=True)
class Retention:
    """How far cells stray from what was written, against x, as measured at a few times."""

    times_s: tuple[float, ...]
    """Since the write, ascending."""
    stds: tuple[Spread, ...]
    """Of all that has strayed by then, that of the write included."""
    means: tuple[tuple[float, ...], ...]
    """Polynomials of x: the mean shift in siemens; none where the mean stays."""
    linear: bool
    """Between the times in time; else in its logarithm. Beyond the last in its logarithm."""

    @classmethod
    def of(cls, technology: Technology, stretch: float) -> Retention | None:
        """Return what a technology file states, on another range of conductance."""
        if "retention_time" not in technology.tables:
            return None
        times = technology.table("retention_time")
        if len(times) < 2 or list(times) != sorted(set(times)) or times[0] < 0:
            raise ValueError(
                f"technology {technology.stem}: table.retention_time takes two times and more, "
                f"ascending from 0, got {list(times)}"
            )
        stds, means = [], []
        for k in range(len(times)):
            if "retention_amount" in technology.tables:
                amount, scale = (
                    technology.table(f"retention_{word}")[k] for word in ("amount", "scale")
                )
                stds.append(Spread((), amount, scale).times(stretch))
            else:
                stds.append(Spread(technology.table(f"retention_std_{k}")).times(stretch))
            if f"retention_mean_{k}" in technology.tables:
                means.append(tuple(c * stretch for c in technology.table(f"retention_mean_{k}")))
        if means and len(means) != len(times):
            raise ValueError(
                f"technology {technology.stem}: table.retention_mean_0 to _{len(times) - 1} belong "
                f"to {len(times)} times, got {len(means)}"
            )
        linear = value(technology, "retention_linear", 0.0) > 0
        return cls(times, tuple(stds), tuple(means), linear)

    def _between(self, t_s: float) -> tuple[int, int, float]:
        """Return two of the times and where t stands between them, 0 to 1, or beyond."""
        times = self.times_s
        if t_s <= times[0]:
            return 0, 0, 0.0
        if t_s >= times[-1]:
            last = len(times) - 1
            span = math.log(times[-1] / times[-2]) if times[-2] > 0 else math.inf
            return last - 1, last, 1.0 + math.log(t_s / times[-1]) / span
        after = next(k for k, t in enumerate(times) if t > t_s)
        low, high = times[after - 1], times[after]
        if self.linear or low == 0:
            return after - 1, after, (t_s - low) / (high - low)
        return after - 1, after, math.log(t_s / low) / math.log(high / low)

    def std(self, x: Array, t_s: float) -> Array:
        """Return the std in siemens a time after the write; it grows on beyond the last time."""
        a, b, part = self._between(t_s)
        first, second = self.stds[a](x), self.stds[b](x)
        if part > 1:
            std = second + np.float32(part - 1) * np.maximum(second - first, 0)
        else:
            std = first + np.float32(part) * (second - first)
        return np.asarray(std, np.float32)

    def mean(self, x: Array, t_s: float) -> Array | None:
        """Return by how much the mean has moved, in siemens; None where it stays."""
        if not self.means:
            return None
        a, b, part = self._between(t_s)
        first, second = (polyval(self.means[k], x) for k in (a, b))
        return np.asarray(first + part * (second - first), np.float32)
