"""Packing blocks onto tiles: which blocks share one, and where in it they lie.

sharing "lines": blocks lie anywhere side by side (rectangles, by rectpack's MaxRects), and those
that share rows or columns cannot be read at once. "diagonal": no two share a row or a column, so
all of a tile can be read at once. "alone": one block a tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from .tiling import Block

Sharing = Literal["lines", "diagonal", "alone"]
At = tuple[int, int]
"""First row and first column of a block on its tile."""

CHUNK = 500
"""Blocks that are packed together: MaxRects takes time with their square, and from some hundred
on a tile more or less is one in a hundred."""


class Space(Protocol):
    """What is left of one tile."""

    def add(self, height: int, width: int) -> At | None:
        """Take the room for a block and return where it lies; None where it does not fit."""


class Lines:
    """A tile on which blocks lie anywhere beside one another."""

    def __init__(self, rows: int, columns: int) -> None:
        from rectpack import MaxRectsBssf

        self._free = rows * columns
        self._bin = MaxRectsBssf(columns, rows, rot=False)

    def add(self, height: int, width: int) -> At | None:
        if height * width > self._free:
            return None
        found = self._bin.add_rect(width, height)
        if found is None:
            return None
        self._free -= height * width
        return int(found.y), int(found.x)


class Diagonal:
    """A tile on which no two blocks share a row or a column."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns, self._at = rows, columns, (0, 0)

    def add(self, height: int, width: int) -> At | None:
        row, column = self._at
        if row + height > self._rows or column + width > self._columns:
            return None
        self._at = row + height, column + width
        return row, column


class Alone:
    """A tile that holds one block."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns, self._taken = rows, columns, False

    def add(self, height: int, width: int) -> At | None:
        if self._taken or height > self._rows or width > self._columns:
            return None
        self._taken = True
        return 0, 0


SPACES: dict[Sharing, type[Lines] | type[Diagonal] | type[Alone]] = {
    "lines": Lines,
    "diagonal": Diagonal,
    "alone": Alone,
}


def area_bound(blocks: Iterable[Block], rows: int, columns: int) -> int:
    """Return the least number of tiles that the blocks' area could take."""
    return math.ceil(sum(b.height * b.width for b in blocks) / (rows * columns))


def pack(
    blocks: Sequence[Block], rows: int, columns: int, sharing: Sharing = "lines"
) -> list[tuple[int, At]]:
    """Return for every block its tile, counted from 0 in the order of the blocks, and its place.

    Blocks that fill a tile get one each; the others are packed largest first. Raises ValueError
    where a block is larger than a tile.
    """
    for b in blocks:
        if b.height > rows or b.width > columns:
            raise ValueError(
                f"{b.name} takes {b.height} x {b.width} cells, a tile has {rows} x {columns}"
            )
    found: dict[int, tuple[int, At]] = {}
    tiles = 0
    rest = []
    for k, b in enumerate(blocks):
        if sharing == "alone" or (b.height == rows and b.width == columns):
            found[k] = (tiles, (0, 0))
            tiles += 1
        else:
            rest.append(k)
    rest.sort(key=lambda k: (-blocks[k].height * blocks[k].width, k))
    pack_some = _rectangles if sharing == "lines" else _first_fit
    for first in range(0, len(rest), CHUNK):
        some = rest[first : first + CHUNK]
        sizes = [(blocks[k].height, blocks[k].width) for k in some]
        packed = pack_some(sizes, rows, columns)
        for k, (tile, at) in zip(some, packed, strict=True):
            found[k] = (tiles + tile, at)
        tiles += 1 + max(tile for tile, _ in packed)
    order: dict[int, int] = {}
    for k in range(len(blocks)):
        order.setdefault(found[k][0], len(order))
    return [(order[found[k][0]], found[k][1]) for k in range(len(blocks))]


