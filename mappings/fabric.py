"""The machine that a network is mapped onto: tiles, hosts, links and clocks, as a graph.

A fabric is a TOML file: a `[tile.NAME]` a kind of tile, a `[host.NAME]` a digital processor, a
`[[link]]` what joins them, a `[clock.NAME]` what lets a tile start at its ticks only. A tile and
a host of one name are one machine (a GPU). With `copies` the whole repeats, and `[network]` joins
the hosts of the copies through one switch. Every figure stands there with its source.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx

SHAPES = ("each", "groups", "shared", "mesh")


@dataclass(frozen=True, kw_only=True)
class TileKind:
    """A kind of tile, and how many of them there are.

    Without `rows` and `columns` a tile holds whole matrices, any number of them, in turns.
    """

    name: str
    device: str
    """Name in the catalogue of devices."""
    technology: str
    source: str
    rows: int | None = None
    """Inputs of a tile."""
    columns: int | None = None
    """Physical columns of a tile."""
    count: int = 1
    at_once: int = 1
    """Verbs at a time, of blocks that share no line."""
    buffers: int = 2
    """Operations whose inputs a tile can hold: with 2 the next arrives while one is worked on."""
    converters: int = 0
    """Converter banks that all tiles of this kind share; 0: each tile has its own."""
    single: bool = False
    """Whether a tile holds one block, however small: a circuit made for it."""
    once: bool = False
    """Whether there is one for all copies, joined to the network itself."""
    verbs: str = ""
    """What a tile is able to do here, as "MULTIPLY"; empty: all that its device can."""


@dataclass(frozen=True, kw_only=True)
class HostKind:
    """A digital processor: elementwise work, and the memory that activations wait in."""

    name: str
    technology: str
    source: str
    count: int = 1
    memory_B: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Link:
    """Wires between two kinds of nodes, both ways at once.

    shape "each": a link for every pair; "groups": the nodes of the first kind in equal groups, one
    for each node of the second; "shared": one bus for all; "mesh": neighbours in a grid of one
    kind, as square as its count allows.
    """

    a: str
    b: str
    bandwidth_Bps: float
    latency_s: float
    energy_J_per_B: float | None
    """None where nobody has metered it."""
    source: str
    shape: str = "each"

    def seconds(self, size_B: float) -> float:
        """Return how long a message of so many bytes takes alone."""
        return self.latency_s + size_B / self.bandwidth_Bps


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What a tile waits for: an operation starts at a tick only, as a camera's frames do.

    With `event`, the ticks are as long as the tile's technology says of that event, and what comes
    before it in an operation does not wait. With `period_s`, every row takes one tick.
    """

    name: str
    tile: str
    source: str
    event: str = ""
    period_s: float = 0.0


