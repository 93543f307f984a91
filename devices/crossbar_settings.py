"""The settings of a crossbar, and what they may be: each wrong one is refused in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .base import Device
from .cells import Cells
from .crossbar_cost import Tiles
from .technology import Technology
from .weight_mapping import Kind, WeightMapping
from .words import unknown


@dataclass(kw_only=True, eq=False)
class CrossbarSettings(Device):
    """What can be set of a crossbar."""

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
    telegraph: float = 0.0
    """Share of its conductance that a trapped charge takes from a cell, for as long as it stays."""
    telegraph_share: float = 1.0
    """Share of the cells that hold a trap."""
    telegraph_duty: float = 0.5
    """Share of the time that a trap is filled."""
    temperature_K: float = 0.0
    """Temperature of the cells: their thermal noise has it, and they age by it where the technology
    says how; 0: no thermal noise, and ageing as measured."""
    thermal_noise: float = 1.0
    """Factor on the std of the cells' thermal noise, dimensionless."""
    curvature: float = 0.0
    """Factor on what the current of a cell departs from Ohm's law, where the technology says."""
    drift: float = 1.0
    """Factor on the drift exponents, dimensionless."""
    retention: float = 1.0
    """Factor on how far cells stray from what was written, where the technology says."""
    device_std: float = 0.0
    """Relative std of the conductances that equal writes reach in different cells."""
    stuck_on: float = 0.0
    """Share of the cells that stay fully on."""
    stuck_off: float = 0.0
    """Share of the cells that stay off."""
    dead_word_lines: float = 0.0
    """Share of the word lines of every array that carry no current."""
    dead_bit_lines: float = 0.0
    """Share of the bit lines of every array that carry no current."""
    verify: int = 0
    """Most rounds in which cells beyond `tolerance` are written again."""
    tolerance: float = 0.02
    """Error of a verified write over the largest conductance."""
    dac_bits: int = 8
    """Bits of a drive, one of them the sign; 0: exact."""
    encoding: Literal["amplitude", "serial", "pulses"] | None = None
    """One drive; one a magnitude bit, each converted by itself; or a number of equal pulses whose
    charge is converted once. None: the technology's."""
    input_range: float | None = None
    """Input that drives fully, beyond which inputs are cut; None: the largest of each row."""
    adc_bits: int = 8
    """Bits of a conversion; 0: exact."""
    adc_range: float | None = None
    """Current of the largest code, in full-on cells; None: from the weights, or `calibrate`."""
    adc_per_column: bool = False
    """Whether each column has a range of its own."""
    calibrated: bool = False
    """Whether the first batch after a write sets the ranges, as `calibrate` does."""
    adc_kind: Literal["sar", "ramp"] | None = None
    """A bit a step, columns taking turns; or a code a step, for all columns at once. None: the
    technology's."""
    adc_offset_lsb: float = 0.0
    """Std of the converters' offsets, in codes."""
    adc_gain_std: float = 0.0
    """Relative std of the converters' gains."""
    adc_mismatch: float = 0.0
    """Relative std of the equal elements that a converter's codes are built of: nonlinearity."""
    output_noise: float = 0.0
    """Std of one noise level at every conversion, in currents of a full-on cell."""
    tile_rows: int | None = None
    """Rows of an array; more inputs are summed as numbers. None: the technology's."""
    tile_columns: int | None = None
    """Columns of an array; None: the technology's."""
    columns_per_adc: int | None = None
    """Columns that take turns at one ADC; None: the technology's."""
    rows_at_once: int | None = None
    """Rows of an array that are selected together, and summed as numbers; None: all."""

    word_ohm: float = 0.0
    """Resistance of a word line's wire from one cell to the next."""
    bit_ohm: float = 0.0
    """Resistance of a bit line's wire from one cell to the next."""
    driver_ohm: float = 0.0
    """Resistance behind each driver."""
    sense_ohm: float = 0.0
    """Resistance behind each sense amplifier."""
    access_ohm: float = 0.0
    """Resistance in series with each cell: its transistor."""
    driven: Literal["left", "right", "both"] = "left"
    """Ends of the word lines that have drivers."""
    sensed: Literal["bottom", "top", "both"] = "bottom"
    """Ends of the bit lines that have sense amplifiers."""