def _rectangles(sizes: Sequence[tuple[int, int]], rows: int, columns: int) -> list[tuple[int, At]]:
    from rectpack import MaxRectsBssf, PackingBin, PackingMode, newPacker

    packer = newPacker(
        mode=PackingMode.Offline,
        bin_algo=PackingBin.BFF,
        pack_algo=MaxRectsBssf,
        rotation=False,
    )
    packer.add_bin(columns, rows, count=float("inf"))
    for k, (height, width) in enumerate(sizes):
        packer.add_rect(width, height, rid=k)
    packer.pack()
    found: dict[int, tuple[int, At]] = {}
    for tile, x, y, _, _, k in packer.rect_list():
        found[k] = (tile, (int(y), int(x)))
    return [found[k] for k in range(len(sizes))]


def _first_fit(sizes: Sequence[tuple[int, int]], rows: int, columns: int) -> list[tuple[int, At]]:
    found: list[tuple[int, At]] = []
    spaces: list[Diagonal] = []
    for height, width in sizes:
        for tile, space in enumerate(spaces):
            if (at := space.add(height, width)) is not None:
                found.append((tile, at))
                break
        else:
            spaces.append(Diagonal(rows, columns))
            at = spaces[-1].add(height, width)
            assert at is not None
            found.append((len(spaces) - 1, at))
    return found


def pack_exactly(
    blocks: Sequence[Block],
    rows: int,
    columns: int,
    sharing: Sharing = "lines",
    limit_s: float = 20.0,
) -> tuple[list[tuple[int, At]], bool]:
    """Return the packing with the fewest tiles that CP-SAT finds, and whether none has fewer.

    It starts from what `pack` finds, and is for some dozens of blocks. Needs OR-tools: `pip
    install hwloop[exact]`. Raises ImportError where it is absent.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as absent:
        raise ImportError("exact packing needs OR-tools: pip install 'hwloop[exact]'") from absent
    start = pack(blocks, rows, columns, sharing)
    tiles = 1 + max(tile for tile, _ in start)
    if sharing == "alone" or tiles == area_bound(blocks, rows, columns):
        return start, True
    model = cp_model.CpModel()
    used = [model.new_bool_var("") for _ in range(tiles)]
    on = [[model.new_bool_var("") for _ in range(tiles)] for _ in blocks]
    for k, row in enumerate(on):
        model.add_exactly_one(row)
        for t, here in enumerate(row):
            model.add_implication(here, used[t])
            model.add_hint(here, start[k][0] == t)
    for t in range(tiles):
        cells = sum(b.height * b.width * on[k][t] for k, b in enumerate(blocks))
        model.add(cells <= rows * columns * used[t])
        if t:
            model.add_implication(used[t], used[t - 1])
        if sharing == "diagonal":
            model.add(sum(b.height * on[k][t] for k, b in enumerate(blocks)) <= rows)
            model.add(sum(b.width * on[k][t] for k, b in enumerate(blocks)) <= columns)
    corners = []
    if sharing == "lines":
        for k, b in enumerate(blocks):
            y = model.new_int_var(0, rows - b.height, "")
            x = model.new_int_var(0, columns - b.width, "")
            model.add_hint(y, start[k][1][0])
            model.add_hint(x, start[k][1][1])
            corners.append((y, x))
        for t in range(tiles):
            down, across = [], []
            for k, b in enumerate(blocks):
                y, x = corners[k]
                here = on[k][t]
                down.append(model.new_optional_fixed_size_interval_var(y, b.height, here, ""))
                across.append(model.new_optional_fixed_size_interval_var(x, b.width, here, ""))
            model.add_no_overlap_2d(across, down)
    model.minimize(sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start, False
    chosen = [next(t for t in range(tiles) if solver.value(row[t])) for row in on]
    if sharing == "lines":
        places = [(solver.value(y), solver.value(x)) for y, x in corners]
    else:
        places = _diagonal(blocks, chosen, tiles, rows, columns)
    order: dict[int, int] = {}
    for t in chosen:
        order.setdefault(t, len(order))
    found = [(order[t], at) for t, at in zip(chosen, places, strict=True)]
    return found, status == cp_model.OPTIMAL


def _diagonal(
    blocks: Sequence[Block], chosen: Sequence[int], tiles: int, rows: int, columns: int
) -> list[At]:
    spaces = [Diagonal(rows, columns) for _ in range(tiles)]
    found = []
    for b, tile in zip(blocks, chosen, strict=True):
        at = spaces[tile].add(b.height, b.width)
        assert at is not None
        found.append(at)
    return found
