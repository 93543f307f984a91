"""Recordings of event cameras: N-MNIST files, and events counted into frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..devices.arrays import Array
from .data_formats import npz

SIDE = 34
"""Pixels of an N-MNIST recording each way."""
SPAN_US = 315_000
"""Time of a recording's three saccades; the few events after it count into the last step."""
_EVENT_BYTES = 5
_MARKER_Y = 240
_OVERFLOW_US = 1 << 13


@dataclass(frozen=True, eq=False)
class Events:
    """Recordings one after another: x, y, p (events,) uint8, t (events,) int64 in microseconds.

    Recording k is the events offsets[k] to offsets[k + 1], of digit labels[k]; p is 1 where the
    pixel grew brighter.
    """

    x: Array
    y: Array
    p: Array
    t: Array
    offsets: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def within(self, crop: int) -> Array:
        """Return which events (events,) lie in the `crop` x `crop` pixels about the centre."""
        first = _first(crop)
        x, y = self.x.astype(np.int64) - first, self.y.astype(np.int64) - first
        return np.asarray((x >= 0) & (x < crop) & (y >= 0) & (y < crop))

    def frames(self, steps: int, crop: int, polarity: Literal[0, 1] | None = None) -> Array:
        """Return how many events (recordings, steps, crop * crop) uint16 fell on each pixel.

        `polarity` keeps those of one kind. Every event in the crop is counted once. Raises
        ValueError for a crop larger than the sensor.
        """
        if steps < 1:
            raise ValueError(f"steps takes a whole number from 1, got {steps}")
        first, keep = _first(crop), self.within(crop)
        if polarity is not None:
            keep &= self.p == polarity
        recording = np.repeat(np.arange(len(self)), np.diff(self.offsets))[keep]
        step = np.minimum(self.t[keep] * steps // SPAN_US, steps - 1)
        pixel = (self.y[keep].astype(np.int64) - first) * crop + self.x[keep] - first
        flat = (recording * steps + step) * crop * crop + pixel
        counts = np.bincount(flat, minlength=len(self) * steps * crop * crop)
        return counts.reshape(len(self), steps, crop * crop).astype(np.uint16)


def _first(crop: int) -> int:
    if not 1 <= crop <= SIDE:
        raise ValueError(f"crop takes 1 to {SIDE} pixels, got {crop}")
    return (SIDE - crop) // 2


def nmnist(path: Path, part: Literal["train", "test"]) -> Events:
    """Return one part of an npz of recordings: {part}_x, _y, _p, _t, _offsets and _labels.

    Raises ValueError where the file is absent, cut short, or no such recordings.
    """
    keys = tuple(f"{part}_{key}" for key in ("x", "y", "p", "t", "offsets", "labels"))
    held = npz(path.name, _read(path), keys)
    x, y, p, t, offsets, labels = (held[key].astype(np.int64) for key in keys)
    if not len(x) == len(y) == len(p) == len(t):
        sizes = f"{len(x)}, {len(y)}, {len(p)} and {len(t)}"
        raise ValueError(f"{path.name} has {sizes} events in x, y, p and t; it takes as many")
    cut = len(offsets) != len(labels) + 1 or offsets[0] != 0 or offsets[-1] != len(x)
    if cut or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"{path.name}: {part}_offsets takes {len(labels) + 1} numbers that rise from 0 to "
            f"{len(x)}, one recording after another; the file is cut short or another kind"
        )
    return _checked(path.name, Events(x, y, p, t, offsets, labels))


def nmnist_bin(files: Sequence[Path]) -> Events:
    """Return N-MNIST's own files, the folder of each being its digit: .../<digit>/<name>.bin.

    An event is 40 bits, big-endian: x 8, y 8, polarity 1, time in microseconds 23; an event at
    y = 240 says that 2^13 us are to be added to all later times. Raises ValueError for a file
    that is absent, cut short or something else, and for a folder that is no digit.
    """
    parts, labels = [], []
    for path in files:
        folder = path.parent.name
        if not (folder.isdecimal() and len(folder) == 1):
            raise ValueError(f"{path} lies in {folder!r}; the folder of a recording is its digit")
        labels.append(int(folder))
        parts.append(_events_of(path.name, _read(path)))
    offsets = np.concatenate([[0], np.cumsum([len(part[0]) for part in parts])])
    joined = parts and np.concatenate(parts, axis=1)
    x, y, p, t = joined if len(joined) else np.empty((4, 0), np.int64)
    return _checked("recordings", Events(x, y, p, t, offsets, np.array(labels, np.int64)))


def _events_of(name: str, blob: bytes) -> Array:
    if len(blob) % _EVENT_BYTES or not blob:
        raise ValueError(
            f"{name} has {len(blob)} bytes, and an event takes {_EVENT_BYTES}: it is empty, cut "
            "short, or no N-MNIST recording"
        )
    raw = np.frombuffer(blob, np.uint8).reshape(-1, _EVENT_BYTES).astype(np.int64)
    x, y, p = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    t = (raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]
    marker = y == _MARKER_Y
    t += _OVERFLOW_US * np.cumsum(marker)
    return np.asarray(np.stack([x, y, p, t])[:, ~marker])


def _checked(name: str, events: Events) -> Events:
    limits = (("x", SIDE - 1), ("y", SIDE - 1), ("p", 1), ("labels", 9))
    for field, most in limits:
        values = getattr(events, field)
        if len(values) and not 0 <= values.min() <= values.max() <= most:
            at = int(np.argmax((values < 0) | (values > most)))
            raise ValueError(
                f"{name}: {field} of number {at} is {values[at]}; N-MNIST takes 0 to {most}"
            )
    back = np.diff(events.t) < 0
    inside = events.offsets[1:-1]
    back[inside[(inside > 0) & (inside < len(events.t))] - 1] = False
    if back.any():
        at = int(np.argmax(back)) + 1
        raise ValueError(f"{name}: event {at} is earlier than the one before; times must not fall")
    x, y, p = (getattr(events, field).astype(np.uint8) for field in "xyp")
    return Events(x, y, p, events.t, events.offsets, events.labels)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
