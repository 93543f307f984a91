"""Kernels that move resistive cells: by the coincidences of pulse trains, or by counts.

The trains are those of `pulse_trains.py`. Rows are the outermost loop, samples the next: cells do
not know of one another, so this is the same as sample after sample, and a row of cells stays in
the first cache for a whole batch. `step` and `bound` are (n_out, 2 * n_in): of cell (i, j) the
step up and the upper bound stand at 2 j, the step down and the lower bound at 2 j + 1.

`kind` and `form` are a response of `devices/pulse_responses.py`. `noise` holds a normal N for each
pulse in the order in which the kernel sends them, or nothing where sigma is 0. It multiplies the
pulse, by 1 + sigma N, or where `additive` it adds sigma N steps, whatever the response is there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

SLOTS = 31
LINEAR, EXPONENTIAL, TABLE = range(3)
_SIGN, _BIT = np.uint32(1 << 31), np.uint32(1)
_ONE, _TWO = np.float32(1), np.float32(2)


def _typed_lowest(typing_context: Any, x: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.uint32(types.uint32), build


_lowest: Any = intrinsic(_typed_lowest)
"""The place of the lowest set bit of a word that is not 0."""


@njit(cache=True, error_model="numpy")
def _clipped(w: np.float32, low: np.float32, high: np.float32) -> np.float32:
    """Return w within the bounds; twice as fast as min and max, which must think of NaN."""
    w = high if w > high else w
    return low if w < low else w


@njit(cache=True, error_model="numpy")
def _linear(
    form: Floats, w: np.float32, down: np.uint32, low: np.float32, high: np.float32
) -> np.float32:
    """Return the relative step of the linear responses."""
    relative: np.float32 = _ONE - form[down] * w / (low if down else high)
    return relative


@njit(cache=True, error_model="numpy")
def _bent(
    kind: int, form: Floats, w: np.float32, down: np.uint32, low: np.float32, high: np.float32
) -> np.float32:
    """Return the relative step of the responses that are not linear."""
    if kind == EXPONENTIAL:
        z = _TWO * form[0] * w / (high - low) + form[1]
        if down:
            return np.float32(max(0.0, 1.0 - form[4] * math.exp(-form[5] * z)))
        return np.float32(max(0.0, 1.0 - form[2] * math.exp(form[3] * z)))
    n = len(form) // 2
    u = (w - low) / (high - low) * np.float32(n - 1)
    k = min(max(int(u), 0), n - 2)
    f = u - np.float32(k)
    if down:
        k += n
    relative: np.float32 = form[k] * (_ONE - f) + form[k + 1] * f
    return relative


@njit(cache=True, error_model="numpy")
def _noisy(relative: np.float32, noise: np.float32, additive: bool) -> np.float32:
    """Return the relative step of a pulse with its noise, sigma N."""
    if additive:
        return relative + noise
    return relative * (_ONE + noise)


@njit(cache=True, error_model="numpy")
def coincide(
    w: Floats,
    wear: Words,
    step: Floats,
    bound: Floats,
    kind: int,
    form: Floats,
    sigma: float,
    additive: bool,
    noise: Floats,
    starts: npt.NDArray[np.int64],
    codes: Words,
    masks: Words,
    first: int,
    last: int,
) -> None:
    """Apply the coincidences of the samples first to last - 1 to w, in place, and to the wear.

    A cell gets its pulses in the order of samples and slots. The noise is used in the order row,
    sample, slot, column.
    """
    spread, used, noisy = np.float32(sigma), 0, len(noise) > 0
    for i in range(len(w)):
        wi, ui, si, bi = w[i], wear[i], step[i], bound[i]
        for b in range(first, last):
            mask = masks[b, i]
            turn = mask >> np.uint32(31)
            mask &= ~_SIGN
            while mask:
                s = b * SLOTS + np.int64(_lowest(mask))
                mask &= mask - _BIT
                slot = codes[starts[s] : starts[s + 1]]
                own = noise[used : used + len(slot)]
                used += len(slot)
                if kind == LINEAR:
                    for k in range(len(slot)):
                        c = slot[k] ^ turn
                        j, down = c >> _BIT, c & _BIT
                        v, high, low = wi[j], bi[c & ~_BIT], bi[c | _BIT]
                        move = _linear(form, v, down, low, high)
                        if noisy:
                            move = _noisy(move, spread * own[k], additive)
                        move *= si[c]
                        wi[j] = _clipped(v - move if down else v + move, low, high)
                        ui[j] += _BIT
                else:
                    for k in range(len(slot)):
                        c = slot[k] ^ turn
                        j, down = c >> _BIT, c & _BIT
                        v, high, low = wi[j], bi[c & ~_BIT], bi[c | _BIT]
                        move = _bent(kind, form, v, down, low, high)
                        if noisy:
                            move = _noisy(move, spread * own[k], additive)
                        move *= si[c]
                        wi[j] = _clipped(v - move if down else v + move, low, high)
                        ui[j] += _BIT


@njit(cache=True, error_model="numpy")
def pulse(
    w: Floats,
    wear: Words,
    step: Floats,
    bound: Floats,
    kind: int,
    form: Floats,
    sigma: float,
    additive: bool,
    noise: Floats,
    columns: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    """Send cell (i, columns[k]) counts[i, k] pulses, up where that is above 0, in place.

    The noise is used in the order row, column of counts, pulse.
    """
    spread, used = np.float32(sigma), 0
    for i in range(len(w)):
        for k in range(len(columns)):
            j, down = columns[k], np.uint32(counts[i, k] < 0)
            v, high, low = w[i, j], bound[i, 2 * j], bound[i, 2 * j + 1]
            size = step[i, 2 * j + np.int64(down)]
            for _ in range(abs(counts[i, k])):
                if kind == LINEAR:
                    move = _linear(form, v, down, low, high)
                else:
                    move = _bent(kind, form, v, down, low, high)
                if len(noise):
                    move = _noisy(move, spread * noise[used], additive)
                    used += 1
                move *= size
                v = _clipped(v - move if down else v + move, low, high)
            w[i, j] = v
            wear[i, j] += np.uint32(abs(counts[i, k]))


def _moved_reference(
    w: Floats,
    kind: int,
    form: Floats,
    down: int,
    step: Floats,
    bound: Floats,
    noise: Floats,
    additive: bool,
) -> Floats:
    """Return the weights w of cells after one more pulse, all in the same direction."""
    high, low = bound[0::2], bound[1::2]
    if kind == LINEAR:
        move = 1 - form[down] * w / (low if down else high)
    elif kind == EXPONENTIAL:
        z = 2 * form[0] * w / (high - low) + form[1]
        gamma = -form[5] if down else form[3]
        move = np.maximum(0, 1 - form[2 + 2 * down] * np.exp(gamma * z))
    else:
        n = len(form) // 2
        u = (w - low) / (high - low) * np.float32(n - 1)
        k = np.clip(u.astype(np.int64), 0, n - 2)
        f = u - k.astype(np.float32)
        curve = form[down * n : (down + 1) * n]
        move = curve[k] * (1 - f) + curve[k + 1] * f
    move = (move + noise if additive else move * (1 + noise)) * step[down::2]
    return np.asarray(np.clip(w - move if down else w + move, low, high))


def coincide_reference(
    w: Floats,
    wear: Words,
    step: Floats,
    bound: Floats,
    kind: int,
    form: Floats,
    sigma: float,
    additive: bool,
    noise: Floats,
    starts: npt.NDArray[np.int64],
    codes: Words,
    masks: Words,
    first: int,
    last: int,
) -> None:
    """Do what `coincide` does: bit for bit, but 1e-6 of the range for the exponential response."""
    used = 0
    for i in range(len(w)):
        for b in range(first, last):
            for t in range(SLOTS):
                if not masks[b, i] >> np.uint32(t) & np.uint32(1):
                    continue
                slot = codes[starts[b * SLOTS + t] : starts[b * SLOTS + t + 1]].astype(int)
                draws = noise[used : used + len(slot)] if len(noise) else np.zeros(len(slot))
                used += len(slot)
                z = np.float32(sigma) * draws.astype(np.float32)
                down, j = slot & 1 ^ int(masks[b, i] >> np.uint32(31)), slot >> 1
                for d in (0, 1):
                    n = z[down == d]
                    at, both = j[down == d], np.repeat(2 * j[down == d], 2)
                    both[1::2] += 1
                    w[i, at] = _moved_reference(
                        w[i, at], kind, form, d, step[i, both], bound[i, both], n, additive
                    )
                wear[i, j] += np.uint32(1)


def pulse_reference(
    w: Floats,
    wear: Words,
    step: Floats,
    bound: Floats,
    kind: int,
    form: Floats,
    sigma: float,
    additive: bool,
    noise: Floats,
    columns: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    """Do what `pulse` does, to the bounds of `coincide_reference`."""
    used = 0
    for i in range(len(w)):
        for k, j in enumerate(columns):
            n, both = abs(counts[i, k]), slice(2 * j, 2 * j + 2)
            draws = noise[used : used + n] if len(noise) else np.zeros(n, np.float32)
            used += n
            for z in np.float32(sigma) * draws:
                w[i, j : j + 1] = _moved_reference(
                    w[i, j : j + 1],
                    kind,
                    form,
                    int(counts[i, k] < 0),
                    step[i, both],
                    bound[i, both],
                    z,
                    additive,
                )
            wear[i, j] += np.uint32(n)
