"""A kernel that counts the adders of printed circuits, whole populations at a time.

The count that printed classifiers are trained against (Afentaki et al., ICCAD 2023, in their
code): the bits of all summands of a tree fall into columns, full adders turn three bits of a column
into one and a carry until two are left. Here the bits that no input can set and the units that
nothing depends on are left out first, since logic synthesis removes them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int32]

FULL, RIPPLE, SUBTRACT, WIRED = range(4)
"""Columns of a count: full adders; columns that two bits are left in; bits of the subtractions
P - N; bits that are wired into a tree."""
KINDS = 4
COLUMNS = 40


@njit(cache=True, error_model="numpy")
def _length(value: int) -> int:
    bits = 0
    while value > 0:
        bits += 1
        value >>= 1
    return bits


@njit(cache=True, error_model="numpy")
def count_adders(
    sizes: Ints, weight: Ints, mask: Ints, bias: Ints, shift: Ints, top: int, first: int,
    count: Counts,
) -> None:  # fmt: skip
    """Set count (circuits, 4) to the adders of every circuit.

    weight, mask (circuits, weights); bias (circuits, units); shift (hidden layers,) and `top` as
    in `count_correct`; `first` is the largest input.
    """
    layers = sizes.size - 1
    units = 0
    for layer in range(layers):
        units += sizes[layer + 1]
    reach = np.zeros(sizes[0] + units, np.int64)  # the largest value of every input and unit
    alive = np.zeros(sizes[0] + units, np.bool_)
    cost = np.zeros((units, KINDS), np.int32)
    column = np.zeros(COLUMNS, np.int32)
    for k in range(weight.shape[0]):
        w, m, b = weight[k], mask[k], bias[k]
        reach[: sizes[0]] = first
        at, unit, below = 0, 0, 0
        for layer in range(layers):
            n_in, last = sizes[layer], layer == layers - 1
            for _ in range(sizes[layer + 1]):
                tops = np.zeros(2, np.int64)
                cost[unit] = 0
                for side in range(2):
                    column[:] = 0
                    constant = b[unit] if side == 0 else -b[unit]
                    constant = max(constant, 0)
                    tops[side] = constant
                    for i in range(n_in):
                        v = w[at + i] if side == 0 else -w[at + i]
                        if v <= 0:
                            continue
                        wired = m[at + i] & ((1 << _length(reach[below + i])) - 1)
                        tops[side] += v * min(np.int64(wired), reach[below + i])
                        for e in range(_length(v)):
                            if v >> e & 1:
                                for bit in range(_length(wired)):
                                    column[bit + e] += wired >> bit & 1
                                    cost[unit, WIRED] += wired >> bit & 1
                    for bit in range(_length(constant)):
                        column[bit] += constant >> bit & 1
                    for c in range(COLUMNS - 1):
                        while column[c] >= 3:
                            adders = column[c] // 3
                            column[c] -= 2 * adders
                            column[c + 1] += adders
                            cost[unit, FULL] += adders
                        cost[unit, RIPPLE] += column[c] == 2
                most = tops[0] - max(-b[unit], 0)
                value = max(most, 0)
                if not last:
                    value = min(value >> shift[layer], np.int64(top))
                reach[sizes[0] + unit] = value
                if tops[1] > 0:
                    cost[unit, SUBTRACT] = _length(max(tops[0], tops[1]))
                at += n_in
                unit += 1
            below += n_in
        # What the classes depend on, from the last layer down.
        alive[:] = False
        for j in range(units - sizes[layers], units):
            alive[sizes[0] + j] = reach[sizes[0] + j] > 0
        at = w.size
        upper = sizes[0] + units
        for layer in range(layers - 1, 0, -1):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            upper -= n_out
            at -= n_in * n_out
            for j in range(n_out):
                if alive[upper + j]:
                    for i in range(n_in):
                        source = upper - n_in + i
                        wired = m[at + j * n_in + i] & ((1 << _length(reach[source])) - 1)
                        if w[at + j * n_in + i] != 0 and wired != 0:
                            alive[source] = True
        count[k] = 0
        for j in range(units):
            if alive[sizes[0] + j]:
                for c in range(KINDS):
                    count[k, c] += cost[j, c]


def count_adders_reference(
    sizes: Ints, weight: Ints, mask: Ints, bias: Ints, shift: Ints, top: int, first: int,
    count: Counts,
) -> None:  # fmt: skip
    """Do what `count_adders` does, one summand at a time."""
    for k in range(len(weight)):
        reach: list[list[int]] = [[first] * int(sizes[0])]
        costs: list[list[list[int]]] = []
        wires: list[list[list[int]]] = []
        at, unit = 0, 0
        for layer, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            last = layer == len(sizes) - 2
            tops, cost, wire = [], [], []
            for _ in range(n_out):
                w, m = weight[k, at : at + n_in].tolist(), mask[k, at : at + n_in].tolist()
                b = int(bias[k, unit])
                wired = [x & ((1 << r.bit_length()) - 1) for x, r in zip(m, reach[-1], strict=True)]
                sides = []
                found = [0] * KINDS
                for sign in (1, -1):
                    constant = max(sign * b, 0)
                    summands = [
                        (x << e, min(x, r) << e)
                        for v, x, r in zip(w, wired, reach[-1], strict=True)
                        for e in range(31)
                        if sign * v > 0 and abs(v) >> e & 1
                    ]
                    words = [x for x, _ in summands] + [constant]
                    sides.append(sum(y for _, y in summands) + constant)
                    found[WIRED] += sum(x.bit_count() for x, _ in summands)
                    heights = [sum(x >> c & 1 for x in words) for c in range(COLUMNS)]
                    for c in range(COLUMNS - 1):
                        while heights[c] >= 3:
                            adders = heights[c] // 3
                            heights[c] -= 2 * adders
                            heights[c + 1] += adders
                            found[FULL] += adders
                        found[RIPPLE] += heights[c] == 2
                most = sides[0] - max(-b, 0)
                value = max(most, 0) if last else min(max(most >> int(shift[layer]), 0), top)
                if sides[1]:
                    found[SUBTRACT] = max(sides).bit_length()
                tops.append(value)
                cost.append(found)
                wire.append([i for i in range(n_in) if w[i] and wired[i]])
                at += n_in
                unit += 1
            reach.append(tops)
            costs.append(cost)
            wires.append(wire)
        alive = [j for j, value in enumerate(reach[-1]) if value]
        count[k] = 0
        for cost, wire in zip(reversed(costs), reversed(wires), strict=True):
            count[k] += np.sum([cost[j] for j in alive] or [[0] * KINDS], axis=0, dtype=np.int32)
            alive = sorted({i for j in alive for i in wire[j]})
