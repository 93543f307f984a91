"""Arrays that learn where they stand: what the ways to do so share, and the plain one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from .arrays import Array, rows
from .ledger import Count
from .pulse_cells import Cells, WriteNoise
from .pulses import Pulsed, Pulses, make_cells, pulsed_update
from .seeds import Seed


class InPlace(abc.ABC):
    """A matrix W (n_out, n_in) in cells that pulses move, with whatever stands beside it."""

    @property
    @abc.abstractmethod
    def arrays(self) -> tuple[Cells, ...]:
        """The cells of every array; the first holds the weights."""

    @abc.abstractmethod
    def matrix(self) -> Array:
        """Return W (n_out, n_in), float32, as it is read."""

    @abc.abstractmethod
    def program(self, w: Any) -> None:
        """Set the weights to w (n_out, n_in) as far as the cells reach, without error."""

    @abc.abstractmethod
    def update(self, y: Any, x: Any, rate: float) -> Pulses:
        """Add about rate * y^T x, of y (batch, n_out) and x (batch, n_in); return what was sent.

        Raises ValueError for other shapes and for numbers that are not finite.
        """

    @abc.abstractmethod
    def bound(self, batch: int, shared: int) -> dict[str, Count]:
        """Return the most that an update of `batch` samples does; `shared` columns have one ADC."""

    @abc.abstractmethod
    def state(self) -> dict[str, Array]:
        """Return the arrays that a checkpoint needs beside the settings and the seed."""

    @abc.abstractmethod
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `state` returned, bit for bit."""


@final
@dataclass(kw_only=True, eq=False)
class Plain(InPlace):
    """One array that takes the updates as coincidences of pulse trains."""

    n_out: int
    n_in: int
    cells: Pulsed
    seed: Seed = field(default_factory=Seed, repr=False)

    def __post_init__(self) -> None:
        shape = (self.n_out, self.n_in)
        self._cells = make_cells(self.cells, *shape, self.seed.child("cells").at(0))
        self._w = np.zeros(shape, np.float32)
        self._shown = WriteNoise(self._cells, self.cells.write_noise)
        self._count = np.zeros(1, np.int64)

    @property
    def arrays(self) -> tuple[Cells, ...]:
        return (self._cells,)

    def matrix(self) -> Array:
        return self._w + self._shown.noise

    def program(self, w: Any) -> None:
        set_weights(self._w, w, self._cells)
        self._written()

    def update(self, y: Any, x: Any, rate: float) -> Pulses:
        draw = self.seed.child("update").at(int(self._count[0]))
        sent = pulsed_update(self._w, y, x, rate, self._cells, self.cells, draw)
        self._written()
        return sent

    def _written(self) -> None:
        if self.cells.write_noise:
            self._shown.renew(self.seed.child("write").at(int(self._count[0])))
        self._count += 1

    def bound(self, batch: int, shared: int) -> dict[str, Count]:
        slots = batch * self.cells.length
        return {"cell_write": Count(slots * self.n_out * self.n_in, slots)}

    def state(self) -> dict[str, Array]:
        found = {"w": self._w, "wear": self._cells.wear, "count": self._count}
        if self.cells.write_noise:
            found |= {"noise": self._shown.noise, "seen": self._shown.seen}
        return found

    def restore(self, arrays: Mapping[str, Array]) -> None:
        put_back(self.state(), arrays)


def set_weights(hidden: Array, w: Any, cells: Cells) -> None:
    """Write w (n_out, n_in) into hidden weights within the bounds of their cells; each wears by 1.

    Raises ValueError for another shape.
    """
    w = rows(w, hidden.shape[1], "w")
    if w.shape != hidden.shape:
        raise ValueError(f"w takes {hidden.shape}, got {w.shape}")
    hidden[:] = np.clip(w, cells.bound[..., 1], cells.bound[..., 0])
    cells.wear[:] += np.uint32(1)


def put_back(own: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    """Overwrite arrays in place by those of a checkpoint."""
    for name, array in own.items():
        array[:] = arrays[name]
