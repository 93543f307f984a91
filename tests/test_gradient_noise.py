"""Gradient noise: its variance over time, the optimizer inside, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import SGD, Adam, Backprop, GradientNoise
from hwloop.devices import Ideal, Seed
from hwloop.mappings import build, place

M, N = 9, 12
"""Outputs and inputs of the matrix that learns."""


def placed(optimizer, n_out=M, n_in=N):
    network = build((n_in,), n_out, [])
    demands = Backprop(optimizer=optimizer).demands(network)

    def made(d, ledger, seed):
        return Ideal(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

    return place(network, demands, {d.role: made for d in demands}, "ideal", Seed(3))


def factors(step: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(step + 10)
    return tuple(draw.standard_normal((6, n)).astype(np.float32) for n in (M, N))


def noises(steps: int, eta: float, gamma: float = 0.55) -> list[Any]:
    """Return what was added to the gradients of a wide matrix, read off plain descent."""
    optimizer = GradientNoise(rate=1.0, eta=eta, gamma=gamma)
    on = placed(optimizer, 150, 200)
    zero, found = np.zeros((150, 200), np.float32), []
    for _ in range(steps):
        before = on["weight/1"].matrix()
        optimizer.descend(on, "weight/1", zero, 1.0)
        found.append(before - on["weight/1"].matrix())
    return found


def test_the_noise_on_gradients_has_the_variance_of_the_paper_and_is_drawn_anew():
    found, n = noises(12, 0.3), 150 * 200
    for t in (0, 1, 5, 11):
        variance = 0.3 / (1 + t) ** 0.55
        assert found[t].var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))
        assert abs(found[t].mean()) < 5 * np.sqrt(variance / n)
        correlation = np.corrcoef(found[t].ravel(), found[(t + 1) % 12].ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(n)


@pytest.mark.parametrize("inner", [{"kind": "sgd", "momentum": 0.5}, {"kind": "adam"}])
def test_the_optimizer_inside_sees_gradient_and_noise(inner):
    noisy = GradientNoise(rate=0.01, eta=0.3, of=inner)
    plain = {"sgd": SGD(0.01, momentum=0.5), "adam": Adam(0.01)}[inner["kind"]]
    read = GradientNoise(rate=1.0, eta=0.3)
    ours, theirs, reading = (placed(o) for o in (noisy, plain, read))
    for step in range(5):
        before = reading["weight/1"].matrix()
        read.descend(reading, "weight/1", np.zeros((M, N), np.float32), 1.0)
        noise = before - reading["weight/1"].matrix()
        delta, rows = factors(step)
        noisy.change(ours, "weight/1", delta, rows, 1 / 6, 1.0)
        plain.descend(theirs, "weight/1", delta.T @ rows / 6 + noise, 1.0)
        got, expected = ours["weight/1"].matrix(), theirs["weight/1"].matrix()
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"eta": 0.0}, "eta takes a finite number above 0, got 0.0"),
        ({"gamma": -1.0}, "gamma takes a number from 0, got -1.0"),
        ({"of": {"kind": "adem"}}, 'of takes an optimizer: unknown kind "adem"'),
        ({"of": {"kind": "gradient_noise"}}, "of takes an optimizer: unknown"),
        ({"of": {"rate": 0.1}}, "of takes no rate"),
        ({"of": {"beta": 0.1}}, 'of takes the settings of sgd: unknown key "beta"'),
    ],
)
def test_settings_out_of_range_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        GradientNoise(**settings)
