"""What the settings of a crossbar may be: each wrong one is refused in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

from .cells import Cells
from .crossbar_cost import Tiles
from .technology import Technology
from .weight_mapping import Kind, WeightMapping
from .words import unknown

if TYPE_CHECKING:
    from .crossbar import Crossbar

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
    crossbar: Crossbar, technology: Technology, cells: Cells, mapping: WeightMapping
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


def _physics(crossbar: Crossbar, technology: Technology, cells: Cells) -> None:
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


def _heat(crossbar: Crossbar, stem: str, cells: Cells) -> None:
    name = crossbar.name
    if crossbar.thermal_noise and not (cells.drive_V and cells.drive_s):
        raise ValueError(
            f"{name}: thermal noise needs the voltage and the length of a drive, and technology "
            f"{stem} states no drive_voltage and drive_time; set thermal_noise to 0"
        )
    if not crossbar.drifts:
        return
    if cells.clock is None:
        raise ValueError(
            f"{name}: technology {stem} states no ageing_temperature, at which its drift and "
            f"retention were measured, so temperature_K takes 0, got {crossbar.temperature_K:g}"
        )
    cells.clock.check(name, stem, crossbar.temperature_K)


def _levels(crossbar: Crossbar) -> None:
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
