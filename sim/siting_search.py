"""Search a floorplan: move and swap blocks as long as the replayed step gets faster or cheaper.

Simulated annealing [Kirkpatrick, Gelatt, Vecchi, Science 220, 1983] from the best of first fit,
balanced and least traffic. A change is replayed only where its lower bound (critical path, busiest
resource) leaves a chance that it is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..devices.ledger import Ledger, Step
from ..devices.seeds import Seed
from ..devices.technology import Technology
from ..mappings.fabric import Fabric
from ..mappings.packing import SPACES, At
from ..mappings.siting import Floorplan, Strategy, Work, sharing_on, site
from ..mappings.tiling import Cut
from .expand import expand
from .fabric_time import once, standing_by_kind
from .replay import replay
from .tables_fabric import FabricTable

STARTS: tuple[Strategy, ...] = ("first_fit", "balanced", "least_traffic")


def search(
    ledger: Ledger,
    step: Step,
    chosen: Mapping[str, Technology],
    fabric: Fabric,
    cuts: Mapping[str, Cut],
    work: Mapping[str, Work],
    copies: Mapping[str, int],
    table: FabricTable,
) -> Floorplan:
    """Return the best floorplan that `table.moves` changes lead to; never one worse than a start.

    The same arguments give the same floorplan. Blocks of pinned matrices stay where they are.
    """
    events = once(ledger, step)

    def cost(plan: Floorplan, enough: float = math.inf) -> float:
        """Return the objective, or a lower bound of it where that is above `enough` already."""
        made = expand(step, events, ledger, chosen, plan)
        watts, joules = sum(standing_by_kind(made).values()), made.graph.energy_J
        if table.objective == "time":
            bound = made.graph.bound_s()
            return bound if bound > enough else replay(made.graph).makespan_s
        bound = joules + watts * made.graph.bound_s()
        return bound if bound > enough else joules + watts * replay(made.graph).makespan_s

    plans = {
        s: site(fabric, cuts, s, table.sharing, work, copies, table.pin, table.packing)
        for s in STARTS
    }
    costs = {s: cost(plan) for s, plan in plans.items()}
    start = min(STARTS, key=lambda s: costs[s])
    now, now_cost = plans[start], costs[start]
    best, best_cost = now, now_cost
    rng = Seed(0).child("siting").rng()
    free = [
        k
        for k, b in enumerate(now.blocks)
        if b.device not in table.pin and len(fabric.nodes(cuts[b.device].kind)) > 1
    ]
    tried = 0
    for turn in range(table.moves if free else 0):
        heat = 0.02 * best_cost * (1.0 - turn / table.moves)
        changed = _change(now, free, rng)
        if changed is None:
            continue
        tried += 1
        slack = -heat * math.log(max(rng.random(), 1e-300))
        new_cost = cost(changed, now_cost + slack)
        if new_cost <= now_cost + slack:
            now, now_cost = changed, new_cost
            if now_cost < best_cost:
                best, best_cost = now, now_cost
    unit = "s" if table.objective == "time" else "J"
    said = ", ".join(f"{s} {costs[s]:.4g} {unit}" for s in STARTS)
    note = f"searched: {best_cost:.4g} {unit} after {tried} changes tried, from {start}; {said}"
    return replace(best, strategy="searched", notes=(*best.notes, note))


def _change(plan: Floorplan, free: list[int], rng: np.random.Generator) -> Floorplan | None:
    """Return the plan with one block on another tile, or two blocks swapped; None for no room."""
    k = free[int(rng.integers(len(free)))]
    kind = plan.cuts[plan.blocks[k].device].kind
    nodes = list(plan.nodes)
    if rng.random() < 0.5:
        same = [n for n in free if plan.cuts[plan.blocks[n].device].kind == kind]
        other = same[int(rng.integers(len(same)))]
        nodes[k], nodes[other] = nodes[other], nodes[k]
        touched = {nodes[k], nodes[other]}
    else:
        able = plan.fabric.nodes(kind)
        touched = {nodes[k]}
        nodes[k] = able[int(rng.integers(len(able)))]
        touched.add(nodes[k])
    if tuple(nodes) == plan.nodes:
        return None
    at = list(plan.at)
    for node in touched:
        places = _packed(plan, nodes, node, kind)
        if places is None:
            return None
        for n, place in places.items():
            at[n] = place
    return replace(plan, nodes=tuple(nodes), at=tuple(at), _of={})


def _packed(plan: Floorplan, nodes: list[str], node: str, kind: str) -> dict[int, At] | None:
    """Return where the blocks of a tile lie on it, None where they do not fit."""
    tile = plan.fabric.tiles[kind]
    mine = [n for n, name in enumerate(nodes) if name == node]
    if tile.rows is None or tile.columns is None:
        return {n: (0, 0) for n in mine}
    space = SPACES[sharing_on(tile, plan.sharing)](tile.rows, tile.columns)
    found = {}
    for n in sorted(mine, key=lambda n: -plan.blocks[n].height * plan.blocks[n].width):
        place = space.add(plan.blocks[n].height, plan.blocks[n].width)
        if place is None:
            return None
        found[n] = place
    return found
