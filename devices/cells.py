"""Resistive cells: what conductance a write reaches, how it ages, and how it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .ageing_clock import BOLTZMANN_J_K, Clock
from .arrays import Array
from .cell_laws import TINY, Law, Retention, Spread, polyval, value
from .technology import Technology


@dataclass(frozen=True)
class Cells:
    """The statistics of one kind of cell, in siemens; x is a conductance over g_max."""

    g_min_S: float
    g_max_S: float
    programming: Spread
    """The std of a write, against x of its target."""
    drift_mean: Law | None
    drift_std: Law | None
    drift_reference_s: float
    """Time after the write at which models hold, and from which drift counts."""
    retention: Retention | None
    clock: Clock | None
    """How heat hastens both; None where nobody says at what temperature they were measured."""
    read: Law | None
    """Relative std of a read, before the factor that time brings."""
    read_spread: Spread
    """Std of a read, in siemens, before that factor, where it is not stated as relative."""
    read_log_S: float
    """Std of a read over the decimal logarithm of the conductance in microsiemens, in siemens."""
    read_time_s: float
    """Duration of a read for 1 / f noise, which sums from there to the age; 0: white noise."""
    curves: tuple[tuple[float, ...], ...]
    """Polynomials of log10 of the conductance in siemens: what V^2, V^3, ... add to G V."""
    fitted_S: tuple[float, float]
    """The range of conductance that the curves are fitted in."""
    drive_V: float
    """Voltage of a full drive; 0: not stated."""
    drive_s: float
    """Length of a drive; 0: not stated."""

    @classmethod
    def of(cls, technology: Technology, g_min_S: float | None, g_max_S: float | None) -> Cells:
        """Return the cells of a technology file, on another range of conductance where given.

        The std of a write, and of what strays later, goes with g_max. Raises ValueError where
        the file knows no cells.
        """
        low, top = technology.parameter("g_min"), technology.parameter("g_max")
        g_max = top if g_max_S is None else g_max_S
        stretch = g_max / top
        curves: list[tuple[float, ...]] = []
        while f"curve_{len(curves) + 2}" in technology.tables:
            curves.append(technology.table(f"curve_{len(curves) + 2}"))
        return cls(
            low if g_min_S is None else g_min_S,
            g_max,
            Spread.of(technology, "programming").times(stretch),
            Law.of(technology, "drift_mean"),
            Law.of(technology, "drift_std"),
            value(technology, "drift_reference", 1.0),
            Retention.of(technology, stretch),
            Clock.of(technology),
            Law.of(technology, "read"),
            Spread.of(technology, "read_spread").times(stretch),
            value(technology, "read_log_conductance", 0.0),
            value(technology, "read_time", 0.0),
            tuple(curves),
            (low, top),
            value(technology, "drive_voltage", 0.0),
            value(technology, "drive_time", 0.0),
        )

    @property
    def span_S(self) -> float:
        """The conductance between a cell that is off and one that is fully on."""
        return self.g_max_S - self.g_min_S

    def programming_std(self, target: Array) -> Array:
        """Return the std of one write that aims at `target`, in siemens, never below 0."""
        return self.programming(target / np.float32(self.g_max_S))

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

    def aged(self, age_s: float, wait_s: float, temperature_K: float) -> float:
        """Return the age after a wait at a temperature, in seconds as drift and retention count.

        That is at the temperature that they were measured at, which 0 stands for.
        """
        if self.clock is None:
            return age_s + wait_s
        return self.clock.after(age_s, wait_s, temperature_K, self.drift_reference_s)

    def relaxed(self, g: Array, target: Array, z: Array, age_s: float, factor: float) -> Array:
        """Return what retention leaves of g, written to `target`; z: a normal of each cell.

        A model states the std of all that has strayed by a time, so what it adds to a write is
        the root of the difference of squares: the marginal std is then the published one. One
        normal a cell moves it all its life. `factor` scales what is added.
        """
        if self.retention is None or not factor:
            return g
        x, t_s = target / np.float32(self.g_max_S), age_s + self.drift_reference_s
        total, written = self.retention.std(x, t_s), self.programming(x)
        added = np.sqrt(np.maximum(total**2 - written**2, 0)) * z
        shift = self.retention.mean(x, t_s)
        if shift is not None and age_s > 0:
            added = added + shift
        return np.asarray(np.maximum(g + np.float32(factor) * added, 0), np.float32)

    def read_std(self, g: Array, now: Array, age_s: float) -> Array | None:
        """Return the std of one read of every cell, in siemens; None where the file states none.

        g was written and has become `now`. With 1 / f noise the std grows with the age as
        sqrt(ln((t + t_r) / (2 t_r))).
        """
        growth = 1.0
        if self.read_time_s > 0:
            t = age_s + self.drift_reference_s
            growth = math.sqrt(math.log((t + self.read_time_s) / (2 * self.read_time_s)))
        if self.read is not None:
            std = now * self.read(g / np.float32(self.g_max_S))
        elif self.read_spread:
            std = self.read_spread(now / np.float32(self.g_max_S))
        elif self.read_log_S:
            std = np.float32(self.read_log_S) * np.log10(np.maximum(now * np.float32(1e6), 1))
        else:
            return None
        return np.asarray(std * np.float32(growth), np.float32)

    def curved(self, g: Array) -> list[tuple[int, Array]]:
        """Return (power, coefficient in siemens) of what a full drive's V^power adds to G V.

        I = G V + sum_p c_p(G) V^p; coefficients are times V^(p - 1) of a full drive. Beyond the
        fitted range they stay what they are at its ends; a cell that carries nothing has none.
        """
        low, high = (np.float32(max(end, TINY * self.g_max_S)) for end in self.fitted_S)
        log = np.log10(np.clip(g, low, high))
        return [
            (
                power,
                np.where(
                    g > 0, polyval(curve, log) * np.float32(self.drive_V ** (power - 1)), 0
                ).astype(np.float32),
            )
            for power, curve in enumerate(self.curves, 2)
        ]

    def thermal_variance(self, g: Array, temperature_K: float) -> Array:
        """Return the variance of each cell's thermal noise in a drive, relative to a full cell's.

        Johnson and Nyquist's 4 k T G over the bandwidth 1 / (2 t) of a drive's mean, over the
        square of the current of `span_S` at a full drive.
        """
        density = 4 * BOLTZMANN_J_K * temperature_K / (2 * self.drive_s)
        return g * np.float32(density / (self.drive_V * self.span_S) ** 2)
