"""Published printed classifiers, read from their file: what a front stands beside."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Published:
    """One published circuit; accuracy is None where its source does not give one."""

    set: str
    name: str
    area_cm2: float
    power_mW: float
    source: str
    accuracy: float | None = None
    volt: float = 1.0
    mapped: bool = False
    """Whether the authors' Verilog was mapped to the same cells by the same tool."""


@cache
def literature() -> tuple[Published, ...]:
    """Return all published circuits that the file lists."""
    text = resources.files("hwloop.sim").joinpath("printed_literature.toml").read_text("utf-8")
    return tuple(Published(**point) for point in tomllib.loads(text)["point"])


def published(name: str) -> list[Published]:
    """Return the published circuits on a data set, the largest first."""
    return sorted((p for p in literature() if p.set == name), key=lambda p: -p.area_cm2)
