"""A crossbar that learns in place: what it learns, counts, holds and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hwloop.algorithms import DFA, SGD, Algorithm, Frozen
from hwloop.devices import Can, Count, Ideal, Seed
from hwloop.devices.pulsed_crossbar import PulsedCrossbar
from hwloop.mappings import build, place

BUILDS = {"weight": PulsedCrossbar, "feedback": Ideal}
TRANSFERS = ("none", "tiki_taka", "tiki_taka2", "tiki_taka4", "mixed_precision")


def make(n_out: int = 6, n_in: int = 4, **more) -> PulsedCrossbar:
    return PulsedCrossbar(n_out=n_out, n_in=n_in, name="d", seed=Seed(1), **more)


def regress(steps: int = 3000, **more) -> float:
    """Return the rms error of weights learned from noisy targets through the device's reads."""
    rng = np.random.default_rng(2)
    w = rng.uniform(-0.4, 0.4, (3, 5)).astype(np.float32)
    device = make(3, 5, **more)
    for _ in range(steps):
        x = rng.normal(size=(4, 5)).astype(np.float32)
        target = x @ w.T + rng.normal(0, 0.3, (4, 3))
        error = (target - device.multiply(x)).astype(np.float32)
        device.update(error, x, 0.01)
    return float(np.sqrt(np.mean((device.matrix() - w) ** 2)))


def test_it_learns_through_its_own_reads():
    assert regress(steps=800) < 0.06


def test_tiki_taka_learns_where_plain_pulses_settle_elsewhere():
    uneven = {"asymmetry": 0.6, "step": 0.005}
    plain, taka = regress(**uneven), regress(**uneven, transfer="tiki_taka2")
    assert taka < 0.5 * plain


@pytest.mark.parametrize("transfer", TRANSFERS)
def test_it_goes_on_bit_for_bit_in_the_middle(transfer):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 6))
    settings = {"transfer": transfer, "cycle_noise": 0.3, "asymmetry": 0.2, "write_noise": 0.01}
    one, other = make(**settings), make(**settings)
    one.program(np.full((6, 4), 0.2))
    for k in range(4):
        if k == 2:
            other.restore({name: a.copy() for name, a in one.state().items()})
        for device in (one, other)[: 1 + (k >= 2)]:
            device.update(y, x, 0.01)
    for name, array in one.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
    np.testing.assert_array_equal(one.multiply(x), other.multiply(x))
    assert one.wear().sum() > 24


def test_weights_stop_at_w_max():
    device = make(response="constant", w_max=0.5, step=0.01)
    device.program(np.full((6, 4), 3.0))
    assert (device.matrix() == 0.5).all()
    for _ in range(20):
        device.update(np.ones((8, 6)), np.ones((8, 4)), -1.0)
    assert (device.matrix() == -0.5).all()


def test_the_ledger_counts_what_the_formula_says():
    device = make(length=10)
    assert device.cost(Can.MULTIPLY, 3) == {
        "dac": Count(12, 3),
        "cell_read": Count(144, 3),
        "adc": Count(18, 18),
    }
    assert device.cost(Can.PROGRAM, 6) == {"cell_write": Count(24, 4)}
    assert device.cost(Can.UPDATE, 3) == {"cell_write": Count(3 * 10 * 24, 30)}
    two = make(length=10, transfer="tiki_taka2", transfer_every=2)
    assert two.cost(Can.UPDATE, 3) == {
        "cell_write": Count(3 * 10 * 24 + 2 * 6 * 10, 30 + 2 * 10),
        "dac": Count(2, 2),
        "cell_read": Count(24, 2),
        "adc": Count(12, 12),
    }
    device.update(np.ones((3, 6)), np.ones((3, 4)), 0.1)
    [(step, tally)] = device.ledger.steps.items()
    assert step.ops[0].depths == (("cell_write", 30),)
    assert tally.work == [[720]]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"response": "soft"}, 'd: unknown response "soft"'),
        ({"transfer": "tiki"}, 'd: unknown transfer "tiki"'),
        ({"adc_bits": 1}, "d: adc_bits takes 0 or 2 to 16, got 1"),
        ({"length": 40}, "d: Pulsed: length takes 1 to 31 slots, got 40"),
        ({"read_noise": -1.0}, "d: read_noise takes 0 or more, got -1.0"),
        ({"transfer_every": 0}, "d: transfer_every takes a whole number from 1, got 0"),
        ({"chop": 0.0}, "d: chop takes above 0 up to 1, got 0.0"),
        ({"slope_up": 2.0, "response": "linear"}, "d: Linear: slope_up takes 0 to 1, got 2.0"),
        ({"step": 0.0}, "d: Pulsed: step takes above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**settings)


def accuracy(algorithm: Algorithm) -> float:
    """Return the share of unseen digits that 64-16-10 says right, weights on pulsed crossbars."""
    x, labels = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    target = np.eye(10, dtype=np.float32)[labels]
    network = build((64,), 10, [16])
    demands = list(algorithm.demands(network))
    builds = {
        role: lambda d, ledger, seed, cls=BUILDS[role]: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )
        for role in {d.role for d in demands}
    }
    on = place(network, demands, builds, "ideal", Seed(1))
    rng = np.random.default_rng(0)
    for _ in range(6):
        order = rng.permutation(1200)
        for k in range(0, 1200, 20):
            part = order[k : k + 20]
            with on.ledger.step("train", samples=20):
                algorithm.step(on, x[part], target[part])
    with on.ledger.step("evaluate", samples=len(x) - 1200):
        said = algorithm.forward(on, x[1200:]).output.argmax(1)
    return float((said == labels[1200:]).mean())


def test_dfa_on_pulses_learns_more_than_the_frozen_control():
    dfa, frozen = accuracy(DFA(optimizer=SGD(0.3))), accuracy(Frozen(optimizer=SGD(0.3)))
    assert dfa > 0.8
    assert dfa > frozen + 0.03


def test_the_ledger_holds_the_pulses_that_coincided():
    device = PulsedCrossbar(n_out=6, n_in=4, name="w", seed=Seed(2), response="constant")
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(8, 6)).astype(np.float32), rng.normal(size=(8, 4)).astype(np.float32)
    for _ in range(3):
        device.update(y, x, 0.01)
    [(step, tally)] = device.ledger.steps.items()
    assert tally.times == 3
    [[written]] = tally.work
    assert written == device.wear().sum()
    assert 0 < written < 3 * device.cost(Can.UPDATE, 8)["cell_write"].work / 2
