"""Bytes on their way over a fabric: the phases of a message, and how much crosses every link."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..mappings.fabric import Fabric
from .spread import Spread, pieces
from .tasks import Graph, Phase


@dataclass
class Carrier:
    """Adds messages to a graph, and counts their bytes by link."""

    graph: Graph
    fabric: Fabric
    moved_B: dict[str, float] = field(default_factory=dict)
    unmetered: dict[str, None] = field(default_factory=dict)
    """What spends energy that nobody has metered."""

    def hop(self, u: str, v: str, size_B: float, buffer: tuple[int, ...] = ()) -> tuple[Phase, ...]:
        """Return the phases in which bytes go from u to v, all links of the way at once.

        What they take to arrive comes after, while the links are free for others.
        """
        hops = self.fabric.route(u, v)
        shown, links = [], []
        for name, link in hops:
            r = self.graph.resource(name)
            links.append(r)
            self.moved_B[name] = self.moved_B.get(name, 0.0) + size_B
            if link.energy_J_per_B is None:
                self.unmetered[f"byte of {name}"] = None
            shown.append((r, size_B * (link.energy_J_per_B or 0.0)))
        latency_s = sum(link.latency_s for _, link in hops)
        taken_s = size_B / min(link.bandwidth_Bps for _, link in hops)
        take = (*buffer, *sorted(links))
        sent = Phase(taken_s, take, tuple(links), "move", tuple(shown), 0.0, size_B)
        return (sent, Phase(latency_s, what="arrive")) if latency_s else (sent,)

    def bring(
        self,
        here: Spread,
        target: Spread,
        slice_: tuple[float, float],
        numbers: float,
        gate: list[int],
        number: int,
    ) -> list[int]:
        """Add the moves of a slice (start, length, as shares) of `numbers` numbers to a target."""
        size_B, (first, part) = numbers * self.fabric.bytes_per_number, slice_
        found = []
        for node, low, high in target:
            for source, share in pieces(here, first + part * low, first + part * high):
                if source != node:
                    phases = self.hop(source, node, share * size_B)
                    found.append(self.graph.add(gate, phases, number))
        return [self.graph.add(found)] if found else gate
