"""Training on cells that move unevenly: gradients go to one array, their average to another.

Pulses of random sign drive an uneven cell to its symmetry point, so plain pulsed descent settles
between that point and the solution. Tiki-Taka sends the gradients to an array A whose symmetry
points are read as 0, and moves a second array C, the weights, by what stays in A [Gokmen and
Haensch, "Algorithm for training neural networks on resistive device arrays", Frontiers in
Neuroscience 14 (2020)]. Its second version collects the reads in a digital buffer and moves C by
whole pulses [Gokmen, "Enabling training of neural networks on noisy hardware", Frontiers in
Artificial Intelligence 4 (2021)]. Choppers turn the sign of what enters and leaves A, so that a
wrong zero cancels; with a dynamic reference no zero is needed at all: what counts is how far A has
gone since its sign last turned [Rasch, Carta, Fagbohungbe and Gokmen, "Fast and robust analog
in-memory deep neural network training", Nature Communications 15 (2024), where these are c-TTv2 and
AGAD].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from .arrays import Array, rows
from .in_place import InPlace, put_back, set_weights
from .ledger import Count
from .pulse_cells import Cells, WriteNoise
from .pulses import Pulsed, Pulses, make_cells, make_trains, pulse, pulsed_update, send
from .pulses import symmetry_point as _symmetry_point
from .seeds import Draw, Seed

TAIL = 5
"""Reads between two turns over those that the mean of a dynamic reference remembers."""


@final
@dataclass(kw_only=True, eq=False)
class TikiTaka(InPlace):
    """Two arrays A and C (n_out, n_in): C holds W, and A what W is to learn.

    After every `every` samples the next column j of A is read, a = A_j - zero_j. The first version
    then sends transfer * a to column j of C as a pulsed update; the second (`buffered`) adds
    transfer * a / step to column j of a digital buffer H, and where |H| reaches 1 moves the whole
    part as pulses from H to C, as many as a train holds at most. With `chop` column j changes, at
    that probability after each read, the sign with which it enters A and is read. Where that is
    `dynamic`, a column is read less its mean before its sign last turned, not less a measured zero:
    a leaky mean over about a fifth of the reads between two turns.
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
    chop: float = 0.0
    """Probability at which a column's sign turns after it was read; 0: no choppers."""
    dynamic: bool = False
    """Whether the choppers find the zero of A as well."""
    fast: float = 1.0
    """Factor on the rate of the updates of A."""
    zero_error: float = 0.0
    """Standard deviation of A's measured symmetry points, in units of the weight."""
    read_noise: float = 0.0
    """Standard deviation of a read of A, in units of the weight."""
    seed: Seed = field(default_factory=Seed, repr=False)

    def __post_init__(self) -> None:
        for name in ("n_out", "n_in", "every"):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or got < 1:
                raise ValueError(f"TikiTaka: {name} takes a whole number from 1, got {got!r}")
        for name, most in (
            ("transfer", np.inf), ("fast", np.inf), ("zero_error", np.inf), ("read_noise", np.inf),
            ("chop", 1),
        ):  # fmt: skip
            got = getattr(self, name)
            if not 0 <= got <= most or got == np.inf:
                raise ValueError(
                    f"TikiTaka: {name} takes 0 {'to 1' if most == 1 else 'or more'}, got {got!r}"
                )
        if self.dynamic and not self.chop:
            raise ValueError("TikiTaka: a dynamic reference takes choppers, chop above 0")
        shape = (self.n_out, self.n_in)
        self.fast_cells = make_cells(self.cells, *shape, self.seed.child("fast").at(0))
        self.slow_cells = make_cells(self.cells, *shape, self.seed.child("slow").at(0))
        noise = self.cells.write_noise
        self._fast_noise = WriteNoise(self.fast_cells, noise)
        self._slow_noise = WriteNoise(self.slow_cells, noise)
        point = _symmetry_point(self.fast_cells, self.cells).astype(np.float32)
        error = self.seed.child("zero").rng().standard_normal(shape, np.float32)
        self._zero = point + np.float32(self.zero_error) * error
        self._a, self._c = point.copy(), np.zeros(shape, np.float32)
        self._buffer = np.zeros((self.n_in, self.n_out), np.float32)
        self._sign = np.ones(self.n_in, np.float32)
        self._mean, self._before = self._buffer.copy(), self._buffer.copy()
        self._turned = np.zeros(self.n_in, np.bool_)
        self._counters = np.zeros(2, np.int64)  # samples, and what was written

    @property
    def arrays(self) -> tuple[Cells, ...]:
        return (self.slow_cells, self.fast_cells)

    def matrix(self) -> Array:
        return self._c + self._slow_noise.noise

    def program(self, w: Any) -> None:
        """Set C to w (n_out, n_in) within the bounds of its cells, without error; A stays."""
        set_weights(self._c, w, self.slow_cells)
        self._written()

    def update(self, y: Any, x: Any, rate: float) -> Pulses:
        """Learn rate * y^T x, of y (batch, n_out) and x (batch, n_in); return what was sent.

        Raises ValueError for other shapes and for numbers that are not finite.
        """
        y, x = rows(y, self.n_out, "y"), rows(x, self.n_in, "x")
        if len(y) != len(x):
            raise ValueError(f"TikiTaka takes as many y as x, got {len(y)} and {len(x)} rows")
        turns = self._turns(len(x))
        if self.chop:
            x = x * self._signs(len(x), turns)
        samples, number = (int(n) for n in self._counters)
        draw = self.seed.child("update").at(number)
        trains = make_trains(y, x, rate * self.fast, self.cells, draw)
        at, passed, first = 0, 0, samples // self.every
        while at < len(x):
            until = min(len(x), at + self.every - samples % self.every)
            send(self._a, trains, at, until, self.fast_cells, self.cells)
            samples += until - at
            at = until
            if samples % self.every == 0:
                transfer = samples // self.every - 1
                passed += self._transfer(transfer, bool(turns[transfer - first]))
        self._counters[0] = samples
        self._written()
        return Pulses(int(trains.counts.sum()) + passed, int(trains.lengths.sum()))

    def _written(self) -> None:
        if self.cells.write_noise:
            self._slow_noise.renew(self.seed.child("write").at(int(self._counters[1])))
        self._counters[1] += 1

    def _turns(self, batch: int) -> Array:
        """Return whether the choppers turn after each of the transfers that are due in a batch."""
        from .kernels.normal import words

        samples = int(self._counters[0])
        first, last = samples // self.every, (samples + batch) // self.every
        if not self.chop:
            return np.zeros(last - first, np.bool_)
        drawn = np.empty(last - first, np.uint32)
        words(self.seed.child("chop").key(), first, drawn)
        return np.asarray(drawn < min(self.chop * 2.0**32, 2.0**32 - 1))

    def _signs(self, batch: int, turns: Array) -> Array:
        """Return the signs (batch, n_in) with which the next samples enter A."""
        samples = int(self._counters[0])
        first = samples // self.every
        signs = np.repeat(self._sign[None], batch, axis=0)
        for k in np.flatnonzero(turns):
            transfer = first + int(k)
            signs[(transfer + 1) * self.every - samples :, transfer % self.n_in] *= -1
        return signs

    def _transfer(self, number: int, turn: bool) -> int:
        """Read the next column of A and pass it on; return the pulses that C was sent."""
        from .kernels.normal import normals

        j = number % self.n_in
        a = self._a[:, j].copy() if self.dynamic else self._a[:, j] - self._zero[:, j]
        if self.cells.write_noise:
            self._fast_noise.renew(self.seed.child("write fast").at(number), j)
            a += self._fast_noise.noise[:, j]
        if self.read_noise:
            z = np.empty(self.n_out, np.float32)
            normals(self.seed.child("read").key(), number * self.n_out, z)
            a += np.float32(self.read_noise) * z
        if self.dynamic:
            a = self._since_the_turn(j, a)
            self._turned[j] = turn
        a *= self._sign[j]
        if turn:
            self._sign[j] *= -1
        draw = self.seed.child("transfer").at(number)
        return self._collect(j, a, draw) if self.buffered else self._send(j, a, draw)

    def _since_the_turn(self, j: int, a: Array) -> Array:
        """Return what column j reads less what it read when its sign last turned."""
        if self._turned[j]:
            self._before[j] = self._mean[j]
        keep = 1 - min(TAIL * self.chop, 1.0)
        self._mean[j] = keep * self._mean[j] + (1 - keep) * a
        return np.asarray(a - self._before[j], np.float32)

    def _collect(self, j: int, a: Array, draw: Draw) -> int:
        buffer = self._buffer[j]
        buffer += np.float32(self.transfer / self.cells.step) * a
        counts = np.trunc(buffer).clip(-self.cells.length, self.cells.length)
        if not counts.any():
            return 0
        buffer -= counts
        return pulse(self._c, [j], counts[:, None], self.slow_cells, self.cells, draw)

    def _send(self, j: int, a: Array, draw: Draw) -> int:
        x = np.zeros((1, self.n_in), np.float32)
        x[0, j] = 1
        return pulsed_update(
            self._c, a[None], x, self.transfer, self.slow_cells, self.cells, draw
        ).pulses

    def bound(self, batch: int, shared: int) -> dict[str, Count]:
        """Every slot of A's trains, and the transfers: the first of a batch is counted as due.

        A transfer reads one column of A and pulses one of C, `length` times at most.
        """
        length, cells = self.cells.length, self.n_out * self.n_in
        slots, transfers = batch * length, -(-batch // self.every)
        more, turns = transfers * self.n_out, min(shared, self.n_out)
        return {
            "cell_write": Count(slots * cells + more * length, slots + transfers * length),
            "dac": Count(transfers, transfers),
            "cell_read": Count(2 * more, transfers),
            "adc": Count(more, transfers * turns),
        }

    def state(self) -> dict[str, Array]:
        found = {
            "a": self._a,
            "c": self._c,
            "buffer": self._buffer,
            "sign": self._sign,
            "fast_wear": self.fast_cells.wear,
            "slow_wear": self.slow_cells.wear,
            "counters": self._counters,
        }
        if self.dynamic:
            found |= {"mean": self._mean, "before": self._before, "turned": self._turned}
        if self.cells.write_noise:
            for name, kept in (("fast", self._fast_noise), ("slow", self._slow_noise)):
                found |= {f"{name}_noise": kept.noise, f"{name}_seen": kept.seen}
        return found

    def restore(self, arrays: Mapping[str, Array]) -> None:
        put_back(self.state(), arrays)
