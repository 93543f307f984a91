"""Joules and seconds: arithmetic on known ledgers, conservation, published figures end to end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.devices import OPU, Can, Count, Ledger, MatrixEngine
from hwloop.devices.ledger import Installed, Op, Step
from hwloop.devices.technology import load, parse
from hwloop.sim.pricing import STANDING, bill, op_latency_s, technologies, total_J
from hwloop.sim.timing import replay, replay_all, total_s

PLAIN = parse(
    """
name = "plain"
description = "a part that idles at 2 W"
idle_W = 2.0
idle_source = "here"
[event.slow]
energy_J = 3.0
latency_s = 0.5
source = "here"
[event.a]
energy_J = 1.0
latency_s = 0.1
overlaps = true
source = "here"
[event.b]
energy_J = 0.0
latency_s = 0.2
overlaps = true
source = "here"
[event.dark]
energy_J = "unknown"
latency_s = "unknown"
source = "here"
""",
    "plain",
)


def ledger_of(*parts: str) -> tuple[Ledger, dict]:
    ledger = Ledger()
    for part in parts:
        ledger.install(part, Installed("Thing", "plain", part, 4, 4, ()))
    return ledger, dict.fromkeys(parts, PLAIN)


def op(device: str, stage: str, **depths: float) -> Op:
    return Op(device, "MULTIPLY", 1, stage, tuple(depths.items()))


def test_overlapping_events_take_as_long_as_the_longest():
    ledger, _ = ledger_of("x")
    device = ledger.devices["x"]
    assert op_latency_s(op("x", "s", slow=2, a=5, b=1), device, PLAIN) == pytest.approx(1.5)
    assert op_latency_s(op("x", "s", a=1, b=3), device, PLAIN) == pytest.approx(0.6)
    assert op_latency_s(op("x", "s", dark=0), device, PLAIN) == 0
    assert op_latency_s(op("x", "s", dark=1), device, PLAIN) is None


def test_a_bill_is_events_plus_standing_power_of_every_part():
    ledger, chosen = ledger_of("x", "y")
    for _ in range(3):
        with ledger.step("train", samples=1), ledger.stage("s"):
            ledger.record("x", "MULTIPLY", 1, {"slow": Count(work=10, depth=2)})
    seconds = {s: t.makespan_s for s, t in replay_all(ledger, chosen).items()}
    rows = bill(ledger, chosen, seconds)
    assert {(r.part, r.event): r.energy_J for r in rows} == {
        ("x", "slow"): pytest.approx(3 * 10 * 3.0),
        ("x", STANDING): pytest.approx(3 * 1.0 * 2.0),
        ("y", STANDING): pytest.approx(3 * 1.0 * 2.0),
    }
    assert total_J(rows, "train") == pytest.approx(total_J(rows))
    assert total_J(rows, "evaluate") == 0


def test_unmetered_work_is_none_and_not_zero():
    ledger, chosen = ledger_of("x")
    ledger.measure("x", "MULTIPLY", 1, 0.25)
    with ledger.step("train", samples=1), ledger.stage("s"):
        ledger.record("x", "MULTIPLY", 1, {"dark": Count(5, 5)})
    timelines = replay_all(ledger, chosen)
    [line] = timelines.values()
    assert line.makespan_s == 0.25
    assert line.slices[0].measured
    rows = bill(ledger, chosen, {s: t.makespan_s for s, t in timelines.items()})
    assert [r.energy_J for r in rows if r.event == "dark"] == [None]


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from("stu"), st.floats(0, 20)),
        min_size=1,
        max_size=15,
    ),
    st.booleans(),
)
def test_a_replay_conserves_work_and_lies_between_its_bounds(ops, chained):
    ledger, chosen = ledger_of("x", "y", "z")
    stages = dict.fromkeys(stage for _, stage, _ in ops)
    names = list(stages)
    after = tuple(
        (name, tuple(names[k - 1 : k]) if chained and k else ()) for k, name in enumerate(names)
    )
    made = [op(device, stage, slow=depth) for device, stage, depth in ops]
    line = replay(Step("train", tuple(made), after, 1), ledger, chosen)
    takes = [0.5 * depth for _, _, depth in ops]
    assert sum(line.busy_s().values()) == pytest.approx(sum(takes))
    busiest = max(line.busy_s().values())
    assert busiest - 1e-9 <= line.makespan_s <= sum(takes) + 1e-9
    if chained:
        assert line.makespan_s == pytest.approx(sum(takes))
    for part in "xyz":
        mine = sorted((s.start_s, s.stop_s) for s in line.slices if s.part == part)
        overlaps = [a for (_, a), (b, _) in zip(mine, mine[1:], strict=False) if b < a - 1e-12]
        assert not overlaps


def test_stages_side_by_side_take_the_longer_and_on_one_part_the_sum():
    ledger, chosen = ledger_of("x", "y")
    after = (("s", ()), ("t", ()))
    apart = Step("train", (op("x", "s", slow=2), op("y", "t", slow=4)), after, 1)
    together = Step("train", (op("x", "s", slow=2), op("x", "t", slow=4)), after, 1)
    assert replay(apart, ledger, chosen).makespan_s == pytest.approx(2.0)
    assert replay(together, ledger, chosen).makespan_s == pytest.approx(3.0)
    assert replay(apart, ledger, chosen).bottleneck == "y"


def test_stages_that_never_end_are_named():
    ledger, chosen = ledger_of("x")
    circle = Step("train", (op("x", "s", slow=1),), (("s", ("t",)), ("t", ("s",))), 1)
    with pytest.raises(ValueError, match="wait for one another in a circle: s, t"):
        replay(circle, ledger, chosen)
    absent = Step("train", (op("x", "s", slow=1),), (("s", ("t",)),), 1)
    with pytest.raises(ValueError, match='stage "s" waits for "t", which is not in the step'):
        replay(absent, ledger, chosen)


def test_the_largest_opu_does_1466_teraops_at_88_mJ_a_frame():
    opu = OPU(n_out=2_073_600, n_in=1_039_680, name="feedback")
    ledger = opu.ledger
    frames = 1000
    with ledger.step("train", samples=1), ledger.stage("s"):
        ledger.record("feedback", "INTENSITY", frames, {"frame": Count(frames, frames)})
    chosen = technologies(ledger)
    timelines = replay_all(ledger, chosen)
    seconds = total_s(ledger, timelines)
    rows = bill(ledger, chosen, {s: t.makespan_s for s, t in timelines.items()})
    operations = 2 * opu.n_out * opu.n_in * frames
    assert operations / seconds / 1e12 == pytest.approx(1466, abs=1)
    assert total_J(rows) / frames == pytest.approx(88.2e-3, abs=0.1e-3)


def test_a_linear_ternary_projection_is_ten_frames_a_vector_and_one_call():
    opu = OPU(n_out=2000, n_in=10, name="feedback")
    assert opu.cost(Can.MULTIPLY, 128) == {"call": Count(1, 1), "frame": Count(1280, 1280)}
    of = load("opu_gen3")
    takes = of.event("call", 1, 1).latency_s + 1280 / 8000
    step = Step(
        "train",
        (Op("feedback", "MULTIPLY", 128, "s", (("call", 1), ("frame", 1280))),),
        (("s", ()),),
        128,
    )
    assert replay(step, opu.ledger, technologies(opu.ledger)).makespan_s == pytest.approx(takes)


def test_a_large_product_on_the_engine_reaches_its_peak_and_its_power_limit():
    engine = MatrixEngine(n_out=8192, n_in=8192, name="weight/1")
    cost = engine.cost(Can.MULTIPLY, 8192)
    chosen = technologies(engine.ledger)
    op_ = Op("weight/1", "MULTIPLY", 8192, "s", tuple((e, c.depth) for e, c in cost.items()))
    takes = op_latency_s(op_, engine.ledger.devices["weight/1"], chosen["weight/1"])
    assert 2 * 8192**3 / takes / 1e12 == pytest.approx(19.5, rel=0.01)
    technology = chosen["weight/1"]
    joules = sum(c.work * technology.event(e, 1, 1).energy_J for e, c in cost.items())
    watts = joules / takes + technology.idle_W
    assert 300 < watts < 400


def test_a_run_is_read_again_at_other_prices():
    engine = MatrixEngine(n_out=64, n_in=64, name="weight/1")
    engine.multiply(np.ones((8, 64), np.float32))
    joules = {}
    for key in ("weight/1", "weight", "nvidia_a100_fp32"):
        chosen = technologies(engine.ledger, {key: "nvidia_p100"})
        timelines = replay_all(engine.ledger, chosen)
        rows = bill(engine.ledger, chosen, {s: t.makespan_s for s, t in timelines.items()})
        assert {r.part for r in rows} == {"nvidia_p100"}
        joules[key] = total_J(rows)
    assert len(set(joules.values())) == 1
    with pytest.raises(ValueError, match='"feedback" is in no ledger of this run'):
        technologies(engine.ledger, {"feedback": "opu_gen2"})
