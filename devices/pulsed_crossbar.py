"""A resistive crossbar that learns in place: pulses move its cells, reads are noisy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from .arrays import Array
from .base import Can, Device
from .converters import range_of
from .crossbar_read import Currents, Pass, drive, read
from .host import Host
from .in_place import InPlace, Plain
from .ledger import Count
from .mixed_precision import MixedPrecision
from .pulse_cells import Pulsed
from .pulse_settings import description, zero_error
from .seeds import Draw
from .technology import load
from .tiki_taka import TikiTaka
from .words import unknown

Response = Literal["constant", "linear", "soft_bounds", "exponential", "measured"]
Transfer = Literal["none", "tiki_taka", "tiki_taka2", "tiki_taka3", "tiki_taka4", "mixed_precision"]


@dataclass(kw_only=True, eq=False)
class PulsedCrossbar(Device):
    """One array whose weights are cells less fixed reference cells in the middle of the range.

    Updates are pulses that coincide (`pulses.py`), or go by way of a second array
    (`tiki_taka.py`) or of a digital sum (`mixed_precision.py`). What the cells do is the
    technology's, where it states `pulse_` parameters or a measured series; a field overrides it.
    `program` reaches its target exactly, but for the cells' bounds and the noise of the write.
    Inputs are scaled by the largest of each row; converters are ranged to the weights of the
    moment.
    """

    response: Response | None = None
    """How the step of a pulse depends on the weight; None: the technology's, or soft bounds."""
    step: float | None = None
    """Mean step of a pulse, in units of the weight; None: the technology's, or 0.001."""
    step_spread: float | None = None
    """Std of the step from cell to cell, over the step; None: the technology's, or 0."""
    asymmetry: float | None = None
    """Steps up are 1 + asymmetry, steps down 1 - asymmetry; None: the technology's, or 0."""
    asymmetry_spread: float | None = None
    """Std of the asymmetry from cell to cell; None: the technology's, or 0."""
    slope_up: float | None = None
    """What a linear step loses on the way to the upper bound; None: the technology's, or 0.1."""
    slope_down: float | None = None
    """The same on the way to the lower bound."""
    cycle_noise: float | None = None
    """Std of one pulse from the next, over the pulse; None: the technology's, or 0."""
    write_noise: float | None = None
    """Std of what each write leaves on the reads of a cell, in weight; None: technology's, or 0."""
    w_max: float | None = None
    """Largest weight, to which the technology's numbers are scaled; None: technology's, or 1."""
    w_min: float | None = None
    """Least weight; None: the technology's, or the negative of `w_max`."""
    bound_spread: float | None = None
    """Std of the bounds from cell to cell, over the bound; None: the technology's, or 0."""
    length: int = 31
    """Most slots of a train of pulses."""
    train: Literal["stochastic", "deterministic"] = "stochastic"
    """Random bits, or rows and columns that pulse by a fixed scheme."""
    transfer: Transfer = "none"
    """How the updates get to the weights; 3: with choppers, 4: with a dynamic reference too."""
    transfer_rate: float = 0.02
    """Rate of the transfer, in weight per weight."""
    transfer_every: int = 1
    """Samples from one transfer to the next."""
    fast_rate: float = 1.0
    """Factor on the rate of the updates of the second array."""
    chop: float = 0.1
    """Probability at which a column's chopper turns after it was read."""
    zero_error: float | None = None
    """Std of the second array's measured zeros, in weight; None: the technology's, or 0."""
    dac_bits: int = 8
    """Bits of a drive, one of them the sign; 0: exact."""
    adc_bits: int = 8
    """Bits of a conversion, one of them the sign; 0: exact."""
    read_noise: float = 0.02
    """Std of each conversion, in currents of a full cell."""

    usual_technology = "rram_milo"
    is_tile = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        technology = load(self.technology)
        self._shared = int(technology.parameter("columns_per_adc"))
        try:
            self._pulsed = description(self, technology)
            self._full = max(self._pulsed.w_max, -self._pulsed.w_min)
            self._learning = self._way(self._pulsed, zero_error(self, technology))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    def _way(self, cells: Pulsed, zero_error: float) -> InPlace:
        n_out, n_in = int(self.n_out), int(self.n_in)
        if self.transfer == "none":
            return Plain(n_out=n_out, n_in=n_in, cells=cells, seed=self._stream)
        if self.transfer == "mixed_precision":
            host = self.ledger.devices.get("host")
            beside = Host(self.ledger, "ideal" if host is None else host.technology)
            return MixedPrecision(
                n_out=n_out, n_in=n_in, cells=cells, host=beside, seed=self._stream
            )
        chopped = self.transfer in ("tiki_taka3", "tiki_taka4")
        return TikiTaka(
            n_out=n_out,
            n_in=n_in,
            cells=cells,
            transfer=self.transfer_rate,
            every=self.transfer_every,
            buffered=self.transfer != "tiki_taka",
            chop=self.chop if chopped else 0.0,
            dynamic=self.transfer == "tiki_taka4",
            fast=self.fast_rate,
            zero_error=zero_error,
            read_noise=self.read_noise * self._full,
            seed=self._stream.child("tiki_taka"),
        )

    def _check(self) -> None:
        for field, options in (("response", get_args(Response)), ("transfer", get_args(Transfer))):
            got = getattr(self, field)
            if got is not None and got not in options:
                raise ValueError(f"{self.name}: {unknown(field, got, options)}")
        for field in ("dac_bits", "adc_bits"):
            got = getattr(self, field)
            if isinstance(got, bool) or got not in (0, *range(2, 17)):
                raise ValueError(f"{self.name}: {field} takes 0 or 2 to 16, got {got!r}")
        for field in ("read_noise", "transfer_rate", "fast_rate"):
            got = getattr(self, field)
            if not 0 <= got < np.inf:
                raise ValueError(f"{self.name}: {field} takes 0 or more, got {got!r}")
        if not 0 < self.chop <= 1:
            raise ValueError(f"{self.name}: chop takes above 0 up to 1, got {self.chop!r}")
        got = self.transfer_every
        if isinstance(got, bool) or not isinstance(got, int) or got < 1:
            raise ValueError(f"{self.name}: transfer_every takes a whole number from 1, got {got}")

    def matrix(self) -> Array:
        return self._learning.matrix()

    def wear(self) -> Array:
        """Return how many pulses each cell has had: of the weights, and of the second array."""
        return np.stack([cells.wear for cells in self._learning.arrays])

    def _program(self, w: Array, draw: Draw) -> None:
        if not np.isfinite(w).all():
            raise ValueError(f"{self.name}: w takes finite numbers")
        self._learning.program(w)

    def _update(self, y: Array, x: Array, rate: float, draw: Draw) -> None:
        self._tell("cell_write", self._learning.update(y, x, rate).pulses)

    def _read(self, x: Array, w: Array, draw: Draw) -> Array:
        w = np.ascontiguousarray(w / np.float32(self._full))
        n, top = len(w), float(2 ** (self.adc_bits - 1) - 1) if self.adc_bits else 0.0
        lsb = range_of(w, False) / np.float32(top) if top else np.ones(n, np.float32)
        gain = lsb * np.float32(self._full)
        one = Pass(Currents(slice(None), w, None, 1.0), 1 / lsb, np.zeros(n, np.float32), gain)
        out = np.empty((len(x), n), np.float32)
        steps = 2 ** (self.dac_bits - 1) - 1 if self.dac_bits else 0
        planes = drive(x.astype(np.float32, copy=False), 0.0, steps, False)
        read(planes, [one], self.read_noise, top, draw.key(), 0, len(x), out)
        return out

    def _multiply(self, x: Array, draw: Draw) -> Array:
        return self._read(x, self.matrix(), draw)

    def _transpose(self, y: Array, draw: Draw) -> Array:
        return self._read(y, self.matrix().T, draw)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        """Count a cell and its reference at each read, and the most pulses at each update.

        Every slot of the longest train could pulse every cell: that bounds a step that is not
        carried out, and sets the time; `update` tells the pulses that were sent. What drives the
        lines is not counted.
        """
        cells = self.n_out * self.n_in
        if verb is Can.PROGRAM:
            return {"cell_write": Count(cells, self.n_in)}
        if verb is Can.UPDATE:
            return self._learning.bound(batch, self._shared)
        forward = verb is Can.MULTIPLY
        lines, columns = (self.n_in, self.n_out) if forward else (self.n_out, self.n_in)
        return {
            "dac": Count(batch * lines, batch),
            "cell_read": Count(2 * batch * cells, batch),
            "adc": Count(batch * columns, batch * min(self._shared, columns)),
        }

    def _state(self) -> dict[str, Array]:
        return self._learning.state()

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._learning.restore(arrays)
