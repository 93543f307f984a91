"""How matrices are cut into blocks that fit a tile, and how large a block is on it.

A resistive crossbar cuts itself: its arrays decide which currents are converted together, and so
its noise and its partial sums. Its blocks are therefore its own arrays, and a fabric only says
where each of them lies; a fabric whose tiles are smaller than the arrays is refused. Every other
device is cut by the tile, and its partial sums are added digitally.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..devices.crossbar import Crossbar
from ..devices.ledger import Installed
from ..devices.technology import Technology
from ..devices.weight_mapping import WeightMapping
from .fabric import Fabric, TileKind

PAIRED = "PulsedCrossbar"
"""A device with a reference cell beside every cell, which is cut by the tile."""
ANALOG = ("Crossbar", PAIRED)
"""Devices whose arrays take as long for a small matrix as for a large one."""


class Unfit(ValueError):
    """A network does not fit the fabric; the message says what would help."""


class Block(NamedTuple):
    """A part of one matrix that lies on one tile."""

    device: str
    copy: int
    """Which of the matrix's copies it belongs to."""
    inputs: tuple[int, int]
    """First column of W, and the one after the last."""
    outputs: tuple[int, int]
    """First row of W, and the one after the last."""
    height: int
    """Rows of the tile that it takes."""
    width: int
    """Physical columns of the tile that it takes."""

    @property
    def cells(self) -> int:
        """Entries of W in it."""
        return (self.inputs[1] - self.inputs[0]) * (self.outputs[1] - self.outputs[0])

    @property
    def name(self) -> str:
        """The device with the block's place in it."""
        (a, b), (c, d) = self.outputs, self.inputs
        copy = f" copy {self.copy + 1}" if self.copy else ""
        return f"{self.device}{copy} [{a}:{b}, {c}:{d}]"


@dataclass(frozen=True)
class Cut:
    """How one matrix is cut: blocks of `inputs` x `outputs`, each output `width` columns wide."""

    device: str
    n_out: int
    n_in: int
    inputs: int
    outputs: int
    width: int
    extra: int
    """Reference columns of every block."""
    kind: str
    """The kind of tile."""

    @property
    def down(self) -> int:
        """Blocks that share an output, whose partial sums are added."""
        return math.ceil(self.n_in / self.inputs)

    @property
    def across(self) -> int:
        """Blocks that share an input."""
        return math.ceil(self.n_out / self.outputs)

    def blocks(self, copies: int = 1) -> list[Block]:
        """Return the blocks, copy by copy, down the inputs first."""
        found = []
        for copy in range(copies):
            for a in range(0, self.n_out, self.outputs):
                b = min(a + self.outputs, self.n_out)
                width = (b - a) * self.width + self.extra
                for c in range(0, self.n_in, self.inputs):
                    d = min(c + self.inputs, self.n_in)
                    found.append(Block(self.device, copy, (c, d), (a, b), d - c, width))
        return found


def kind_for(name: str, device: Installed, technology: Technology, fabric: Fabric) -> TileKind:
    """Return the kind of tile that a device lies on. Raises Unfit where the fabric has none."""
    from ..devices import CATALOGUE

    for kind in fabric.tiles.values():
        if CATALOGUE[kind.device].__name__ == device.kind and kind.technology == technology.stem:
            return kind
    has = ", ".join(f"{k.name} ({k.device}, {k.technology})" for k in fabric.tiles.values())
    raise Unfit(
        f"{name} is of kind {device.kind} and priced as {technology.stem}; fabric {fabric.stem} "
        f"has {has}: give it another device or technology, or another fabric"
    )


def cut(name: str, device: Installed, technology: Technology, fabric: Fabric) -> Cut:
    """Return how a device is cut on a fabric.

    Raises Unfit where no tile is for it, or none is large enough for anything of it.
    """
    kind = kind_for(name, device, technology, fabric)
    n_out, n_in = device.n_out, device.n_in
    if kind.rows is None or kind.columns is None:
        return Cut(name, n_out, n_in, n_in, n_out, 1, 0, kind.name)
    if device.kind == Crossbar.__name__:
        return _own_arrays(name, device, technology, kind)
    width = 2 if device.kind == PAIRED else 1
    if kind.columns < width:
        raise Unfit(
            f"one output of {name} takes {width} columns, and tile {kind.name} has {kind.columns}"
        )
    return Cut(name, n_out, n_in, kind.rows, kind.columns // width, width, 0, kind.name)


def _own_arrays(name: str, device: Installed, technology: Technology, kind: TileKind) -> Cut:
    settings = dict(device.settings)
    rows = settings["tile_rows"] or int(technology.parameter("rows"))
    columns = settings["tile_columns"] or int(technology.parameter("columns"))
    mapping = WeightMapping(settings["mapping"], settings["slices"], settings["levels"])
    extra = mapping.slices if mapping.kind == "offset" else 0
    width = mapping.slices * mapping.cells
    outputs = (columns - extra) // width
    tall, wide = min(rows, device.n_in), min(outputs, device.n_out) * width + extra
    if tall > (kind.rows or 0) or wide > (kind.columns or 0):
        raise Unfit(
            f"{name} computes with arrays of {tall} x {wide} cells, and tile {kind.name} has "
            f"{kind.rows} x {kind.columns}: say tile_rows = {kind.rows} and tile_columns = "
            f"{kind.columns} in its table, and train with that"
        )
    return Cut(name, device.n_out, device.n_in, rows, outputs, width, extra, kind.name)


def cuts(
    devices: Mapping[str, Installed], chosen: Mapping[str, Technology], fabric: Fabric, host: str
) -> dict[str, Cut]:
    """Return how every device but the host is cut. Raises Unfit as `cut` does."""
    return {name: cut(name, d, chosen[name], fabric) for name, d in devices.items() if name != host}
