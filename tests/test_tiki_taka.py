"""Tiki-Taka finds what plain pulsed descent misses, and its state machine does what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwloop.devices.pulses import Constant, Pulsed, make_cells, pulsed_update, symmetry_point
from hwloop.devices.seeds import Seed
from hwloop.devices.tiki_taka import TikiTaka

UNEVEN = Pulsed(
    step=0.005,
    asymmetry=0.3,
    step_spread=0.1,
    asymmetry_spread=0.05,
    cycle_noise=0.3,
    bound_spread=0.1,
)
TARGET = np.random.default_rng(5).uniform(-0.5, 0.5, (4, 8)).astype(np.float32)
SEED = Seed(3)


def _learn(update, matrix, samples: int = 20_000) -> np.ndarray:
    """Regress TARGET from labels with noise 0.5; return the mean weights of the second half."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((samples, 8)).astype(np.float32)
    target = (x @ TARGET.T + 0.5 * rng.standard_normal((samples, 4))).astype(np.float32)
    late = []
    for start in range(0, samples, 10):
        part = slice(start, start + 10)
        update(target[part] - x[part] @ matrix().T, x[part], 0.05)
        if start > samples / 2:
            late.append(matrix().copy())
    return np.mean(late, axis=0)


def _error(w: np.ndarray) -> float:
    return float(np.sqrt(np.mean((w - TARGET) ** 2)))


def test_plain_descent_is_biased_towards_the_symmetry_point_and_tiki_taka_is_not() -> None:
    """Of soft bounds with 30 % asymmetry: plain off by 0.14, both versions by less than 0.03."""
    cells = make_cells(UNEVEN, 4, 8, SEED.at(0))
    w = np.zeros((4, 8), np.float32)
    steps = iter(range(1, 10**6))

    def update(y: np.ndarray, x: np.ndarray, rate: float) -> None:
        pulsed_update(w, y, x, rate, cells, UNEVEN, SEED.at(next(steps)))

    plain = _learn(update, lambda: w)
    away = symmetry_point(cells, UNEVEN) - TARGET
    share = np.sum((plain - TARGET) * away) / np.sum(away**2)
    assert _error(plain) > 0.1
    assert 0.2 < share < 0.45
    residual = plain - TARGET - share * away
    assert np.mean(residual**2) < 0.1 * _error(plain) ** 2

    first = TikiTaka(n_out=4, n_in=8, cells=UNEVEN, transfer=0.1, seed=SEED)
    second = TikiTaka(n_out=4, n_in=8, cells=UNEVEN, transfer=0.02, buffered=True, seed=SEED)
    for machine in (first, second):
        assert _error(_learn(machine.update, machine.matrix)) < 0.03


def test_choppers_make_up_for_a_wrong_zero_and_a_dynamic_reference_needs_none() -> None:
    """With zeros wrong by 0.2 the second version is off by 0.11, chopped by 0.06, dynamic by 0.02.

    The dynamic reference never hears of the zeros: it learns the same, bit for bit, without them.
    """
    common = {"n_out": 4, "n_in": 8, "cells": UNEVEN, "transfer": 0.003, "buffered": True}
    found = {}
    for zero_error in (0.0, 0.2):
        for name, more in (
            ("still", {}), ("chopped", {"chop": 0.02}), ("dynamic", {"chop": 0.1, "dynamic": True})
        ):  # fmt: skip
            machine = TikiTaka(**common, **more, zero_error=zero_error, seed=SEED)
            found[name, zero_error] = _error(_learn(machine.update, machine.matrix))
    assert found["still", 0.0] < 0.03
    assert found["still", 0.2] > 0.09
    assert found["chopped", 0.2] < 0.6 * found["still", 0.2]
    assert found["dynamic", 0.2] < 0.03
    assert found["dynamic", 0.2] == found["dynamic", 0.0]


def _even(**settings: object) -> TikiTaka:
    cells = Pulsed(response=Constant(), step=STEP, train="deterministic")
    return TikiTaka(n_out=2, n_in=3, cells=cells, **settings)


ONES = np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
STEP = 2.0**-10


