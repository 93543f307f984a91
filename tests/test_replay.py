"""Replays in simulated time against queues, pipelines and clocks whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.devices.kernels import paths
from hwloop.sim.replay import replay
from hwloop.sim.tasks import Graph, Phase


def use(graph: Graph, resource: str, seconds: float, period_s: float = 0.0) -> Phase:
    r = graph.resource(resource)
    return Phase(seconds, (r,), (r,), "work", ((r, 1.0),), period_s)


# ---- the critical path and the replay ---------------------------------------------


@st.composite
def graphs(draw: st.DrawFn, shared: bool) -> Graph:
    """Draw a graph; where nothing is shared every phase has a resource of its own."""
    graph = Graph()
    durations = st.floats(0.0, 10.0, allow_subnormal=False)
    for t in range(draw(st.integers(1, 40))):
        before = draw(st.sets(st.integers(0, t - 1), max_size=4)) if t else set()
        phases = []
        for p in range(draw(st.integers(0, 3))):
            name = f"r{draw(st.integers(0, 3))}" if shared else f"{t}.{p}"
            period_s = draw(st.sampled_from([0.0, 0.0, 0.7, 3.0]))
            phases.append(use(graph, name, draw(durations), period_s))
        graph.add(sorted(before), phases, release_s=draw(st.sampled_from([0.0, 0.0, 1.3])))
    return graph


@given(graphs(shared=False))
@settings(max_examples=100, deadline=None)
def test_the_critical_path_is_the_replay_where_nothing_contends(graph: Graph):
    assert graph.critical_path_s() == replay(graph).makespan_s


@given(graphs(shared=True))
@settings(max_examples=100, deadline=None)
def test_a_replay_takes_no_less_than_its_bound(graph: Graph):
    played = replay(graph)
    assert played.makespan_s >= graph.bound_s() * (1 - 1e-12)
    for name, share in played.used().items():
        assert share <= 1 + 1e-9, name


@given(graphs(shared=True))
@settings(max_examples=100, deadline=None)
def test_the_kernel_is_its_reference(graph: Graph):
    arrays, others = graph.arrays(), graph.arrays()
    assert paths.critical_path(*arrays) == paths.critical_path_reference(*others)
    np.testing.assert_array_equal(arrays[-1], others[-1])


# ---- queues -----------------------------------------------------------------------


def poisson(rate: float, count: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def mean_wait(period_s: float) -> float:
    """Return the mean wait of Poisson arrivals at half of a server's rate of 1."""
    graph = Graph()
    arrivals = poisson(0.5, 100_000, seed=7)
    for release_s in arrivals:
        graph.add((), [use(graph, "server", 1.0, period_s)], release_s=float(release_s))
    return float(np.mean(np.array(replay(graph).start_s[0]) - arrivals))


def test_an_m_d_1_queue_waits_as_long_as_the_theory_says():
    # Pollaczek and Khinchine: rho / (2 (1 - rho)) services
    assert mean_wait(0.0) == pytest.approx(0.5, rel=0.02)


def test_a_frame_clock_adds_half_a_frame_to_the_queue():
    # a slotted M/D/1 [Bertsekas and Gallager, Data Networks, 3.5]: half a slot more
    assert mean_wait(1.0) == pytest.approx(1.0, rel=0.02)


def test_waits_are_counted_where_they_happen():
    graph = Graph()
    for _ in range(4):
        graph.add((), [use(graph, "one", 2.0)])
    played = replay(graph)
    assert played.wait_s == [0 + 2 + 4 + 6]
    assert played.asked == [4]
    assert played.used() == {"one": 1.0}


# ---- pipelines --------------------------------------------------------------------


def pipeline(first_s: float, second_s: float) -> Graph:
    graph = Graph()
    one = graph.add((), [use(graph, "a", first_s)])
    graph.add((one,), [use(graph, "b", second_s)])
    return graph


@pytest.mark.parametrize(("first_s", "second_s"), [(3.0, 5.0), (5.0, 3.0), (4.0, 4.0)])
def test_two_stages_are_as_fast_as_the_slower_one(first_s, second_s):
    graph = pipeline(first_s, second_s)
    assert replay(graph, 20, 1).steady_s == pytest.approx(first_s + second_s)
    assert replay(graph, 20, 2).steady_s == pytest.approx(max(first_s, second_s))
    assert replay(graph, 20, 5).steady_s == pytest.approx(max(first_s, second_s))


def test_a_step_in_flight_starts_when_one_before_it_ends():
    played = replay(pipeline(3.0, 5.0), 4, 2)
    assert played.begin_s[:2] == [0.0, 0.0]
    assert played.begin_s[2] == played.end_s[0]


