"""Steps on fabrics: bytes by the formula, energy conserved, known times, and stages as recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwloop.algorithms import RULES
from hwloop.algorithms.ternary import TernaryDFA
from hwloop.devices import Can, Count, Ledger
from hwloop.devices.crossbar_cost import Periphery, Tiles, cost_of
from hwloop.devices.host import NAME as HOST
from hwloop.devices.ledger import Op, Step
from hwloop.devices.technology import load as technology
from hwloop.devices.weight_mapping import WeightMapping
from hwloop.mappings import build
from hwloop.mappings.dry import Stand, crossbar, dry_placement, engine, opu, pulsed
from hwloop.mappings.fabric_file import load, parse
from hwloop.mappings.siting import site
from hwloop.mappings.tiling import Unfit, cuts
from hwloop.sim.bottleneck import bottleneck, last_chain
from hwloop.sim.expand import expand
from hwloop.sim.fabric_report import fabric_part
from hwloop.sim.fabric_time import FabricTime, fabric_bill, once, time_fabric
from hwloop.sim.pricing import STANDING, bill, technologies, total_J
from hwloop.sim.replay import replay
from hwloop.sim.tables_fabric import FabricTable
from hwloop.sim.volume import tile_bytes

BATCH = 6
CONV = [8, 8, 1]


def dry(rule: str, on: dict[str, Stand], host: str, hidden=(300, 40), n_in=70) -> Ledger:
    """Return the ledger of one dry training step."""
    network = build((n_in,), 10, list(hidden))
    algorithm = TernaryDFA(mode="fixed") if rule == "ternary_dfa" else RULES[rule]()
    placement = dry_placement(network, algorithm.demands(network), on, host)
    x, y = (np.broadcast_to(np.float32(0), (BATCH, n)) for n in (n_in, 10))
    with placement.ledger.step("train", samples=BATCH):
        algorithm.step(placement, x, y)
    return placement.ledger


def of_chip(rule: str = "backprop") -> Ledger:
    """Return a step on crossbars that are updated in place, priced as phase-change cells."""
    return dry(rule, {"weight": CELLS, "feedback": CELLS}, "isaac_digital")


def _cost(verb: Can, batch: int, n_out: int, n_in: int):
    if verb is Can.UPDATE:
        return {"cell_write": Count(batch * n_out * n_in, batch)}
    return crossbar().cost(verb, batch, n_out, n_in)


CELLS = Stand("Crossbar", "pcm_hermes", _cost, crossbar().settings)


def timed(ledger: Ledger, use: str = "chip64", **table) -> FabricTime:
    return time_fabric(ledger, technologies(ledger), FabricTable(use=use, **table))


WAYS = [
    {},
    {"strategy": "balanced"},
    {"strategy": "least_traffic", "sharing": "alone"},
    {"copies": {"weight/2": 3}},
    {"strategy": "balanced", "sharing": "diagonal", "copies": {"weight/1": 2, "weight/3": 2}},
    {"in_flight": 3},
]


# ---- bytes and joules -------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
@pytest.mark.parametrize("rule", ["backprop", "dfa", "frozen"])
def test_bytes_over_the_tiles_links_are_those_of_the_formula(rule, way):
    found = timed(of_chip(rule), **way)
    [step] = found.steps
    into, out = tile_bytes(step, found.plan)
    moved = found.steps[step].expanded.moved_B
    assert sum(b for name, b in moved.items() if ">core" in name) == pytest.approx(into, rel=1e-12)
    assert sum(b for name, b in moved.items() if name.startswith("core")) == pytest.approx(
        out, rel=1e-12
    )


def test_the_formula_is_what_its_page_says():
    """One layer 300 x 700 on arrays of 256: two across, three down."""
    ledger = dry("backprop", {"weight": CELLS}, "isaac_digital", hidden=(), n_in=700)
    found = timed(ledger)
    [step] = found.steps
    # forward: B n_in across in, B n_out down out; update: both in
    assert tile_bytes(step, found.plan) == (BATCH * (700 + 700 + 3 * 10), BATCH * 3 * 10)


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
@pytest.mark.parametrize("rule", ["backprop", "dfa"])
def test_the_slices_spend_what_the_priced_ledger_says(rule, way):
    """Events as billed without a fabric, and what only a fabric has; standing power over all."""
    ledger = of_chip(rule)
    chosen = technologies(ledger)
    found = timed(ledger, **way)
    [(step, one)] = found.steps.items()
    rows = fabric_bill(found, ledger, chosen)
    part = fabric_part(found, rows)
    assert len(part["slices"]) < 50_000
    slices_J = sum(s["energy_J"] for s in part["slices"])
    standing_J = sum(part["standing_W"].values()) * one.steady_s
    assert slices_J + standing_J == pytest.approx(total_J(rows), rel=1e-9)
    assert part["energy"]["total_J"] == pytest.approx(total_J(rows), rel=1e-9)
    events = [r for r in bill(ledger, chosen, {step: 0.0}) if r.event != STANDING]
    copied = [r for r in rows if r.event.endswith("of copies")]
    moved = [r for r in rows if r.event == "byte"]
    assert slices_J == pytest.approx(total_J([*events, *copied, *moved]), rel=1e-9)
    assert bool(copied) == any(n > 1 for n in found.plan.copies.values())


def test_idle_tiles_are_not_free():
    """Two GPUs' worth of standing power: the one that waits for the light is paid for as well."""
    ledger = dry("ternary_dfa", {"weight": engine(), "feedback": opu()}, "nvidia_a100_fp32")
    found = timed(ledger, "opu_and_gpu")
    [one] = found.steps.values()
    part = fabric_part(found, fabric_bill(found, ledger, technologies(ledger)))
    assert part["energy"]["standing_J"] == pytest.approx((60 + 30) * one.makespan_s)
    assert part["energy"]["edp_Js"] == pytest.approx(part["energy"]["total_J"] * one.makespan_s)
    alone = timed(dry("backprop", {"weight": engine()}, "nvidia_a100_fp32"), "opu_and_gpu")
    [other] = alone.steps.values()
    part = fabric_part(alone, [])
    assert part["nodes"] == {"gpu": 1}  # no OPU is switched on for backpropagation
    assert part["energy"]["standing_J"] == pytest.approx(60 * other.makespan_s)


