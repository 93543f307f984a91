"""A resistive crossbar: weights are conductances, inputs voltages, and outputs summed currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Array
from .base import Can, Device
from .cells import Cells
from .converters import range_of, shared
from .crossbar_cost import cost_of, verify_cost
from .crossbar_currents import conduct, currents
from .crossbar_read import Pass, Plane, drive, read
from .crossbar_settings import check
from .crossbar_write import Written, forced, write
from .ledger import Count
from .parasitics import Wires
from .seeds import Draw
from .technology import load
from .weight_mapping import WeightMapping, scales

ROWS = 1024
"""Rows that are read at once: BLAS is at its best, and their currents take little memory."""


@dataclass(kw_only=True, eq=False)
class Crossbar(Device):
    """Arrays of resistive cells between DACs and ADCs, with the noise of every part.

    Programming noise, drift and read noise follow the statistics in the technology file. Reads
    are Gaussian sums, so every cell's own noise is drawn at the outputs in one number each: its
    variance there is the sum over the cells of variance times drive squared, a second matrix
    product, and outputs share no cell, so they are independent (but for a reference column).

    A pair's two columns are subtracted as currents, before conversion; row blocks, slices and bit
    planes after it, as numbers. Inputs are scaled to the drives by one number a row.
    """

    mapping: Literal["differential", "balanced", "offset"] = "differential"
    """How signs are held; see `weight_mapping.py`."""
    slices: int = 1
    """Cells that share a weight as digits, each with columns of its own."""
    levels: int = 0
    """Conductances that a write aims at, which makes digits of base `levels`; 0: any."""
    scaling: Literal["tensor", "column"] = "tensor"
    """Whether full cells stand for one weight, or for another at each output."""
    clip_percentile: float = 100.0
    """Percentile of the weights' magnitudes that full cells stand for; those beyond are cut."""
    g_min_S: float | None = None
    """Conductance of a cell that is off; None: the technology's."""
    g_max_S: float | None = None
    """Conductance of a cell that is fully on; None: the technology's."""
    programming_noise: float = 1.0
    """Factor on the std of a write, dimensionless."""
    read_noise: float = 1.0
    """Factor on the std of a read of every cell, dimensionless."""
    drift: float = 1.0
    """Factor on the drift exponents, dimensionless."""
    device_std: float = 0.0
    """Relative std of the conductances that equal writes reach in different cells."""
    stuck_on: float = 0.0
    """Share of the cells that stay fully on."""
    stuck_off: float = 0.0
    """Share of the cells that stay off."""
    dead_lines: float = 0.0
    """Share of the rows, and of the columns, that carry no current."""
    verify: int = 0
    """Most rounds in which cells beyond `tolerance` are written again."""
    tolerance: float = 0.02
    """Error of a verified write over the largest conductance."""
    dac_bits: int = 8
    """Bits of a drive, one of them the sign; 0: exact."""
    encoding: Literal["amplitude", "serial"] | None = None
    """One drive, or one a magnitude bit, each converted by itself; None: the technology's."""
    input_range: float | None = None
    """Input that drives fully, beyond which inputs are cut; None: the largest of each row."""
    adc_bits: int = 8
    """Bits of a conversion; 0: exact."""
    adc_range: float | None = None
    """Current of the largest code, in full-on cells; None: from the weights, or `calibrate`."""
    adc_per_column: bool = False
    """Whether each column has a range of its own."""
    adc_offset_lsb: float = 0.0
    """Std of the converters' offsets, in codes."""
    adc_gain_std: float = 0.0
    """Relative std of the converters' gains."""
    output_noise: float = 0.0
    """Std of one noise level at every conversion, in currents of a full-on cell."""
    tile_rows: int | None = None
    """Rows of an array; more inputs are summed as numbers. None: the technology's."""
    tile_columns: int | None = None
    """Columns of an array; None: the technology's."""
    columns_per_adc: int | None = None
    """Columns that take turns at one ADC; None: the technology's."""

    word_ohm: float = 0.0
    """Resistance of a word line's wire from one cell to the next."""
    bit_ohm: float = 0.0
    """Resistance of a bit line's wire from one cell to the next."""
    driver_ohm: float = 0.0
    """Resistance behind each driver."""
    sense_ohm: float = 0.0
    """Resistance behind each sense amplifier."""
    access_ohm: float = 0.0
    """Resistance in series with each cell."""

    usual_technology = "pcm_hermes"
    is_tile = True

    def __post_init__(self) -> None:
        super().__post_init__()
        technology = load(self.technology)
        self._cells = Cells.of(technology, self.g_min_S, self.g_max_S)
        self._mapping = WeightMapping(self.mapping, self.slices, self.levels)
        self._serial = self.encoding == "serial"
        if self.encoding is None:
            self._serial = technology.parameter("bit_serial") > 0 and self.dac_bits > 0
        self._tiles = check(self, technology, self._cells, self._mapping)
        ohms = "word_ohm", "bit_ohm", "driver_ohm", "sense_ohm", "access_ohm"
        wires = Wires(**{field: getattr(self, field) for field in ohms})
        self._wires = None if wires == Wires() else wires
        self._top = float(2 ** (self.adc_bits - 1) - 1) if self.adc_bits else 0.0
        self._steps = 2 ** (self.dac_bits - 1) - 1 if self.dac_bits else 0
        self._passes: dict[Can, list[Pass]] = {}
        self._passed: tuple[Array, Array | None] | None = None
        self._ranges: dict[Can, Array] = {}
        self._scale = np.ones(self.n_out, np.float32)
        self._rescale = np.ones(self.n_out, np.float32)
        self._age_s = 0.0
        g = self._targets(np.zeros((self.n_out, self.n_in), np.float32))
        fixed = forced(self, g.shape, self._cells)
        g = g if fixed is None else np.where(np.isnan(fixed), g, fixed)
        self._written = Written(g, None, 0, ())

    def _targets(self, w: Array) -> Array:
        """Return conductances (slices, cells, n_out + references, n_in) for w from -1 to 1."""
        part = self._mapping.fractions(w)
        if self._mapping.kind == "offset":
            reference = self._mapping.reference(self.n_in)
            part = np.concatenate([part, np.repeat(reference, self._tiles.across, axis=2)], axis=2)
        cells = self._cells
        return np.asarray(cells.g_min_S + part * np.float32(cells.span_S), np.float32)

    def wait(self, seconds: float) -> None:
        """Let time pass since the last `program`, in seconds: cells drift and their noise grows.

        Raises ValueError for a time below 0.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{self.name}: wait takes seconds from 0, got {seconds!r}")
        for verb in (Can.MULTIPLY, Can.TRANSPOSE):
            self._of(verb)  # the converters' ranges are those of the fresh weights
        self._age_s += float(seconds)
        self._forget()

    def calibrate(self, x: Array | None = None, y: Array | None = None) -> None:
        """Set the ADC ranges to the largest currents that inputs x, or errors y, bring about.

        x (batch, n_in) is for `multiply`, y (batch, n_out) for `transpose`; until the next
        `program`, in place of what is expected from the weights. Raises ValueError where
        adc_range fixes the ranges.
        """
        if self.adc_range is not None:
            raise ValueError(f"{self.name}: adc_range fixes the ranges; leave it out to calibrate")
        for verb, given, width in ((Can.MULTIPLY, x, self.n_in), (Can.TRANSPOSE, y, self.n_out)):
            if given is None:
                continue
            rows = self._enter(given, width, "calibration data").astype(np.float32)
            if verb is Can.TRANSPOSE:
                rows = rows * (self._scale * self._rescale)
            drives = [d for _, d in self._drives(rows, verb)]
            found = [
                np.max([abs(d[:, c.drives] @ c.w.T).max(axis=0) for d in drives], axis=0)
                for c, *_ in self._of(verb)
            ]
            self._ranges[verb] = np.stack([shared(f, self.adc_per_column) for f in found])
            self._passes.pop(verb, None)
            self.ledger.record(self.name, "CALIBRATE", len(rows), self.cost(verb, len(rows)))

    def compensate(self, per_column: bool = False) -> None:
        """Rescale the outputs by what the summed conductance has lost since `program`.

        One number for all outputs, or `per_column` one for each, as read with all inputs on.
        """
        now = self._cells.drifted(self._written.g, self._written.nu, self._age_s)
        columns = slice(0, self.n_out)
        before, after = (g[:, :, columns].sum(axis=(0, 1, 3)) for g in (self._written.g, now))
        if not per_column:
            before, after = (np.full(self.n_out, total.sum()) for total in (before, after))
        safe = np.where(after > 0, after, 1)
        self._rescale = np.where(after > 0, before / safe, 1).astype(np.float32)
        self._passes.clear()
        self.ledger.record(self.name, "COMPENSATE", 1, self.cost(Can.MULTIPLY, 1))

    def matrix(self) -> Array:
        w = np.zeros((len(self._written.g[0, 0]), self.n_in), np.float32)
        for (drives, mean, *_), inverse, _, gain in self._of(Can.MULTIPLY):
            w[:, drives] += mean * (inverse * gain)[:, None]
        return np.ascontiguousarray(self._finish(w.T).T)

    def noise_std(self) -> float | None:
        """Return the floor of the noise on every output; None where rounding may hide it.

        Only the noise level of the converters is promised, and only where inputs are not scaled
        row by row (`input_range`) and outputs are not rounded (`adc_bits` 0).
        """
        if self.adc_bits or self.input_range is None or not self.output_noise:
            return None
        power = sum(p.gain[: self.n_out] ** 2 for p in self._of(Can.MULTIPLY))
        if self._steps and self._serial:
            power = power * sum((2**k / self._steps) ** 2 for k in range(self.dac_bits - 1))
        std = self.output_noise * self.input_range * np.sqrt(power)
        if self._mapping.kind == "offset":
            std = std * self._scale * self._rescale
        return float(std.min())

    # ---- writing ---------------------------------------------------------------------

    def _program(self, w: Array, draw: Draw) -> None:
        w = w.astype(np.float32)
        if not np.isfinite(w).all():
            raise ValueError(f"{self.name}: w takes finite numbers")
        self._scale = scales(w, self.scaling == "column", self.clip_percentile)
        target = self._targets(np.clip(w / self._scale[:, None], -1, 1))
        self._written = write(self, target, self._cells, draw)
        self._rescale = np.ones(self.n_out, np.float32)
        self._age_s = 0.0
        self._forget()
        self._ranges.clear()
        if self.verify:
            done = self._written
            events = verify_cost(done.read, done.rewritten, self._tiles, self._mapping)
            self.ledger.record(self.name, "VERIFY", len(done.rewritten), events)

    # ---- reading ---------------------------------------------------------------------

    def _forget(self) -> None:
        """Compute what cells pass anew when it is next asked for."""
        self._passed = None
        self._passes.clear()

    def _of(self, verb: Can) -> list[Pass]:
        """Return what is read one after another or side by side, and added as numbers."""
        if verb in self._passes:
            return self._passes[verb]
        if self._passed is None:
            age, noise = self._age_s, self.read_noise
            self._passed = conduct(self._cells, self._written, age, noise, self._tiles, self._wires)
        forward = verb is Can.MULTIPLY
        parts = currents(*self._passed, self._mapping.weights, self._tiles, forward)
        n = len(parts[0].w)
        if self.adc_range is not None:
            self._ranges[verb] = np.full((len(parts), n), self.adc_range, np.float32)
        elif verb not in self._ranges:
            found = [range_of(part.w, self.adc_per_column) for part in parts]
            self._ranges[verb] = np.stack(found)
        unit = np.ones(n, np.float32)
        if forward and self._mapping.kind != "offset":
            unit = self._scale * self._rescale
        rng = self._stream.child(f"adc/{verb.name}").rng()
        adc = np.arange(n) // self._tiles.turns(n)
        drawn = rng.standard_normal((2, len(parts), n), np.float32)[:, :, adc]
        error, offset = self.adc_gain_std * drawn[0], self.adc_offset_lsb * drawn[1]
        lsb = self._ranges[verb] / np.float32(self._top) if self._top else np.ones_like(error)
        self._passes[verb] = [
            Pass(
                part,
                1 / lsb[k],
                offset[k],
                np.float32(part.weight) * lsb[k] * (1 + error[k]) * unit,
            )
            for k, part in enumerate(parts)
        ]
        return self._passes[verb]

    def _drives(self, x: Array, verb: Can) -> list[Plane]:
        reach = self.input_range if verb is Can.MULTIPLY and self.input_range else 0.0
        planes = drive(x, reach, self._steps, self._serial)
        if verb is Can.TRANSPOSE and self._mapping.kind == "offset":
            planes = [(f, self._tiles.with_reference(d)) for f, d in planes]
        return planes

    def _read(self, x: Array, verb: Can, draw: Draw) -> Array:
        passes, key = self._of(verb), draw.key()
        out = np.empty((len(x), len(passes[0].gain)), np.float32)
        for first in range(0, len(x), ROWS):
            part = slice(first, first + ROWS)
            planes = self._drives(x[part], verb)
            read(planes, passes, self.output_noise, self._top, key, first, len(x), out[part])
        return out

    def _finish(self, out: Array) -> Array:
        """Subtract the reference columns from outputs (batch, n_out + references) and scale."""
        if self._mapping.kind != "offset":
            return out
        difference = out[:, : self.n_out] - out[:, self._tiles.reference_of()]
        return np.asarray(difference * (self._scale * self._rescale), np.float32)

    def _multiply(self, x: Array, draw: Draw) -> Array:
        return self._finish(self._read(x.astype(np.float32, copy=False), Can.MULTIPLY, draw))

    def _transpose(self, y: Array, draw: Draw) -> Array:
        return self._read(y.astype(np.float32) * (self._scale * self._rescale), Can.TRANSPOSE, draw)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        planes = self.dac_bits - 1 if self._serial else 1
        return cost_of(verb, batch, planes, self._tiles, self._mapping)

    def _state(self) -> dict[str, Array]:
        state = {
            "g": self._written.g,
            "scale": self._scale,
            "rescale": self._rescale,
            "age_s": np.array([self._age_s]),
        }
        if self._written.nu is not None:
            state["nu"] = self._written.nu
        return state | {f"range:{verb.name}": r for verb, r in self._ranges.items()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        nu = arrays["nu"].copy() if "nu" in arrays else None
        self._written = Written(arrays["g"].copy(), nu, 0, ())
        self._scale, self._rescale = arrays["scale"].copy(), arrays["rescale"].copy()
        self._age_s = float(arrays["age_s"][0])
        self._forget()
        self._ranges = {v: arrays[k].copy() for v in Can if (k := f"range:{v.name}") in arrays}
