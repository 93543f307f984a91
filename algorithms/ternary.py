"""DFA whose error is ternary: what a device with binary inputs can project in two frames.

Launay et al., "Light-in-the-loop: using a photonics co-processor for scalable training of neural
networks", 2020, for the idea. A fixed threshold collapses under noise in the forward pass, where
errors are large and none is small; the default is relative to each sample's largest error, and a
digital rescale after the projection gives every sample the size of its own error back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..devices.arrays import namespace
from ..mappings import Placement
from .dfa import DFA


def ternarise(error: Any, threshold: float, relative: bool) -> tuple[Any, Any]:
    """Return the error (batch, n) as -1, 0 and 1, and the factor (batch, 1) that resizes it.

    An entry counts where it exceeds the threshold, or threshold * the largest |entry| of its
    sample. The factor is the sum of |error| over the number of entries that count, 0 where none.
    """
    xp = namespace(error)
    size = abs(error)
    largest = size.max(1) if xp is np else size.amax(1)
    bound = threshold * largest[:, None] if relative else threshold
    counts = size > bound
    ternary = xp.sign(error) * counts
    kept = counts.sum(1)
    factor = size.sum(1) / (kept + (kept == 0)) * (kept > 0)
    return ternary, factor[:, None]


@dataclass(frozen=True)
class TernaryDFA(DFA):
    """DFA of the ternary error."""

    threshold: float = 0.25
    """Dimensionless: a share of the sample's largest error, or an error where mode is fixed."""
    mode: Literal["relative", "fixed"] = "relative"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold takes a number from 0 to below 1, got {self.threshold}")
        if self.mode not in ("relative", "fixed"):
            raise ValueError(f'mode takes "relative" or "fixed", got {self.mode!r}')

    def _code(self) -> tuple[float | None, bool, bool]:
        relative = self.mode == "relative"
        return self.threshold, relative, relative

    def project(self, on: Placement, error: Any) -> Any:
        relative = self.mode == "relative"
        on.host.count("TERNARISE", len(error), error.shape[0] * error.shape[1])
        ternary, factor = ternarise(error, self.threshold, relative)
        projected = on["feedback"].multiply(ternary)
        if relative:
            on.host.count("RESCALE", len(error), projected.shape[0] * projected.shape[1])
            projected *= factor
        return projected
