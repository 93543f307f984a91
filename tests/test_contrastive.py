"""Readouts of a reservoir: the contrastive loss and its slopes, and held-out accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.algorithms.contrastive import Contrastive, contrastive_loss, retrieve
from hwloop.algorithms.readout import READOUTS, held_out, ridge, softmax, stratified
from hwloop.devices import Ledger, Seed
from hwloop.devices.host import Host

rng = np.random.default_rng(0)


def unit(n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("labels", [np.arange(6), np.array([0, 0, 1, 1, 1, 2])])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_slopes_are_finite_differences(labels, temperature):
    a, b, h = unit(6, 4), unit(6, 4), 1e-6
    _, *slopes = contrastive_loss(a, b, labels, temperature)
    for side, slope in enumerate(slopes):
        numeric = np.empty_like(slope)
        for k in np.ndindex(slope.shape):
            ends = []
            for sign in (1, -1):
                moved = [a.copy(), b.copy()]
                moved[side][k] += sign * h
                ends.append(contrastive_loss(*moved, labels, temperature)[0])
            numeric[k] = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(slope, numeric, rtol=1e-5, atol=1e-8)


def test_the_loss_is_clip_s_where_all_labels_differ():
    a, b = unit(5, 3), unit(5, 3)
    p = np.exp(a @ b.T / 0.5)
    expected = -0.5 * np.mean(np.log(np.diag(p) / p.sum(1)) + np.log(np.diag(p) / p.sum(0)))
    assert contrastive_loss(a, b, np.arange(5), 0.5)[0] == pytest.approx(expected)
    # Where nothing is told apart every row is a guess among five.
    same = np.tile(a[:1], (5, 1))
    assert contrastive_loss(same, same, np.arange(5), 0.5)[0] == pytest.approx(np.log(5))


def clouds(n: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    kinds = np.arange(n) % 4
    centres = 3 * draw.standard_normal((4, width))
    return (centres[kinds] + draw.standard_normal((n, width))).astype(np.float32), kinds


def test_two_views_of_the_same_kinds_come_together():
    (a, kinds), (b, _) = clouds(200, 30, 1), clouds(200, 20, 2)
    host = Host(Ledger(), "cpu_host")
    learner = Contrastive(dimensions=8, steps=60)
    to_a, to_b = learner.fit(a[:100], kinds[:100], b[:100], kinds[:100], host, Seed(0))
    np.testing.assert_allclose(np.linalg.norm(to_a(a), axis=1), 1, rtol=1e-5)
    found = retrieve(to_b(b[100:]), to_a(a[100:]), kinds[100:])
    assert (found == kinds[100:]).mean() > 0.95
    again, _ = learner.fit(a[:100], kinds[:100], b[:100], kinds[:100], host, Seed(0))
    np.testing.assert_array_equal(to_a.w, again.w)


def test_a_course_passes_where_shorter_trainings_end():
    (a, kinds), (b, _), host = clouds(40, 10, 1), clouds(40, 12, 2), Host(Ledger(), "cpu_host")
    course = Contrastive(dimensions=8, steps=11).course(a, kinds, b, kinds, host, Seed(0), 5)
    for steps in (5, 10):
        to_a, to_b = next(course)
        learner = Contrastive(dimensions=8, steps=steps)
        for here, there in zip(
            (to_a, to_b), learner.fit(a, kinds, b, kinds, host, Seed(0)), strict=True
        ):
            np.testing.assert_array_equal(here.w, there.w)
            np.testing.assert_array_equal(here.bias, there.bias)
    assert next(course, None) is None


def test_training_is_counted():
    (a, kinds), ledger = clouds(40, 10, 1), Ledger()
    learner = Contrastive(dimensions=8, steps=3, pairs=2)
    with ledger.step("train", samples=24):
        learner.fit(a, kinds, a, kinds, Host(ledger, "cpu_host"), Seed(0))
    [(step, tally)] = ledger.steps.items()
    macs = sum(
        amount
        for op, work in zip(step.ops, tally.work, strict=True)
        for (event, _), amount in zip(op.depths, work, strict=True)
        if event == "mac"
    )
    # A batch of 8 pairs: two projections and their gradients, one product and its two slopes.
    assert macs == 3 * 8 * (2 * 2 * 8 * 10 + 3 * 8 * 8)


def test_what_does_not_fit_is_refused():
    (a, kinds), host = clouds(40, 10, 1), Host(Ledger(), "cpu_host")
    with pytest.raises(ValueError, match="both sides take rows of the same kinds"):
        Contrastive().fit(a, kinds, a, kinds % 2, host, Seed(0))
    for settings, says in (
        ({"dimensions": 0}, "dimensions takes a whole number from 1, got 0"),
        ({"steps": 1.5}, "steps takes a whole number from 1"),
        ({"temperature": 0}, "temperature takes a finite number above 0"),
        ({"rate": -1}, "rate takes a finite number above 0"),
    ):
        with pytest.raises(ValueError, match=says):
            Contrastive(**settings)
    with pytest.raises(ValueError, match="penalty takes a finite number above 0"):
        softmax(0)
    with pytest.raises(ValueError, match="take as many rows, got 40, 40 and 3"):
        held_out(ridge, a, kinds, kinds[:3])
    with pytest.raises(ValueError, match="folds takes two numbers or more"):
        held_out(ridge, a, kinds, np.zeros(40))


@pytest.mark.parametrize("kind", READOUTS)
def test_a_readout_is_asked_only_about_what_it_has_not_seen(kind):
    """Random labels stay unknown when held out, however well they are learned by heart."""
    a, kinds = clouds(200, 30, 1)
    folds = stratified(kinds, 5, np.random.default_rng(0))
    assert held_out(READOUTS[kind], a, kinds, folds).mean() > 0.95
    noise = rng.standard_normal((200, 300)).astype(np.float32)
    guessed = held_out(READOUTS[kind], noise, kinds, folds).mean()
    assert abs(guessed - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 200)


def test_folds_hold_their_share_of_every_label():
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    folds = stratified(labels, 5, np.random.default_rng(0))
    for label, n in enumerate((10, 20, 30)):
        assert np.bincount(folds[labels == label]).tolist() == [n // 5] * 5
