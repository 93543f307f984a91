"""A digital matrix engine: float32 arithmetic in numpy, priced as the machine it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .base import Can, Device
from .blas import add_outer
from .ledger import Count
from .seeds import Draw

FLOAT_BYTES = 4


@dataclass(kw_only=True, eq=False)
class MatrixEngine(Device):
    """The conventional accelerator that every other device is compared with.

    A verb is one kernel launch, its multiply-accumulates, and the bytes that cross the memory
    interface when each operand is read and each result written once; in the technology file
    the two last overlap, which makes the price a roofline [Williams, Waterman, Patterson,
    "Roofline", CACM 52(4), 2009].
    """

    usual_technology = "nvidia_a100_fp32"
    digital = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._w: Array = np.zeros((self.n_out, self.n_in), np.float32)

    def matrix(self) -> Array:
        return self._w.copy()

    def _multiply(self, x: Array, draw: Draw) -> Array:
        return x @ self._w.T

    def _transpose(self, y: Array, draw: Draw) -> Array:
        return y @ self._w

    def _program(self, w: Array, draw: Draw) -> None:
        self._w[:] = w

    def _update(self, y: Array, x: Array, rate: float, draw: Draw) -> None:
        add_outer(self._w, y, x, rate)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return gemm_cost(verb, batch, self.n_out, self.n_in)

    def _state(self) -> dict[str, Array]:
        return {"w": self._w}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._w[:] = arrays["w"]


def gemm_cost(verb: Can, batch: int, n_out: int, n_in: int) -> dict[str, Count]:
    """Return launches, multiply-accumulates and bytes of one verb in float32.

    `program` only moves bytes. `update` reads the weights and writes them back.
    """
    weights, vectors = n_out * n_in, batch * (n_out + n_in)
    if verb is Can.PROGRAM:
        moved, macs = 2 * weights, 0
    else:
        moved, macs = weights + vectors, batch * weights
        if verb is Can.UPDATE:
            moved += weights
    return {
        "launch": Count(work=1, depth=1),
        "mac": Count(work=macs, depth=macs),
        "byte": Count(work=FLOAT_BYTES * moved, depth=FLOAT_BYTES * moved),
    }
