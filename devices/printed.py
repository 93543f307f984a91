"""A matrix printed once: weights are wires, inputs words of a few bits, faults are for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Array
from .base import Can, Device, Unable
from .ledger import Count
from .seeds import Draw


@dataclass(kw_only=True, eq=False)
class Printed(Device):
    """One layer of a bespoke printed network: two trees of adders for each output.

    `program` prints it: every weight is rounded to a whole multiple of a common unit, to a power of
    two or to fixed point, and becomes wires; a second `program` is refused. The circuit takes
    unsigned words: what is below 0 is shown in a second pass and subtracted.
    """

    input_bits: int = 4
    """Bits of an input's word."""
    full_scale: float = 1.0
    """The largest input that the words can say, in input units."""
    signed: bool = True
    """Whether inputs may be below 0, which takes two passes."""
    weight_bits: int = 8
    """Bits of a weight, its sign one of them."""
    weights: Literal["power_of_two", "fixed"] = "power_of_two"
    """power_of_two: a weight is a shift of its input. fixed: a summand for each of its bits."""
    stuck: float = 0.0
    """Chance of a printed wire to be stuck at 0 or at 1, each half of it."""

    usual_technology = "egfet_1v0"
    written_once = True
    is_tile = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (("input_bits", 1, 8), ("weight_bits", 2, 12)):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or not low <= got <= high:
                raise ValueError(
                    f"{self.name}: {name} takes a whole number from {low} to {high}, got {got!r}"
                )
        if not 0 < self.full_scale < np.inf:
            raise ValueError(
                f"{self.name}: full_scale takes a number above 0, got {self.full_scale!r}"
            )
        if not 0 <= self.stuck <= 1:
            raise ValueError(f"{self.name}: stuck takes a number from 0 to 1, got {self.stuck!r}")
        if self.weights not in ("power_of_two", "fixed"):
            raise ValueError(
                f'{self.name}: weights takes "power_of_two" or "fixed", got {self.weights!r}'
            )
        self._w: Array = np.zeros((self.n_out, self.n_in), np.int32)
        self._unit = 0.0
        self._wires: tuple[Array, Array] | None = None

    def matrix(self) -> Array:
        """Return the rounded weights, without the faults of this copy."""
        return (self._w * np.float32(self._unit)).astype(np.float32)

    def _program(self, w: Array, draw: Draw) -> None:
        if self._unit:
            raise Unable(f"{self.name}: Printed is printed once; its weights are wires by now")
        top = 2 ** (self.weight_bits - 1)
        largest = float(abs(w).max())
        if not np.isfinite(largest):
            raise ValueError(f"{self.name}: weights take finite numbers")
        if self.weights == "fixed":
            self._unit = largest / (top - 1) or 1.0
            self._w = np.rint(w / self._unit).astype(np.int32)
        else:
            # The largest weight becomes the largest power; the exponent nearest in the logarithm.
            self._unit = 2.0 ** np.rint(np.log2(largest or 1.0)) / top
            full = w.astype(np.float64) / self._unit
            exponent = np.rint(np.log2(np.maximum(abs(full), 1e-9))).clip(0, self.weight_bits - 1)
            self._w = np.where(abs(full) < 0.5, 0, np.sign(full) * 2.0**exponent).astype(np.int32)
        self._wires = None

    def _multiply(self, x: Array, draw: Draw) -> Array:
        steps = 2**self.input_bits - 1
        largest = float(abs(x).max(initial=0.0))
        if not largest <= self.full_scale * (1 + 1e-6):
            raise ValueError(
                f"{self.name}: inputs take numbers from {-self.full_scale:g} to "
                f"{self.full_scale:g}, which is full_scale, got one of size {largest:g}"
            )
        if not self.signed and (x < 0).any():
            raise ValueError(
                f"{self.name}: inputs take numbers from 0 where signed is false, got {x.min():g}"
            )
        words = np.rint(x * (steps / self.full_scale)).astype(np.int32)
        unit = np.float32(self._unit * self.full_scale / steps)
        self._tell("full_adder", float(self._passes * len(x) * self._adders()))
        if not self.stuck:
            # Without faults the trees add up to the product, whole number by whole number.
            return np.asarray((words @ self._w.T.astype(np.float64)).astype(np.float32) * unit)
        y = self._faulty(np.maximum(words, 0))
        if self.signed:
            y = y - self._faulty(np.maximum(-words, 0))
        return np.asarray(y.astype(np.float32) * unit)

    @property
    def _passes(self) -> int:
        return 1 + self.signed

    def _adders(self) -> int:
        """Return how many full adders bring the bits of every tree down to two rows."""
        bits = np.bitwise_count(abs(self._w)).astype(np.int64) * self.input_bits
        trees = np.stack([(bits * (self._w > 0)).sum(1), (bits * (self._w < 0)).sum(1)])
        return int(np.maximum(trees - 2 * (self.input_bits + self.weight_bits), 0).sum())

    def _faulty(self, words: Array) -> Array:
        """Return the sums (batch, n_out) of words (batch, n_in) through the stuck wires."""
        if self._wires is None:
            rng = self.seed.child(self.name).child("faults").rng()
            shape = (self.n_out, self.n_in, self.input_bits)
            fate = rng.random(shape)
            place = 1 << np.arange(self.input_bits)
            dead = ((fate < self.stuck) * place).sum(-1).astype(np.int32)
            high = ((fate < self.stuck / 2) * place).sum(-1).astype(np.int32)
            self._wires = (~dead, high)
        whole, high = self._wires
        y = np.empty((len(words), self.n_out), np.int64)
        for j in range(self.n_out):
            y[:, j] = ((words & whole[j]) | high[j]) @ self._w[j].astype(np.int64)
        return y

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        """Return the adders of a dense matrix: `multiply` tells how many there really are."""
        if verb is not Can.MULTIPLY:
            return {}  # what a print takes has no price here
        each = self.weight_bits if self.weights == "fixed" else 1
        adders = self.n_out * self.n_in * self.input_bits * each
        passes = self._passes * batch
        return {"full_adder": Count(passes * adders, 0), "inference": Count(passes, passes)}

    def _state(self) -> dict[str, Array]:
        return {"w": self._w, "unit": np.array([self._unit])}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._w = np.array(arrays["w"], np.int32)
        self._unit = float(arrays["unit"][0])
        self._wires = None
