"""Training in mixed precision: gradients sum up digitally, and only whole steps become pulses.

The digital processor keeps chi (n_out, n_in). An update adds rate * y^T x to it; where |chi|
reaches the step of a pulse, the whole part is sent to that cell alone and taken off chi, whatever
the cell makes of it [Nandakumar et al., "Mixed-precision deep learning based on computational
memory", Frontiers in Neuroscience 14 (2020)]. Few cells are written at an update; in exchange the
gradient is formed digitally, which the host counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from .arrays import Array, rows
from .host import Host
from .in_place import InPlace, put_back, set_weights
from .ledger import Count
from .pulse_cells import Cells, WriteNoise
from .pulses import Pulsed, Pulses, make_cells, pulse
from .seeds import Seed


@final
@dataclass(kw_only=True, eq=False)
class MixedPrecision(InPlace):
    """One array, and the sum of the gradients beside it."""

    n_out: int
    n_in: int
    cells: Pulsed
    host: Host = field(repr=False)
    """Forms the gradients, and counts what that takes."""
    seed: Seed = field(default_factory=Seed, repr=False)

    def __post_init__(self) -> None:
        shape = (self.n_out, self.n_in)
        self._cells = make_cells(self.cells, *shape, self.seed.child("cells").at(0))
        self._w, self._chi = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
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
        """Add rate * y^T x to the sum, and send what is whole in it: `length` pulses at most."""
        y, x = rows(y, self.n_out, "y"), rows(x, self.n_in, "x")
        if len(y) != len(x):
            raise ValueError(f"an update takes as many y as x, got {len(y)} and {len(x)} rows")
        if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(rate)):
            raise ValueError("a pulsed update takes finite x, y and rate, got others")
        y, x = y.astype(np.float32, copy=False), x.astype(np.float32, copy=False)
        self.host.gradient(y, x, rate, into=self._chi, keep=1.0)
        self.host.count("WHOLE", 1, self._chi.size)
        most = self.cells.length
        whole = np.trunc(self._chi / np.float32(self.cells.step)).clip(-most, most)
        self._chi -= whole * np.float32(self.cells.step)
        draw = self.seed.child("update").at(int(self._count[0]))
        columns = np.flatnonzero(whole.any(axis=0))
        sent = pulse(self._w, columns, whole[:, columns], self._cells, self.cells, draw)
        self._written()
        return Pulses(sent, 0)

    def _written(self) -> None:
        if self.cells.write_noise:
            self._shown.renew(self.seed.child("write").at(int(self._count[0])))
        self._count += 1

    def bound(self, batch: int, shared: int) -> dict[str, Count]:
        """Cells are written row by row, those of a row at once, `length` pulses at most."""
        most = self.cells.length
        return {"cell_write": Count(most * self.n_out * self.n_in, most * self.n_in)}

    def state(self) -> dict[str, Array]:
        found = {
            "w": self._w,
            "chi": self._chi,
            "wear": self._cells.wear,
            "count": self._count,
        }
        if self.cells.write_noise:
            found |= {"noise": self._shown.noise, "seen": self._shown.seen}
        return found

    def restore(self, arrays: Mapping[str, Array]) -> None:
        put_back(self.state(), arrays)
