"""A printed network as a circuit: weights are wires, sums are trees of adders, one a sign.

The arithmetic of bespoke printed classifiers (Afentaki et al., DATE 2024, read off the Verilog
they published): a unit sums its inputs in two unsigned trees, P for the positive weights and N for
the negative ones; of an input only the bits of a mask are wired. A hidden unit puts out
clip((P - N) >> shift, 0, 2^activation_bits - 1), an output max(P - N, 0), and the largest output
is the class, the lower one at a tie. A weight is any whole number: +-2^e in an approximate
circuit, where it costs nothing; a fixed-point number in the exact bespoke one (Mubarik et al.,
MICRO 2020), where every bit of it that is set is one more summand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array

MOST_BITS = 30
"""Sums are held in 32 bits; a circuit that could exceed 2^30 is refused."""


@dataclass(frozen=True)
class Topology:
    """Widths of a printed network, and the words it works with.

    Raises ValueError for widths below 1 and words that no circuit has.
    """

    sizes: tuple[int, ...]
    """Inputs, hidden units layer by layer, classes."""
    input_bits: int = 4
    activation_bits: int = 8
    shifts: tuple[int, ...] = ()
    """Bits cut off the sums of each hidden layer; empty: 4 in each."""

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or any(not _whole(n) or n < 1 for n in self.sizes):
            raise ValueError(
                "a topology takes inputs, hidden units and classes, each a whole number from 1, "
                f"got {list(self.sizes)}"
            )
        if self.sizes[-1] < 2:
            raise ValueError(f"a topology takes two classes or more, got {self.sizes[-1]}")
        for name, most in (("input_bits", 8), ("activation_bits", 12)):
            got = getattr(self, name)
            if not _whole(got) or not 1 <= got <= most:
                raise ValueError(f"{name} takes a whole number from 1 to {most}, got {got!r}")
        if not self.shifts:
            object.__setattr__(self, "shifts", (4,) * self.hidden)
        if len(self.shifts) != self.hidden or any(not 0 <= t <= 20 for t in self.shifts):
            raise ValueError(
                f"shifts takes one whole number from 0 to 20 for each of the {self.hidden} hidden "
                f"layers, got {list(self.shifts)}"
            )

    @property
    def hidden(self) -> int:
        """How many hidden layers there are."""
        return len(self.sizes) - 2

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    @property
    def weights(self) -> int:
        """How many connections there could be."""
        return sum(n_in * n_out for n_in, n_out in self.layers)

    @property
    def units(self) -> int:
        """How many sums there are, each with a bias."""
        return sum(self.sizes[1:])

    @property
    def top(self) -> int:
        """The largest number that a hidden unit puts out."""
        return int(2**self.activation_bits) - 1

    def bits(self, layer: int) -> int:
        """Return the width in bits of what goes into a layer, counted from 0."""
        return self.input_bits if layer == 0 else self.activation_bits

    def word_bits(self) -> Array:
        """Return the input's width in bits of every weight (weights,)."""
        return np.concatenate(
            [np.full(a * b, self.bits(k), np.int32) for k, (a, b) in enumerate(self.layers)]
        )

    def __str__(self) -> str:
        return "-".join(str(n) for n in self.sizes)


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class Circuit:
    """One bespoke network: a multiplier and a mask for every connection, a constant for every unit.

    Weights stand layer by layer, unit by unit. Raises ValueError where an array has the wrong
    length, a mask more bits than its input, or a sum could exceed 30 bits.
    """

    topology: Topology
    weight: Array
    """(weights,) int32; 0: no wire."""
    mask: Array
    """(weights,) int32: which bits of the input are wired."""
    bias: Array
    """(units,) int32, added to P where positive, to N where negative."""

    def __post_init__(self) -> None:
        t = self.topology
        for name, length in (("weight", t.weights), ("mask", t.weights), ("bias", t.units)):
            got = np.asarray(getattr(self, name))
            if got.shape != (length,):
                raise ValueError(
                    f"{name} of a circuit of {t} takes {length} numbers, got {got.shape}"
                )
            object.__setattr__(self, name, np.ascontiguousarray(got, np.int32))
        full = (1 << t.word_bits()) - 1
        if ((self.mask < 0) | (self.mask > full)).any():
            k = int(np.flatnonzero((self.mask < 0) | (self.mask > full))[0])
            raise ValueError(
                f"mask {k} of a circuit of {t} takes a number from 0 to {full[k]}, "
                f"got {self.mask[k]}"
            )
        highest = (abs(self.weight.astype(np.int64)) * self.mask).sum() + abs(
            self.bias.astype(np.int64)
        ).sum()
        if highest >= 2**MOST_BITS:
            raise ValueError(f"the sums of a circuit of {t} could exceed {MOST_BITS} bits")

    def layer(self, number: int) -> tuple[Array, Array, Array]:
        """Return weight and mask (n_out, n_in) and bias (n_out,) of a layer, counted from 0."""
        sizes = self.topology.layers
        at = sum(a * b for a, b in sizes[:number])
        unit = sum(b for _, b in sizes[:number])
        n_in, n_out = sizes[number]
        part = slice(at, at + n_in * n_out)
        shape = (n_out, n_in)
        return (
            self.weight[part].reshape(shape),
            self.mask[part].reshape(shape),
            self.bias[unit : unit + n_out],
        )

    def pruned(self) -> Circuit:
        """Return a circuit that says the same, without the wires on which nothing depends.

        Bits above a unit's largest value go, and all into units that are never above 0 or that no
        class depends on.
        """
        layers = [self.layer(k) for k in range(self.topology.hidden + 1)]
        reach = np.full(self.topology.sizes[0], 2**self.topology.input_bits - 1)
        kept = []
        for k, (weight, mask, bias) in enumerate(layers):
            bits = np.array([int(r).bit_length() for r in reach])
            wired = np.where(weight != 0, mask & ((1 << bits) - 1), 0)
            most = (np.minimum(wired, reach) * weight.clip(0).astype(np.int64)).sum(1) + bias
            if k < self.topology.hidden:
                most = (most.clip(0) >> self.topology.shifts[k]).clip(0, self.topology.top)
            reach = most.clip(0)
            wired = np.where((reach > 0)[:, None], wired, 0)
            kept.append((np.where(wired > 0, weight, 0), wired, np.where(reach > 0, bias, 0)))
        needed = np.ones(self.topology.sizes[-1], bool)
        for k in range(len(kept) - 1, -1, -1):
            weight, wired, bias = kept[k]
            weight, wired = (np.where(needed[:, None], a, 0) for a in (weight, wired))
            # A unit without wires keeps its bias: it is a constant that may be needed.
            kept[k] = (weight, wired, np.where(needed, bias, 0))
            needed = (weight != 0).any(0)
        parts = (np.concatenate([part[i].ravel() for part in kept]) for i in range(3))
        return Circuit(self.topology, *parts)

    def predict(self, x: Array) -> Array:
        """Return the class (samples,) of inputs x (samples, features).

        Raises ValueError where an input is no whole number that the inputs' bits can say.
        """
        from .kernels.printed import classify

        columns = inputs(x, self.topology)
        index = np.empty(columns.shape[1], np.int32)
        classify(columns, *self.packed(), np.empty_like(index), index)
        return index.astype(np.int64)

    def scores(self, x: Array) -> Array:
        """Return the outputs (samples, classes) of inputs x (samples, features), by the reference.

        Raises ValueError as `predict` does.
        """
        from .kernels.printed import scores_reference

        return np.ascontiguousarray(scores_reference(inputs(x, self.topology), *self.packed()).T)

    def accuracy(self, x: Array, y: Array) -> float:
        """Return the share of samples x (samples, features) that get their class y."""
        return float((self.predict(x) == y).mean())

    def packed(self) -> tuple[Array, Array, Array, Array, Array, int]:
        """Return sizes, weight, mask, bias, shift and top as the kernels take them."""
        t = self.topology
        sizes, shift = np.array(t.sizes, np.int32), np.array(t.shifts, np.int32)
        return sizes, self.weight, self.mask, self.bias, shift, t.top

    def to_json(self) -> dict[str, Any]:
        """Return the circuit as plain data."""
        t = self.topology
        return {
            "sizes": list(t.sizes),
            "input_bits": t.input_bits,
            "activation_bits": t.activation_bits,
            "shifts": list(t.shifts),
            "weight": self.weight.tolist(),
            "mask": self.mask.tolist(),
            "bias": self.bias.tolist(),
        }


