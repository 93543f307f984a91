"""Chromosomes of printed networks: what a discrete search changes, and what that costs.

For every connection a mask, a sign and an exponent (Afentaki et al., DATE 2024: weights are powers
of two, a mask says which bits of the input are added), for every unit a bias. A mask of 0 is no
connection. Genes stand in four blocks: masks, signs, exponents, biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit, Topology, inputs

BIAS_STEP = 7
"""A bias is a multiple of 1/2^7 of what a weight of 1 on a full input adds, at most 4 times it."""
BIAS_BITS = 10
TIE_m2 = 1e-9
"""What a wired bit adds to the area that a search sees: of circuits with the same adders, as small
ones often have, the one with fewer wires wins. A circuit of 500 bits gains 0.005 cm2 by it."""


@dataclass(frozen=True)
class Genes:
    """The code between chromosomes (circuits, length) int16 and circuits of one topology."""

    topology: Topology
    exponents: int = 8
    """Weights are +-2^0 .. +-2^(exponents - 1)."""

    def __post_init__(self) -> None:
        if not 1 <= self.exponents <= 12:
            raise ValueError(f"exponents takes a number from 1 to 12, got {self.exponents}")

    @property
    def length(self) -> int:
        """How many genes a chromosome has."""
        return 3 * self.topology.weights + self.topology.units

    @cached_property
    def lowest(self) -> Array:
        """The least value of every gene (length,)."""
        w, u = self.topology.weights, self.topology.units
        return np.concatenate([np.zeros(3 * w), np.full(u, -(2 ** (BIAS_BITS - 1)))]).astype(int)

    @cached_property
    def highest(self) -> Array:
        """The largest value of every gene (length,)."""
        w, u = self.topology.weights, self.topology.units
        full = (1 << self.topology.word_bits()) - 1
        rest = [np.ones(w), np.full(w, self.exponents - 1), np.full(u, 2 ** (BIAS_BITS - 1) - 1)]
        return np.concatenate([full, *rest]).astype(int)

    @cached_property
    def bias_shift(self) -> Array:
        """How far up the bias of every unit stands (units,): the literature's fraction bits."""
        t = self.topology
        bits, found = self.exponents - 1 + t.input_bits, []
        for k, (_, n_out) in enumerate(t.layers):
            found += [max(bits - BIAS_STEP, 0)] * n_out
            if k < t.hidden:
                bits += self.exponents - 1 - t.shifts[k]
        return np.array(found, np.int32)

    def decode(self, chromosomes: Array) -> tuple[Array, Array, Array]:
        """Return weight, mask (circuits, weights) and bias (circuits, units) as int32.

        Raises ValueError for chromosomes of another length.
        """
        c = np.asarray(chromosomes)
        if c.ndim != 2 or c.shape[1] != self.length:
            raise ValueError(
                f"a chromosome of {self.topology} takes {self.length} genes, got {c.shape[-1:]}"
            )
        n = self.topology.weights
        mask = np.ascontiguousarray(c[:, :n], np.int32)
        sign, exponent = c[:, n : 2 * n].astype(np.int32), c[:, 2 * n : 3 * n].astype(np.int32)
        weight = (1 - 2 * sign) << exponent
        weight[mask == 0] = 0
        return weight, mask, c[:, 3 * n :].astype(np.int32) << self.bias_shift

    def circuit(self, chromosome: Array) -> Circuit:
        """Return the circuit of one chromosome (length,)."""
        weight, mask, bias = self.decode(np.atleast_2d(chromosome))
        return Circuit(self.topology, weight[0], mask[0], bias[0])

    def encode(self, circuit: Circuit) -> Array:
        """Return the chromosome (length,) next to a circuit: weights rounded to powers of two.

        Raises ValueError where the circuit has another topology.
        """
        if circuit.topology != self.topology:
            raise ValueError(f"genes of {self.topology} take no circuit of {circuit.topology}")
        size = abs(circuit.weight)
        exponent = np.rint(np.log2(np.maximum(size, 1))).clip(0, self.exponents - 1)
        mask = np.where(size > 0, circuit.mask, 0)
        bias = np.rint(circuit.bias / 2.0**self.bias_shift)
        found = np.concatenate([mask, circuit.weight < 0, exponent, bias])
        return np.asarray(found.clip(self.lowest, self.highest).astype(np.int16))


