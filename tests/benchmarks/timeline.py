"""Replays, critical paths and packing: how large a step and a machine may be.

A replay is of 10,000 tasks on 1,000 resources; blocks are those of random layers, cut for tiles of
256 x 256 cells.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import _report  # before numpy: one thread
import numpy as np
from _report import Figure, best

from hwloop.devices.kernels.paths import critical_path
from hwloop.mappings.fabric import Fabric
from hwloop.mappings.fabric_file import parse
from hwloop.mappings.packing import area_bound
from hwloop.mappings.siting import site
from hwloop.mappings.tiling import Cut
from hwloop.sim.replay import replay
from hwloop.sim.tasks import Graph, Phase

TASKS, RESOURCES, BLOCKS = 10_000, 1_000, 10_000
TILES = """
name = "tiles"
description = "as many as it takes"
bytes_per_number = 1
bytes_source = "none: nothing moves"
[tile.core]
device = "matrix_engine"
technology = "ideal"
rows = 256
columns = 256
count = {count}
source = "none: only their size matters"
[host.h]
technology = "ideal"
source = "none"
[[link]]
from = "core"
to = "h"
bandwidth_Bps = 1
latency_s = 0
energy_J_per_B = 0
source = "none"
"""


def random_step() -> Graph:
    """Return tasks that each wait for two of the five hundred before them."""
    rng = np.random.default_rng(0)
    graph = Graph()
    for k in range(RESOURCES):
        graph.resource(f"r{k}")
    for t in range(TASKS):
        first = max(0, t - 500)
        before = rng.choice(np.arange(first, t), min(2, t), replace=False) if t else []
        r = int(rng.integers(RESOURCES))
        phase = Phase(float(rng.uniform(1e-6, 1e-3)), (r,), (r,), "work", ((r, 1e-9),))
        graph.add(sorted(map(int, before)), (phase,))
    return graph


def layers() -> dict[str, Cut]:
    """Return matrices of random sizes whose blocks are 10,000."""
    rng = np.random.default_rng(0)
    found: dict[str, Cut] = {}
    left = BLOCKS
    while left:
        n_out, n_in = (int(n) for n in rng.integers(10, 1500, 2))
        made = Cut(f"w{len(found)}", n_out, n_in, 256, 256, 1, 0, "core")
        if made.down * made.across > left:
            made = Cut(made.device, 200, min(256, 10 + n_in % 246), 256, 256, 1, 0, "core")
        found[made.device] = made
        left -= made.down * made.across
    return found


def fabric(count: int) -> Fabric:
    """Return so many tiles."""
    return parse(TILES.format(count=count), "bench")


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures of issue 7."""
    graph = random_step()
    replay_s = best(lambda: replay(graph), repeats=5 if long else 3)
    span_s = replay(graph).makespan_s
    yield Figure(
        "replay_10k_s",
        replay_s,
        1.0,
        "lower",
        "s",
        f"{TASKS:,} tasks on {RESOURCES:,} resources, {1e6 * replay_s / TASKS:.1f} us a task; "
        f"makespan {span_s * 1e3:.1f} ms",
    )
    arrays = graph.arrays()
    path_s = best(lambda: critical_path(*arrays), repeats=200)
    build_s = best(graph.arrays, repeats=3)
    yield Figure(
        "critical_path_ms",
        path_s * 1e3,
        1.0,
        "lower",
        "ms",
        f"the same tasks; {critical_path(*arrays) * 1e3:.1f} ms of path; {replay_s / path_s:,.0f} "
        f"times as fast as the replay; the arrays take {build_s * 1e3:.1f} ms, once",
    )
    cuts = layers()
    blocks = [b for c in cuts.values() for b in c.blocks()]
    bound = area_bound(blocks, 256, 256)
    tiles = fabric(2 * bound)
    start = time.process_time()
    plan = site(tiles, cuts)
    place_s = time.process_time() - start
    used = len(set(plan.nodes))
    partial = sum(b.height * b.width < 256 * 256 for b in blocks)
    yield Figure(
        "place_10k_s",
        place_s,
        5.0,
        "lower",
        "s",
        f"{len(blocks):,} blocks of {len(cuts):,} matrices, {partial:,} of them smaller than a "
        "tile, by first_fit",
    )
    yield Figure(
        "packing_over_bound",
        used / bound,
        1.10,
        "lower",
        "ratio",
        f"{used:,} tiles; their area alone would fill {bound:,}",
    )


if __name__ == "__main__":
    _report.run(measure, __doc__)
