"""A matrix without noise or cost: the living definition of what a device is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .base import Can, Device
from .blas import add_outer, product, product_back
from .ledger import Count
from .seeds import Draw


@dataclass(kw_only=True, eq=False)
class Ideal(Device):
    """An exact float32 matrix; every other device is compared with it."""

    usual_technology = "ideal"
    is_tile = True
    digital = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._w: Array = np.zeros((self.n_out, self.n_in), np.float32)

    def matrix(self) -> Array:
        return self._w.copy()

    def _multiply(self, x: Array, draw: Draw) -> Array:
        y: Array = product(x, self._w)
        return y

    def _transpose(self, y: Array, draw: Draw) -> Array:
        x: Array = product_back(y, self._w)
        return x

    def _program(self, w: Array, draw: Draw) -> None:
        self._w[:] = w

    def _update(self, y: Array, x: Array, rate: float, draw: Draw) -> None:
        add_outer(self._w, y, x, rate)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return {}

    def _state(self) -> dict[str, Array]:
        return {"w": self._w}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._w[:] = arrays["w"]
