"""The simple recurrent layer: a sequence of steps through one matrix, which sees its own states.

Elman, "Finding structure in time", Cognitive Science 14, 1990.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..devices.arrays import zeros
from .layers import Layer

States = Literal["last", "all"]


@dataclass(frozen=True, kw_only=True)
class Recurrent(Layer):
    """Units that also see what they were a step before.

    A sample is a sequence: `steps` times `width` numbers, step by step. h_t = f(W [x_t, h_(t-1)]
    + b) with h_0 = 0. W (units, width + units) is one matrix, so that an array of cells adds what
    comes in and what comes back in one read. Its rows of one sample are those of its steps;
    `gather` leaves the states in them 0, for they are not known before the steps are taken.
    """

    steps: int
    width: int
    units: int
    states: States = "last"
    """What goes on: the state after the last step, or those after every step, in their order."""

    @property
    def width_in(self) -> int:
        return self.steps * self.width

    @property
    def width_out(self) -> int:
        return self.units if self.states == "last" else self.steps * self.units

    @property
    def n_in(self) -> int:
        return self.width + self.units

    @property
    def n_out(self) -> int:
        return self.units

    @property
    def rows_per_sample(self) -> int:
        return self.steps

    @property
    def signal_width(self) -> int:
        return self.units

    def gather(self, x: Any) -> Any:
        rows = zeros(x, len(x) * self.steps, self.n_in)
        rows[:, : self.width] = x.reshape(len(rows), self.width)
        return rows

    def gather_adjoint(self, rows: Any) -> Any:
        return rows[:, : self.width].reshape(len(rows) // self.steps, self.width_in)

    def scatter(self, rows: Any) -> Any:
        if self.states == "all":
            return rows.reshape(len(rows) // self.steps, self.width_out)
        return rows[self.at(self.steps - 1)]

    def scatter_adjoint(self, h: Any, rows: Any = None, units: Any = None) -> Any:
        if self.states == "all":
            return h.reshape(len(h) * self.steps, self.units)
        last = zeros(h, len(h) * self.steps, self.units)
        last[self.at(self.steps - 1)] = h
        return last

    def moments(self, rows: Any) -> Any:
        return rows.reshape(len(rows) // self.steps, self.steps, self.units)

    def deliver(self, signal: Any, rows: Any = None, units: Any = None) -> Any:
        moments = signal.reshape(len(signal), signal.shape[1] // self.units, self.units)
        every = moments + zeros(signal, 1, self.steps, 1)
        return every.reshape(len(signal) * self.steps, self.units) / self.steps

    def at(self, step: int) -> slice:
        """Return where the rows of one step, counted from 0, stand among those of all samples."""
        return slice(step, None, self.steps)
