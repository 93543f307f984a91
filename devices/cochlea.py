"""A silicon cochlea: a bank of auditory filters whose channels send spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

# Equation 14 of Hohmann (2002) at order 4: pi (2g - 2)! 2^(2 - 2g) / ((g - 1)!)^2.
_ERB_OF_DECAY = math.pi * math.factorial(6) / 2**6 / math.factorial(3) ** 2


def erb_Hz(frequency_Hz: npt.ArrayLike) -> Doubles:
    """Return the equivalent rectangular bandwidth of the ear's filter at a frequency, in Hz.

    24.7 (4.37 f / kHz + 1): Glasberg and Moore, Hearing Research 47, 103 (1990).
    """
    return np.asarray(24.7 * (4.37e-3 * np.asarray(frequency_Hz, np.float64) + 1))


def erb_number(frequency_Hz: npt.ArrayLike) -> Doubles:
    """Return how many such bandwidths lie below a frequency: 21.4 log10(4.37 f / kHz + 1)."""
    return np.asarray(21.4 * np.log10(4.37e-3 * np.asarray(frequency_Hz, np.float64) + 1))


@dataclass(frozen=True)
class Cochlea:
    """Gammatone filters of order 4, evenly spread over the ERB scale, and one spike a step.

    Each filter is as wide as the ear's at its centre. What it passes is half-wave rectified,
    averaged over a step, compressed as log(1 + level / floor), and handed to a first-order
    sigma-delta modulator, which sends at most one spike a step and carries over what is left, so
    that the spikes of a channel and what it still holds add up to what went in.
    """

    channels: int = 64
    low_Hz: float = 100.0
    """Centre of the lowest channel."""
    high_Hz: float = 3400.0
    """Centre of the highest channel."""
    floor: float = 0.01
    """Level at which the compression sets in, over the largest of the sound."""

    def __post_init__(self) -> None:
        if isinstance(self.channels, bool) or not isinstance(self.channels, int):
            raise ValueError(f"a cochlea takes a whole number of channels, got {self.channels!r}")
        if self.channels < 2 or not 0 < self.low_Hz < self.high_Hz < math.inf:
            raise ValueError(
                "a cochlea takes 2 channels or more and 0 < low_Hz < high_Hz, got "
                f"{self.channels}, {self.low_Hz} and {self.high_Hz}"
            )
        if not 0 < self.floor < math.inf:
            raise ValueError(f"a cochlea takes a floor above 0, got {self.floor}")

    @property
    def centres_Hz(self) -> Doubles:
        """The centres of the channels (channels,), from low to high."""
        low, high = erb_number([self.low_Hz, self.high_Hz])
        number = np.linspace(low, high, self.channels)
        return np.asarray((10 ** (number / 21.4) - 1) / 4.37e-3)

    def poles(self, sample_rate_Hz: float) -> npt.NDArray[np.complex128]:
        """Return the pole of each channel's four stages (channels,).

        Raises ValueError where the highest channel lies above half the sample rate.
        """
        if self.high_Hz >= sample_rate_Hz / 2:
            raise ValueError(
                f"high_Hz is {self.high_Hz:g}, and sound of {sample_rate_Hz:g} samples a second "
                f"has frequencies below {sample_rate_Hz / 2:g} Hz alone"
            )
        decay_Hz = erb_Hz(self.centres_Hz) / _ERB_OF_DECAY
        turn = 2 * np.pi * (1j * self.centres_Hz - decay_Hz)
        return np.asarray(np.exp(turn / sample_rate_Hz))

    def levels(self, sound: npt.ArrayLike, sample_rate_Hz: float, steps: int) -> Doubles:
        """Return the compressed levels (steps, channels) of sound (samples,), the largest 1.

        The sound is cut into `steps` pieces as equal as its samples allow, so long and short
        ones fill as many. Silence has levels of 0. Raises ValueError for less than one sample a
        step, and for samples that are not finite.
        """
        from .kernels.cochlea import gammatone

        x = np.ascontiguousarray(sound, np.float64)
        if x.ndim != 1 or steps < 1 or len(x) < steps:
            raise ValueError(f"{steps} steps take as many samples (samples,), got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("sound takes finite samples")
        poles = self.poles(sample_rate_Hz)
        edges = np.linspace(0, len(x), steps + 1).astype(np.int64)
        level = np.empty((steps, self.channels))
        gammatone(x, poles.real.copy(), poles.imag.copy(), edges, level)
        top = level.max()
        if top == 0:
            return level
        return np.asarray(np.log1p(level / (self.floor * top)) / math.log1p(1 / self.floor))

    def spikes(
        self, sound: npt.ArrayLike, sample_rate_Hz: float, steps: int
    ) -> npt.NDArray[np.uint8]:
        """Return the spikes (steps, channels), 0 or 1, of sound (samples,); see `levels`."""
        return sigma_delta(self.levels(sound, sample_rate_Hz, steps))


def sigma_delta(level: Doubles) -> npt.NDArray[np.uint8]:
    """Return spikes (steps, channels) whose running sum follows that of level, cut to 0 .. 1.

    First order: a channel sends a spike as soon as it holds 1, and keeps the rest.
    """
    held = np.zeros(level.shape[1])
    spikes = np.empty(level.shape, np.uint8)
    for s, given in enumerate(np.clip(level, 0, 1)):
        held += given
        spikes[s] = held >= 1
        held -= spikes[s]
    return spikes
