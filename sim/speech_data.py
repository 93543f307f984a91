"""Recordings of spoken digits, as an npz of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..devices.arrays import Array
from ..devices.cochlea import Cochlea
from .data_formats import npz

_KEYS = ("audio", "offsets", "labels", "speaker", "is_test", "sample_rate")


@dataclass(frozen=True, eq=False)
class Speech:
    """Clips one after another: audio (samples,) int16; clip k is offsets[k] to offsets[k + 1].

    labels, speaker and is_test are (clips,).
    """

    audio: Array
    offsets: Array
    labels: Array
    speaker: Array
    is_test: Array
    sample_rate_Hz: float

    def __len__(self) -> int:
        return len(self.labels)

    def spikes(self, cochlea: Cochlea, steps: int) -> Array:
        """Return the spikes (clips, steps, channels), 0 or 1, that a cochlea makes of the clips."""
        found = np.empty((len(self), steps, cochlea.channels), np.uint8)
        for k, (first, last) in enumerate(zip(self.offsets, self.offsets[1:], strict=False)):
            sound = self.audio[first:last] / np.float64(1 << 15)
            found[k] = cochlea.spikes(sound, self.sample_rate_Hz, steps)
        return found


def spoken_digits(path: Path) -> Speech:
    """Return the clips of an npz: audio, offsets, labels, speaker, is_test and sample_rate.

    Raises ValueError where the file is absent, cut short, or no such clips.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    held = npz(path.name, blob, _KEYS)
    audio, offsets, labels = held["audio"], held["offsets"], held["labels"].astype(np.int64)
    if audio.dtype != np.int16 or audio.ndim != 1:
        raise ValueError(
            f"audio of {path.name} is {audio.dtype} {audio.shape}; it takes int16 (samples,)"
        )
    n, rate = len(labels), float(held["sample_rate"])
    if not (len(held["speaker"]) == len(held["is_test"]) == n):
        raise ValueError(f"{path.name} takes a speaker and is_test for each of its {n} labels")
    cut = len(offsets) != n + 1 or offsets[0] != 0 or offsets[-1] != len(audio)
    if cut or (np.diff(offsets) < 1).any():
        raise ValueError(
            f"offsets of {path.name} take {n + 1} numbers that rise from 0 to {len(audio)}, one "
            "clip after another; the file is cut short or another kind"
        )
    if not 0 < rate < float("inf"):
        raise ValueError(f"sample_rate of {path.name} is {rate:g}; it takes samples a second")
    test = held["is_test"].astype(bool)
    return Speech(audio, offsets.astype(np.int64), labels, held["speaker"], test, rate)
