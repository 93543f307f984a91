"""Resistive cells: what conductance a write reaches, how it drifts, and how it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .technology import Technology

TINY = 1e-6
"""Conductance over the largest at which a law's logarithm stops: models know no cell at zero."""


def _value(technology: Technology, name: str, default: float) -> float:
    return technology.parameter(name) if name in technology.parameters else default


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
        if not any(key.startswith(f"{name}_") for key in technology.parameters):
            return None
        polynomial = _polynomial(technology, name)
        knee = _value(technology, f"{name}_knee", 0.0 if polynomial else math.inf)
        return cls(
            knee,
            _value(technology, f"{name}_log", 0.0),
            _value(technology, f"{name}_scale", 0.0),
            _value(technology, f"{name}_power", 0.0),
            _value(technology, f"{name}_constant", 0.0),
            _value(technology, f"{name}_least", -math.inf),
            _value(technology, f"{name}_most", math.inf),
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
        return np.where(x < self.knee, below, _evaluate(self.polynomial, x)).astype(np.float32)


def _polynomial(technology: Technology, name: str) -> tuple[float, ...]:
    found: list[float] = []
    while f"{name}_{len(found)}" in technology.parameters:
        found.append(technology.parameter(f"{name}_{len(found)}"))
    return tuple(found)


def _evaluate(polynomial: tuple[float, ...], x: Array) -> Array:
    total = np.zeros_like(x)
    for coefficient in reversed(polynomial):
        total = total * x + np.float32(coefficient)
    return total


@dataclass(frozen=True)
class Cells:
    """The statistics of one kind of cell; conductances are arrays of any shape in siemens."""

    g_min_S: float
    g_max_S: float
    programming: tuple[float, ...]
    """Std of a write in siemens: polynomial of the target over g_max."""
    drift_mean: Law | None
    drift_std: Law | None
    drift_reference_s: float
    read: Law | None
    """Std of a read over the conductance, before the factor that time brings."""
    read_time_s: float
    """Duration of a read for 1 / f noise, which sums from there to the age; 0: white noise."""

    @classmethod
    def of(cls, technology: Technology, g_min_S: float | None, g_max_S: float | None) -> Cells:
        """Return the cells of a technology file, on another range of conductance where given.

        The std of a write goes with g_max. Raises ValueError where the file knows no cells.
        """
        top = technology.parameter("g_max")
        g_max = top if g_max_S is None else g_max_S
        stretch = g_max / top
        return cls(
            technology.parameter("g_min") if g_min_S is None else g_min_S,
            g_max,
            tuple(c * stretch for c in _polynomial(technology, "programming")),
            Law.of(technology, "drift_mean"),
            Law.of(technology, "drift_std"),
            _value(technology, "drift_reference", 1.0),
            Law.of(technology, "read"),
            _value(technology, "read_time", 0.0),
        )

    @property
    def span_S(self) -> float:
        """The conductance between a cell that is off and one that is fully on."""
        return self.g_max_S - self.g_min_S

    def programming_std(self, target: Array) -> Array:
        """Return the std of one write that aims at `target`, in siemens, never below 0."""
        return np.maximum(_evaluate(self.programming, target / np.float32(self.g_max_S)), 0)

    def exponents(self, target: Array, z: Array) -> Array | None:
        """Return the drift exponents of cells written to `target`, of standard normals z.

        nu = |mean + std z|, as aihwkit draws it; None where the file states no drift.
        """
        if self.drift_mean is None:
            return None
        x = target / np.float32(self.g_max_S)
        std = 0.0 if self.drift_std is None else self.drift_std(x)
        nu: Array = np.abs(self.drift_mean(x) + std * z)
        return nu.astype(np.float32)

    def drifted(self, g: Array, nu: Array | None, age_s: float) -> Array:
        """Return g (t / t0)^-nu for t = age + t0: the model is fitted from t0 after the write."""
        if nu is None or age_s == 0:
            return g
        log = np.float32(math.log1p(age_s / self.drift_reference_s))
        return np.asarray(g * np.exp(-log * nu), np.float32)

    def read_std(self, g: Array, now: Array, age_s: float) -> Array | None:
        """Return the std of one read of every cell, in siemens; None where the file states none.

        g was written and has drifted to `now`. With 1 / f noise the std grows with the age as
        sqrt(ln((t + t_r) / (2 t_r))).
        """
        if self.read is None:
            return None
        growth = 1.0
        if self.read_time_s > 0:
            t = age_s + self.drift_reference_s
            growth = math.sqrt(math.log((t + self.read_time_s) / (2 * self.read_time_s)))
        std: Array = now * self.read(g / np.float32(self.g_max_S)) * np.float32(growth)
        return std