# ---- times ------------------------------------------------------------------------


def test_one_machine_takes_as_long_as_all_its_operations():
    ledger = dry("backprop", {"weight": engine()}, "nvidia_a100_fp32")
    found = timed(ledger, "gpu")
    [(step, one)] = found.steps.items()
    chosen = technologies(ledger)
    from hwloop.sim.timing import duration_s
    from hwloop.sim.timing import replay as plain

    whole_s = sum(duration_s(op, ledger, chosen[op.device])[0] for op in step.ops)
    assert one.makespan_s == pytest.approx(whole_s)
    assert one.makespan_s == pytest.approx(plain(step, ledger, chosen).makespan_s)
    assert not one.expanded.moved_B


def test_feedback_alignment_updates_all_layers_at_once_and_backpropagation_cannot():
    spans = {}
    for rule in ("backprop", "dfa"):
        on = {"weight": CELLS, "feedback": CELLS}
        ledger = dry(rule, on, "isaac_digital", hidden=(90, 90, 90, 90))
        found = timed(ledger, strategy="balanced")
        [one] = found.steps.values()
        part = fabric_part(found, [])
        first: dict[str, float] = {}
        for s in part["slices"]:
            if s["verb"] == "UPDATE" and s["what"] == "update":
                first[s["device"]] = min(s["start_s"], first.get(s["device"], np.inf))
        spans[rule] = abs(first["weight/1"] - first["weight/4"])
        assert one.makespan_s >= one.expanded.graph.critical_path_s()
    assert spans["dfa"] < 0.2 * spans["backprop"]


@pytest.mark.parametrize("rule", ["drtp", "mono_forward"])
def test_local_rules_update_a_layer_while_those_above_it_still_compute(rule):
    on = {"weight": CELLS, "feedback": CELLS, "head": CELLS}
    found = timed(dry(rule, on, "isaac_digital", hidden=(90, 90, 90)), strategy="balanced")
    slices = fabric_part(found, [])["slices"]
    first = min(s["start_s"] for s in slices if s["device"] == "weight/1" and s["what"] == "update")
    last = max(s["stop_s"] for s in slices if s["stage"] == "forward/3")
    assert first < last


