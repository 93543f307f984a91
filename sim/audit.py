"""An attack on the label behind noisy projections, to see that a claimed epsilon holds and is near.

Two errors that differ in the label alone are projected many times; the likelihood ratio, the
best test there is, guesses which it was. Its error rates bound epsilon from below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devices.arrays import Array
from ..devices.seeds import Seed
from .accounting import gaussian_epsilon

ALPHAS = (0.01, 0.05, 0.2)

_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Rates:
    """Error rates of the test at one threshold."""

    alpha: float
    """The false positive rate that the threshold was set for."""
    false_positive: float
    false_negative: float
    expected: float
    """False negatives under the claimed noise: Phi(Phi^-1(1 - alpha) - mu)."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an attack found, beside what was claimed."""

    mu: float
    """Distance of the two means in stds of the claimed noise."""
    rates: tuple[Rates, ...]
    delta: float
    epsilon: float
    """Claimed: of a Gaussian mechanism of mu, at delta."""
    epsilon_lower: float
    """Shown by the attack at the stated confidence, whatever the noise is distributed like."""
    epsilon_lower_gaussian: float
    """The same where the noise may be taken to be Gaussian: much nearer to the truth."""
    confidence: float

    @property
    def refuted(self) -> bool:
        """Whether the attack did better than the claim allows."""
        return max(self.epsilon_lower, self.epsilon_lower_gaussian) > self.epsilon


def audit(
    feedback: Array,
    sigma: float,
    labels: tuple[int, int],
    seed: Seed,
    trials: int = 200_000,
    delta: float = 1e-5,
    confidence: float = 0.99,
) -> Audit:
    """Attack simulated releases B t + N(0, sigma^2) of the ternary code that moves most.

    B (n, classes). At p = (1/2, 1/2) a threshold below 1/2 gives -1 at the label and +1 at the
    other class, so the two labels give t and -t: the means lie 2 ||b_j - b_k|| apart.
    """
    b = np.asarray(feedback, dtype=np.float64)
    one, other = labels
    if b.ndim != 2 or not (0 <= one < b.shape[1] and 0 <= other < b.shape[1]) or one == other:
        raise ValueError(f"labels takes two classes of a matrix {b.shape}, got {labels}")
    if trials < 1:
        raise ValueError(f"trials takes 1 or more, got {trials}")
    mean = b[:, other] - b[:, one]
    scores = []
    for name, sign in (("one", 1.0), ("other", -1.0)):
        stream, blocks = seed.child("audit").child(name), []
        for k, start in enumerate(range(0, trials, _BLOCK)):
            rows = stream.rng(k).standard_normal(
                (min(_BLOCK, trials - start), len(b)), dtype=np.float32
            )
            rows *= np.float32(sigma)
            rows += (sign * mean).astype(np.float32)
            blocks.append(_score(rows, mean, -mean, sigma))
        scores.append(np.concatenate(blocks))
    return _judge(scores[0], scores[1], _mu(mean, -mean, sigma), delta, confidence)


def audit_rows(
    one: Array,
    other: Array,
    means: tuple[Array, Array],
    sigma: float,
    delta: float = 1e-5,
    confidence: float = 0.99,
) -> Audit:
    """Attack what a device has measured: rows (trials, n) of one error, and of the other.

    `means` are the two noiseless projections (n,), `sigma` the std that is claimed, which is
    `noise_std()` of the device.
    """
    first, second = (np.asarray(mean, dtype=np.float64) for mean in means)
    mu = _mu(first, second, sigma)
    null, alternative = (_score(np.asarray(r), first, second, sigma) for r in (one, other))
    return _judge(null, alternative, mu, delta, confidence)


def _mu(first: Array, second: Array, sigma: float) -> float:
    distance = float(np.linalg.norm(second - first))
    if not sigma > 0 or distance == 0:
        raise ValueError(
            f"an audit takes sigma > 0 and means that differ, got {sigma} and {distance} apart"
        )
    return distance / sigma


def _score(rows: Array, first: Array, second: Array, sigma: float) -> Array:
    """Return the log likelihood ratio, shifted and scaled to N(0, 1) under `first` (trials,)."""
    way = (second - first) / np.linalg.norm(second - first)
    score: Array = (rows @ way - first @ way) / sigma
    return score


def _judge(null: Array, other: Array, mu: float, delta: float, confidence: float) -> Audit:
    """Return the audit of scores under either error.

    Thresholds are set before the scores are seen; all the Clopper-Pearson bounds hold together
    at `confidence` by Bonferroni's inequality.
    """
    from scipy.stats import beta, norm

    rates = []
    for alpha in ALPHAS:
        threshold = norm.isf(alpha)
        rates.append(
            Rates(
                alpha,
                float((null > threshold).mean()),
                float((other <= threshold).mean()),
                float(norm.cdf(threshold - mu)),
            )
        )

    thresholds = np.linspace(-3.5, mu + 3.5, 25)
    miss = (1.0 - confidence) / (4 * len(thresholds))

    def bounds(scores: Array) -> tuple[Array, Array]:
        """Return lower and upper bounds on the chance to score above each threshold."""
        above = len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")
        below = len(scores) - above
        low = np.where(above == 0, 0.0, beta.ppf(miss, np.maximum(above, 1), below + 1))
        high = np.where(below == 0, 1.0, beta.isf(miss, above + 1, np.maximum(below, 1)))
        return low, high

    null_high, low = bounds(null)[1], bounds(other)[0]
    ratios = np.concatenate([(low - delta) / null_high, (1 - null_high - delta) / (1 - low)])
    with np.errstate(divide="ignore"):
        gained = float(np.log(np.maximum(ratios, 1.0)).max())
    shown = float((norm.ppf(low) - norm.ppf(null_high)).max())
    gaussian = gaussian_epsilon(max(0.0, shown), delta).value
    claimed = gaussian_epsilon(mu, delta).value
    return Audit(mu, tuple(rates), delta, claimed, gained, gaussian, confidence)
