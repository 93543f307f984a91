"""A printed circuit as cells of a library: its area, power, critical path, faults and spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array
from .printed_circuit import Topology, inputs
from .seeds import Draw
from .technology import Technology

CELLS = ("INVX1", "NAND2X1", "NOR2X1", "AND2X1", "OR2X1", "XOR2X1", "XNOR2X1")
"""The cells in the order of the kernel's codes."""
_FALLING, _RISING = (0, 1, 2), (3, 4)
"""Codes of cells whose output falls when an input rises, and rises with it; the others do both."""


@dataclass(frozen=True, eq=False)
class Netlist:
    """Gates in an order in which each comes after those that drive it.

    kind, first, second, output : (gates,) int32, the cell's code and the nets at its pins.
    Nets 0 and 1 are constants; then come the bits of the inputs, the lowest of each first.
    result : (class bits,) nets of the class index, the lowest bit first.
    """

    topology: Topology
    nets: int
    kind: Array
    first: Array
    second: Array
    output: Array
    result: Array

    @property
    def gates(self) -> int:
        """How many cells there are."""
        return len(self.kind)

    @property
    def constant(self) -> bool:
        """Whether the circuit says one class whatever it sees."""
        return bool((self.result < 2).all())

    def wired(self) -> list[int]:
        """Return which bits of each input any gate or the class depends on, as masks."""
        used = np.zeros(self.nets, bool)
        for pins in (self.first, self.second, self.result):
            used[pins] = True
        bits = self.topology.input_bits
        places = 1 << np.arange(bits)
        inputs_ = used[2 : 2 + bits * self.topology.sizes[0]].reshape(-1, bits)
        return [int(mask) for mask in inputs_ @ places]

    def cells(self) -> dict[str, int]:
        """Return how many there are of each cell."""
        counts = np.bincount(self.kind, minlength=len(CELLS))
        return {cell: int(n) for cell, n in zip(CELLS, counts, strict=True) if n}

    def area_m2(self, technology: Technology) -> float:
        """Return the area of all cells, without the wires between them."""
        return self._sum("area", technology)

    def static_W(self, technology: Technology) -> float:
        """Return the standing power, every cell at the mean over the states of its inputs."""
        return self._sum("leakage", technology)

    def dynamic_W(self, technology: Technology, x: Array) -> float:
        """Return the switching power when the rows of x (samples, features) follow each other.

        One row a clock; every cell pays for each change of its output from row to row, glitches
        left out.
        """
        if not self.gates or len(x) < 2:
            return 0.0
        value = self._values(x)[self.output]
        carry = np.zeros_like(value)
        carry[:, :-1] = value[:, 1:] << np.uint64(63)
        change = value ^ ((value >> np.uint64(1)) | carry)
        pairs = _lowest(len(x) - 1, value.shape[1])
        toggles = np.bitwise_count(change & pairs).sum(1)
        energy_J = np.array([technology.parameter(f"switching_{cell}") for cell in CELLS])
        seconds = (len(x) - 1) * technology.parameter("clock")
        return float((toggles * energy_J[self.kind]).sum() / seconds)

    def critical_path_s(self, technology: Technology) -> float | None:
        """Return the longest delay from an input to the class; None where no delay is known.

        Rising and falling edges apart, every cell at its slowest pin.
        """
        if f"rise_{CELLS[0]}" not in technology.parameters:
            return None
        return float(self._delays(technology, np.ones((self.gates, 1)))[0])

    def spread_s(self, technology: Technology, std: float, copies: int, draw: Draw) -> Array:
        """Return the critical path (copies,) of printed copies in seconds.

        The delay of each cell is multiplied by a lognormal factor, its logarithm of std `std`.
        Raises ValueError where the technology knows no delay.
        """
        if f"rise_{CELLS[0]}" not in technology.parameters:
            raise ValueError(f"technology {technology.stem} knows no delay of its cells")
        factor = np.exp(std * draw.rng().standard_normal((self.gates, copies)))
        return self._delays(technology, factor)

    def predict(self, x: Array, fault: Array | None = None) -> Array:
        """Return the class (samples,) of x (samples, features); `fault` is what `faulty` gives."""
        value = self._values(x, fault)[self.result]
        bits = np.unpackbits(value.view(np.uint8), axis=1, bitorder="little")[:, : len(x)]
        weights = 1 << np.arange(len(self.result))
        return np.asarray(weights @ bits.astype(np.int64))

    def faulty(self, share: float, draw: Draw) -> Array:
        """Return the fate (gates,) of one printed copy: a gate is stuck with chance `share`.

        At 0 or at 1 with the same chance.
        """
        fate = draw.rng().random(self.gates)
        return np.where(fate < share, 1 + (fate < share / 2), 0).astype(np.int32)

    def _sum(self, what: str, technology: Technology) -> float:
        return sum(n * technology.parameter(f"{what}_{cell}") for cell, n in self.cells().items())

    def _values(self, x: Array, fault: Array | None = None) -> Array:
        """Return the values (nets, words) of all nets, sample k in bit k % 64 of word k // 64."""
        from .kernels.netlist import gates

        columns = inputs(x, self.topology)
        bits = self.topology.input_bits
        words = -(-columns.shape[1] // 64)
        planes = np.zeros((len(columns) * bits, 64 * words), np.uint8)
        for b in range(bits):
            planes[b::bits, : columns.shape[1]] = columns >> b & 1
        value = np.zeros((self.nets, words), np.uint64)
        value[1] = ~np.uint64(0)
        value[2 : 2 + len(planes)] = np.packbits(planes, axis=1, bitorder="little").view(np.uint64)
        stuck = np.zeros(self.gates, np.int32) if fault is None else fault
        gates(self.kind, self.first, self.second, self.output, stuck, value)
        return value

    def _delays(self, technology: Technology, factor: Array) -> Array:
        """Return the longest delays (copies,) under factors (gates, copies)."""
        rise = [technology.parameter(f"rise_{cell}") for cell in CELLS]
        fall = [technology.parameter(f"fall_{cell}") for cell in CELLS]
        up, down = (np.zeros((self.nets, factor.shape[1])) for _ in range(2))
        for g in range(self.gates):
            k, a, b, out = (int(v[g]) for v in (self.kind, self.first, self.second, self.output))
            rising, falling = np.maximum(up[a], up[b]), np.maximum(down[a], down[b])
            if k in _FALLING:
                rising, falling = falling, rising
            elif k not in _RISING:
                rising = falling = np.maximum(rising, falling)
            up[out], down[out] = rising + rise[k] * factor[g], falling + fall[k] * factor[g]
        return np.asarray(np.maximum(up, down)[self.result].max(0))


def _lowest(n: int, words: int) -> Array:
    """Return words (words,) whose lowest n bits in all are set."""
    bits = np.zeros(64 * words, np.uint8)
    bits[:n] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


def netlist_from_json(plain: Mapping[str, Any], topology: Topology) -> Netlist:
    """Return a mapped module, as Yosys writes it in JSON, as a netlist.

    Raises ValueError where it holds a cell that the library has not.
    """
    net: dict[Any, int] = {"0": 0, "1": 1, "x": 0}
    for i in range(topology.sizes[0]):
        for bit in plain["ports"][f"x{i}"]["bits"]:
            net[bit] = len(net) - 1
    waiting = []
    for name, cell in plain["cells"].items():
        if cell["type"] not in CELLS:
            raise ValueError(f"cell {name} is a {cell['type']}; there is: {', '.join(CELLS)}")
        pins = cell["connections"]
        a = pins["A1"][0]
        waiting.append((CELLS.index(cell["type"]), a, pins.get("A2", [a])[0], pins["Y"][0]))
    driver = {out: k for k, (*_, out) in enumerate(waiting)}
    order: list[int] = []
    state = [0] * len(waiting)
    for root in range(len(waiting)):
        stack = [root]
        while stack:
            k = stack[-1]
            if state[k] == 2:
                stack.pop()
                continue
            below = [driver[pin] for pin in waiting[k][1:3] if pin in driver]
            if state[k] == 0:
                state[k] = 1
                stack += [j for j in below if state[j] == 0]
                continue
            state[k] = 2
            order.append(k)
            stack.pop()
    for k in order:
        net[waiting[k][3]] = len(net) - 1
    table = np.array(
        [(waiting[k][0], *(net[p] for p in waiting[k][1:])) for k in order], np.int32
    ).reshape(-1, 4)
    kind, first, second, output = (np.ascontiguousarray(c) for c in table.T)
    result = np.array([net[b] for b in plain["ports"]["class_index"]["bits"]], np.int32)
    return Netlist(topology, len(net) - 1, kind, first, second, output, result)
