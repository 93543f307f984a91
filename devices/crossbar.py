"""A resistive crossbar: weights are conductances, inputs voltages, and outputs summed currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .ageing import Ageing
from .arrays import Array, elsewhere, namespace
from .base import Can
from .cells import Cells
from .converters import range_of, shared
from .crossbar_cost import Periphery, cost_of, units_of, verify_cost
from .crossbar_currents import Conducted, Noise, aged, conduct, currents, seen_of, wired
from .crossbar_passes import passes_of
from .crossbar_read import Pass, Plane, loaded, read
from .crossbar_settings import CrossbarSettings, ages, check
from .crossbar_torch import can_read_there, read_there
from .crossbar_write import Written, forced, trapped, write
from .drift_compensation import calibration_cost, column_sums, drift_factors
from .ledger import Count
from .parasitics import Unconverged, Wires
from .seeds import Draw
from .technology import Technology, load
from .weight_mapping import WeightMapping, scales

ROWS = 1024
"""Rows that are read at once: BLAS is at its best, and their currents take little memory."""


@dataclass(kw_only=True, eq=False)
class Crossbar(CrossbarSettings, Ageing):
    """Arrays of resistive cells between DACs and ADCs, with the noise of every part.

    Programming noise, drift and read noise follow the statistics in the technology file. Reads
    are Gaussian sums, so every cell's own noise is drawn at the outputs in one number each: its
    variance there is the sum over the cells of variance times drive squared, a second matrix
    product, and outputs share no cell, so they are independent (but for a reference column).

    A pair's two columns are subtracted as currents, before conversion; row blocks, slices and bit
    planes after it, as numbers. Inputs are scaled to the drives by one number a row.
    """

    usual_technology = "pcm_hermes"
    is_tile = True

    def __post_init__(self) -> None:
        super().__post_init__()
        technology = load(self.technology)
        self._cells = Cells.of(technology, self.g_min_S, self.g_max_S)
        self._mapping = WeightMapping(self.mapping, self.slices, self.levels)
        self._encoding = self.encoding or (
            "serial" if technology.parameter("bit_serial") > 0 and self.dac_bits else "amplitude"
        )
        self._tiles = check(self, technology, self._cells, self._mapping)
        ohms = "word_ohm", "bit_ohm", "driver_ohm", "sense_ohm", "access_ohm"
        wires = Wires(
            **{ohm: getattr(self, ohm) for ohm in ohms}, driven=self.driven, sensed=self.sensed
        )
        self._wires = wires if any(getattr(wires, ohm) for ohm in ohms) else None
        self._top = float(2 ** (self.adc_bits - 1) - 1) if self.adc_bits else 0.0
        self._steps = 2 ** (self.dac_bits - 1) - 1 if self.dac_bits else 0
        self._around = self._periphery(technology)
        self._passes: dict[Can, list[Pass]] = {}
        self._there: dict[Any, tuple[list[Pass], list[Pass]]] = {}
        self._passed: Conducted | None = None
        self._loads: dict[Can, Array] = {}
        self._fitted: set[Can] = set()
        self._ranges: dict[Can, Array] = {}
        self._scale = np.ones(self.n_out, np.float32)
        self._rescale = np.ones(self.n_out, np.float32)
        self._age_s = self._aged_s = 0.0  # time since the write, and what it counts for drift
        self._fresh: Array | None = None
        g = self._targets(np.zeros((self.n_out, self.n_in), np.float32))
        fixed = forced(self, g.shape, self._cells, self._tiles)
        g = g if fixed is None else np.where(np.isnan(fixed), g, fixed)
        self._noise = Noise(
            self.read_noise,
            self.telegraph,
            self.telegraph_duty,
            trapped(self, g.shape),
            # the charge of all pulses is one read
            self.thermal_noise**2 * self.temperature_K / self._around.pulses,
        )
        self._written = Written(g, None, 0, ())
        self._wear = np.zeros(g.shape, np.uint32)
        self.ledger.build(self.name, units_of(self._around, self._tiles, self._mapping))

    def _periphery(self, technology: Technology) -> Periphery:
        kind = self.adc_kind or technology.event("adc", self.n_out, self.n_in).converter
        magnitudes = max(self.dac_bits - 1, 1)
        return Periphery(
            magnitudes if self._encoding == "serial" else 1,
            self._steps if self._encoding == "pulses" else 1,
            self.dac_bits,
            self.adc_bits,
            kind == "ramp",
        )

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

        At `temperature_K` drift and retention go by `Clock`; 1 / f noise goes by the time itself.
        Raises ValueError for a time below 0.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{self.name}: wait takes seconds from 0, got {seconds!r}")
        for verb in (Can.MULTIPLY, Can.TRANSPOSE):
            self._of(verb)  # the converters' ranges are those of the fresh weights
        self._age_s += float(seconds)
        self._aged_s = self._cells.aged(self._aged_s, float(seconds), self.temperature_K)
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
            planes, spent = self._drives(rows, verb)
            drives = [d for _, d in planes]
            found = [
                np.max([abs(c.carried(d)).max(axis=0) for d in drives], axis=0)
                for c, *_ in self._of(verb)
            ]
            self._ranges[verb] = np.stack([shared(f, self.adc_per_column) for f in found])
            self._passes.pop(verb, None)
            self._fitted.add(verb)
            events = dict(self.cost(verb, len(rows)))
            events["cell_read"] = Count(spent, events["cell_read"].depth)
            self.ledger.record(self.name, "CALIBRATE", len(rows), events)

    @property
    def drifts(self) -> bool:
        return ages(self, self._cells)

    def compensate(self, per_column: bool = False) -> None:
        """Rescale the outputs by what a calibration read finds lost since `program`.

        By one number for all outputs, or `per_column` by one for each; `drift_compensation.py`
        says how. The first after a `program` counts two reads: that of the fresh cells is the
        measure of all.
        """
        reads = 1
        if self._fresh is None:
            self._fresh, reads = self._column_sums(0.0, 0.0, "fresh"), 2
        self._rescale = drift_factors(
            self._fresh, self._column_sums(self._age_s, self._aged_s, "calibration"), per_column
        )
        self._passes.clear()
        events = calibration_cost(reads, self._around, self._tiles, self._mapping)
        self.ledger.record(self.name, "COMPENSATE", reads, events)

    def _column_sums(self, age_s: float, aged_s: float, name: str) -> Array:
        """Return the currents (slices, cells, n_out) of single columns, read at an age."""
        now = aged(self._cells, self._written, aged_s, self.retention)
        seen = seen_of(self._cells, self._written, now, age_s, self._noise)
        if self._wires is not None:
            seen = wired(*seen, self._tiles, self._wires)
        found, variance = seen
        if variance is not None:
            variance = variance[:, :, : self.n_out]
        draw = self._stream.child(name).at(self._operations)
        unit = np.float32(1 / self._cells.span_S)
        return column_sums(
            found[:, :, : self.n_out] * unit, variance, self.output_noise, self._top, draw
        )

    def matrix(self) -> Array:
        w = np.zeros((len(self._written.g[0, 0]), self.n_in), np.float32)
        for p in self._of(Can.MULTIPLY):
            w[:, p.currents.drives] += p.currents.w * (p.inverse * p.gain)[:, None]
        return np.ascontiguousarray(self._finish(w.T).T)

    def wear(self) -> Array:
        """Return how often each cell (slices, cells, columns, n_in) was written."""
        return self._wear.copy()

    def noise_std(self) -> float | None:
        """Return the floor of the noise on every output; None where rounding may hide it.

        Only the noise level of the converters is promised, and only where inputs are not scaled
        row by row (`input_range`) and outputs are not rounded (`adc_bits` 0).
        """
        if self.adc_bits or self.input_range is None or not self.output_noise:
            return None
        power = sum(p.gain[: self.n_out] ** 2 for p in self._of(Can.MULTIPLY))
        if self._encoding == "serial":
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
        self._written = write(self, target, self._cells, self._tiles, draw)
        if self._written.writes is not None:
            self._wear += self._written.writes
        self._rescale = np.ones(self.n_out, np.float32)
        self._age_s = self._aged_s = 0.0
        self._fresh = None
        self._forget()
        self._ranges.clear()
        self._fitted.clear()
        if self.verify:
            done = self._written
            events = verify_cost(done.read, done.rewritten, self._tiles, self._mapping)
            self.ledger.record(self.name, "VERIFY", len(done.rewritten), events)

    # ---- reading ---------------------------------------------------------------------

    def _forget(self) -> None:
        """Compute what cells pass anew when it is next asked for."""
        self._passed = None
        self._passes.clear()
        self._loads.clear()

    def _of(self, verb: Can) -> list[Pass]:
        """Return what is read one after another or side by side, and added as numbers."""
        if verb in self._passes:
            return self._passes[verb]
        found = self._conducted()
        pulsed = self._encoding == "pulses"
        forward = verb is Can.MULTIPLY
        parts = currents(found, self._mapping.weights, self._tiles, forward, pulsed)
        n = len(parts[0].w)
        if self.adc_range is not None:
            self._ranges[verb] = np.full((len(parts), n), self.adc_range, np.float32)
        elif verb not in self._ranges:
            self._ranges[verb] = np.stack([range_of(part.w, self.adc_per_column) for part in parts])
        unit = np.ones(n, np.float32)
        if forward and self._mapping.kind != "offset":
            unit = self._scale * self._rescale
        self._passes[verb] = passes_of(
            self,
            parts,
            self._ranges[verb],
            unit,
            self._tiles.turns(n),
            self._around.ramp,
            verb.name or "",
            self._stream,
        )
        return self._passes[verb]

    def _conducted(self) -> Conducted:
        if self._passed is None:
            try:
                self._passed = conduct(
                    self._cells,
                    self._written,
                    self._age_s,
                    self._aged_s,
                    self.retention,
                    self._noise,
                    self._tiles,
                    self._wires,
                    self.curvature,
                )
            except Unconverged as wrong:
                raise ValueError(
                    f"{self.name}: {wrong.where}; lower word_ohm or bit_ohm, g_max_S, or the "
                    "array by tile_rows and tile_columns"
                ) from wrong
        return self._passed

    def _load(self, verb: Can) -> Array:
        """Return the conductance (lines,) behind each line, in cells as `cell_read` prices them."""
        if verb not in self._loads:
            cells, load = self._cells, self._conducted().load.sum(axis=0)
            middle = np.float32(0.5 * sum(cells.fitted_S) / cells.span_S)
            self._loads[verb] = load.sum(axis=0 if verb is Can.MULTIPLY else 1) / middle
        return self._loads[verb]

    def _drives(self, x: Array, verb: Can) -> tuple[list[Plane], float]:
        """Return the drives of x, and how many cells in the middle of the range they amount to."""
        reach = self.input_range if verb is Can.MULTIPLY and self.input_range else 0.0
        load, pulsed = self._load(verb), self._encoding == "pulses"
        shown = load[: self.n_out] if verb is Can.TRANSPOSE else load
        planes, spent = loaded(x, reach, self._steps, self._encoding == "serial", shown)
        if pulsed:
            spent = float(self._steps * sum((abs(d) @ shown).sum() for _, d in planes))
        if verb is Can.TRANSPOSE and self._mapping.kind == "offset":
            planes = [(f, self._tiles.with_reference(d)) for f, d in planes]
            # The reference columns' drivers, each of them fully on but for the last.
            for _, d in planes:
                reference = abs(d[:, self._tiles.reference_lines()])
                spent += float((reference @ load[self.n_out :]).sum())
        return planes, spent

    def _read(self, x: Array, verb: Can, draw: Draw) -> Array:
        passes, key, spent = self._of(verb), draw.key(), 0.0
        out = np.empty((len(x), len(passes[0].gain)), np.float32)
        for first in range(0, len(x), ROWS):
            part = slice(first, first + ROWS)
            planes, more = self._drives(x[part], verb)
            spent += more
            read(planes, passes, self.output_noise, self._top, key, first, len(x), out[part])
        self._tell("cell_read", spent)
        return out

    def _finish(self, out: Array) -> Array:
        """Subtract the reference columns from outputs (batch, n_out + references) and scale."""
        if self._mapping.kind != "offset":
            return out
        difference = out[:, : self.n_out] - out[:, self._tiles.reference_of()]
        return np.asarray(difference * (self._scale * self._rescale), np.float32)

    def _enter(self, x: Any, width: int, what: str) -> Any:
        """Leave a GPU's tensor where it is, if it is read there."""
        verb = {"x": Can.MULTIPLY, "y": Can.TRANSPOSE}.get(what)
        if verb is None or not elsewhere(x) or not can_read_there(self, verb):
            return super()._enter(x, width, what)
        x = x.detach().float()
        if x.ndim != 2 or x.shape[1] != width:
            raise ValueError(f"{self.name}: {what} takes (batch, {width}), got {tuple(x.shape)}")
        return x

    def _read_there(self, x: Any, verb: Can, draw: Draw) -> Any:
        out, spent = read_there(self, x, verb, int(draw.key()))
        self._tell("cell_read", spent)
        return out

    def _multiply(self, x: Any, draw: Draw) -> Any:
        if self.calibrated and Can.MULTIPLY not in self._fitted:
            self.calibrate(x=x)
        if namespace(x) is not np:
            return self._read_there(x, Can.MULTIPLY, draw)
        x = x.astype(np.float32, copy=False)
        return self._finish(self._read(x, Can.MULTIPLY, draw))

    def _transpose(self, y: Any, draw: Draw) -> Any:
        if self.calibrated and Can.TRANSPOSE not in self._fitted:
            self.calibrate(y=y)
        unit = self._scale * self._rescale
        if namespace(y) is not np:
            unit = namespace(y).as_tensor(unit, device=y.device)
            return self._read_there(y * unit, Can.TRANSPOSE, draw)
        return self._read(y.astype(np.float32) * unit, Can.TRANSPOSE, draw)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return cost_of(verb, batch, self._around, self._tiles, self._mapping)

    def _state(self) -> dict[str, Array]:
        state = {
            "g": self._written.g,
            "scale": self._scale,
            "rescale": self._rescale,
            "age_s": np.array([self._age_s, self._aged_s]),
            "wear": self._wear,
        }
        if self._written.nu is not None:
            state["nu"] = self._written.nu
        if self._written.strays is not None:
            state["target"], state["stray"] = self._written.strays
        state |= {f"fitted:{verb.name}": np.ones(1) for verb in self._fitted}
        if self._fresh is not None:
            state["fresh"] = self._fresh
        return state | {f"range:{verb.name}": r for verb, r in self._ranges.items()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        nu = arrays["nu"].copy() if "nu" in arrays else None
        strays = None
        if "stray" in arrays:
            strays = arrays["target"].copy(), arrays["stray"].copy()
        self._written = Written(arrays["g"].copy(), nu, 0, (), strays)
        self._scale, self._rescale = arrays["scale"].copy(), arrays["rescale"].copy()
        self._age_s, self._aged_s = (float(arrays["age_s"][k]) for k in (0, -1))
        self._fresh = arrays["fresh"].copy() if "fresh" in arrays else None
        self._wear[:] = arrays["wear"]
        self._forget()
        self._fitted = {v for v in Can if f"fitted:{v.name}" in arrays}
        self._ranges = {v: arrays[k].copy() for v in Can if (k := f"range:{v.name}") in arrays}
