"""Which tile each block lies on: pinned, first fit, balanced, or least traffic.

A search on top of these, by the simulated time, stands in `sim/siting_search.py`.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..devices.words import unknown
from .fabric import Fabric, TileKind
from .packing import SPACES, At, Sharing, Space, pack, pack_exactly
from .tiling import Block, Cut, Unfit

Strategy = Literal["pinned", "first_fit", "balanced", "least_traffic", "searched"]
Packer = Literal["rectpack", "exact"]
Room = Callable[[str, Block], At | None]
"""Takes the room for a block on a node; None where there is none."""
LOOKED_AT = 64
"""Tiles that `least_traffic` chooses among."""


@dataclass(frozen=True)
class Work:
    """What one step makes a matrix do, as far as it matters where the matrix lies."""

    read_s: float = 0.0
    """Seconds in which it is multiplied or transposed: copies share them."""
    write_s: float = 0.0
    """Seconds in which it is written or updated: every copy takes all of them."""
    rows: float = 0.0
    """Rows that go in and come out."""

    def seconds(self, copies: int) -> float:
        """Return how long one copy works in a step."""
        return self.read_s / copies + self.write_s


@dataclass(frozen=True)
class Floorplan:
    """Every block of a network on a node of a fabric."""

    fabric: Fabric
    cuts: Mapping[str, Cut]
    copies: Mapping[str, int]
    blocks: tuple[Block, ...]
    nodes: tuple[str, ...]
    at: tuple[At, ...]
    sharing: Sharing
    strategy: Strategy
    notes: tuple[str, ...] = ()
    """What did not go as it was asked for, in sentences."""
    _of: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, device: str) -> list[int]:
        """Return the indices of a device's blocks, copy by copy, as `Cut.blocks` orders them."""
        if not self._of:
            for k, block in enumerate(self.blocks):
                self._of.setdefault(block.device, []).append(k)
        return self._of[device]

    def tiles(self, kind: str) -> list[str]:
        """Return the nodes of a kind on which something lies, in the fabric's order."""
        used = set(self.nodes)
        return [node for node in self.fabric.nodes(kind) if node in used]

    def filled(self, kind: str) -> float:
        """Return the share of the cells of the tiles in use that blocks cover."""
        tile = self.fabric.tiles[kind]
        if tile.rows is None or tile.columns is None:
            return 1.0
        area = sum(b.height * b.width for b in self.blocks if self.cuts[b.device].kind == kind)
        return area / (len(self.tiles(kind)) * tile.rows * tile.columns)


def sharing_on(kind: TileKind, sharing: Sharing) -> Sharing:
    """Return how blocks share a tile of a kind where `sharing` is asked for."""
    return "alone" if kind.single else sharing


def site(
    fabric: Fabric,
    cuts: Mapping[str, Cut],
    strategy: Strategy = "first_fit",
    sharing: Sharing = "lines",
    work: Mapping[str, Work] | None = None,
    copies: Mapping[str, int] | None = None,
    pins: Mapping[str, Sequence[str]] | None = None,
    packer: Packer = "rectpack",
) -> Floorplan:
    """Return a floorplan of the matrices that are cut as `cuts` say.

    `work` is what a step makes each do (balanced and least traffic look at it), `pins` names
    nodes for the blocks of a matrix, in order. Raises Unfit where there are too few tiles, and
    says how many more it takes; ValueError where a pin names no matrix or no tile.
    """
    copies = {name: (copies or {}).get(name, 1) for name in cuts}
    pins = dict(pins or {})
    for name, wanted in pins.items():
        if name not in cuts:
            raise ValueError(unknown("matrix to pin", name, cuts))
        able = fabric.nodes(cuts[name].kind)
        for node in wanted:
            if node not in able:
                raise ValueError(f"{name} is pinned to {unknown('tile', node, able[:8])}")
    blocks: list[Block] = []
    nodes: list[str] = []
    places: list[At] = []
    notes: list[str] = []
    work = work or {}
    for kind in fabric.tiles.values():
        mine = {n: c for n, c in cuts.items() if c.kind == kind.name}
        some = [b for n, c in mine.items() for b in c.blocks(copies[n])]
        if not some:
            continue
        if kind.rows is None:
            found = _engines(fabric, kind, some, work, pins)
        else:
            how = strategy, sharing, packer
            found = _arrays(fabric, kind, some, how, work, copies, pins, notes)
        blocks += some
        nodes += [node for node, _ in found]
        places += [at for _, at in found]
    return Floorplan(
        fabric, cuts, copies, tuple(blocks), tuple(nodes), tuple(places), sharing, strategy,
        tuple(notes),
    )  # fmt: skip


