"""Sensitivities against brute force; and that clipping bounds every sample whatever the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.algorithms.private import (
    SOFTMAX_CLIP,
    Part,
    Private,
    clip_rows,
    noisy_sums,
    poisson_batch,
)
from hwloop.algorithms.sensitivity import label_release, label_sensitivity, sample_sensitivity
from hwloop.algorithms.ternary import ternarise
from hwloop.devices.seeds import Seed

SEED = Seed(2106).child("test")


def softmaxes(classes, dtype):
    """Return many softmax rows: spread, peaked, saturated in float32, and with ties."""
    rng = SEED.child("softmax").rng(classes)
    logits = [
        rng.standard_normal((4000, classes)) * 10.0 ** rng.uniform(-1, 1.5, (4000, 1)),
        rng.integers(0, 3, (2000, classes)) * rng.uniform(0, 12, (2000, 1)),
        np.where(np.arange(classes) == 0, rng.uniform(0, 30, (2000, 1)), 0.0),
        np.log(rng.dirichlet(np.full(classes, 0.7), 4000) + 1e-12),
    ]
    x = np.concatenate(logits).astype(dtype)
    e = np.exp(x - x.max(1, keepdims=True))
    return np.concatenate([e / e.sum(1, keepdims=True), np.eye(classes, dtype=dtype)[:1] * 1])


def errors(p, label):
    e = p.copy()
    e[:, label] -= 1
    return e


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 5, 10])
@pytest.mark.parametrize(
    ("threshold", "relative"),
    [(0.0, False), (0.1, False), (0.25, False), (0.5, False), (0.7, False),
     (0.0, True), (0.1, True), (0.25, True), (0.5, True), (0.9, True)],
)  # fmt: skip
def test_no_softmax_exceeds_the_label_sensitivity(dtype, classes, threshold, relative):
    b = SEED.child("b").rng(classes).standard_normal((6, classes))
    p = softmaxes(classes, dtype)
    codes = [ternarise(errors(p, y), threshold, relative)[0] for y in (0, 1)]
    moved = np.linalg.norm((codes[0] - codes[1]).astype(np.float64) @ b.T, axis=1).max()
    assert moved <= label_sensitivity(b, threshold, relative) * (1 + 1e-9)


def test_the_label_sensitivity_is_reached():
    for classes, threshold, relative in ((4, 0.1, False), (4, 0.5, False), (3, 0.2, True)):
        b = SEED.child("reach").rng(classes).standard_normal((5, classes))
        p = softmaxes(classes, np.float32)
        codes = [ternarise(errors(p, y), threshold, relative)[0] for y in range(classes)]
        moved = max(
            np.linalg.norm((one - other) @ b.T, axis=1).max() for one in codes for other in codes
        )
        assert moved == pytest.approx(label_sensitivity(b, threshold, relative), rel=1e-6)


def test_relative_thresholds_move_other_classes_and_only_one_way():
    p = softmaxes(6, np.float32)
    d = np.subtract(*(ternarise(errors(p, y), 0.3, True)[0] for y in (0, 1)))
    signs = np.where(p[:, :1] >= p[:, 1:2], 1, -1) * d
    assert set(np.unique(signs[:, 2:])) == {0, 1}
    assert (d[:, 2:].sum(1) != 0).any()
    assert set(np.unique(abs(d[:, :2]))) == {1, 2}


@pytest.mark.parametrize(("n", "known"), [(512, 67.5), (1024, 93.9), (2048, 133.5)])
def test_sensitivity_of_gaussian_feedback_is_about_two_root_two_n(n, known):
    b = SEED.child("gauss").rng(n).standard_normal((n, 10))
    gaps = [np.linalg.norm(b[:, j] - b[:, k]) for j in range(10) for k in range(j)]
    assert label_sensitivity(b, 0.25) == pytest.approx(2 * max(gaps))
    assert label_sensitivity(b, 0.5) == label_sensitivity(b) == pytest.approx(max(gaps))
    # The largest of 45 gaps, each sqrt(2 n) +- 1/sqrt(2), lies 1 to 4 of these above the mean.
    assert 2 * (math.sqrt(2 * n)) < label_sensitivity(b, 0.25) < 2 * (math.sqrt(2 * n) + 4)
    assert label_sensitivity(b, 0.25) == pytest.approx(known, abs=4)


@pytest.mark.parametrize(
    ("n", "known", "bound"), [(512, 74.0, 80.4), (1024, 103.7, 107.3), (2048, 144.9, 152.1)]
)
def test_sensitivity_of_adding_a_sample(n, known, bound):
    b = SEED.child("gauss").rng(n).standard_normal((n, 10))
    operator = np.linalg.norm(b, 2) * math.sqrt(10)
    exact = sample_sensitivity(b)
    assert exact == pytest.approx(known, rel=0.04)
    assert operator == pytest.approx(bound, rel=0.04)
    assert exact < operator
    p = softmaxes(10, np.float32)
    reached = ternarise(errors(p, 0), 0.1, False)[0] @ b.T
    assert np.linalg.norm(reached, axis=1).max() <= exact
    assert sample_sensitivity(b, ternary=False) == label_sensitivity(b)
    wide = SEED.child("wide").rng(0).standard_normal((64, 20))
    assert sample_sensitivity(wide) == pytest.approx(np.linalg.norm(wide, 2) * math.sqrt(20))
    assert label_sensitivity(wide, 0.3, True) > label_sensitivity(wide, 0.3)


def test_a_release_of_labels_counts_the_floor_and_refuses_what_gives_labels_away():
    b = SEED.child("release").rng().standard_normal((64, 10))
    feedback = {"feedback": (b, 30.0)}
    release = label_release(feedback, "shuffle", 0.01, threshold=0.25)
    assert release.noise[0] == ("feedback", 30.0 / label_sensitivity(b, 0.25))
    assert release.noise[1] == ("output", 0.0)
    rescaled = label_release(feedback, "shuffle", 0.01, 0.25, relative=True, rescaled=True)
    assert rescaled.noise[0] == ("feedback", 0.0)
    assert "rescaled" in rescaled.note
    silent = label_release({"feedback": (b, None)}, "shuffle", 0.01, 0.25)
    assert silent.noise[0] == ("feedback", 0.0)
    for wrong in ({"threshold": 1.0}, {"relative": True}):
        with pytest.raises(ValueError, match="threshold"):
            label_release(feedback, "shuffle", 0.01, **wrong)
    with pytest.raises(ValueError, match="feedback takes a real matrix"):
        label_sensitivity(b * 1j)


def test_the_digital_rescale_betrays_a_label_without_noise():
    p = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    factors = [float(ternarise(errors(p, y), 0.25, True)[1][0, 0]) for y in (0, 1)]
    assert factors == [0.0, 1.0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32), st.floats(-3, 3), st.floats(1e-3, 1e3), st.floats(0.1, 10.0),
    st.integers(1, 3),
)  # fmt: skip
def test_no_realisation_gets_a_sample_past_its_bound(entropy, log_size, clip_u, clip_h, patches):
    rng = Seed(entropy).rng()
    noise = rng.standard_cauchy((8 * patches, 5)) * 10.0**log_size
    u, h = noise.astype(np.float32), rng.standard_normal((8 * patches, 7)).astype(np.float32)
    u[0, 0], h[1, 2], u[2] = np.nan, np.inf, 0.0
    a = clip_rows(u, clip_u, patches).astype(np.float64).reshape(8, patches, 5)
    b = clip_rows(h, clip_h, patches).astype(np.float64).reshape(8, patches, 7)
    each = np.einsum("spi,spj->sij", a, b)
    assert np.isfinite(each).all()
    assert np.linalg.norm(each, axis=(1, 2)).max() <= clip_u * clip_h


def test_rows_within_the_bound_stay_as_they_are():
    x = SEED.child("rows").rng().standard_normal((20, 3), dtype=np.float32)
    bound = float(np.median(np.linalg.norm(x, axis=1)))
    clipped = clip_rows(x, bound)
    inside = np.linalg.norm(x.astype(np.float64), axis=1) <= bound
    assert (clipped[inside] == x[inside]).all()
    np.testing.assert_allclose(np.linalg.norm(clipped[~inside], axis=1), bound, rtol=1e-5)


def test_softmax_errors_are_never_clipped():
    p = softmaxes(10, np.float64)
    for y in (0, 3):
        e = errors(p, y)
        np.testing.assert_array_equal(clip_rows(e, SOFTMAX_CLIP * (1 + 1e-9)), e)


def test_noise_is_as_strong_as_stated_and_depends_on_names():
    rng = SEED.child("sums").rng()
    u, h = (rng.standard_normal((9, n)).astype(np.float32) for n in (300, 200))
    part = Part("weight/1", u, h, 0.5, 3.0, 1.7)
    bare = noisy_sums([part._replace(noise_multiplier=0.0)], SEED.at(4))["weight/1"]
    np.testing.assert_allclose(bare, clip_rows(u, 0.5).T @ clip_rows(h, 3.0), rtol=1e-5, atol=1e-6)
    noise = noisy_sums([part], SEED.at(4))["weight/1"] - bare
    std, n = 1.7 * 0.5 * 3.0, noise.size
    # Five standard errors, of the mean and of the variance of n Gaussian draws.
    assert abs(noise.mean()) < 5 * std / math.sqrt(n)
    assert abs((noise**2).mean() / std**2 - 1) < 5 * math.sqrt(2 / n)
    other = part._replace(name="weight/2")
    both = noisy_sums([other, part], SEED.at(4))
    np.testing.assert_array_equal(both["weight/1"], noise + bare)
    correlation = float(((both["weight/2"] - bare) * noise).mean()) / std**2
    assert abs(correlation) < 5 / math.sqrt(n)
    later = noisy_sums([part], SEED.at(5))["weight/1"]
    assert (later != both["weight/1"]).mean() > 0.99
    assert bare.dtype == np.float32


def test_torch_gives_what_numpy_gives_and_an_empty_batch_is_noise():
    torch = pytest.importorskip("torch")
    rng = SEED.child("torch").rng()
    u, h = (rng.standard_normal((6, n)).astype(np.float32) for n in (4, 3))
    u[0, 0] = np.nan
    for rows in (6, 0):
        given_numpy = Part("w", u[:rows], h[:rows], 0.5, 1.0, 1.0)
        given_torch = given_numpy._replace(
            u=torch.from_numpy(u[:rows]), h=torch.from_numpy(h[:rows])
        )
        expected = noisy_sums([given_numpy], SEED.at(0))["w"]
        found = noisy_sums([given_torch], SEED.at(0))["w"]
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
        assert abs(expected).min() > 0
    weight, bias = Private(1.0).sums("w", given_torch.u, given_torch.h, SEED.at(0))
    assert isinstance(weight, torch.Tensor)
    assert (tuple(weight.shape), tuple(bias.shape)) == ((4, 3), (4,))


def test_poisson_batches_and_what_they_release():
    sizes = [len(poisson_batch(60_000, 256 / 60_000, SEED.rng(k))) for k in range(200)]
    # Five standard errors of the mean and of the variance of 200 near-Poisson counts.
    assert abs(np.mean(sizes) - 256) < 5 * math.sqrt(256 / 200)
    assert abs(np.var(sizes) / 256 - 1) < 5 * math.sqrt(2 / 200)
    part = Part("w", np.ones((2, 2)), np.ones((2, 2)), 1.0, 1.0, 1.5)
    for wrong, words in (
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"clip_u": 0.0}, "bound"),
    ):
        with pytest.raises(ValueError, match=words):
            noisy_sums([part._replace(**wrong)], SEED.at(0))
    with pytest.raises(ValueError, match="rows"):
        noisy_sums([part._replace(h=np.ones((3, 2)))], SEED.at(0))


def test_a_private_layer_has_a_bias_and_says_what_it_lets_out():
    private = Private(1.5, clip_error=0.5, clip_input=2.0)
    rng = SEED.child("layer").rng()
    u, h = (rng.standard_normal((7, n)).astype(np.float32) for n in (4, 3))
    for last, clip in ((False, 0.5), (True, SOFTMAX_CLIP)):
        weight, bias = private.sums("weight/1", u, h, SEED.at(1), last)
        joined = np.concatenate([h, np.ones((7, 1), np.float32)], 1)
        expected = noisy_sums([Part("weight/1", u, joined, clip, 2.0, 1.5)], SEED.at(1))
        np.testing.assert_array_equal(np.column_stack([weight, bias]), expected["weight/1"])
        assert (weight.shape, bias.shape) == ((4, 3), (4,))
    release = private.release(["weight/1", "weight/2"], 0.01)
    assert release.noise == (("weight/1", 1.5), ("weight/2", 1.5))
    assert (release.protects, release.sampling) == ("sample", "poisson")
    with pytest.raises(ValueError, match="clip_input"):
        Private(1.0, clip_input=0.0)