def test_isaac_reads_sixteen_bits_through_one_converter_in_its_published_time(tmp_path: Path):
    """An array group consumes its buffer of 16,384 bits in 1.7067 us.

    8 arrays of 128 rows take 16 bits each, one by one, and one converter of 1.2 GS/s an array
    takes its 128 columns: isaac.py of hwcomponents-library, (128 * 8 * 1.2e7 Hz) * 100 / 128 bits
    a second.
    """
    prices = tmp_path / "isaac.toml"
    free = ("dac", "wire", "cell_read", "sample_hold", "mux", "shift_add", "buffer")
    event = "energy_J = 0\nlatency_s = {}\nsource = 'isaac.py'\n"
    prices.write_text(
        "name = 'ISAAC'\ndescription = 'x'\nidle_W = 0\nidle_source = 'x'\n"
        + f"[event.adc]\n{event.format(1 / 1.2e9)}"
        + "".join(f"[event.{e}]\n{event.format(0)}" for e in free)
    )
    tiles = Tiles(128, 128, 128, 128, False, 128, 128)
    around = Periphery(planes=16, pulses=1, dac_bits=16, adc_bits=8, ramp=False)
    mapping = WeightMapping("differential", 1, 0)

    def cost(verb: Can, batch: int, n_out: int, n_in: int):
        return cost_of(verb, batch, around, tiles, mapping)

    settings = {"tile_rows": 128, "tile_columns": 256, "mapping": "differential", "slices": 1}
    stand = Stand("Crossbar", str(prices), cost, (*settings.items(), ("levels", 0)))
    network = build((128,), 128, [])
    demands = RULES["frozen"]().demands(network)
    on = dry_placement(network, demands, {"weight": stand}, "ideal")
    with on.ledger.step("train", samples=1), on.ledger.stage("read"):
        on.devices["weight/1"].multiply(np.zeros((1, 128), np.float32))
    text = f"""
name = "an array group"
description = "x"
bytes_per_number = 2
bytes_source = "x"
[tile.array]
device = "crossbar"
technology = "{prices}"
rows = 128
columns = 256
count = 8
source = "x"
[host.tile]
technology = "ideal"
source = "x"
[[link]]
from = "array"
to = "tile"
bandwidth_Bps = 1e30
latency_s = 0
energy_J_per_B = 0
source = "x"
"""
    fabric = tmp_path / "group.toml"
    fabric.write_text(text)
    found = timed(on.ledger, str(fabric))
    [one] = found.steps.values()
    published_s = 16384 / ((128 * 8 * 1e7 * 1.2) * 100 / 128)
    assert one.makespan_s == pytest.approx(published_s)
    assert one.makespan_s == pytest.approx(1.7067e-6, rel=1e-4)


def test_copies_share_the_rows_of_a_read():
    ledger = of_chip("frozen")
    one, three = (timed(ledger, strategy="balanced", copies={"weight/1": n}) for n in (1, 3))

    def reads(found: FabricTime) -> list[float]:
        part = fabric_part(found, [])
        return [
            s["stop_s"] - s["start_s"]
            for s in part["slices"]
            if s["device"] == "weight/1" and s["what"] == "multiply"
        ]

    assert max(reads(three)) == pytest.approx(max(reads(one)) / 3)
    assert len(reads(three)) == 3 * len(reads(one))


# ---- lines, buffers, clocks -------------------------------------------------------

TWO = """
name = "one tile for two matrices"
description = "x"
bytes_per_number = 1
bytes_source = "x"
[tile.core]
device = "crossbar"
technology = "pcm_hermes"
rows = 256
columns = 512
at_once = {at_once}
buffers = {buffers}
source = "x"
[host.h]
technology = "ideal"
source = "x"
[[link]]
from = "core"
to = "h"
bandwidth_Bps = {bandwidth}
latency_s = 0
energy_J_per_B = 0
source = "x"
"""


def two_reads(tmp_path: Path, sharing: str, at_once=1, buffers=2, bandwidth=1e30, reads=1) -> float:
    """Return how long two independent small matrices take on one tile."""
    path = tmp_path / f"{at_once}{buffers}.toml"
    path.write_text(TWO.format(at_once=at_once, buffers=buffers, bandwidth=bandwidth))
    network = build((20,), 20, [20])
    demands = RULES["frozen"]().demands(network)
    on = dry_placement(network, demands, {"weight": crossbar()}, "ideal")
    x = np.zeros((100, 20), np.float32)
    with on.ledger.step("train", samples=100):
        for k in (1, 2):
            for n in range(reads):
                with on.ledger.stage(f"read/{k}.{n}"):
                    on.devices[f"weight/{k}"].multiply(x)
    found = timed(on.ledger, str(path), sharing=sharing)
    assert len(found.plan.tiles("core")) == 1
    return sum(one.makespan_s for one in found.steps.values())


def test_blocks_that_share_lines_are_read_one_after_another(tmp_path):
    one_s = 100 * technology("pcm_hermes").event("adc", 20, 20).latency_s
    assert two_reads(tmp_path, "lines", at_once=1) == pytest.approx(2 * one_s)
    assert two_reads(tmp_path, "lines", at_once=2) == pytest.approx(2 * one_s)
    assert two_reads(tmp_path, "diagonal", at_once=2) == pytest.approx(one_s)
    assert two_reads(tmp_path, "diagonal", at_once=1) == pytest.approx(2 * one_s)


