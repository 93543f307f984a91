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
from .ledger import Count
from .pulse_cells import Pulsed, make_cells
from .pulse_responses import Constant, Linear, Response, SoftBounds
from .pulses import pulsed_update
from .seeds import Draw
from .technology import load
from .tiki_taka import TikiTaka
from .words import unknown

Transfer = Literal["none", "tiki_taka", "tiki_taka2"]
_RESPONSES: dict[str, Response] = {
    "constant": Constant(),
    "linear": Linear(),
    "soft_bounds": SoftBounds(),
}


@dataclass(kw_only=True, eq=False)
class PulsedCrossbar(Device):
    """One array whose weights are cells less fixed reference cells in the middle of the range.

    Updates are pulses that coincide (`pulses.py`), or go by way of a second array
    (`tiki_taka.py`). `program` reaches its target exactly, but for the cells' bounds. Inputs are
    scaled by the largest of each row; converters are ranged to the weights of the moment.
    """

    response: Literal["constant", "linear", "soft_bounds"] = "soft_bounds"
    """How the step of a pulse depends on the weight."""
    step: float = 0.001
    """Mean step of a pulse, in units of the weight."""
    step_spread: float = 0.0
    """Std of the step from cell to cell, over the step."""
    asymmetry: float = 0.0
    """Steps up are 1 + asymmetry, steps down 1 - asymmetry."""
    cycle_noise: float = 0.0
    """Std of one pulse from the next, over the pulse."""
    w_max: float = 1.0
    """Largest weight; the least is its negative."""
    bound_spread: float = 0.0
    """Std of the bounds from cell to cell, over the bound."""
    length: int = 31
    """Most slots of a train of pulses."""
    train: Literal["stochastic", "deterministic"] = "stochastic"
    """Random bits, or rows and columns that pulse by a fixed scheme."""
    transfer: Transfer = "none"
    """Whether a second array takes the updates, and how it passes them on."""
    transfer_rate: float = 0.02
    """Rate of the transfer, in weight per weight."""
    transfer_every: int = 1
    """Samples from one transfer to the next."""
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
        self._shared = int(load(self.technology).parameter("columns_per_adc"))
        try:
            self._pulsed = Pulsed(
                response=_RESPONSES[self.response],
                step=self.step,
                step_spread=self.step_spread,
                asymmetry=self.asymmetry,
                cycle_noise=self.cycle_noise,
                w_min=-self.w_max,
                w_max=self.w_max,
                bound_spread=self.bound_spread,
                length=self.length,
                train=self.train,
            )
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        shape = (self.n_out, self.n_in)
        self._tiki: TikiTaka | None = None
        if self.transfer == "none":
            self._cells = make_cells(self._pulsed, *shape, self._stream.child("cells").at(0))
            self._w: Array = np.zeros(shape, np.float32)
        else:
            self._tiki = TikiTaka(
                n_out=self.n_out,
                n_in=self.n_in,
                cells=self._pulsed,
                transfer=self.transfer_rate,
                every=self.transfer_every,
                buffered=self.transfer == "tiki_taka2",
                seed=self._stream.child("tiki_taka"),
            )
            self._cells = self._tiki.slow_cells

    def _check(self) -> None:
        choices = {"response": tuple(_RESPONSES), "transfer": get_args(Transfer)}
        for field, options in choices.items():
            if getattr(self, field) not in options:
                raise ValueError(f"{self.name}: {unknown(field, getattr(self, field), options)}")
        for field in ("dac_bits", "adc_bits"):
            got = getattr(self, field)
            if isinstance(got, bool) or got not in (0, *range(2, 17)):
                raise ValueError(f"{self.name}: {field} takes 0 or 2 to 16, got {got!r}")
        for field in ("read_noise", "transfer_rate"):
            got = getattr(self, field)
            if not 0 <= got < np.inf:
                raise ValueError(f"{self.name}: {field} takes 0 or more, got {got!r}")
        got = self.transfer_every
        if isinstance(got, bool) or not isinstance(got, int) or got < 1:
            raise ValueError(f"{self.name}: transfer_every takes a whole number from 1, got {got}")

    def matrix(self) -> Array:
        return self._w.copy() if self._tiki is None else self._tiki.matrix()

    def wear(self) -> Array:
        """Return how many pulses each cell (n_out, n_in) of the weights has had."""
        return self._cells.wear.copy()

    def _program(self, w: Array, draw: Draw) -> None:
        if not np.isfinite(w).all():
            raise ValueError(f"{self.name}: w takes finite numbers")
        if self._tiki is None:
            self._w[:] = np.clip(w, self._cells.bound[..., 1], self._cells.bound[..., 0])
        else:
            self._tiki.program(w)
        self._cells.wear[:] += np.uint32(1)

    def _update(self, y: Array, x: Array, rate: float, draw: Draw) -> None:
        if self._tiki is None:
            sent = pulsed_update(self._w, y, x, rate, self._cells, self._pulsed, draw)
            passed_on = 0
        else:
            sent = self._tiki.update(y, x, rate)
            passed_on = -(-len(x) // self.transfer_every) * self.n_out * self.length
        self._tell("cell_write", sent.pulses + passed_on)

    def _read(self, x: Array, w: Array, draw: Draw) -> Array:
        w = np.ascontiguousarray(w / np.float32(self.w_max))
        n, top = len(w), float(2 ** (self.adc_bits - 1) - 1) if self.adc_bits else 0.0
        lsb = range_of(w, False) / np.float32(top) if top else np.ones(n, np.float32)
        gain = lsb * np.float32(self.w_max)
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
        carried out, and sets the time; `update` tells the pulses that coincided. A transfer reads
        one column of the second array and pulses one of the first, `length` times at most; the
        first transfer of a batch is counted as due. What drives the lines is not counted.
        """
        cells = self.n_out * self.n_in
        if verb is Can.PROGRAM:
            return {"cell_write": Count(cells, self.n_in)}
        if verb is Can.UPDATE:
            slots = batch * self.length
            if self._tiki is None:
                return {"cell_write": Count(slots * cells, slots)}
            transfers = -(-batch // self.transfer_every)
            more, turns = transfers * self.n_out, min(self._shared, self.n_out)
            return {
                "cell_write": Count(
                    slots * cells + more * self.length, slots + transfers * self.length
                ),
                "dac": Count(transfers, transfers),
                "cell_read": Count(2 * more, transfers),
                "adc": Count(more, transfers * turns),
            }
        forward = verb is Can.MULTIPLY
        lines, columns = (self.n_in, self.n_out) if forward else (self.n_out, self.n_in)
        return {
            "dac": Count(batch * lines, batch),
            "cell_read": Count(2 * batch * cells, batch),
            "adc": Count(batch * columns, batch * min(self._shared, columns)),
        }

    def _state(self) -> dict[str, Array]:
        if self._tiki is None:
            return {"w": self._w, "wear": self._cells.wear}
        return self._tiki.state()

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        if self._tiki is None:
            self._w[:], self._cells.wear[:] = arrays["w"], arrays["wear"]
        else:
            self._tiki.restore(arrays)