@pytest.mark.parametrize(("tiles", "converters"), [(4, 1), (4, 2), (8, 2), (2, 4)])
def test_shared_converters_bound_the_rate(tiles, converters):
    """min(M / (t_mvm + t_adc), A / t_adc) reads a second for M tiles and A converters."""
    mvm_s, adc_s = 100.0, 60.0
    graph, reads = Graph(), 40
    bank = graph.resource("adc", converters)
    for tile in range(tiles):
        r = graph.resource(f"tile {tile}")
        for _ in range(reads):
            graph.add((), [Phase(mvm_s, (r,)), Phase(adc_s, (bank,), (r, bank))])
    span_s = replay(graph).makespan_s
    rate = min(tiles / (mvm_s + adc_s), converters / adc_s)
    assert tiles * reads / span_s == pytest.approx(rate, rel=0.03)


# ---- the steps of the rules, as the facts measured them with a prototype ----------

F, PROJECT, OUTER = 130e-6, 200e-6, 150e-6
"""A layer's product, conversion and activation; the projection; the update."""


def chain(graph: Graph, layers: range, before: int, way: str) -> int:
    for k in layers:
        earlier = (before,) if before >= 0 else ()
        before = graph.add(earlier, [use(graph, f"{way} {k}", F)])
    return before


def test_backpropagation_is_a_chain():
    graph = Graph()
    top = chain(graph, range(8), -1, "forward")
    down = chain(graph, range(7), top, "backward")
    graph.add((down,), [use(graph, "update", OUTER)])
    assert replay(graph).makespan_s == pytest.approx(8 * F + 7 * F + OUTER)  # 2.1 ms


@pytest.mark.parametrize("period_s", [0.0, 1 / 1500])
def test_feedback_alignment_is_a_fan_and_a_camera_delays_it_to_its_ticks(period_s):
    graph = Graph()
    top = chain(graph, range(8), -1, "forward")
    frame_s = period_s or PROJECT
    light = graph.add((top,), [use(graph, "camera", frame_s, period_s)])
    for k in range(8):
        graph.add((light,), [use(graph, f"update {k}", OUTER)])
    start_s = 8 * F if not period_s else math.ceil(8 * F / period_s) * period_s
    assert replay(graph).makespan_s == pytest.approx(start_s + frame_s + OUTER)


# ---- systolic arrays: cycle counts measured with SCALE-Sim 2.0.2 ------------------

ROWS, COLUMNS = 32, 16
CYCLES = {
    (32, 16, 40): (85, 219, 375),
    (100, 50, 70): (1855, 2135, 2687),
    (64, 64, 64): (879, 1135, 1135),
}


def wavefront(depth: int, loading: int) -> float:
    """Return the cycles of one fold: each element waits for its two neighbours and its last."""
    graph = Graph()
    loaded = -1
    for _ in range(loading):
        loaded = graph.add((loaded,) if loaded >= 0 else (), [Phase(1.0)])
    number: dict[tuple[int, int, int], int] = {}
    for k in range(depth):
        for i in range(ROWS):
            for j in range(COLUMNS):
                near = [(k - 1, i, j), (k, i - 1, j), (k, i, j - 1)]
                before = [number[n] for n in near if n in number]
                if not before and loaded >= 0:
                    before = [loaded]
                number[k, i, j] = graph.add(before, [Phase(1.0)])
    return graph.critical_path_s()


@pytest.mark.parametrize(("sizes", "cycles"), CYCLES.items())
@pytest.mark.parametrize("stationary", range(3), ids=["output", "weight", "input"])
def test_a_systolic_array_takes_the_cycles_of_scale_sim(sizes, cycles, stationary):
    m, n, k = sizes
    down, across, depth, loading = [
        (m, n, k, 0),
        (k, n, m, ROWS),
        (k, m, n, ROWS),
    ][stationary]
    graph, fold = Graph(), wavefront(depth, loading)
    for _ in range(-(-down // ROWS) * -(-across // COLUMNS)):
        graph.add((), [use(graph, "array", fold)])
    assert replay(graph).makespan_s - 1 == cycles[stationary]


# ---- what is refused --------------------------------------------------------------


def test_a_task_waits_for_earlier_ones_only():
    with pytest.raises(ValueError, match="task 0 waits for task 0"):
        Graph().add((0,))


def test_resources_that_wait_for_one_another_are_named():
    graph = Graph()
    a, b = graph.resource("a"), graph.resource("b")
    for first, second in ((a, b), (b, a)):
        phases = [Phase(1.0, (first,)), Phase(1.0, (second,), (a, b))]
        graph.add((), phases, name=f"holds {graph.resources[first]}")
    with pytest.raises(ValueError, match="in a circle: holds a, holds b"):
        replay(graph)


@pytest.mark.parametrize(("steps", "in_flight"), [(0, 1), (1, 0)])
def test_no_steps_are_refused(steps, in_flight):
    with pytest.raises(ValueError, match="take 1 or more"):
        replay(pipeline(1, 1), steps, in_flight)