def circuit_from_json(plain: Mapping[str, Any]) -> Circuit:
    """Return what `Circuit.to_json` gave. Raises ValueError where it is not that."""
    try:
        topology = Topology(
            tuple(plain["sizes"]),
            plain["input_bits"],
            plain["activation_bits"],
            tuple(plain["shifts"]),
        )
        arrays = [np.asarray(plain[name], np.int64) for name in ("weight", "mask", "bias")]
    except (KeyError, TypeError, OverflowError) as wrong:
        raise ValueError(f"this is no printed circuit: {wrong}") from wrong
    if any(abs(a).max(initial=0) > 2**MOST_BITS for a in arrays):
        raise ValueError(f"a printed circuit holds numbers of {MOST_BITS} bits at most")
    return Circuit(topology, *arrays)


def inputs(x: Array, topology: Topology) -> Array:
    """Return x (samples, features) as the kernels take it: int32 (features, samples).

    Raises ValueError for another width, and for what is no whole number from 0 to
    2^input_bits - 1.
    """
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != topology.sizes[0]:
        raise ValueError(
            f"a circuit of {topology} takes inputs (samples, {topology.sizes[0]}), got {x.shape}"
        )
    top = 2**topology.input_bits - 1
    whole = np.where((x >= 0) & (x <= top), x, -1).astype(np.int32)
    wrong = (whole != x) | (whole < 0)
    if wrong.any():
        row, column = map(int, np.argwhere(wrong)[0])
        raise ValueError(
            f"input {column} of sample {row} takes a whole number from 0 to {top}, "
            f"got {x[row, column]}"
        )
    return np.ascontiguousarray(whole.T)


def exact_circuit(topology: Topology, weights: Sequence[Array], biases: Sequence[Array]) -> Circuit:
    """Return the exact bespoke circuit of whole-number weights (n_out, n_in): all bits wired."""
    return Circuit(
        topology,
        np.concatenate([np.asarray(w).ravel() for w in weights]),
        (1 << topology.word_bits()) - 1,
        np.concatenate([np.asarray(b).ravel() for b in biases]),
    )
