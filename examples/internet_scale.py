"""Backpropagation against direct feedback alignment on machines of up to 100,000 tiles, on paper.

Nothing is computed: an algorithm's own step runs on devices without numbers, its matrices are
placed on chips of 64 resistive tiles that a network joins, and the step is replayed in simulated
time. Feedback alignment projects the error on tiles of the same kind, or by one OPU on the network,
which reaches all hidden layers at once.

python examples/internet_scale.py            # a sweep of width and depth, half a minute
python examples/internet_scale.py --whole    # to 1e5 tiles and 1e12 parameters of feedback
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwloop.algorithms import RULES
from hwloop.algorithms.ternary import TernaryDFA
from hwloop.devices import Ledger
from hwloop.devices.technology import load
from hwloop.mappings import build
from hwloop.mappings.dry import Stand, dry_placement, opu, pulsed
from hwloop.mappings.fabric import Fabric
from hwloop.mappings.fabric_file import parse
from hwloop.mappings.siting import site
from hwloop.mappings.tiling import cuts
from hwloop.sim.expand import expand
from hwloop.sim.fabric_time import once, standing_by_kind
from hwloop.sim.pricing import technologies
from hwloop.sim.replay import replay
from hwloop.sim.volume import tile_bytes

FABRIC = '''
name = "Chips of 64 resistive tiles on a network"
description = "64 tiles of 256 x 256 weights and 16 digital units a chip; one OPU for all chips."
bytes_per_number = 1
bytes_source = "8-bit converters"
copies = {chips}

[tile.core]
device = "pulsed_crossbar"
technology = "rram_milo"
rows = 256
columns = 512
count = 64
source = "as fabric chip64, with cells that are updated in place"

[host.digital]
technology = "isaac_digital"
count = 16
source = "as fabric chip64; its memory is taken as large enough"

[tile.opu]
device = "opu"
technology = "opu_gen3"
once = true
source = "technology opu_gen3"

[clock.camera]
tile = "opu"
event = "frame"
source = "technology opu_gen3"

[[link]]
from = "core"
to = "digital"
shape = "groups"
bandwidth_Bps = 16.2e9
latency_s = 1e-9
energy_J_per_B = 4.32e-13
source = "as fabric chip64"

[[link]]
from = "digital"
to = "digital"
shape = "mesh"
bandwidth_Bps = 16.2e9
latency_s = 1e-9
energy_J_per_B = 6.48e-13
source = "as fabric chip64"

[network]
bandwidth_Bps = {bandwidth}
latency_s = {latency}
energy_J_per_B = 1.625e-12
source = """bandwidth and latency are given on the command line; energy: hwcomponents-library,
isaac.py, isaac_chip2chip_link, 26 pJ for 128 bits (65 nm)"""
'''
BATCH = 8
CALL_S = load("opu_gen3").event("call", 1, 1).latency_s or 0.0
"""What software adds to an OPU's operation, as measured once (technology opu_gen3)."""
SWEEP = [
    (256, 1),
    (256, 2),
    (256, 4),
    (256, 16),
    (256, 64),
    (1024, 4),
    (1024, 16),
    (1024, 64),
    (2048, 4),
    (2048, 32),
]
WHOLE = [(1024, 256), (2048, 128), (4096, 32), (4096, 128), (8192, 64), (8192, 96)]


@dataclass(frozen=True)
class Outcome:
    """One step of one algorithm on a machine that is as large as it needs."""

    seconds: float
    joules: float
    tiles: int
    chips: int
    moved_B: float
    network_B: float
    formula_B: float


def dry_step(rule: str, width: int, depth: int, classes: int, feedback: Stand) -> Ledger:
    """Return the ledger of one training step of a dense network, without a number in it."""
    network = build((width,), classes, [width] * depth)
    algorithm = TernaryDFA(mode="fixed") if rule == "ternary_dfa" else RULES[rule]()
    on = {"weight": pulsed(), "feedback": feedback}
    placement = dry_placement(network, algorithm.demands(network), on, "isaac_digital")
    x = np.broadcast_to(np.float32(0), (BATCH, width))
    target = np.broadcast_to(np.float32(0), (BATCH, classes))
    with placement.ledger.step("train", samples=BATCH):
        algorithm.step(placement, x, target)
    return placement.ledger


