"""What resists in a crossbar array beside its cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class Wires:
    """What resists beside the cells of an array, in ohms; 0 is allowed everywhere.

    `word_ohm` and `bit_ohm` are one segment of a word line and of a bit line; `driver_ohm` and
    `sense_ohm` stand behind each end that is driven or sensed; `access_ohm` is in series with each
    cell (its transistor). `driven` says at which end the drivers hold the word lines, `sensed` at
    which the bit lines are read; row 0 is the top, column 0 the left.

    Raises ValueError for what is not a finite number from 0, and for unknown ends.
    """

    word_ohm: float = 0.0
    bit_ohm: float = 0.0
    driver_ohm: float = 0.0
    sense_ohm: float = 0.0
    access_ohm: float = 0.0
    driven: Literal["left", "right", "both"] = "left"
    sensed: Literal["bottom", "top", "both"] = "bottom"

    def __post_init__(self) -> None:
        for f in fields(self):
            got = getattr(self, f.name)
            if f.name.endswith("_ohm"):
                number = isinstance(got, (int, float, np.integer, np.floating))
                if not number or isinstance(got, bool) or not 0 <= got < math.inf:
                    raise ValueError(f"wires: {f.name} takes a finite number from 0, got {got!r}")
        for name, takes in (("driven", ("left", "right")), ("sensed", ("bottom", "top"))):
            if getattr(self, name) not in (*takes, "both"):
                got = getattr(self, name)
                raise ValueError(f"wires: {name} takes {', '.join(takes)} or both, got {got!r}")