@dataclass(frozen=True, eq=False)
class Task:
    """What a search minimises: the loss on training rows, and the area of the circuit.

    Raises ValueError for inputs that the topology cannot take.
    """

    genes: Genes
    x: Array
    """Unsigned words: given as (samples, features), held as the kernels take them."""
    y: Array
    """(samples,) classes."""
    prices_m2: tuple[float, float, float]
    """Area of a full adder, and of a bit of ripple and of subtraction."""
    worst_loss: float = 1.0
    """The largest share of wrong training rows that counts as a solution."""

    def __post_init__(self) -> None:
        classes = self.genes.topology.sizes[-1]
        if len(self.x) != len(self.y) or not len(self.y):
            raise ValueError(f"a task takes a class for each row, got {len(self.x)}, {len(self.y)}")
        if self.y.min() < 0 or self.y.max() >= classes:
            raise ValueError(f"classes take 0 to {classes - 1}, got {self.y.min()}, {self.y.max()}")
        object.__setattr__(self, "x", inputs(self.x, self.genes.topology))
        object.__setattr__(self, "y", np.ascontiguousarray(self.y, np.int32))

    def evaluate(self, chromosomes: Array) -> Array:
        """Return loss and area in m2 (circuits, 2) of chromosomes (circuits, length)."""
        from ..devices.kernels.adders import KINDS, count_adders
        from ..devices.kernels.printed import count_correct

        t = self.genes.topology
        weight, mask, bias = self.genes.decode(chromosomes)
        sizes, shift = np.array(t.sizes, np.int32), np.array(t.shifts, np.int32)
        correct = np.empty(len(weight), np.int64)
        count_correct(self.x, self.y, sizes, weight, mask, bias, shift, t.top, correct)
        count = np.empty((len(weight), KINDS), np.int32)
        first = 2**t.input_bits - 1
        count_adders(sizes, weight, mask, bias, shift, t.top, first, count)
        area_m2 = count @ np.array([*self.prices_m2, TIE_m2])
        return np.stack([1 - correct / len(self.y), area_m2], axis=1)


def adders(circuit: Circuit) -> Array:
    """Return how many full adders, and bits of ripple, subtraction and wiring (4,) there are."""
    from ..devices.kernels.adders import KINDS, count_adders

    count = np.empty((1, KINDS), np.int32)
    sizes, weight, mask, bias, shift, top = circuit.packed()
    first = 2**circuit.topology.input_bits - 1
    count_adders(sizes, weight[None], mask[None], bias[None], shift, top, first, count)
    return np.asarray(count[0])


def mutate(genes: Genes, chromosomes: Array, rng: np.random.Generator, rate: float) -> Array:
    """Return chromosomes in which each gene is changed with chance `rate`.

    Half of the changes are random resets: any value the gene can have. The other half are small: a
    mask gains or loses one bit, a number moves by one.
    """
    found = chromosomes.copy()
    row, gene = np.nonzero(rng.random(found.shape) < rate)
    low, high = genes.lowest[gene], genes.highest[gene]
    reset = rng.integers(low, high + 1)
    masks = gene < genes.topology.weights
    bits = np.concatenate([genes.topology.word_bits(), np.ones(genes.length, np.int32)])
    old = found[row, gene].astype(int)
    bit = (rng.random(len(gene)) * bits[np.minimum(gene, len(bits) - 1)]).astype(int)
    small = np.where(masks, old ^ (1 << bit), old + rng.choice([-1, 1], len(gene)))
    chosen = np.where(rng.random(len(gene)) < 0.5, reset, small.clip(low, high))
    found[row, gene] = chosen
    return found


def first_population(
    genes: Genes, size: int, seeds: Sequence[Circuit], rng: np.random.Generator
) -> Array:
    """Return chromosomes (size, length): the seeds, thinned and changed ever more of them.

    Without seeds all genes are drawn evenly.
    """
    if not seeds:
        return rng.integers(genes.lowest, genes.highest + 1, (size, genes.length)).astype(np.int16)
    made = np.stack([genes.encode(c) for c in seeds])
    found = made[np.arange(size) % len(made)]
    changed = np.arange(size) >= len(made)
    strength = rng.random(size) * changed
    weights = genes.topology.weights
    cut = rng.random((size, weights)) < 0.7 * strength[:, None]
    keep = rng.integers(0, genes.highest[:weights] + 1, (size, weights))
    found[:, :weights] = np.where(cut, found[:, :weights] & keep, found[:, :weights])
    return np.where(changed[:, None], mutate(genes, found, rng, 1.0 / genes.length), found)
