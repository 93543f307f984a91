"""A crossbar that nobody programs: dielectric breakdown made its cells, at random and for good."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .base import Can, Device
from .converters import range_of
from .ledger import Count
from .seeds import Draw
from .technology import load


@dataclass(kw_only=True, eq=False)
class RandomCrossbar(Device):
    """A fixed, sparse, random matrix in resistive cells: free to make, and read by spikes.

    A weight is the difference of two cells' conductances. A voltage sweep breaks the oxide of
    some cells down, chosen by their own chance; the others stay as insulating as they were made
    (Wang et al., Nature Machine Intelligence 5, 104, 2023). Nothing is ever written after that.

    Only lines with a drive are read. All cells of a line pass current for as long as its drive
    lasts, and every cell's read noise is Gaussian, so that of a column is, too: its variance is
    the sum of the cells' variances times drive squared, drawn as one number. Row blocks are added
    as numbers after conversion; where a block has no drive at all it is not converted.
    """

    breakdown: float = 0.1
    """Share of the cells that are broken down: the voltage of the sweep sets it."""
    spread: float = 0.3
    """Relative std of the conductances of broken-down cells."""
    read_noise: float = 1.0
    """Factor on the std of a read of every cell, dimensionless."""
    scale: float | None = None
    """Std of the entries of W over all devices, dimensionless; None: 1 / sqrt(n_in)."""
    input_range: float | None = None
    """Input that drives fully, beyond which inputs are cut; None: the largest of each row."""
    dac_bits: int = 8
    """Bits of a drive, one of them the sign; 0: exact."""
    adc_bits: int = 8
    """Bits of a conversion; 0: exact."""
    adc_range: float | None = None
    """Current of the largest code, in broken-down cells; None: from the weights."""
    tile_rows: int | None = None
    """Rows of an array; more inputs are summed as numbers. None: the technology's."""
    tile_columns: int | None = None
    """Columns of an array; None: the technology's."""
    columns_per_adc: int | None = None
    """Columns that take turns at one ADC; None: the technology's."""

    usual_technology = "rram_breakdown"
    is_tile = True

    def __post_init__(self) -> None:
        super().__post_init__()
        technology = load(self.technology)
        self._check()

        def size(field: str, parameter: str) -> int:
            got = getattr(self, field)
            return int(technology.parameter(parameter)) if got is None else int(got)

        rows, columns = size("tile_rows", "rows"), size("tile_columns", "columns")
        if columns < 2:
            raise ValueError(f"{self.name}: one weight takes 2 columns, and an array has {columns}")
        self._blocks = [slice(k, min(k + rows, self.n_in)) for k in range(0, self.n_in, rows)]
        self._across = math.ceil(self.n_out / (columns // 2))
        self._turns = min(size("columns_per_adc", "columns_per_adc"), columns // 2, self.n_out)
        pristine = technology.parameter("g_pristine") / technology.parameter("g_broken")
        cells = self._cells(pristine)
        w = cells[0] - cells[1]
        self._w = np.ascontiguousarray(w.T)
        relative = np.float32(self.read_noise * technology.parameter("read_0"))
        self._variance = np.ascontiguousarray(((relative * cells) ** 2).sum(axis=0).T)
        self._load = cells.sum(axis=(0, 1), dtype=np.float32)
        self._gain = np.float32(self._std() / self._std_of_pair(pristine))
        found = [range_of(w[:, lines], per_column=False)[0] for lines in self._blocks]
        if self.adc_range is not None:
            found = [np.float32(self.adc_range) for _ in found]
        self._top = float(2 ** (self.adc_bits - 1) - 1) if self.adc_bits else 0.0
        self._lsb = [float(f) / self._top if self._top else 1.0 for f in found]
        self._steps = 2 ** (self.dac_bits - 1) - 1 if self.dac_bits else 0

    def _check(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "breakdown": (1e-9, 1.0),
            "spread": (0.0, 1.0),
            "read_noise": (0.0, 1e6),
            "scale": (1e-30, 1e30),
            "input_range": (1e-30, 1e30),
            "dac_bits": (0, 16),
            "adc_bits": (0, 16),
            "adc_range": (1e-6, 1e9),
            "tile_rows": (1, 1_000_000),
            "tile_columns": (1, 1_000_000),
            "columns_per_adc": (1, 1_000_000),
        }
        for field, (least, most) in bounds.items():
            got = getattr(self, field)
            whole = isinstance(least, int)
            if got is None and field not in ("breakdown", "spread", "read_noise"):
                continue
            right = isinstance(got, int) if whole else isinstance(got, (int, float))
            if isinstance(got, bool) or not right or not least <= got <= most:
                kind = "a whole number" if whole else "a number"
                raise ValueError(
                    f"{self.name}: {field} takes {kind} from {least:g} to {most:g}, got {got!r}"
                )
        if 1 in (self.dac_bits, self.adc_bits):
            raise ValueError(
                f"{self.name}: one bit is the sign: dac_bits and adc_bits take 0 or 2 and more"
            )

    def _cells(self, pristine: float) -> Array:
        """Return the conductances (2, n_out, n_in) of all cells, over a broken-down one's mean."""
        rng = self._stream.child("cells").rng()
        shape = (2, self.n_out, self.n_in)
        broken = rng.random(shape, np.float32) < self.breakdown
        g = 1 + np.float32(self.spread) * rng.standard_normal(shape, np.float32)
        return np.where(broken, np.maximum(g, 0), np.float32(pristine)).astype(np.float32)

    def _std(self) -> float:
        return float(self.n_in**-0.5) if self.scale is None else self.scale

    def _std_of_pair(self, pristine: float) -> float:
        """Return the std of the difference of two cells, in broken-down ones."""
        p, step = self.breakdown, 1 - pristine
        return float((2 * (p * (1 - p) * step**2 + p * self.spread**2)) ** 0.5) or 1.0

    def matrix(self) -> Array:
        return np.ascontiguousarray(self._w.T * self._gain)

    def _drives(self, x: Array) -> tuple[Array, Array]:
        """Return what a full drive of each row counts (rows,), and the drives from -1 to 1."""
        full = np.abs(x).max(axis=1) if self.input_range is None else np.float32(self.input_range)
        full = np.broadcast_to(np.where(full == 0, np.float32(1), full), len(x)).copy()
        drives = np.clip(x / full[:, None], -1, 1)
        if self._steps:
            drives = np.rint(drives * np.float32(self._steps)) / np.float32(self._steps)
        return full, drives

    def _multiply(self, x: Array, draw: Draw) -> Array:
        from .kernels.normal import normals
        from .kernels.spiking import convert, gather

        full, drives = self._drives(x.astype(np.float32, copy=False))
        shape = len(x), self.n_out
        current, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
        out, z = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        key, read, driven, conversions = draw.key(), 0.0, 0, 0
        for block, lines in enumerate(self._blocks):
            part = np.ascontiguousarray(drives[:, lines])
            read += gather(
                part, self._w[lines], self._variance[lines], self._load[lines], current, variance
            )
            if self.read_noise:
                normals(key, block * z.size, z.reshape(-1))
            lsb = self._lsb[block]
            convert(current, variance, z, lsb, self._top, lsb * float(self._gain), full, out)
            driven += int(np.count_nonzero(part))
            conversions += int(part.any(axis=1).sum())
        self._tell("dac", driven * self._across)
        self._tell("cell_read", read)
        self._tell("adc", conversions * self.n_out)
        self._tell("shift_add", conversions * self.n_out)
        return out

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        cells, conversions = 2 * self.n_out * self.n_in, self.n_out * len(self._blocks)
        return {
            "dac": Count(batch * self.n_in * self._across, batch),
            "cell_read": Count(batch * cells, batch),
            "adc": Count(batch * conversions, batch * self._turns),
            "shift_add": Count(batch * conversions, batch * self._turns),
        }
