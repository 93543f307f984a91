"""Training on cells that move unevenly: gradients go to one array, their average to another.

Pulses of random sign drive an uneven cell to its symmetry point, so plain pulsed descent settles
between that point and the solution. Tiki-Taka sends the gradients to an array A whose symmetry
points are read as 0, and moves a second array C, the weights, by what stays in A [Gokmen and
Haensch, "Algorithm for training neural networks on resistive device arrays", Frontiers in
Neuroscience 14 (2020)]. Its second version collects the reads in a digital buffer and moves C by
whole pulses [Gokmen, "Enabling training of neural networks on noisy hardware", Frontiers in
Artificial Intelligence 4 (2021)]. Choppers turn the sign of what enters and leaves A, so that a
wrong zero cancels [Rasch, Carta, Fagbohungbe and Gokmen, "Fast and robust analog in-memory deep
neural network training", Nature Communications 15 (2024)].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from .arrays import Array, rows
from .pulses import Cells, Pulsed, Pulses, make_cells, make_trains, pulse, pulsed_update, send
from .pulses import symmetry_point as _symmetry_point
from .seeds import Seed


@final
@dataclass(kw_only=True, eq=False)
class TikiTaka:
    """Two arrays A and C (n_out, n_in) that hold W = C + mix (A - zero) and learn by pulses.

    After every `every` samples the next column j of A is read, a = A_j - zero_j. The first version
    then sends transfer * a to column j of C as a pulsed update; the second (`buffered`) adds
    transfer * a / step to column j of a digital buffer H, and where |H| reaches 1 moves the whole
    part as pulses from H to C, as many as a train holds at most. With `chop_every` the sign of
    column j, where it enters A and where it is read, turns after each `chop_every`-th read of it.
    Raises ValueError for values that make no such machine.
    """

    n_out: int
    n_in: int
    cells: Pulsed
    transfer: float
    """Rate of A's column into C's, in weight per weight."""
    every: int = 1
    """Samples from one transfer to the next."""
    buffered: bool = False
    """The second version."""
    chop_every: int = 0
    """Reads of a column from one turn of its sign to the next; 0: no choppers."""
    fast: float = 1.0
    """Factor on the rate of the updates of A."""
    mix: float = 0.0
    """Part of A in the weights."""
    zero_error: float = 0.0
    """Standard deviation of A's measured symmetry points, in units of the weight."""
    read_noise: float = 0.0
    """Standard deviation of a read of A, in units of the weight."""
    seed: Seed = field(default_factory=Seed, repr=False)
    fast_cells: Cells = field(init=False, repr=False)
    """The cells of A, with their wear."""
    slow_cells: Cells = field(init=False, repr=False)
    """The cells of C, with their wear."""

    def __post_init__(self) -> None:
        for name, least in (("n_out", 1), ("n_in", 1), ("every", 1), ("chop_every", 0)):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or got < least:
                raise ValueError(f"TikiTaka: {name} takes a whole number from {least}, got {got!r}")
        for name in ("transfer", "fast", "mix", "zero_error", "read_noise"):
            got = getattr(self, name)
            if not 0 <= got < np.inf:
                raise ValueError(f"TikiTaka: {name} takes 0 or more, got {got!r}")
        shape = (self.n_out, self.n_in)
        self.fast_cells = make_cells(self.cells, *shape, self.seed.child("fast").at(0))
        self.slow_cells = make_cells(self.cells, *shape, self.seed.child("slow").at(0))
        point = _symmetry_point(self.fast_cells, self.cells).astype(np.float32)
        error = self.seed.child("zero").rng().standard_normal(shape, np.float32)
        self._zero = point + np.float32(self.zero_error) * error
        self._a, self._c = point.copy(), np.zeros(shape, np.float32)
        self._buffer = np.zeros((self.n_in, self.n_out), np.float32)
        self._samples = 0
        self._updates = 0

    def matrix(self) -> Array:
        """Return W (n_out, n_in), float32."""
        return self._c + np.float32(self.mix) * (self._a - self._zero)

    def program(self, w: Any) -> None:
        """Set C to w (n_out, n_in) within the bounds of its cells, without error; A stays."""
        high, low = self.slow_cells.bound[..., 0], self.slow_cells.bound[..., 1]
        w = rows(w, self.n_in, "w")
        if w.shape != self._c.shape:
            raise ValueError(f"TikiTaka: w takes {self._c.shape}, got {w.shape}")
        self._c[:] = np.clip(w, low, high)

    def update(self, y: Any, x: Any, rate: float) -> Pulses:
        """Learn rate * y^T x, of y (batch, n_out) and x (batch, n_in); return what A was sent.

        Raises ValueError for other shapes and for numbers that are not finite.
        """
        y, x = rows(y, self.n_out, "y"), rows(x, self.n_in, "x")
        if len(y) != len(x):
            raise ValueError(f"TikiTaka takes as many y as x, got {len(y)} and {len(x)} rows")
        if self.chop_every:
            x = x * self._choppers(len(x))
        draw = self.seed.child("update").at(self._updates)
        trains = make_trains(y, x, rate * self.fast, self.cells, draw)
        at = 0
        while at < len(x):
            until = min(len(x), at + self.every - self._samples % self.every)
            send(self._a, trains, at, until, self.fast_cells, self.cells)
            self._samples += until - at
            at = until
            if self._samples % self.every == 0:
                self._transfer(self._samples // self.every - 1)
        self._updates += 1
        return Pulses(int(trains.counts.sum()), int(trains.lengths.sum()))

    def _choppers(self, batch: int) -> Array:
        """Return the signs (batch, n_in) of the next samples, which depend on their number alone.

        Before transfer k, column j was read ceil((k - j) / n_in) times.
        """
        transfers = (self._samples + np.arange(batch)[:, None]) // self.every
        reads = (transfers - np.arange(self.n_in) + self.n_in - 1) // self.n_in
        return np.where(reads // self.chop_every % 2, np.float32(-1), np.float32(1))

    def _transfer(self, number: int) -> None:
        sweep, j = divmod(number, self.n_in)
        a = self._a[:, j] - self._zero[:, j]
        if self.read_noise:
            noise = self.seed.child("read").rng(number).standard_normal(self.n_out, np.float32)
            a += np.float32(self.read_noise) * noise
        if self.chop_every and sweep // self.chop_every % 2:
            a = -a
        draw = self.seed.child("transfer").at(number)
        if self.buffered:
            buffer = self._buffer[j]
            buffer += np.float32(self.transfer / self.cells.step) * a
            counts = np.trunc(buffer).clip(-self.cells.length, self.cells.length)
            if counts.any():
                buffer -= counts
                pulse(self._c, [j], counts[:, None], self.slow_cells, self.cells, draw)
        else:
            x = np.zeros((1, self.n_in), np.float32)
            x[0, j] = 1
            pulsed_update(self._c, a[None], x, self.transfer, self.slow_cells, self.cells, draw)

    def state(self) -> dict[str, Array]:
        """Return the arrays that a checkpoint needs beside the settings and the seed."""
        return {
            "a": self._a,
            "c": self._c,
            "buffer": self._buffer,
            "fast_wear": self.fast_cells.wear,
            "slow_wear": self.slow_cells.wear,
            "counters": np.array([self._samples, self._updates], np.int64),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `state` returned, bit for bit."""
        for name, own in self.state().items():
            own[:] = arrays[name]
        self._samples, self._updates = (int(count) for count in arrays["counters"])