_CHOICES = {
    "mapping": get_args(Kind),
    "scaling": ("tensor", "column"),
    "encoding": ("amplitude", "serial", "pulses", None),
    "adc_kind": ("sar", "ramp", None),
    "driven": ("left", "right", "both"),
    "sensed": ("bottom", "top", "both"),
}
_NUMBERS = {
    "clip_percentile": (1.0, 100.0),
    "programming_noise": (0.0, 1e6),
    "read_noise": (0.0, 1e6),
    "drift": (0.0, 1e3),
    "retention": (0.0, 1e3),
    "telegraph": (0.0, 1.0),
    "telegraph_share": (0.0, 1.0),
    "telegraph_duty": (0.0, 1.0),
    "temperature_K": (0.0, 2000.0),
    "thermal_noise": (0.0, 1e6),
    "curvature": (0.0, 10.0),
    "device_std": (0.0, 1.0),
    "stuck_on": (0.0, 1.0),
    "stuck_off": (0.0, 1.0),
    "dead_word_lines": (0.0, 1.0),
    "dead_bit_lines": (0.0, 1.0),
    "tolerance": (1e-6, 1.0),
    "input_range": (1e-30, 1e30),
    "adc_range": (1e-6, 1e9),
    "adc_offset_lsb": (0.0, 1e6),
    "adc_gain_std": (0.0, 1.0),
    "adc_mismatch": (0.0, 1.0),
    "output_noise": (0.0, 1e6),
}
_WHOLE = {
    "slices": (1, 16),
    "levels": (0, 65536),
    "verify": (0, 1000),
    "dac_bits": (0, 16),
    "adc_bits": (0, 16),
    "tile_rows": (1, 1_000_000),
    "tile_columns": (1, 1_000_000),
    "columns_per_adc": (1, 1_000_000),
    "rows_at_once": (1, 1_000_000),
}


def check(
    crossbar: CrossbarSettings, technology: Technology, cells: Cells, mapping: WeightMapping
) -> Tiles:
    """Return how the matrix lies on arrays. Raises ValueError where a setting cannot be."""
    name = crossbar.name
    for field, options in _CHOICES.items():
        if getattr(crossbar, field) not in options:
            named = [option for option in options if option]
            raise ValueError(f"{name}: {unknown(field, str(getattr(crossbar, field)), named)}")
    for field, (low, high) in _NUMBERS.items():
        _check(name, field, getattr(crossbar, field), low, high, whole=False)
    for field, (least, most) in _WHOLE.items():
        _check(name, field, getattr(crossbar, field), least, most, whole=True)
    if not 0 <= cells.g_min_S < cells.g_max_S < math.inf:
        raise ValueError(
            f"{name}: g_min_S takes a conductance from 0 and below g_max_S, got "
            f"{cells.g_min_S:g} S and {cells.g_max_S:g} S"
        )
    if crossbar.stuck_on + crossbar.stuck_off > 1:
        raise ValueError(f"{name}: stuck_on and stuck_off are shares, and their sum is above 1")
    if crossbar.dac_bits == 1 or crossbar.adc_bits == 1:
        raise ValueError(f"{name}: one bit is the sign: dac_bits and adc_bits take 0 or 2 and more")
    if crossbar.encoding in ("serial", "pulses") and not crossbar.dac_bits:
        shows = "bits" if crossbar.encoding == "serial" else "a whole number of pulses"
        raise ValueError(
            f"{name}: {crossbar.encoding} drives show {shows}, so dac_bits takes 2 and more, got 0"
        )
    _levels(crossbar)
    _physics(crossbar, technology, cells)

    def size(field: str, parameter: str) -> int:
        got = getattr(crossbar, field)
        return int(technology.parameter(parameter)) if got is None else int(got)

    rows, columns = size("tile_rows", "rows"), size("tile_columns", "columns")
    a_weight, reference = crossbar.slices * mapping.cells, mapping.kind == "offset"
    needed = a_weight + (crossbar.slices if reference else 0)
    if columns < needed:
        raise ValueError(
            f"{name}: one weight takes {needed} columns ({mapping.kind}, {crossbar.slices} "
            f"slices), and an array has {columns}; raise tile_columns or lower slices"
        )
    outputs = (columns - (crossbar.slices if reference else 0)) // a_weight
    sharing = size("columns_per_adc", "columns_per_adc")
    at_once = rows if crossbar.rows_at_once is None else min(crossbar.rows_at_once, rows)
    return Tiles(crossbar.n_out, crossbar.n_in, rows, outputs, reference, sharing, at_once)


