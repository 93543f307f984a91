"""Kernels of mapped circuits: 64 samples a word through every gate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]

INV, NAND, NOR, AND, OR, XOR, XNOR = range(7)
FREE, ZERO, ONE = range(3)
"""What a printed gate does: it works, or its output is stuck at 0 or at 1."""


@njit(cache=True, error_model="numpy")
def gates(kind: Ints, first: Ints, second: Ints, output: Ints, fault: Ints, value: Words) -> None:
    """Set value (nets, words) of every gate's output, in the order of the gates.

    kind, first, second, output, fault (gates,): what it is, the nets at its pins, and whether it
    is stuck. Every bit of a word is a sample of its own.
    """
    full = ~np.uint64(0)
    words = value.shape[1]
    for g in range(kind.size):
        k, out = kind[g], value[output[g]]
        if fault[g] != FREE:
            out[:] = full if fault[g] == ONE else np.uint64(0)
            continue
        a, b = value[first[g]], value[second[g]]
        if k == INV:
            for w in range(words):
                out[w] = ~a[w]
        elif k == NAND:
            for w in range(words):
                out[w] = ~(a[w] & b[w])
        elif k == NOR:
            for w in range(words):
                out[w] = ~(a[w] | b[w])
        elif k == AND:
            for w in range(words):
                out[w] = a[w] & b[w]
        elif k == OR:
            for w in range(words):
                out[w] = a[w] | b[w]
        elif k == XOR:
            for w in range(words):
                out[w] = a[w] ^ b[w]
        else:
            for w in range(words):
                out[w] = ~(a[w] ^ b[w])


def gates_reference(
    kind: Ints, first: Ints, second: Ints, output: Ints, fault: Ints, value: Words
) -> None:
    """Do what `gates` does, in numpy."""
    for g in range(len(kind)):
        a, b = value[first[g]], value[second[g]]
        both = {INV: a, NAND: a & b, NOR: a | b, AND: a & b, OR: a | b, XOR: a ^ b, XNOR: a ^ b}
        said = both[int(kind[g])]
        if kind[g] in (INV, NAND, NOR, XNOR):
            said = ~said
        if fault[g] != FREE:
            said = np.full_like(said, ~np.uint64(0) if fault[g] == ONE else 0)
        value[output[g]] = said
