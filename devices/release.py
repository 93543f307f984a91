"""What one training step lets out about its samples, written so that privacy can be composed."""

from __future__ import annotations

import math
from dataclasses import dataclass

PROTECTS = ("label", "sample")
SAMPLINGS = ("poisson", "shuffle")


@dataclass(frozen=True, slots=True)
class Release:
    """The noise of one training step, part by part; equal steps are equal records.

    Every part sees the same batch, so the parts of a step are one joint release. A part that
    the hardware or the algorithm leaves without Gaussian noise stands here with 0.

    Raises ValueError where a field is not one that privacy can be composed from.

    >>> Release("sample", (("weight/1", 1.9), ("weight/2", 1.9)), "poisson", 256 / 60_000).parts
    ('weight/1', 'weight/2')
    """

    protects: str
    """`sample`: one sample adds nothing instead of its part. `label`: one label is another one,
    and all inputs are public."""
    noise: tuple[tuple[str, float], ...]
    """Name and noise multiplier of each part: std of the noise over the largest change (L2) that
    the neighbouring data set can make in that part."""
    sampling: str
    """`poisson`: each sample enters each step independently. `shuffle`: the run goes through the
    whole data in passes, each a fresh order cut into steps; only the last may stop early."""
    rate: float
    """Probability with which a sample enters a step; for `shuffle` one over the steps of a pass."""
    note: str = ""
    """A sentence for the report, where a multiplier needs a reason."""

    def __post_init__(self) -> None:
        if self.protects not in PROTECTS:
            raise ValueError(f"Release.protects takes {' or '.join(PROTECTS)}, got {self.protects}")
        if self.sampling not in SAMPLINGS:
            takes = " or ".join(SAMPLINGS)
            raise ValueError(f"Release.sampling takes {takes}, got {self.sampling}")
        if not 0 < self.rate <= 1:
            raise ValueError(f"Release.rate takes a number in (0, 1], got {self.rate}")
        if not self.noise:
            raise ValueError("Release.noise takes at least one (name, multiplier), got none")
        for name, multiplier in self.noise:
            if math.isnan(multiplier) or multiplier < 0:
                raise ValueError(f"Release.noise of {name} takes a number >= 0, got {multiplier}")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what the step released."""
        return tuple(name for name, _ in self.noise)