def test_tiles_may_take_turns_at_fewer_converters(tmp_path):
    """Two tiles convert at once with two banks, one after the other with one."""
    spans = {}
    for banks in (0, 1, 2):
        path = tmp_path / f"{banks}.toml"
        text = TWO.format(at_once=1, buffers=2, bandwidth=1e30)
        path.write_text(text.replace("at_once = 1", f"count = 2\nconverters = {banks}"))
        network = build((512,), 10, [])
        demands = RULES["frozen"]().demands(network)
        on = dry_placement(network, demands, {"weight": crossbar()}, "ideal")
        with on.ledger.step("train", samples=BATCH), on.ledger.stage("read"):
            on.devices["weight/1"].multiply(np.zeros((BATCH, 512), np.float32))
        found = timed(on.ledger, str(path), strategy="balanced", sharing="alone")
        [one] = found.steps.values()
        spans[banks] = one.makespan_s
        if banks:
            [used] = [u for u in fabric_part(found, [])["used"] if "converters" in u["resource"]]
            assert used["asked"] == 2
    each_s = BATCH * technology("pcm_hermes").event("adc", 20, 20).latency_s
    assert spans[1] == pytest.approx(2 * each_s)
    assert spans[2] == spans[0] == pytest.approx(each_s)


def test_a_second_buffer_hides_the_transfer(tmp_path):
    read_s = 100 * technology("pcm_hermes").event("adc", 20, 20).latency_s
    move_s = 0.5 * read_s
    bandwidth = 100 * 20 / move_s
    single = two_reads(tmp_path, "lines", buffers=1, bandwidth=bandwidth, reads=5)
    double = two_reads(tmp_path, "lines", buffers=2, bandwidth=bandwidth, reads=5)
    # ten operations; each has its inputs brought and its outputs taken away
    assert single == pytest.approx(10 * (move_s + read_s) + move_s)
    assert double == pytest.approx(10 * read_s + 2 * move_s)


def test_an_operation_waits_for_the_camera():
    ledger = dry("ternary_dfa", {"weight": engine(), "feedback": opu()}, "nvidia_a100_fp32")
    part = fabric_part(timed(ledger, "opu_and_gpu"), [])
    [frames] = [s for s in part["slices"] if s["what"] == "frame"]
    period_s = technology("opu_gen3").event("frame", 340, 10).latency_s
    assert frames["start_s"] / period_s == pytest.approx(round(frames["start_s"] / period_s))
    [call] = [s for s in part["slices"] if s["what"] == "call"]
    assert 0 <= frames["start_s"] - call["stop_s"] < period_s


def test_steps_in_flight_are_as_fast_as_what_is_busiest():
    ledger = dry("ternary_dfa", {"weight": engine(), "feedback": opu()}, "nvidia_a100_fp32")
    found = timed(ledger, "opu_and_gpu", in_flight=3)
    [one] = found.steps.values()
    busy = dict(zip(one.expanded.graph.resources, one.expanded.graph.busy_s(), strict=True))
    period_s = technology("opu_gen3").event("frame", 340, 10).latency_s
    assert busy["opu"] <= one.steady_s < busy["opu"] + period_s
    assert "opu is taken" in bottleneck(one)


# ---- words ------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS[:5], ids=range(5))
def test_the_last_chain_adds_up_to_the_makespan(way):
    found = timed(of_chip("dfa"), **way)
    [one] = found.steps.values()
    chain = last_chain(one.expanded, one.played)
    assert sum(s.seconds for s in chain) == pytest.approx(one.makespan_s, rel=1e-9)
    assert "from start to end" in bottleneck(one)


# ---- dry and real -----------------------------------------------------------------


def test_dry_devices_count_what_real_ones_do():
    from hwloop.devices import OPU, Crossbar, MatrixEngine, PulsedCrossbar

    sizes = {"n_out": 30, "n_in": 20, "name": "w"}
    pairs = [
        (MatrixEngine(**sizes), engine()),
        (Crossbar(**sizes), crossbar()),
        (Crossbar(n_out=300, n_in=600, name="w", technology="rram_neurram"),
         crossbar("rram_neurram")),
        (PulsedCrossbar(**sizes), pulsed()),
        (OPU(**sizes), opu()),
        (OPU(**sizes, signed=False), opu(signed=False)),
    ]  # fmt: skip
    for device, stand in pairs:
        for verb in device.can:
            for batch in (1, 7):
                expected = device.cost(verb, batch)
                assert stand.cost(verb, batch, device.n_out, device.n_in) == expected, stand.kind


