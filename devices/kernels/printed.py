"""Kernels of printed networks: whole populations of bespoke circuits, evaluated and counted.

A population is arrays of one row a circuit. `sizes` (layers + 1,) are the widths from the inputs
to the classes; weights stand layer by layer, unit by unit. Rows of data stand as columns, so that
the inner loops run over samples and vectorise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int32]

BLOCK = 1024
"""Samples that are carried through a network at once: their sums stay in the first cache."""


@njit(cache=True, error_model="numpy")
def _sums(x: Ints, start: int, n: int, weight: Ints, mask: Ints, bias: int, total: Ints) -> None:
    """Set total (n,) to bias + sum_i w_i * (x_i & m_i) of n samples from `start`."""
    for r in range(n):
        total[r] = bias
    for i in range(weight.size):
        w, m = weight[i], mask[i]
        if w == 0 or m == 0:
            continue
        row = x[i, start : start + n]
        for r in range(n):
            total[r] = np.int32(total[r] + np.int32(np.int32(row[r] & m) * w))


@njit(cache=True, error_model="numpy")
def _classify(
    x: Ints,
    start: int,
    n: int,
    sizes: Ints,
    weight: Ints,
    mask: Ints,
    bias: Ints,
    shift: Ints,
    top: int,
    below: Ints,
    above: Ints,
    total: Ints,
    best: Ints,
    index: Ints,
) -> None:
    """Set index (n,) to the classes and best (n,) to their outputs."""
    layers = sizes.size - 1
    at, unit = 0, 0
    for layer in range(layers - 1):
        for j in range(sizes[layer + 1]):
            w, m = weight[at : at + sizes[layer]], mask[at : at + sizes[layer]]
            if layer == 0:
                _sums(x, start, n, w, m, bias[unit], total)
            else:
                _sums(below, 0, n, w, m, bias[unit], total)
            out = above[j, :n]
            t = shift[layer]
            for r in range(n):
                out[r] = min(max(np.int32(total[r] >> t), np.int32(0)), np.int32(top))
            at += sizes[layer]
            unit += 1
        below, above = above, below
    for j in range(sizes[layers]):
        w, m = weight[at : at + sizes[layers - 1]], mask[at : at + sizes[layers - 1]]
        if layers == 1:
            _sums(x, start, n, w, m, bias[unit], total)
        else:
            _sums(below, 0, n, w, m, bias[unit], total)
        at += sizes[layers - 1]
        unit += 1
        if j == 0:
            for r in range(n):
                best[r] = max(total[r], np.int32(0))
                index[r] = 0
        else:
            for r in range(n):
                better = total[r] > best[r]  # what is not above 0 never wins: the output's ReLU
                best[r] = total[r] if better else best[r]
                index[r] = np.int32(j) if better else index[r]


@njit(cache=True, error_model="numpy")
def count_correct(
    x: Ints,
    y: Ints,
    sizes: Ints,
    weight: Ints,
    mask: Ints,
    bias: Ints,
    shift: Ints,
    top: int,
    correct: npt.NDArray[np.int64],
) -> None:
    """Set correct (circuits,) to how many samples each circuit puts into their class.

    x (features, samples) unsigned inputs; y (samples,); weight, mask (circuits, weights); bias
    (circuits, units); shift (layers - 1,) cuts so many bits off a hidden sum, which then
    saturates at 0 and `top`. Ties go to the lower class.
    """
    width = np.int64(sizes.max())
    below, above = np.empty((width, BLOCK), np.int32), np.empty((width, BLOCK), np.int32)
    total = np.empty(BLOCK, np.int32)
    best, index = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    samples = x.shape[1]
    for k in range(weight.shape[0]):
        found = 0
        for start in range(0, samples, BLOCK):
            n = min(BLOCK, samples - start)
            _classify(
                x, start, n, sizes, weight[k], mask[k], bias[k], shift, top,
                below, above, total, best, index,
            )  # fmt: skip
            label = y[start : start + n]
            for r in range(n):
                found += index[r] == label[r]
        correct[k] = found


def count_correct_reference(
    x: Ints,
    y: Ints,
    sizes: Ints,
    weight: Ints,
    mask: Ints,
    bias: Ints,
    shift: Ints,
    top: int,
    correct: npt.NDArray[np.int64],
) -> None:
    """Do what `count_correct` does, in numpy."""
    for k in range(len(weight)):
        scores = scores_reference(x, sizes, weight[k], mask[k], bias[k], shift, top)
        correct[k] = np.count_nonzero(scores.argmax(0) == y)


@njit(cache=True, error_model="numpy")
def classify(
    x: Ints,
    sizes: Ints,
    weight: Ints,
    mask: Ints,
    bias: Ints,
    shift: Ints,
    top: int,
    best: Ints,
    index: Ints,
) -> None:
    """Set index (samples,) to the class of every sample, and best (samples,) to its output.

    x (features, samples); the circuit is one row of what `count_correct` takes.
    """
    width = np.int64(sizes.max())
    below, above = np.empty((width, BLOCK), np.int32), np.empty((width, BLOCK), np.int32)
    total = np.empty(BLOCK, np.int32)
    samples = x.shape[1]
    for start in range(0, samples, BLOCK):
        n = min(BLOCK, samples - start)
        _classify(
            x, start, n, sizes, weight, mask, bias, shift, top,
            below, above, total, best[start : start + n], index[start : start + n],
        )  # fmt: skip


def classify_reference(
    x: Ints,
    sizes: Ints,
    weight: Ints,
    mask: Ints,
    bias: Ints,
    shift: Ints,
    top: int,
    best: Ints,
    index: Ints,
) -> None:
    """Do what `classify` does, in numpy."""
    scores = scores_reference(x, sizes, weight, mask, bias, shift, top)
    index[:] = scores.argmax(0)
    best[:] = scores.max(0)


def scores_reference(
    x: Ints, sizes: Ints, weight: Ints, mask: Ints, bias: Ints, shift: Ints, top: int
) -> npt.NDArray[np.int64]:
    """Return the outputs (classes, samples) of one circuit: two unsigned sums a unit, P and N."""
    h = x.astype(np.int64)
    at, unit = 0, 0
    for layer, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        w = weight[at : at + n_in * n_out].reshape(n_out, n_in).astype(np.int64)
        m = mask[at : at + n_in * n_out].reshape(n_out, n_in)
        b = bias[unit : unit + n_out].astype(np.int64)
        out = np.empty((n_out, h.shape[1]), np.int64)
        for j in range(n_out):
            summand = (h & m[j][:, None]) * abs(w[j])[:, None]
            positive = summand[w[j] > 0].sum(0) + max(b[j], 0)
            negative = summand[w[j] < 0].sum(0) + max(-b[j], 0)
            out[j] = positive - negative
        last = layer == len(sizes) - 2
        h = np.maximum(out, 0) if last else np.clip(out >> shift[layer], 0, top)
        at += n_in * n_out
        unit += n_out
    return h
