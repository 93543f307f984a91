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
    "encoding": ("amplitude", "serial", None),
}
_NUMBERS = {
    "clip_percentile": (1.0, 100.0),
    "programming_noise": (0.0, 1e6),
    "read_noise": (0.0, 1e6),
    "drift": (0.0, 1e3),
    "device_std": (0.0, 1.0),
    "stuck_on": (0.0, 1.0),
    "stuck_off": (0.0, 1.0),
    "dead_lines": (0.0, 1.0),
    "tolerance": (1e-6, 1.0),
    "input_range": (1e-30, 1e30),
    "adc_range": (1e-6, 1e9),
    "adc_offset_lsb": (0.0, 1e6),
    "adc_gain_std": (0.0, 1.0),
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
    if crossbar.encoding == "serial" and not crossbar.dac_bits:
        raise ValueError(f"{name}: serial drives show bits, so dac_bits takes 2 and more, got 0")
    _levels(crossbar)

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
    return Tiles(crossbar.n_out, crossbar.n_in, rows, outputs, reference, sharing)


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