def _engines(
    fabric: Fabric,
    kind: TileKind,
    blocks: Sequence[Block],
    work: Mapping[str, Work],
    pins: Mapping[str, Sequence[str]],
) -> list[tuple[str, At]]:
    """Give every matrix the engine with the least to do."""
    load = dict.fromkeys(fabric.nodes(kind.name), 0.0)
    found = []
    for b in blocks:
        able = pins.get(b.device) or list(load)
        node = min(able, key=lambda n: load[n])
        load[node] += work.get(b.device, Work()).seconds(1) or 1e-12
        found.append((node, (0, 0)))
    return found


def _arrays(
    fabric: Fabric,
    kind: TileKind,
    blocks: Sequence[Block],
    how: tuple[Strategy, Sharing, Packer],
    work: Mapping[str, Work],
    copies: Mapping[str, int],
    pins: Mapping[str, Sequence[str]],
    notes: list[str],
) -> list[tuple[str, At]]:
    strategy, sharing, packer = how
    sharing = sharing_on(kind, sharing)
    assert kind.rows is not None
    assert kind.columns is not None
    nodes = fabric.nodes(kind.name)
    pinned = [k for k, b in enumerate(blocks) if b.device in pins]
    online = strategy in ("balanced", "least_traffic") or bool(pinned)
    fewest = _fewest(kind, blocks, sharing, packer, notes)
    needed = 1 + max(tile for tile, _ in fewest)
    if needed > len(nodes):
        names = sorted({b.device for b in blocks})
        more = needed - len(nodes)
        raise Unfit(
            f"{', '.join(names[:4])}{' and others' if len(names) > 4 else ''} are {len(blocks):,} "
            f"blocks on {needed:,} tiles {kind.name}, and fabric {fabric.stem} has "
            f"{len(nodes):,}: {more:,} more {'tile' if more == 1 else 'tiles'} would hold them"
        )
    if not online:
        return [(nodes[tile], at) for tile, at in fewest]
    spaces: dict[str, Space] = {}

    def room(node: str, b: Block) -> At | None:
        if node not in spaces:
            spaces[node] = SPACES[sharing](kind.rows or 0, kind.columns or 0)
        return spaces[node].add(b.height, b.width)

    found: dict[int, tuple[str, At]] = {}
    for k in pinned:
        b = blocks[k]
        found[k] = _first(pins[b.device], b, room)
    rest = [k for k in range(len(blocks)) if k not in found]
    if strategy == "balanced":
        placed = _balanced(_in_turn(fabric, nodes), blocks, rest, room, work, copies)
    elif strategy == "least_traffic":
        placed = _least_traffic(fabric, nodes, blocks, rest, room, work)
    else:
        placed = {}
        for k in sorted(rest, key=lambda k: -blocks[k].height * blocks[k].width):
            placed[k] = _first(nodes, blocks[k], room)
    if placed is None:
        if pinned:
            raise Unfit(f"beside what is pinned, {strategy} leaves no room: use first_fit")
        notes.append(f"{strategy} left no room for some block, so tiles are packed by first_fit")
        return [(nodes[tile], at) for tile, at in fewest]
    found.update(placed)
    return [found[k] for k in range(len(blocks))]


def _fewest(
    kind: TileKind, blocks: Sequence[Block], sharing: Sharing, packer: Packer, notes: list[str]
) -> list[tuple[int, At]]:
    assert kind.rows is not None
    assert kind.columns is not None
    if packer == "rectpack":
        return pack(blocks, kind.rows, kind.columns, sharing)
    found, proven = pack_exactly(blocks, kind.rows, kind.columns, sharing)
    tiles = 1 + max(tile for tile, _ in found)
    said = "and no packing takes fewer" if proven else "and whether fewer would do is open"
    notes.append(f"CP-SAT packs {kind.name} on {tiles} tiles, {said}")
    return found


def _first(nodes: Sequence[str], b: Block, room: Room) -> tuple[str, At]:
    for node in nodes:
        if (at := room(node, b)) is not None:
            return node, at
    raise Unfit(f"{b.name} finds no room on {', '.join(nodes[:6])}: pin it to one more tile")


def _in_turn(fabric: Fabric, nodes: Sequence[str]) -> list[str]:
    """Return the nodes so that those beside different hosts take turns: hosts have work too."""
    seen: Counter[str] = Counter()
    ranked = []
    for n, node in enumerate(nodes):
        host = fabric.nearest_host(node)
        ranked.append((seen[host], n, node))
        seen[host] += 1
    return [node for *_, node in sorted(ranked)]