def _physics(crossbar: CrossbarSettings, technology: Technology, cells: Cells) -> None:
    name, stem = crossbar.name, technology.stem
    if crossbar.calibrated and (crossbar.adc_range is not None or not crossbar.adc_bits):
        got = "adc_range" if crossbar.adc_range is not None else "adc_bits 0"
        raise ValueError(
            f"{name}: calibrated sets the ranges of ADCs, and {got} leaves none to set"
        )
    if crossbar.adc_mismatch and not 2 <= crossbar.adc_bits <= 12:
        raise ValueError(
            f"{name}: adc_mismatch is of the elements that codes are built of, so adc_bits takes 2 "
            f"to 12, got {crossbar.adc_bits}"
        )
    if crossbar.temperature_K:
        _heat(crossbar, stem, cells)
    if not crossbar.curvature:
        return
    if not cells.curves or not cells.drive_V:
        raise ValueError(
            f"{name}: technology {stem} states no curve of its cells' current over the voltage; "
            "set curvature to 0"
        )
    if crossbar.mapping == "offset":
        raise ValueError(
            f"{name}: curved cells take a pair of cells, since a reference column is driven by "
            "several drivers; set mapping to differential or balanced, or curvature to 0"
        )
    if any(getattr(crossbar, f"{wire}_ohm") for wire in ("word", "bit", "driver", "sense")) or (
        crossbar.access_ohm
    ):
        raise ValueError(
            f"{name}: an array of curved cells behind resistances is no linear circuit, and no "
            "one matrix serves it; set curvature or all resistances to 0"
        )


def ages(crossbar: CrossbarSettings, cells: Cells) -> bool:
    """Whether cells change by themselves under these settings."""
    moves = crossbar.drift > 0 and cells.drift_mean is not None
    return moves or (crossbar.retention > 0 and cells.retention is not None)


def _heat(crossbar: CrossbarSettings, stem: str, cells: Cells) -> None:
    name = crossbar.name
    if ages(crossbar, cells):
        _clock(crossbar, stem, cells)
    if crossbar.thermal_noise and not (cells.drive_V and cells.drive_s):
        raise ValueError(
            f"{name}: thermal noise needs the voltage and the length of a drive, and technology "
            f"{stem} states no drive_voltage and drive_time; set thermal_noise to 0"
        )


def _clock(crossbar: CrossbarSettings, stem: str, cells: Cells) -> None:
    name = crossbar.name
    if cells.clock is None:
        raise ValueError(
            f"{name}: technology {stem} states no ageing_temperature, at which its drift and "
            f"retention were measured, so temperature_K takes 0, got {crossbar.temperature_K:g}"
        )
    cells.clock.check(name, stem, crossbar.temperature_K)


def _levels(crossbar: CrossbarSettings) -> None:
    name, levels, slices = crossbar.name, crossbar.levels, crossbar.slices
    if levels == 1:
        raise ValueError(f"{name}: levels takes 0 (any conductance) or 2 and more, got 1")
    if not levels and slices > 1:
        raise ValueError(
            f"{name}: {slices} slices hold digits, so levels takes 2 and more, got 0 (any "
            "conductance)"
        )
    if levels and slices * math.log2(levels) > 24:
        raise ValueError(f"{name}: {slices} slices of {levels} levels are more than 24 bits")
    if crossbar.mapping == "offset" and levels and levels**slices < 3:
        raise ValueError(
            f"{name}: offset weights take 3 levels and more (below, zero, above), got {levels}"
        )
    if crossbar.adc_bits and levels > 2**crossbar.adc_bits:
        raise ValueError(
            f"{name}: cells of {levels} levels are more than adc_bits {crossbar.adc_bits} "
            f"resolves ({2**crossbar.adc_bits} codes); raise adc_bits or lower levels"
        )


def _check(name: str, field: str, got: object, least: float, most: float, whole: bool) -> None:
    if got is None:
        return
    kind = "a whole number" if whole else "a number"
    right = isinstance(got, int) if whole else isinstance(got, (int, float))
    if isinstance(got, bool) or not right or not least <= got <= most:  # type: ignore[operator]
        raise ValueError(f"{name}: {field} takes {kind} from {least:g} to {most:g}, got {got!r}")
