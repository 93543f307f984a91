"""The converters of a crossbar: ranges, gains, offsets and codes of each, and what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array
from .converters import edges_of
from .crossbar_read import Currents, Pass
from .seeds import Seed

if TYPE_CHECKING:
    from .crossbar import Crossbar


def passes_of(
    crossbar: Crossbar,
    parts: Sequence[Currents],
    ranges: Array,
    unit: Array,
    turns: int,
    ramp: bool,
    verb: str,
    seed: Seed,
) -> list[Pass]:
    """Return currents with the converters that read them.

    `ranges` (passes, n) are the currents of the largest code, `unit` (n,) what a full-on cell
    counts in an output. `turns` columns share a converter, whose errors do not depend on what is
    written; those of reading forwards and backwards are others.
    """
    n = len(parts[0].w)
    adc = np.arange(n, dtype=np.int32) // np.int32(turns)
    rng = seed.child(f"adc/{verb}").rng()
    drawn = rng.standard_normal((2, len(parts), n), np.float32)[:, :, adc]
    error, offset = crossbar.adc_gain_std * drawn[0], crossbar.adc_offset_lsb * drawn[1]
    lsb = np.ones_like(error)
    if crossbar.adc_bits:
        lsb = ranges / np.float32(2 ** (crossbar.adc_bits - 1) - 1)
    edges: list[Array | None] = [None] * len(parts)
    if crossbar.adc_mismatch:
        rng, kind = seed.child(f"edges/{verb}").rng(), "ramp" if ramp else "sar"
        some, mismatch = int(adc[-1]) + 1, crossbar.adc_mismatch
        edges = [edges_of(kind, crossbar.adc_bits, mismatch, some, rng) for _ in parts]
    return [
        Pass(
            part,
            1 / lsb[k],
            offset[k],
            np.float32(part.weight) * lsb[k] * (1 + error[k]) * unit,
            edges[k],
            None if edges[k] is None else adc,
        )
        for k, part in enumerate(parts)
    ]
