"""A camera that counts light: Gaussian noise that grows with it, a black level, a converter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .medium_base import Floats
from .technology import Technology

Doubles = npt.NDArray[np.float64]

STEP = 16
"""Grid points a count on which the variance of a reading is searched for its least value."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One reading of m counts of light is clip(round(m + noise + black), 0, top)."""

    floor: float
    """Variance of the noise in the dark, counts^2."""
    slope: float
    """Variance of the noise for each count of light, counts."""
    black: float
    """Black level in counts: keeps noise about zero from being cut off."""
    top: float
    """The largest count that the converter knows."""

    @classmethod
    def of(cls, technology: Technology, black: float, noise: float) -> Camera:
        """Return the camera that a technology file states, its noise std times `noise`."""
        return cls(
            technology.parameter("noise_variance_floor") * noise**2,
            technology.parameter("noise_variance_slope") * noise**2,
            black,
            2.0 ** technology.parameter("camera_bits") - 1.0,
        )

    def read(self, re: Floats, im: Floats, gain: float, noise: Floats) -> Floats:
        """Return the counts of the fields re + i im under standard normals `noise`, all (rows, n).

        `gain` is in counts for a field of square 1.
        """
        from .kernels.camera import intensity

        out = np.empty_like(re)
        intensity(re, im, gain, self.floor, self.slope, self.black, self.top, noise, out)
        return out

    def moments(self, light: Doubles) -> tuple[Doubles, Doubles]:
        """Return mean and variance of readings of `light` counts, any shape, in exact arithmetic.

        The mean is taken above the black level. Rounding moves it by up to half a count where
        the noise is far below one count, and leaves less variance than the noise has.
        """
        from scipy.special import ndtr

        light = np.asarray(light, np.float64)
        std = np.sqrt(self.floor + self.slope * light)[..., None]
        steps = np.arange(1.0, self.top + 1.0)
        above = light[..., None] + self.black - (steps - 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            passed = np.where(std > 0, ndtr(above / std), above > 0)
        mean = passed.sum(-1)
        variance = (passed * (2 * (steps - mean[..., None]) - 1)).sum(-1) + mean**2
        return mean - self.black, np.maximum(variance, 0.0)

    def least_variance(self, most: Floats) -> Doubles:
        """Return the least variance of a reading of any light from 0 to `most` counts, any shape.

        0 where the light may pass the top, since a reading at the top is free of noise.
        """
        whole = np.arange(np.ceil(self.black) * STEP, self.top * STEP + 1) / STEP - self.black
        grid = np.concatenate([[0.0], whole])
        least = np.minimum.accumulate(self.moments(grid)[1])
        at = np.searchsorted(grid, most)
        return np.where(at < len(grid), least[np.minimum(at, len(grid) - 1)], 0.0)
