"""Mixed precision: what the digital sum and the cells hold together, and how few are written."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import Ledger, PulsedCrossbar, Seed
from hwloop.devices.host import Host

rng = np.random.default_rng(0)
X, Y = (rng.standard_normal((30, 8, n)).astype(np.float32) for n in (4, 6))


def make(**more) -> PulsedCrossbar:
    return PulsedCrossbar(
        n_out=6, n_in=4, name="d", seed=Seed(1), transfer="mixed_precision", **more
    )


def test_sum_and_cells_hold_the_whole_gradient_and_the_rest_is_below_one_step():
    device = make(response="constant", step=0.01)
    total = np.zeros((6, 4))
    for y, x in zip(Y, X, strict=True):
        device.update(y, x, 0.002)
        total += 0.002 * y.T @ x
        rest = device.state()["chi"]
        assert (abs(rest) < 0.01).all()
        np.testing.assert_allclose(device.matrix() + rest, total, atol=1e-5)
    assert (device.matrix() != 0).any()


def test_a_train_cuts_what_an_update_sends_and_the_sum_keeps_the_rest():
    device = make(response="constant", step=0.001, length=5)
    device.update(np.ones((1, 6)), np.ones((1, 4)), 0.012)
    np.testing.assert_allclose(device.matrix(), 0.005, atol=1e-6)
    np.testing.assert_allclose(device.state()["chi"], 0.007, atol=1e-6)
    assert (device.wear() == 5).all()


def test_cells_are_written_far_less_often_than_by_coincidences():
    """A gradient that turns cancels before it is written; coincidences write both ways."""
    plain = PulsedCrossbar(n_out=6, n_in=4, name="d", seed=Seed(1), response="constant")
    mixed = make(response="constant")
    for k, (y, x) in enumerate(zip(Y, X, strict=True)):
        for device in (plain, mixed):
            device.update(y, x, 0.002 if k % 2 else -0.002)
    assert mixed.wear().sum() < 0.5 * plain.wear().sum()


def test_the_host_forms_the_gradient_and_the_cells_are_counted_by_pulse():
    ledger = Ledger()
    Host(ledger, "cpu_host")
    device = PulsedCrossbar(
        n_out=6, n_in=4, name="w", ledger=ledger, transfer="mixed_precision", response="constant"
    )
    device.update(Y[0], X[0], 0.01)
    tallies = {(op.device, op.verb): t for s, t in ledger.steps.items() for op in s.ops}
    assert ledger.devices["host"].technology == "cpu_host"
    assert tallies["host", "GRADIENT"].work == [[0, 8 * 6 * 4]]
    assert tallies["w", "UPDATE"].work == [[device.wear().sum()]]


def test_what_is_not_finite_is_refused_before_anything_moves():
    device = make()
    bad = X[0].copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite x, y and rate"):
        device.update(Y[0], bad, 0.1)
    assert not device.state()["chi"].any()