def test_every_n_th_sample_moves_the_next_column_by_whole_pulses() -> None:
    """One pulse a sample into A; a column read at value a moves floor(H) pulses, H = sum a / 2."""
    machine = _even(transfer=0.5, buffered=True, every=2)
    buffer, expected = np.zeros(3), np.zeros(3)
    for sample in range(40):
        machine.update(*ONES, STEP)
        if sample % 2:
            j = sample // 2 % 3
            buffer[j] += 0.5 * (sample + 1)
            expected[j] += np.floor(buffer[j])
            buffer[j] %= 1
        got = machine.matrix() / STEP
        np.testing.assert_allclose(got, np.tile(expected, (2, 1)), atol=0.01)
    assert (machine.fast_cells.wear == 40).all()
    np.testing.assert_array_equal(machine.slow_cells.wear, np.tile(expected, (2, 1)).astype(int))


def test_a_batch_is_its_samples_one_after_another() -> None:
    whole, single = (_even(transfer=0.5, buffered=True, every=2, chop=0.4) for _ in range(2))
    y = np.random.default_rng(0).standard_normal((24, 2)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((24, 3)).astype(np.float32)
    whole.update(y, x, 0.02)
    for k in range(24):
        single.update(y[k : k + 1], x[k : k + 1], 0.02)
    for name, value in whole.state().items():
        if name != "counters":
            np.testing.assert_array_equal(value, single.state()[name])


def test_choppers_turn_a_column_after_its_reads() -> None:
    """At probability 1 the sign with which a column enters turns at each read of it."""
    machine = _even(transfer=0.0, chop=1.0)
    for sample in range(30):
        before = machine.state()["a"].copy()
        machine.update(*ONES, STEP)
        reads = np.array([(sample - j + 2) // 3 for j in range(3)])
        sign = np.where(reads % 2, -1, 1)
        step = (machine.state()["a"] - before) / STEP
        np.testing.assert_allclose(step, np.tile(sign, (2, 1)), atol=0.01)


def test_choppers_turn_at_their_probability_whatever_the_batch() -> None:
    """2,000 reads at 0.3: 600 turns, within five standard errors (102)."""
    one, many = (_even(transfer=0.0, chop=0.3) for _ in range(2))
    turned = [one._turns(1)[0]]
    for _ in range(1999):
        one._counters[0] += 1
        turned.append(one._turns(1)[0])
    assert abs(sum(turned) - 600) < 5 * np.sqrt(2000 * 0.3 * 0.7)
    np.testing.assert_array_equal(many._turns(2000), turned)


@pytest.mark.parametrize("version", [{}, {"buffered": True, "dynamic": True}])
def test_a_run_goes_on_bit_for_bit(version: dict) -> None:
    settings = {
        "n_out": 4, "n_in": 8, "cells": replace(UNEVEN, write_noise=0.02), "transfer": 0.1,
        "chop": 0.3, "read_noise": 0.01, "seed": SEED, **version,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((5, 4)), rng.standard_normal((5, 8))) for _ in range(20)]
    whole, first, second = (TikiTaka(**settings) for _ in range(3))
    for y, x in batches:
        whole.update(y, x, 0.05)
    for y, x in batches[:11]:
        first.update(y, x, 0.05)
    second.restore({name: value.copy() for name, value in first.state().items()})
    for y, x in batches[11:]:
        second.update(y, x, 0.05)
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, second.state()[name])


def test_programmed_weights_stand_within_the_bounds() -> None:
    machine = _even(transfer=0.1)
    machine.program(np.array([[2.0, 0.5, -3.0]] * 2))
    np.testing.assert_allclose(machine.matrix(), [[1, 0.5, -1]] * 2, atol=1e-6)
    with pytest.raises(ValueError, match="w takes"):
        machine.program(np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"transfer": -1.0}, "transfer takes 0 or more"),
        ({"transfer": 0.1, "every": 0}, "every takes a whole number from 1"),
        ({"transfer": 0.1, "chop": 1.5}, "chop takes 0 to 1"),
        ({"transfer": 0.1, "dynamic": True}, "dynamic reference takes choppers"),
    ],
)
def test_machines_that_cannot_be_are_refused(bad: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _even(**bad)