def _balanced(
    nodes: Sequence[str],
    blocks: Sequence[Block],
    rest: Sequence[int],
    room: Room,
    work: Mapping[str, Work],
    copies: Mapping[str, int],
) -> dict[int, tuple[str, At]] | None:
    """Give every block, those with most work first, the tile with the least."""

    def load(k: int) -> float:
        device = blocks[k].device
        return work.get(device, Work(1.0)).seconds(copies[device])

    heap = [(0.0, n, node) for n, node in enumerate(nodes)]
    placed: dict[int, tuple[str, At]] = {}
    for k in sorted(rest, key=lambda k: (-load(k), -blocks[k].height * blocks[k].width, k)):
        tried = []
        while heap and k not in placed:
            busy, n, node = heapq.heappop(heap)
            if (at := room(node, blocks[k])) is not None:
                placed[k] = node, at
                busy += load(k)
            tried.append((busy, n, node))
        for entry in tried:
            heapq.heappush(heap, entry)
        if k not in placed:
            return None
    return placed


def _least_traffic(
    fabric: Fabric,
    nodes: Sequence[str],
    blocks: Sequence[Block],
    rest: Sequence[int],
    room: Room,
    work: Mapping[str, Work],
) -> dict[int, tuple[str, At]] | None:
    """Give every block, in the network's order, the tile that its data reach soonest.

    Inputs come from the host at which the matrix before it leaves its outputs, and partial sums
    go to the host of the first block of the same outputs. Of tiles that are equally near, the one
    that is fuller, then the next. Of empty tiles only the next few are looked at.
    """
    placed: dict[int, tuple[str, At]] = {}
    used: Counter[str] = Counter()
    waiting = deque(nodes)
    looked: list[str] = []
    left: dict[str, str] = {}
    homes: dict[tuple[str, int, tuple[int, int]], str] = {}
    for k in rest:
        b = blocks[k]
        while waiting and len(looked) < LOOKED_AT:
            looked.append(waiting.popleft())
        size_B = max(work.get(b.device, Work(rows=1.0)).rows, 1.0) * fabric.bytes_per_number
        in_B, out_B = (size_B * (last - first) for first, last in (b.inputs, b.outputs))
        source = next((left[name] for name in reversed(left) if name != b.device), None)
        target = homes.get((b.device, b.copy, b.outputs))
        costs = []
        for n, node in enumerate(looked):
            mine = fabric.nearest_host(node)
            cost_s = fabric.cost_s(source or mine, node, in_B)
            cost_s += fabric.cost_s(node, target or mine, out_B)
            costs.append((cost_s, -used[node], n, node))
        for *_, node in sorted(costs):
            if (at := room(node, b)) is not None:
                placed[k] = node, at
                break
            if used[node]:
                looked.remove(node)  # full, or nearly
        if k not in placed:
            return None
        node = placed[k][0]
        used[node] += b.height * b.width
        left[b.device] = homes.setdefault((b.device, b.copy, b.outputs), fabric.nearest_host(node))
    return placed


def duplicated(
    fabric: Fabric,
    cuts: Mapping[str, Cut],
    work: Mapping[str, Work],
    seconds: Callable[[Floorplan], float],
    sharing: Sharing = "lines",
    most: int = 64,
) -> dict[str, int]:
    """Return how many copies of each matrix make `seconds` of a floorplan less, as tiles allow.

    The matrix whose copy works longest in a step, in a convolutional network most often the first,
    is given one more, as ISAAC does [Shafiee et al., ISCA 2016], until that does not help.
    """
    copies = dict.fromkeys(cuts, 1)
    open_ones = {n for n, c in cuts.items() if fabric.tiles[c.kind].rows is not None and n in work}
    best_s = seconds(site(fabric, cuts, "first_fit", sharing, work, copies))
    while open_ones:
        worst = max(sorted(open_ones), key=lambda n: work[n].seconds(copies[n]))
        more = {**copies, worst: copies[worst] + 1}
        if more[worst] > min(most, work[worst].rows):
            open_ones.discard(worst)
            continue
        try:
            shorter_s = seconds(site(fabric, cuts, "first_fit", sharing, work, more))
        except Unfit:
            open_ones.discard(worst)
            continue
        if shorter_s < best_s * (1.0 - 1e-9):
            copies, best_s = more, shorter_s
        else:
            open_ones.discard(worst)
    return copies
