"""What device noise hides: against pseudo-inverses, quadrature, and an attack on the label."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from hwloop.algorithms.sensitivity import label_sensitivity
from hwloop.devices.seeds import Seed
from hwloop.sim.accounting import gaussian_epsilon
from hwloop.sim.audit import audit, audit_rows
from hwloop.sim.device_noise import (
    aggregate_mu,
    bare_directions,
    leverage,
    outside_span,
    renyi_gaussians,
)

SEED = Seed(64).child("audit test")
B = SEED.child("b").rng().standard_normal((64, 10))


@pytest.mark.parametrize("m", [24, 96, 512])
def test_aggregate_mu_is_that_of_the_gradient_itself(m):
    rng = SEED.child("aggregate").rng(m)
    n_in, n_out, sigma, j = 32, 3, 3.0, 5
    h, slopes = rng.standard_normal((m, n_in)), rng.uniform(0.1, 1, (m, n_out))
    change = rng.standard_normal(n_out)
    squared = 0.0
    for k in range(n_out):
        rows = slopes[:, k, None] * h
        mean = rows[j] * change[k] / m
        covariance = sigma**2 / m**2 * rows.T @ rows
        squared += mean @ np.linalg.pinv(covariance, rcond=1e-10) @ mean
    found = aggregate_mu(h, slopes, change, sigma, j)
    assert found == pytest.approx(math.sqrt(squared), rel=1e-6)
    per_sample = np.linalg.norm(change) / sigma
    if m <= n_in:
        assert found == pytest.approx(per_sample)  # nothing is gained from averaging
    else:
        assert found < per_sample


def test_leverages_add_up_to_the_rank():
    rng = SEED.child("leverage").rng()
    h, slopes = rng.standard_normal((50, 8)), rng.uniform(-1, 1, (50, 3))
    slopes[7] = 0.0
    total = sum(leverage(h, slopes, j) for j in range(50))
    np.testing.assert_allclose(total, 8.0)
    np.testing.assert_array_equal(leverage(h, slopes, 7), 0.0)
    with pytest.raises(ValueError, match="sample"):
        leverage(h, slopes, 50)


def test_noise_leaves_directions_bare_below_full_rank():
    rng = SEED.child("rank").rng()
    h = rng.standard_normal((40, 32))
    assert bare_directions(h) == 0
    assert bare_directions(h[:8]) == 24
    assert bare_directions(np.repeat(h[:4], 20, axis=0)) == 28
    relu = np.ones((40, 2))
    relu[10:, 1] = 0.0
    assert bare_directions(h, relu) == 22
    relu[:, 1] = 0.0
    assert bare_directions(h, relu) == 32


def test_the_share_outside_the_span_falls_with_the_batch():
    rng = SEED.child("span").rng()
    for m in (8, 31):
        shares = [
            outside_span(rng.standard_normal((m, 32)), rng.standard_normal(32)) for _ in range(400)
        ]
        # The share is Beta((32 - m)/2, m/2); five standard errors of 400 draws.
        a, b = (32 - m) / 2, m / 2
        spread = math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)) / 400)
        assert abs(np.mean(shares) - (1 - m / 32)) < 5 * spread
        assert min(shares) > 0


@pytest.mark.parametrize("alpha", [1.5, 2.0, 2.9])
def test_renyi_divergence_against_quadrature(alpha):
    one, two = norm(0.3, 1.2), norm(-0.2, 1.0)
    integral = quad(
        lambda x: math.exp(alpha * one.logpdf(x) + (1 - alpha) * two.logpdf(x)), -60, 60, limit=400
    )[0]
    expected = math.log(integral) / (alpha - 1)
    means, variances = (np.array([0.3]), np.array([-0.2])), (np.array([[1.44]]), np.eye(1))
    found = renyi_gaussians(alpha, means[0], variances[0], means[1], variances[1])
    assert found == pytest.approx(expected, rel=1e-7)
    # Independent coordinates add; a turned basis changes nothing.
    turn = np.linalg.qr(SEED.child("turn").rng().standard_normal((3, 3)))[0]
    cov_1, cov_2 = turn @ np.diag([1.44] * 3) @ turn.T, np.eye(3)
    found = renyi_gaussians(alpha, turn @ np.full(3, 0.3), cov_1, turn @ np.full(3, -0.2), cov_2)
    assert found == pytest.approx(3 * expected, rel=1e-7)


def test_renyi_divergence_is_infinite_beyond_an_order_and_plain_for_equal_noise():
    mean, zero = np.array([0.3]), np.zeros(1)
    assert renyi_gaussians(3.3, mean, np.array([[1.44]]), zero, np.eye(1)) == math.inf
    assert renyi_gaussians(7.0, mean, 4 * np.eye(1), zero, 4 * np.eye(1)) == pytest.approx(
        7.0 * 0.09 / 8
    )
    with pytest.raises(ValueError, match="cov_2"):
        renyi_gaussians(2.0, mean, np.eye(1), zero, np.zeros((1, 1)))
    with pytest.raises(ValueError, match="alpha"):
        renyi_gaussians(1.0, mean, np.eye(1), zero, np.eye(1))


def test_adding_a_sample_to_an_optical_gradient_has_a_finite_order():
    rng = SEED.child("order").rng()
    h = rng.standard_normal((64, 4))
    new = np.array([2.0, 0.0, 0.0, 0.0])
    without = h.T @ h
    joined = without + np.outer(new, new)
    zero = np.zeros(4)
    low = renyi_gaussians(2.0, zero, joined, zero, without)
    assert 0 < low < 0.1
    assert renyi_gaussians(32.0, zero, joined, zero, without) == math.inf


def test_an_attack_on_labels_finds_what_the_theory_says():
    sigma, trials = 30.0, 100_000
    pairs = [(j, k) for j in range(10) for k in range(j)]
    labels = max(pairs, key=lambda pair: np.linalg.norm(B[:, pair[0]] - B[:, pair[1]]))
    found = audit(B, sigma, labels, SEED, trials)
    assert found.mu == pytest.approx(label_sensitivity(B, 0.25) / sigma)
    for rates in found.rates:
        power = norm.cdf(norm.isf(rates.alpha) - found.mu)
        assert rates.expected == pytest.approx(power)
        # Five standard errors of a binomial share.
        assert abs(rates.false_positive - rates.alpha) < 5 * math.sqrt(
            rates.alpha * (1 - rates.alpha) / trials
        )
        assert abs(rates.false_negative - power) < 5 * math.sqrt(power * (1 - power) / trials)
    assert found.epsilon == gaussian_epsilon(found.mu, 1e-5).value
    assert 0.5 * found.epsilon < found.epsilon_lower < found.epsilon
    assert 0.95 * found.epsilon < found.epsilon_lower_gaussian < found.epsilon
    assert not found.refuted


def test_an_attack_refutes_a_device_that_is_quieter_than_it_says():
    rng = SEED.child("quiet").rng()
    means = (np.zeros(64), np.full(64, 0.25))  # two stds apart at the claimed sigma of 1
    rows = [mean + 0.7 * rng.standard_normal((20_000, 64)) for mean in means]
    assert audit_rows(rows[0], rows[1], means, sigma=1.0).refuted
    assert not audit_rows(rows[0], rows[1], means, sigma=0.7).refuted
    with pytest.raises(ValueError, match="means that differ"):
        audit_rows(rows[0], rows[1], (means[0], means[0]), sigma=1.0)
    with pytest.raises(ValueError, match="two classes"):
        audit(B, 1.0, (3, 3), SEED)
