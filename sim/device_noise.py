"""What the noise of a device hides in an aggregated gradient: three results, exact per instance.

A hidden layer's gradient is G = sum_j (B t_j + noise) * slope_j outer h_j over a batch of m. Its
row k has the covariance sigma^2 M_k^T M_k with M_k = diag(slopes of unit k) H, so the noise of
the device lies in the span of the batch's own inputs. These depend on the data at hand and are
for analysis; they are no promise about other data.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..devices.arrays import Array


def leverage(h: Array, slopes: Array, sample: int) -> Array:
    """Return for every unit the leverage of one row of M_k = diag(slopes[:, k]) h, (n_out,).

    h (m, n_in), slopes (m, n_out). Leverage is the sample's diagonal entry of the hat matrix
    M_k M_k^+, from 0 to 1; 1 for m <= n_in as a rule, n_in / m in the mean otherwise.
    """
    h, slopes = _batch(h, slopes)
    if not 0 <= sample < len(h):
        raise ValueError(f"sample takes a row of h from 0 to {len(h) - 1}, got {sample}")
    found = np.empty(slopes.shape[1])
    for k in range(slopes.shape[1]):
        u, s, _ = np.linalg.svd(slopes[:, k, None] * h, full_matrices=False)
        kept = s > _tolerance(s, h.shape)
        found[k] = (u[sample, kept] ** 2).sum()
    return found


def aggregate_mu(h: Array, slopes: Array, change: Array, sigma: float, sample: int) -> float:
    """Return mu of releasing only G when one sample's label changes, mu^2 = sum_k c_k^2 l_k / s^2.

    `change` (n_out,) is B (t - t') of that sample, `sigma` the std of the noise on each measured
    entry, h (m, n_in), slopes (m, n_out). Inputs are public. Without aggregation every leverage
    is 1. What is gained depends on the batch, so the worst case stays the per-sample release.
    """
    if not sigma > 0:
        raise ValueError(f"sigma takes a number above 0, got {sigma}")
    c = np.asarray(change, dtype=np.float64)
    found = leverage(h, slopes, sample)
    if c.shape != found.shape:
        raise ValueError(f"change takes {found.shape}, one entry a unit, got {c.shape}")
    return float(np.sqrt((c * c * found).sum())) / sigma


def bare_directions(h: Array, slopes: Array | None = None) -> int:
    """Return how many input directions the device's noise leaves bare: n_in - min_k rank(M_k).

    h (m, n_in), slopes (m, n_out). Where it is above 0, and always for m < n_in, a new sample
    shows with certainty: epsilon for whole samples is infinite at any strength of the noise.
    """
    h, slopes = _batch(h, np.ones((len(h), 1)) if slopes is None else slopes)
    patterns = np.unique(slopes.T != 0, axis=0)
    ranks = [int(np.linalg.matrix_rank(h[on])) if on.any() else 0 for on in patterns]
    return int(h.shape[1]) - min(ranks)


def outside_span(h: Array, new: Array) -> float:
    """Return the share of the squared length of `new` (n_in,) outside the span of h's rows."""
    h = np.asarray(h, dtype=np.float64)
    v = np.asarray(new, dtype=np.float64)
    _, s, vt = np.linalg.svd(h, full_matrices=False)
    inside = vt[s > _tolerance(s, h.shape)] @ v
    return max(0.0, 1.0 - float(inside @ inside) / float(v @ v))


def renyi_gaussians(
    alpha: float, mean_1: Array, cov_1: Array, mean_2: Array, cov_2: Array
) -> float:
    """Return the Renyi divergence of order alpha of N(mean_1, cov_1) from N(mean_2, cov_2).

    (alpha/2) d^T S^-1 d - [ln|S| - (1 - alpha) ln|cov_1| - alpha ln|cov_2|] / (2 (alpha - 1)),
    S = alpha cov_2 + (1 - alpha) cov_1, d = mean_1 - mean_2 [Gil, Alajaji and Linder, 2013];
    infinite where S is not positive definite. Shot noise, whose variance follows the signal, is
    such a pair: two labels differ in both mean and covariance.

    Raises ValueError where alpha is not above 1 or a covariance is not positive definite.
    """
    if not 1 < alpha < math.inf:
        raise ValueError(f"alpha takes a number above 1, got {alpha}")
    one, two = np.asarray(cov_1, dtype=np.float64), np.asarray(cov_2, dtype=np.float64)
    logs = []
    for name, cov in (("cov_1", one), ("cov_2", two)):
        log = _log_det(cov)
        if log is None:
            raise ValueError(f"{name} takes a positive definite matrix, got {cov.shape} without")
        logs.append(log)
    mixed = alpha * two + (1.0 - alpha) * one
    log = _log_det(mixed)
    if log is None:
        return math.inf
    d = np.asarray(mean_1, dtype=np.float64) - np.asarray(mean_2, dtype=np.float64)
    spread = log - (1.0 - alpha) * logs[0] - alpha * logs[1]
    return float(0.5 * alpha * d @ np.linalg.solve(mixed, d) - spread / (2.0 * (alpha - 1.0)))


def _log_det(cov: Array) -> float | None:
    """Return ln|cov|, or None where cov is not positive definite."""
    try:
        return float(2.0 * np.log(np.diag(np.linalg.cholesky(cov))).sum())
    except np.linalg.LinAlgError:
        return None


def _batch(h: Array, slopes: Array) -> tuple[Array, Array]:
    h, slopes = np.asarray(h, dtype=np.float64), np.asarray(slopes, dtype=np.float64)
    if h.ndim != 2 or slopes.ndim != 2 or len(h) != len(slopes):
        raise ValueError(
            f"h and slopes take (m, n_in) and (m, n_out), got {h.shape}, {slopes.shape}"
        )
    return h, slopes


def _tolerance(s: npt.NDArray[np.float64], shape: tuple[int, ...]) -> float:
    return float(s[0]) * max(shape) * float(np.finfo(np.float64).eps)