def outcome(ledger: Ledger, bandwidth: float, latency: float) -> Outcome:
    """Return the time and the energy of a ledger's one step on as many chips as it needs."""
    [step] = ledger.steps
    chosen = technologies(ledger)

    def fabric(chips: int) -> Fabric:
        return parse(FABRIC.format(chips=chips, bandwidth=bandwidth, latency=latency), "study")

    found = cuts(ledger.devices, chosen, fabric(1), "host")
    tiles = sum(c.down * c.across for c in found.values() if c.kind == "core")
    chips = -(-tiles // 64)
    plan = site(fabric(chips), found, "first_fit")
    made = expand(step, once(ledger, step), ledger, chosen, plan)
    played = replay(made.graph)
    span_s = played.makespan_s
    joules = made.graph.energy_J + span_s * sum(standing_by_kind(made).values())
    into, out = tile_bytes(step, plan)
    moved = {"tile": 0.0, "network": 0.0}
    for name, size_B in made.moved_B.items():
        ends = name.split(">")
        if "network" in name:
            moved["network"] += size_B / 2  # each message passes two of its links
        if any("core/" in end for end in ends) or "opu" in ends:
            moved["tile"] += size_B
    return Outcome(span_s, joules, tiles, chips, moved["tile"], moved["network"], into + out)


def lines(
    shapes: list[tuple[int, int]], classes: int, options: argparse.Namespace
) -> Iterator[str]:
    """Yield a row for each width and depth."""
    for width, depth in shapes:
        start = time.perf_counter()
        arms = {}
        for name, rule, feedback in (
            ("backprop", "backprop", pulsed()),
            ("dfa", "dfa", pulsed()),
            ("light", "ternary_dfa", opu()),
        ):
            if name == "dfa" and classes * width * depth > 2e9:
                continue  # so much feedback would take more tiles than all weights do
            ledger = dry_step(rule, width, depth, classes, feedback)
            arms[name] = outcome(ledger, options.bandwidth, options.latency)
        bp = arms["backprop"]
        dfa = arms.get("dfa")
        cells = [f"{width:,} x {depth:,}", f"{bp.tiles:,}", f"{dfa.tiles:,}" if dfa else "-"]
        cells.append(f"{classes * width * depth:.1e}")
        for name in ("backprop", "dfa", "light"):
            o = arms.get(name)
            cells += (
                ["-", "-"] if o is None else [f"{o.seconds * 1e3:.3f}", f"{o.joules * 1e3:.3f}"]
            )
        cells.append("-" if dfa is None else f"{bp.seconds / dfa.seconds:.2f}")
        cells.append(f"{bp.seconds / (arms['light'].seconds - CALL_S):.3f}")
        agree = all(abs(o.moved_B / o.formula_B - 1) < 1e-9 for o in arms.values())
        cells.append(f"{bp.network_B / 1e6:.2f}")
        cells.append("yes" if agree else "NO")
        cells.append(f"{time.perf_counter() - start:.1f}")
        yield row(cells)


def row(cells: list[str]) -> str:
    """Return cells as one line of the table."""
    widths = (13, 8, 8, 8, 9, 9, 9, 9, 9, 9, 7, 8, 9, 8, 6)
    return " ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))


def main() -> None:
    """Print the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true", help="go on to 1e5 tiles: minutes")
    parser.add_argument("--bandwidth", type=float, default=50e9, help="of the network, B/s a port")
    parser.add_argument("--latency", type=float, default=1e-6, help="of the network, s a hop")
    options = parser.parse_args()
    print(f"A step of {BATCH} samples; times in ms, energies in mJ, standing power included;")
    print(
        "gains are backpropagation's time over feedback alignment's; bytes in MB over the network"
    )
    head = ["width x depth", "tiles", "DFA's", "feedback", "BP ms", "BP mJ", "DFA ms", "DFA mJ"]
    head += ["light ms", "light mJ", "gain", "by light", "BP net MB", "formula", "took s"]
    print(row(head))
    for line in lines(SWEEP + (WHOLE if options.whole else []), 1000, options):
        print(line, flush=True)
    if options.whole:
        print("half a million classes: only light can hold the feedback")
        for line in lines([(1024, 1953), (2560, 781)], 524_288, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
