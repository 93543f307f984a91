"""The ledger: equal steps merge, work adds up, what goes out comes back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.devices import Count, Ledger
from hwloop.devices.ledger import Installed
from hwloop.devices.release import Release


def record(ledger: Ledger, work: float, samples: int = 8, depth: float = 2) -> None:
    with ledger.step("train", samples=samples):
        with ledger.stage("forward/1"):
            ledger.record("w", "MULTIPLY", samples, {"mac": Count(work, depth)})
        with ledger.stage("update/1", after=("forward/1",)):
            ledger.record("w", "UPDATE", samples, {"mac": Count(work, depth)})


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(1, 3)), min_size=1, max_size=40))
def test_steps_of_equal_shape_merge_and_lose_no_work(runs):
    ledger = Ledger()
    for work, samples in runs:
        record(ledger, work, samples)
    assert len(ledger.steps) == len({samples for _, samples in runs})
    assert sum(t.times for t in ledger.steps.values()) == len(runs)
    assert ledger.samples("train") == sum(samples for _, samples in runs)
    total = sum(sum(map(sum, t.work)) for t in ledger.steps.values())
    assert total == pytest.approx(2 * sum(work for work, _ in runs))


def test_depth_is_part_of_what_a_step_is():
    ledger = Ledger()
    record(ledger, 1, depth=2)
    record(ledger, 1, depth=3)
    assert len(ledger.steps) == 2


def test_it_comes_back_equal_from_json():
    ledger = Ledger()
    ledger.install("w", Installed("Ideal", "ideal", "w", 2, 3, (("a", 1.5), ("b", None))))
    record(ledger, 3)
    with ledger.step("train", samples=4):
        ledger.release(Release("label", (("feedback", 0.5),), "shuffle", 0.1))
        ledger.record("w", "MULTIPLY", 4, {})
    ledger.measure("w", "MULTIPLY", 4, 0.25)
    back = Ledger.from_json(json.loads(json.dumps(ledger.to_json())))
    assert back.steps == ledger.steps
    assert back.devices == ledger.devices
    assert back.measured == ledger.measured
    assert back.releases() == ledger.releases()


def test_a_ledger_that_was_cut_is_refused():
    data = Ledger().to_json()
    del data["steps"]
    with pytest.raises(ValueError, match="not a ledger: KeyError 'steps'"):
        Ledger.from_json(data)


def test_a_step_that_fails_leaves_nothing():
    ledger = Ledger()

    def failing() -> None:
        with ledger.step("train", samples=1):
            ledger.record("w", "MULTIPLY", 1, {"mac": Count(1, 1)})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert not ledger.steps
    record(ledger, 1)
    assert len(ledger.steps) == 1


def test_outside_a_step_an_operation_is_a_step_of_its_own():
    ledger = Ledger()
    ledger.record("w", "MULTIPLY", 5, {"mac": Count(7, 7)})
    [(step, tally)] = ledger.steps.items()
    assert (step.kind, step.samples, tally.work) == ("free", 5, [[7]])


def test_evaluation_is_kept_apart_from_training():
    ledger = Ledger()
    record(ledger, 1)
    with ledger.step("evaluate", samples=100):
        ledger.record("w", "MULTIPLY", 100, {"mac": Count(50, 50)})
    assert ledger.samples("train") == 8
    assert ledger.samples("evaluate") == 100
    assert ledger.releases() == {(): 1}


def test_misuse_is_named():
    ledger = Ledger()
    with ledger.step("train", samples=1):
        early = ledger.stage("update/1", after=("forward/2",))
        with pytest.raises(ValueError, match='waits for "forward/2", which has not been'):
            early.__enter__()
        with pytest.raises(RuntimeError, match="a step is open already"):
            ledger.step("train", samples=1).__enter__()
    with pytest.raises(ValueError, match='not "learn"'):
        ledger.step("learn", samples=1).__enter__()
    with pytest.raises(RuntimeError, match="a release belongs to a step"):
        ledger.release(Release("label", (("f", 1.0),), "shuffle", 0.1))