@dataclass(frozen=True)
class Fabric:
    """Tiles, hosts, links and clocks. `fabric_file.load` reads one."""

    stem: str
    name: str
    description: str
    bytes_per_number: float
    tiles: Mapping[str, TileKind]
    hosts: Mapping[str, HostKind]
    links: tuple[Link, ...] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    copies: int = 1
    network: Link | None = None

    @functools.cached_property
    def graph(self) -> nx.DiGraph:
        """One copy: nodes bear `kind`, edges bear `link` and the name of their `resource`."""
        import networkx as nx

        graph = nx.DiGraph()
        for kind in {**self.hosts, **self.tiles}:
            for node in self.unit(kind) if kind not in self._once else ():
                graph.add_node(node, kind=kind)
        for link in self.links:
            self._wire(graph, link)
        return graph

    def _wire(self, graph: nx.DiGraph, link: Link) -> None:
        ends = self.unit(link.a), self.unit(link.b)
        if link.shape == "mesh":
            across = max(1, round(math.sqrt(len(ends[0]))))
            pairs = [
                (ends[0][k], ends[0][n])
                for k in range(len(ends[0]))
                for n in (k + 1 if (k + 1) % across else -1, k + across)
                if 0 <= n < len(ends[0])
            ]
        elif link.shape == "groups":
            size = math.ceil(len(ends[0]) / len(ends[1]))
            pairs = [(u, ends[1][k // size]) for k, u in enumerate(ends[0])]
        else:
            pairs = [(u, v) for u in ends[0] for v in ends[1] if u != v]
        shared = link.shape == "shared"
        for u, v in pairs:
            for x, y, kinds in ((u, v, f"{link.a}>{link.b}"), (v, u, f"{link.b}>{link.a}")):
                graph.add_edge(x, y, link=link, resource=kinds if shared else f"{x}>{y}")

    def unit(self, kind: str) -> list[str]:
        """Return the nodes of a kind in one copy. Raises KeyError where there is no such kind."""
        count = self.tiles[kind].count if kind in self.tiles else self.hosts[kind].count
        return [kind] if count == 1 else [f"{kind}/{k}" for k in range(count)]

    @functools.cached_property
    def _once(self) -> frozenset[str]:
        return frozenset(t.name for t in self.tiles.values() if t.once)

    def nodes(self, kind: str) -> list[str]:
        """Return the nodes of a kind in all copies."""
        unit = self.unit(kind)
        if self.copies == 1 or kind in self._once:
            return unit
        return [f"copy{c}/{node}" for c in range(self.copies) for node in unit]

    @staticmethod
    def _split(node: str) -> tuple[str, str]:
        if node.startswith("copy"):
            copy, _, inner = node.partition("/")
            return f"{copy}/", inner
        return "", node

    def copy_of(self, node: str) -> str:
        """Return what the names of a node's copy begin with; empty where there is one copy."""
        return self._split(node)[0]

    def kind_of(self, node: str) -> str:
        """Return the kind that a node is of. Raises KeyError where there is no such node."""
        if node in self._once:
            return node
        return str(self.graph.nodes[self._split(node)[1]]["kind"])

    def route(self, u: str, v: str) -> tuple[tuple[str, Link], ...]:
        """Return the hops from u to v, each the name of its resource and its link.

        Raises ValueError where no link leads there.
        """
        if u == v:
            return ()
        (cu, a), (cv, b) = self._split(u), self._split(v)
        if cu == cv and not {u, v} & self._once:
            return tuple((cu + name, link) for name, link in self._inner(a, b))
        assert self.network is not None
        gate = self.gate
        out = ((u, ()),) if u in self._once else ((cu + gate, self._inner(a, gate)),)
        into = ((v, ()),) if v in self._once else ((cv + gate, self._inner(gate, b)),)
        [(leaves, before)], [(enters, behind)] = out, into
        return (
            *((cu + name, link) for name, link in before),
            (f"{leaves}>network", self.network),
            (f"network>{enters}", self.network),
            *((cv + name, link) for name, link in behind),
        )

    @property
    def gate(self) -> str:
        """The host of a copy that is joined to the network."""
        return self.unit(next(iter(self.hosts)))[0]

    def _inner(self, a: str, b: str) -> tuple[tuple[str, Link], ...]:
        if (a, b) not in self._routes:
            import networkx as nx

            def cost(x: str, y: str, edge: Mapping[str, Any]) -> float:
                return 1e-12 + float(edge["link"].seconds(64.0))

            try:
                path = nx.shortest_path(self.graph, a, b, weight=cost)
            except nx.NetworkXNoPath:
                raise ValueError(f"fabric {self.stem}: no link leads from {a} to {b}") from None
            hops = [self.graph.edges[x, y] for x, y in zip(path, path[1:], strict=False)]
            self._routes[a, b] = tuple((e["resource"], e["link"]) for e in hops)
        return self._routes[a, b]

    @functools.cached_property
    def _routes(self) -> dict[tuple[str, str], tuple[tuple[str, Link], ...]]:
        return {}

    def cost_s(self, u: str, v: str, size_B: float) -> float:
        """Return how long a message from u to v takes where nothing else moves."""
        hops = [link for _, link in self.route(u, v)]
        if not hops:
            return 0.0
        slowest = min(link.bandwidth_Bps for link in hops)
        return sum(link.latency_s for link in hops) + size_B / slowest

    def nearest_host(self, node: str, technology: str = "") -> str:
        """Return the host that is nearest to a node, itself if it is one; of a technology, if said.

        Raises ValueError where there is none.
        """
        copy, inner = self._split(node)
        if inner in self._once:
            copy, inner = ("copy0/" if self.copies > 1 else ""), self.gate
        key = (inner, technology)
        if key not in self._hosts:
            able = [h for h in self.hosts.values() if technology in ("", h.technology)]
            if not able:
                said = ", ".join(sorted({h.technology for h in self.hosts.values()}))
                raise ValueError(
                    f"the host is priced as {technology}, and the hosts of fabric {self.stem} are "
                    f'{said}: say [host] technology = "{said.split(", ")[0]}"'
                )
            found = [n for h in able for n in self.unit(h.name)]
            near = inner if inner in found else min(found, key=lambda n: self.cost_s(inner, n, 64))
            self._hosts[key] = near
        return copy + self._hosts[key]

    def keeper(self, node: str, technology: str = "") -> str:
        """Return where what a tile puts out waits: its nearest host, or a lone tile itself."""
        return node if node in self._once else self.nearest_host(node, technology)

    @functools.cached_property
    def _hosts(self) -> dict[tuple[str, str], str]:
        return {}

    def clock_of(self, kind: str) -> Clock | None:
        """Return the clock that a kind of tile waits for, None where it starts at any time."""
        return next((c for c in self.clocks.values() if c.tile == kind), None)
