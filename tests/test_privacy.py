"""Epsilon of composed steps against published constants, and the statements of a run."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.devices.release import Release
from hwloop.sim.accounting import (
    Sampled,
    calibrate,
    composed_epsilon,
    gaussian_epsilon,
    joint_multiplier,
)
from hwloop.sim.privacy import odds, statements

RATE = 256 / 60_000
DELTA = 1e-5


@pytest.mark.parametrize(
    ("mu", "epsilon"), [(0.5, 1.9930914044), (1.0, 4.3771780957), (2.0, 9.9972561464)]
)
def test_one_gaussian_mechanism_is_analytic(mu, epsilon):
    found = gaussian_epsilon(mu, DELTA)
    assert found.value == pytest.approx(epsilon, abs=2e-10)
    assert found.method == "analytic"


@pytest.mark.parametrize(
    ("multiplier", "pld", "rdp"), [(1.0, 1.353, 1.561), (1.1, 1.1354, 1.2827), (1.3, 0.866, 0.956)]
)
def test_poisson_steps(multiplier, pld, rdp):
    steps = [Sampled(multiplier, RATE, 3525)]
    assert composed_epsilon(steps, DELTA) == (pytest.approx(pld, abs=5e-4), "PLD")
    assert composed_epsilon(steps, DELTA, method="rdp") == (pytest.approx(rdp, abs=5e-4), "RDP")


def test_renyi_of_the_sampled_gaussian_is_the_binomial_sum():
    z, orders = 1.1, range(2, 65)
    best = math.inf
    for a in orders:
        terms = [
            math.lgamma(a + 1) - math.lgamma(k + 1) - math.lgamma(a - k + 1)
            + (a - k) * math.log1p(-RATE) + k * math.log(RATE) + (k * k - k) / (2 * z * z)
            for k in range(a + 1)
        ]  # fmt: skip
        spent = 3525 * np.logaddexp.reduce(terms) / (a - 1)
        best = min(best, spent + math.log1p(-1 / a) - math.log(DELTA * a) / (a - 1))
    assert best == pytest.approx(1.2827016775844, abs=1e-10)
    found = composed_epsilon([Sampled(z, RATE, 3525)], DELTA, method="rdp").value
    assert found == pytest.approx(best, abs=1e-9)


def test_layers_share_the_batch():
    joint = joint_multiplier([1.0, 1.0, 1.0])
    assert joint == pytest.approx(3**-0.5)
    shared = composed_epsilon([Sampled(joint, RATE, 3516)], DELTA)
    assert shared == (pytest.approx(6.575, abs=1e-3), "PLD")
    as_if_apart = composed_epsilon([Sampled(1.0, RATE, 3 * 3516)], DELTA)
    assert as_if_apart.value == pytest.approx(2.414, abs=1e-3)  # what must not be claimed
    layers = (("a", 1.0), ("b", 1.0), ("c", 1.0))
    in_one = Release("sample", layers, "poisson", RATE)
    apart = tuple(Release("sample", (layer,), "poisson", RATE) for layer in layers)
    for together in ((in_one,), apart):
        assert statements({together: 3516})[0].epsilon == shared.value


def test_equal_split_over_three_layers():
    for z in (1.0, 1.1, 1.3):
        assert joint_multiplier([3**0.5 * z] * 3) == pytest.approx(z)


def test_shuffled_passes_are_not_amplified():
    release = Release("sample", (("w", 2.0),), "shuffle", 1 / 235)
    [full] = statements({(release,): 15 * 235})
    assert (full.epsilon, full.method) == (pytest.approx(9.61, abs=5e-3), "analytic")
    assert full.epsilon == gaussian_epsilon(15**0.5 / 2.0, DELTA).value
    [begun] = statements({(release,): 14 * 235 + 1})
    assert begun.epsilon == full.epsilon


def test_shuffled_steps_of_differing_noise_count_the_least_noised_first():
    loud, quiet = (Release("sample", (("w", z),), "shuffle", 0.1) for z in (4.0, 1.0))
    [mixed] = statements({(loud,): 17, (quiet,): 3})
    assert mixed.epsilon == gaussian_epsilon(1.0 * 2**0.5, DELTA).value
    [mixed] = statements({(loud,): 29, (quiet,): 1})
    assert mixed.epsilon == pytest.approx(gaussian_epsilon((1 + 2 / 16) ** 0.5, DELTA).value)


def test_groups_of_steps_compose():
    whole = composed_epsilon([Sampled(1.1, RATE, 300)], DELTA)
    halves = composed_epsilon([Sampled(1.1, RATE, 150)] * 2, DELTA)
    assert halves.value == pytest.approx(whole.value, rel=1e-3)
    more = composed_epsilon([Sampled(1.1, RATE, 300), Sampled(2.0, 2 * RATE, 50)], DELTA)
    assert more.value > whole.value
    with_gaussian = composed_epsilon([Sampled(1.1, RATE, 300)], DELTA, mu=0.5)
    assert with_gaussian.value > gaussian_epsilon(0.5, DELTA).value


def test_no_noise_is_no_promise_and_none_is_needed_for_nothing():
    assert composed_epsilon([Sampled(0.0, RATE, 1)], DELTA).value == math.inf
    assert composed_epsilon([Sampled(0.0, RATE, 0)], DELTA).value == 0.0
    assert composed_epsilon([Sampled(math.inf, RATE, 9)], DELTA).value == 0.0
    assert gaussian_epsilon(math.inf, DELTA).value == math.inf
    release = Release("sample", (("w", 2.0), ("output", 0.0)), "poisson", RATE)
    [said] = statements({(release,): 100})
    assert said.epsilon == math.inf
    assert "output carries no noise that counts" in said.explanation


@settings(deadline=None, max_examples=60)
@given(st.floats(-9, 12), st.floats(-12, -1))
def test_every_mu_has_an_epsilon_below_the_bound_of_zcdp(log_mu, log_delta):
    mu, delta = 10.0**log_mu, 10.0**log_delta
    bound = 0.5 * mu * mu + mu * math.sqrt(2 * math.log(1 / delta))
    assert 0 <= gaussian_epsilon(mu, delta).value <= bound * (1 + 1e-9)


def test_hopeless_runs_are_bounded_fast_and_say_how():
    found = composed_epsilon([Sampled(0.05, RATE, 1000)], DELTA)
    assert found.method == "RDP"
    assert 1e3 < found.value < gaussian_epsilon(1000**0.5 / 0.05, DELTA).value


def test_optical_noise_alone_buys_nothing_and_the_report_says_so():
    release = Release("label", (("feedback", 6.4e-4), ("output", 0.0)), "shuffle", 1 / 469)
    alone, whole, samples = statements({(release,): 15 * 469})
    assert alone.covers == ("feedback",)
    assert alone.epsilon == pytest.approx(2e7, rel=0.1)
    assert "the noise of the device buys nothing: epsilon = 1.8e+07" in alone.explanation
    assert whole.epsilon == samples.epsilon == math.inf
    assert "output layer's gradient never passes" in whole.explanation
    assert samples.adjacency == "sample"
    assert "sticks out of their span" in samples.explanation


@pytest.mark.parametrize(
    ("sigma", "epsilon"), [(1.0, 1.4e5), (10.0, 1550.0), (100.0, 34.6), (400.0, 5.89)]
)
def test_label_privacy_of_fifteen_epochs(sigma, epsilon):
    """Two layers of 1024, sensitivity 133.2 in units of the entries of B."""
    noise = (("feedback", sigma / 133.2), ("output", math.inf))
    whole, _ = statements({(Release("label", noise, "shuffle", 1 / 235),): 15 * 235})
    assert whole.epsilon == pytest.approx(epsilon, rel=0.05)


def test_poisson_batches_do_not_amplify_label_privacy():
    noise = (("feedback", 3.0), ("output", math.inf))
    whole, _ = statements({(Release("label", noise, "poisson", RATE),): 3516})
    assert whole.epsilon > gaussian_epsilon(15**0.5 / 3.0, DELTA).value
    assert whole.epsilon < gaussian_epsilon(45**0.5 / 3.0, DELTA).value


def test_one_bare_step_voids_the_rest():
    release = Release("sample", (("w", 2.0),), "poisson", RATE)
    [said] = statements({(release,): 100, (): 3})
    assert said.epsilon == math.inf
    assert "3 training steps" in said.explanation
    label = Release("label", (("w", 2.0),), "poisson", RATE)
    [said] = statements({(release,): 100, (label,): 3})
    assert said.epsilon == math.inf
    assert statements({}) == []
    with pytest.raises(ValueError, match="releases of one step"):
        statements({(release, label): 1})


def test_a_sentence_gives_odds():
    release = Release("sample", (("w", 1.1),), "poisson", RATE)
    [said] = statements({(release,): 3525})
    assert "at most 75.7 % of the time (epsilon = 1.14)" in said.explanation
    assert odds(0.0, 0.0) == 0.5
    assert odds(math.log(3), 0.0) == pytest.approx(0.75)
    assert odds(1e9, DELTA) == 1.0


@pytest.mark.parametrize(("epsilon", "layers", "method"), [(0.5, 3, "pld"), (3.0, 2, "rdp")])
def test_calibrate_keeps_epsilon_and_wastes_little(epsilon, layers, method):
    each = calibrate(epsilon, DELTA, RATE, 300, layers, method)
    joint = joint_multiplier([each] * layers)

    def spent(z):
        return composed_epsilon([Sampled(z, RATE, 300)], DELTA, method=method).value

    assert spent(joint) <= epsilon * (1 + 1e-9)
    assert spent(joint * 0.998) > epsilon


def test_calibrate_without_sampling_is_the_analytic_gaussian():
    z = calibrate(4.3771780957, DELTA, 1.0, 4)
    assert z == pytest.approx(2.0, rel=1e-3)


def test_a_release_goes_through_json_and_refuses_nonsense():
    release = Release("label", (("feedback", 0.1), ("output", 0.0)), "shuffle", 0.25, "note")
    data = json.loads(json.dumps(dataclasses.asdict(release)))
    again = Release(**{**data, "noise": tuple(map(tuple, data["noise"]))})
    assert again == release
    assert hash(again) == hash(release)
    for wrong in (
        {"protects": "nobody"},
        {"sampling": "sorted"},
        {"rate": 0.0},
        {"noise": ()},
        {"noise": (("a", -1.0),)},
        {"noise": (("a", math.nan),)},
    ):
        with pytest.raises(ValueError, match="Release"):
            dataclasses.replace(release, **wrong)
    with pytest.raises(ValueError, match="delta"):
        gaussian_epsilon(1.0, 0.0)
    with pytest.raises(ValueError, match="method"):
        composed_epsilon([], DELTA, method="prv")
