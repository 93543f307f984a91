"""How far one label, or one sample, can move an error that a device has projected.

Each sample's error e = softmax - target passes the device as B t + noise, t its ternary code or
e itself. The L2 length of the largest reachable B (t - t') is the sensitivity; noise over it is
the noise multiplier. All of it is for softmax outputs and targets that are one class each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from ..devices.arrays import Array
from ..devices.release import Release

EXHAUSTIVE = 10
"""Up to this many classes every reachable code is tried; above it a norm bounds them."""

_BLOCK = 4096


def label_sensitivity(
    feedback: Array, threshold: float | None = None, relative: bool = False
) -> float:
    """Return max ||B (t - t')|| over all errors and all pairs of labels, of B (n, classes).

    The softmax p does not depend on the label, so y and y' share it:

    - `threshold` None, t = e: t - t' = -1 at y, +1 at y'; no other coordinate moves.
    - fixed threshold < 1/2, t = [e > threshold] - [e < -threshold]: minus 1 or 2 at y, plus 1 or
      2 at y'; both 2 is reachable (p = 1/2, 1/2), and then it is 2 max ||b_j - b_k|| as a rule.
    - fixed threshold >= 1/2: minus 0 or 1, plus 0 or 1 (0 at p_y = threshold exactly).
    - `relative`, threshold * max|e| of each sample in place of threshold: the two labels have two
      thresholds. Coordinates y and y' move as for a fixed threshold < 1/2. Let p_y >= p_y'; then
      max|e| of y is at most that of y', so any other class can pass the first threshold and fail
      the second, never the reverse: it moves by 0 or +1. Without rounding fewer than 1 /
      threshold classes can do so; but when p_y rounds to 1, the error at y is 0 and all the
      others may pass, so every subset is counted.

    Exact (a maximum over a superset by events of probability zero) but for relative thresholds
    over more than ten classes: the triangle inequality bounds those.

    Raises ValueError where B is not a matrix of two classes or more, or threshold not in [0, 1).
    """
    b = _matrix(feedback)
    classes = b.shape[1]
    _check(threshold, relative)
    if threshold is None:
        return _longest(b, _swaps(classes, (1,), (1,)))
    if not relative:
        moves = (1, 2) if threshold < 0.5 else (0, 1)
        return _longest(b, _swaps(classes, moves, moves))
    if classes <= EXHAUSTIVE:
        return _longest(b, _swaps(classes, (1, 2), (1, 2), subsets=True))
    lengths = np.sort(np.linalg.norm(b, axis=0))
    others = min(float(lengths.sum()), float(np.linalg.norm(b, 2)) * math.sqrt(classes - 2))
    return _longest(b, _swaps(classes, (1, 2), (1, 2))) + others


def sample_sensitivity(feedback: Array, ternary: bool = True) -> float:
    """Return max ||B t|| over all errors: what a sample moves that adds 0 instead, B (n, classes).

    A ternary code has at most one -1 (only the label's error is negative). All are tried for ten
    classes or fewer, else ||B||_2 sqrt(classes) bounds them. Without ternary code e is largest at
    a corner of the simplex: max ||b_j - b_k||.
    """
    b = _matrix(feedback)
    classes = b.shape[1]
    if not ternary:
        return label_sensitivity(b)
    if classes > EXHAUSTIVE:
        return float(np.linalg.norm(b, 2)) * math.sqrt(classes)
    codes = (
        np.array(code, dtype=np.float64)
        for code in itertools.product((-1, 0, 1), repeat=classes)
        if code.count(-1) <= 1
    )
    return _longest(b, codes)


def label_release(
    feedback: Mapping[str, tuple[Array, float | None]],
    sampling: str,
    rate: float,
    threshold: float | None = None,
    relative: bool = False,
    rescaled: bool = False,
    output_multiplier: float = 0.0,
) -> Release:
    """Return what a step lets out about labels when noisy devices project its errors.

    `feedback` gives for each device its matrix (n_out, classes) and its `noise_std()`, a floor in
    the units of its output, or None. The floor must not depend on what is projected: noise that
    grows with the signal tells of the signal, which is not counted here (`renyi_gaussians` of
    sim.device_noise does). Layers that share one measurement are one device.

    The gradient of the output layer never passes a device; `output_multiplier` is the noise that
    the algorithm adds to each output error itself, over sqrt(2), the most a label can move it.

    `rescaled` says that each measured row is multiplied afterwards by ||e||_1 / ||t||_1. That
    factor is a function of the label without noise, and can be 0: so nothing is promised then.
    """
    noise = []
    for name, (matrix, std) in feedback.items():
        reach = label_sensitivity(matrix, threshold, relative)
        noise.append((name, 0.0 if std is None or rescaled else _ratio(std, reach)))
    note = (
        "Each measured row is rescaled by the size of its error, which gives the label away."
        if rescaled
        else ""
    )
    return Release("label", (*noise, ("output", output_multiplier)), sampling, rate, note)


def _ratio(std: float, reach: float) -> float:
    return std / reach if reach > 0 else math.inf


def _swaps(
    classes: int, minus: tuple[int, ...], plus: tuple[int, ...], subsets: bool = False
) -> Iterator[Array]:
    """Yield the reachable t - t', with any subset of the other classes at +1 where asked."""
    for y, other in itertools.permutations(range(classes), 2):
        rest = [k for k in range(classes) if k not in (y, other)]
        for down, up in itertools.product(minus, plus):
            for bits in itertools.product((0, 1), repeat=len(rest) if subsets else 0):
                change = np.zeros(classes)
                change[y], change[other] = -down, up
                change[rest[: len(bits)]] = bits
                yield change


def _longest(b: Array, codes: Iterator[Array]) -> float:
    """Return max ||B t||, through the (classes, classes) Gram matrix."""
    gram = b.T @ b
    best = 0.0
    while block := list(itertools.islice(codes, _BLOCK)):
        t = np.stack(block)
        best = max(best, float(((t @ gram) * t).sum(1).max()))
    return math.sqrt(best)


def _matrix(feedback: Array) -> Array:
    b = np.asarray(feedback)
    if b.ndim != 2 or b.shape[1] < 2 or np.iscomplexobj(b):
        raise ValueError(f"feedback takes a real matrix (n, classes >= 2), got {b.shape} {b.dtype}")
    return b.astype(np.float64)


def _check(threshold: float | None, relative: bool) -> None:
    if threshold is None and relative:
        raise ValueError("a relative threshold takes a number in [0, 1), got None")
    if threshold is not None and not 0 <= threshold < 1:
        raise ValueError(f"threshold takes a number in [0, 1), got {threshold}")