@pytest.mark.parametrize("rule", ["backprop", "dfa", "frozen"])
def test_a_dry_step_records_what_a_real_one_does(rule):
    from hwloop.devices import MatrixEngine, Seed
    from hwloop.mappings import place

    network = build((20,), 4, [8, 6])
    algorithm = RULES[rule]()
    demands = algorithm.demands(network)

    def make(demand, ledger, seed):
        return MatrixEngine(
            n_out=demand.n_out, n_in=demand.n_in, name=demand.name, ledger=ledger, seed=seed
        )

    real = place(network, demands, {"weight": make, "feedback": make} if rule == "dfa"
                 else {"weight": make}, "cpu_host", Seed(1))  # fmt: skip
    ghost = dry_placement(network, demands, {"weight": engine(), "feedback": engine()}, "cpu_host")
    x = np.random.default_rng(0).normal(size=(BATCH, 20)).astype(np.float32)
    y = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
    for on in (real, ghost):
        with on.ledger.step("train", samples=BATCH):
            algorithm.step(on, x, y)
    mine, its = ([s for s in on.ledger.steps if s.kind == "train"][0] for on in (ghost, real))
    assert mine == its
    assert ghost.ledger.steps[mine].work == real.ledger.steps[its].work


def test_a_trillion_weights_take_no_memory():
    ledger = dry("dfa", {"weight": engine(), "feedback": opu()}, "nvidia_a100_fp32",
                 hidden=(10**6,), n_in=10**6)  # fmt: skip
    assert ledger.devices["weight/1"].n_out * ledger.devices["weight/1"].n_in == 10**12


# ---- what is refused --------------------------------------------------------------


def a_step(after: dict[str, tuple[str, ...]], stages: list[str]) -> tuple[Step, Ledger]:
    ledger = of_chip("frozen")
    ops = tuple(Op(HOST, "ADD", 1, stage, (("element", 5.0),)) for stage in stages)
    return Step("train", ops, tuple(after.items()), 1), ledger


@pytest.mark.parametrize(
    ("after", "stages", "says"),
    [
        ({"a": ("b",), "b": ("a",)}, ["a", "b"], "wait for one another in a circle: a, b"),
        ({"a": ("z",)}, ["a"], 'stage "a" waits for "z", which is not in the step'),
        ({"a": (), "b": ("a",)}, ["a"], 'in stage "b" nothing happens'),
    ],
)
def test_stages_that_cannot_be_are_refused(after, stages, says):
    step, ledger = a_step(after, stages)
    chosen = technologies(ledger)
    fabric = load("chip64")
    plan = site(fabric, cuts(ledger.devices, chosen, fabric, HOST))
    with pytest.raises(ValueError, match="stage") as wrong:
        expand(step, [[5.0]] * len(step.ops), ledger, chosen, plan)
    assert says in str(wrong.value)


def test_stages_may_stand_in_any_order():
    step, ledger = a_step({"b": ("a",), "a": ()}, ["b", "a"])
    chosen = technologies(ledger)
    fabric = load("chip64")
    plan = site(fabric, cuts(ledger.devices, chosen, fabric, HOST))
    made = expand(step, [[5.0], [5.0]], ledger, chosen, plan)
    each_s = 5 * technology("isaac_digital").event("element", 1, 1).latency_s
    assert replay(made.graph).makespan_s == pytest.approx(2 * each_s)


def test_a_printed_layer_cannot_be_updated():
    ledger = dry("backprop", {"weight": engine("printed_egfet")}, "printed_egfet", (5,), 10)
    with pytest.raises(ValueError, match="does TRANSPOSE on weight/2, and tile layer of fabric"):
        timed(ledger, "printed")


def test_hosts_without_room_for_the_activations_are_refused():
    with pytest.raises(Unfit, match=r"keeps [\d,]+ B of activations and weights, and the hosts"):
        timed(dry("frozen", {"weight": CELLS}, "isaac_digital", hidden=(200_000, 10), n_in=10))


def test_a_host_of_another_technology_is_refused():
    with pytest.raises(ValueError, match='say .host. technology = "isaac_digital"'):
        timed(dry("frozen", {"weight": CELLS}, "cpu_host"))


def test_once_is_the_mean_of_a_step():
    ledger = of_chip("frozen")
    [step] = ledger.steps
    ledger.steps[step].times = 2
    assert once(ledger, step)[0] == [w / 2 for w in ledger.steps[step].work[0]]
    assert parse is not None
