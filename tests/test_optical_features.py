"""OpticalFeatures: scikit-learn's own checks, the optical kernel, the gain, and what it buys."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from hwloop.devices.encoders import BitPlanes, Threshold
from hwloop.devices.optical_features import OpticalFeatures, optical_kernel

Floats = npt.NDArray[Any]


@parametrize_with_checks(
    [OpticalFeatures(n_components=40), OpticalFeatures(n_components=40, thresholds=3)]
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@functools.cache
def masks(rows: int = 30, n: int = 24) -> Floats:
    drawn: Floats = (np.random.default_rng(0).random((rows, n)) < 0.5).astype(float)
    return drawn


def features(n: int, **settings: Any) -> OpticalFeatures:
    return OpticalFeatures(n, encoder=Threshold(0.5), random_state=1, **settings)


def test_features_approach_the_optical_kernel() -> None:
    n, x = 60_000, masks()
    map_ = features(n).fit(x)
    light = (map_.transform(x) - map_.opu_.black_level_counts) / map_.calibrate_gain(x)
    kernel = optical_kernel(x, x)
    off = ~np.eye(len(x), dtype=bool)  # the noise adds to the diagonal
    # A product of two intensities has a std of at most sqrt(24) |x|^2 |y|^2 (x = y).
    power = np.outer((x * x).sum(1), (x * x).sum(1))
    bound = 5 * np.sqrt(24 / n) * power + 2 * 5 / np.sqrt(n) * kernel
    error = abs(light @ light.T / n - kernel)
    assert (error < bound)[off].all()
    assert (error / kernel)[off].max() < 0.1


def test_gain_is_found_from_data() -> None:
    x = masks()
    for seed in range(5):
        map_ = OpticalFeatures(4000, encoder=Threshold(0.5), random_state=seed).fit(x)
        # Rows of one mask each are exponential; different masks only average further.
        assert map_.calibrate_gain(x) == pytest.approx(
            map_.opu_.intensity_gain(), rel=5 / np.sqrt(4000)
        )
    with pytest.raises(ValueError, match="switch mirrors on"):
        map_.calibrate_gain(0 * x)


def test_rows_are_functions_of_themselves_and_of_the_seed() -> None:
    x = masks()
    map_ = features(500).fit(x)
    seen = map_.transform(x)
    np.testing.assert_array_equal(map_.transform(x), seen)
    np.testing.assert_array_equal(clone(map_).fit_transform(x), seen)
    assert (clone(map_).set_params(random_state=2).fit_transform(x) != seen).mean() > 0.5
    alone = np.concatenate([map_.transform(row[None]) for row in x])
    assert (alone != seen).mean() < 1e-3
    assert seen.dtype == np.float32
    assert map_.opu_.ledger.samples("free") == 3 * len(x)


def test_noise_is_that_of_the_camera_and_differs_between_rows() -> None:
    x = np.tile(masks()[:1], (2, 1))
    x[1, 0] = 1 - x[1, 0]
    loud, quiet = features(5000).fit(x), features(5000, noise=0.0).fit(x)
    noise = loud.transform(x) - quiet.transform(x)
    assert 0.4 < noise.std() < 1.2
    assert abs(np.corrcoef(noise)[0, 1]) < 5 / np.sqrt(5000)


def test_default_thresholds_part_every_feature_that_varies() -> None:
    x = np.array([[0.0, 5.0, -1.0], [0.0, 5.0, 1.0], [0.0, 5.0, 1.0], [1.0, 5.0, 1.0]])
    bits = OpticalFeatures(5).fit(x).encoder_.encode(x)
    np.testing.assert_array_equal(bits, [[0, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]])
    assert OpticalFeatures(5, thresholds=4).fit(x).opu_.n_in == 12
    with pytest.raises(ValueError, match="thresholds takes a whole number from 1, got 0"):
        OpticalFeatures(5, thresholds=0).fit(x)


def test_an_encoder_of_ones_own_and_what_it_refuses() -> None:
    x = np.array([[3.0, 0.0], [7.0, 1.0]])
    map_ = OpticalFeatures(5, encoder=BitPlanes(3)).fit(x)
    assert map_.opu_.n_in == 6
    with pytest.raises(ValueError, match="whole numbers from 0 to 7"):
        map_.transform(x + 0.5)


def test_optical_features_beat_the_same_pixels_read_linearly() -> None:
    x, y = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.4, random_state=0)
    bits = Threshold(7.5)
    linear = RidgeClassifier(alpha=1.0).fit(bits.encode(train_x), train_y)
    optical = make_pipeline(
        OpticalFeatures(3000, encoder=bits, random_state=0), RidgeClassifier(alpha=1e4)
    ).fit(train_x, train_y)
    baseline = linear.score(bits.encode(test_x), test_y)
    assert optical.score(test_x, test_y) > baseline + 0.08
