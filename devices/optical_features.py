"""Random features from an optical processor as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .encoders import Bits, Encoder, Thresholds
from .medium_base import Floats
from .opu import OPU
from .seeds import Seed


class OpticalFeatures(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """What the camera of an OPU counts of each row: n_components random quadratic features.

    A row is encoded into a binary mask x, light through the medium makes |R x|^2 of it, and the
    camera adds noise, its black level, and rounds to whole counts from 0 to 255. Above the black
    level and divided by the gain (`calibrate_gain`), the mean product of the features of two
    masks approaches `optical_kernel`.

    `transform` is a function of each row alone: the camera's noise follows from the mask (see
    `OPU.intensities`), so the same row gives the same counts in whatever batch and order, as
    if its first frame had been kept. Two different rows have independent noise. One thing is left
    to the batch: a matrix product rounds its last bit otherwise in batches of another size, which
    moves a reading that lies on the edge between two counts, about one in a million.

    Parameters
    ----------
    n_components : how many pixels are read.
    thresholds : how many bits a feature gets where `encoder` is None: each says whether the
        number is above a quantile of the distinct values that the feature took in `fit`.
    encoder : anything with `encode(x)`, (batch, n) to 0 and 1 of (batch, n_bits); see `encoders`.
    exposure_counts, noise, technology, medium : those of `OPU`.
    random_state : None, a number or a numpy RandomState; stands for one OPU and its noise.

    Attributes
    ----------
    opu_ : the device, whose ledger counts the frames shown.
    encoder_ : the encoder in use.
    n_features_in_ : how many features `fit` saw.

    """

    def __init__(
        self,
        n_components: int = 1000,
        *,
        thresholds: int = 1,
        encoder: Encoder | None = None,
        exposure_counts: float | None = None,
        noise: float = 1.0,
        technology: str = "opu_gen3",
        medium: Literal["auto", "dense", "lazy", "stream", "structured"] = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.thresholds = thresholds
        self.encoder = encoder
        self.exposure_counts = exposure_counts
        self.noise = noise
        self.technology = technology
        self.medium = medium
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> OpticalFeatures:
        """Learn the thresholds from X (samples, n) and set up the device.

        Raises ValueError for inputs that are not finite, and for settings that no OPU has.
        """
        x = validate_data(self, X, dtype=(np.float64, np.float32))
        self.encoder_ = self._learn(x) if self.encoder is None else self.encoder
        entropy = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.opu_ = OPU(
            n_out=self.n_components,
            n_in=self.encoder_.encode(x[:1]).shape[1],
            name="optical_features",
            seed=Seed(entropy),
            technology=self.technology,
            exposure_counts=self.exposure_counts,
            noise=self.noise,
            medium=self.medium,
        )
        self._n_features_out = self.n_components
        return self

    def _learn(self, x: npt.NDArray[Any]) -> Thresholds:
        k = self.thresholds
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"thresholds takes a whole number from 1, got {k!r}")
        at = np.arange(1, k + 1) / (k + 1)
        return Thresholds(np.array([np.quantile(np.unique(column), at) for column in x.T]))

    def _masks(self, X: Any) -> Bits:
        check_is_fitted(self)
        x = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self.encoder_.encode(x)

    def transform(self, X: Any) -> Floats:
        """Return the counts (samples, n_components), float32, of X (samples, n)."""
        return self.opu_.intensities(self._masks(X), frozen=True)

    def calibrate_gain(self, X: Any) -> float:
        """Return an estimate of the counts above the black level that |R x|^2 = 1 gives.

        It is the mean reading of X (samples, n) over the mean number of mirrors that are on, as
        E |R x|^2 = |x|^2: what the user of a real OPU does, whose exposure sets a gain that
        nobody knows. Its relative error is about 1 / sqrt(n_components). Raises ValueError where
        no mirror is on.
        """
        masks = self._masks(X)
        on = float(masks.sum(1).mean())
        if on == 0:
            raise ValueError("calibrate_gain takes rows that switch mirrors on, got none")
        light = self.opu_.intensities(masks, frozen=True).mean() - self.opu_.black_level_counts
        return float(light) / on

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the output is float32, whatever goes in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def optical_kernel(x: Any, y: Any) -> npt.NDArray[np.float64]:
    """Return |x|^2 |y|^2 + (x . y)^2 of rows x (a, n) and y (b, n), as (a, b).

    E |r . x|^2 |r . y|^2 for a row r of independent circular complex Gaussians of variance 1 (Saade
    et al., ICASSP 2016).
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    kernel: npt.NDArray[np.float64] = np.outer((x * x).sum(1), (y * y).sum(1)) + (x @ y.T) ** 2
    return kernel
