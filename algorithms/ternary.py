"""DFA whose error is ternary: what a device with binary inputs can project, mask by mask.

Launay et al., "Light-in-the-loop: using a photonics co-processor for scalable training of neural
networks", 2020, for the idea. A fixed threshold collapses under noise in the forward pass, where
errors are large and none is small. A threshold relative to each sample's largest error holds, and
a digital rescale after the projection gives every sample the size of its own error back. But the
one negative entry of a softmax error is as large as all positive ones together; under a common
threshold the small positive ones vanish, and the code no longer sums to zero as the error does.
So the default, `balanced`, has a threshold and a rescale for each sign.

With many classes every threshold still cuts the same small entries off at every sample, and what it
leaves out adds up over a batch. `stochastic` draws each entry's threshold anew: an entry of share s
of the largest of its sign counts with probability s, at the size of that largest. This is the
unbiased ternary code of TernGrad [Wen et al., NeurIPS 2017], with a mask for each sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..devices.arrays import like, namespace
from ..mappings import Placement
from .dfa import DFA


def ternarise(error: Any, threshold: float, relative: bool) -> tuple[Any, Any]:
    """Return the error (batch, n) as -1, 0 and 1, and the factor (batch, 1) that resizes it.

    An entry counts where it exceeds the threshold, or threshold * the largest |entry| of its
    sample. The factor is the sum of |error| over the number of entries that count, 0 where none.
    """
    xp = namespace(error)
    size = abs(error)
    largest = size.max(1) if xp is np else size.amax(1)
    bound = threshold * largest[:, None] if relative else threshold
    counts = size > bound
    ternary = xp.sign(error) * counts
    kept = counts.sum(1)
    factor = size.sum(1) / (kept + (kept == 0)) * (kept > 0)
    return ternary, factor[:, None]


def signed_masks(error: Any, threshold: float) -> tuple[Any, Any]:
    """Return masks (2 * batch, n) of 0 and 1 and factors (2 * batch, 1), first all positive ones.

    Each sign is thresholded relative to its own largest entry and resized to its own sum, so
    that factor * mask of a sample keeps the sums of its positive and its negative errors.
    """
    both = _stacked(error)
    ternary, factor = ternarise(both * (both > 0), threshold, relative=True)
    half = len(error)
    factor[half:] *= -1
    return ternary, factor


def stochastic_masks(error: Any, uniform: Any) -> tuple[Any, Any]:
    """Return masks and factors as `signed_masks` does, whose product has the error as its mean.

    uniform (2 * batch, n), from 0 to below 1, are the thresholds: shares of the largest entry.
    """
    xp = namespace(error)
    both = _stacked(error)
    both = both * (both > 0)
    largest = (both.max(1) if xp is np else both.amax(1))[:, None]
    masks = (both > uniform * largest) * xp.ones_like(both)
    largest[len(error) :] *= -1
    return masks, largest


def _stacked(error: Any) -> Any:
    both = [error, -error]
    return np.concatenate(both) if namespace(error) is np else namespace(error).cat(both)


@dataclass(frozen=True)
class TernaryDFA(DFA):
    """DFA of the ternary error."""

    threshold: float = 0.25
    """A share of the largest error, dimensionless; where mode is fixed, an error; no use where it
    is stochastic."""
    mode: Literal["balanced", "relative", "fixed", "stochastic"] = "balanced"
    """balanced: threshold and rescale by sample and sign, one binary mask a sign. relative: by
    sample. fixed: one threshold for all, no rescale. stochastic: by sample and sign, with a
    threshold drawn for each entry, so that the code's mean is the error."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold takes a number from 0 to below 1, got {self.threshold}")
        if self.mode not in ("balanced", "relative", "fixed", "stochastic"):
            raise ValueError(
                f'mode takes "balanced", "relative", "fixed" or "stochastic", got {self.mode!r}'
            )
        if self.mode == "stochastic" and self.threshold != 0.25:
            raise ValueError(
                f"threshold has no use where mode is stochastic, which draws it; got "
                f"{self.threshold}"
            )
        if self.mode == "fixed" and self.loss_scale != 1:
            raise ValueError("loss_scale takes 1 in mode fixed, whose threshold is an error")

    def _code(self) -> tuple[float | None, bool, bool]:
        resized = self.mode != "fixed"
        return self.threshold, resized, resized

    def project(self, on: Placement, error: Any) -> Any:
        on.host.count("TERNARISE", len(error), error.shape[0] * error.shape[1])
        if self.mode in ("balanced", "stochastic"):
            if self.mode == "balanced":
                masks, factor = signed_masks(error, self.threshold)
            else:
                size = 2 * error.shape[0], error.shape[1]
                uniform = on.seed.child("thresholds").rng(on.steps).random(size, np.float32)
                on.host.count("DRAW", len(error), size[0] * size[1])
                masks, factor = stochastic_masks(error, like(uniform, error))
            projected = on["feedback"].multiply(masks) * factor
            on.host.count("RESCALE", len(masks), projected.shape[0] * projected.shape[1])
            return projected[: len(error)] + projected[len(error) :]
        ternary, factor = ternarise(error, self.threshold, self.mode == "relative")
        projected = on["feedback"].multiply(ternary)
        if self.mode == "relative":
            on.host.count("RESCALE", len(error), projected.shape[0] * projected.shape[1])
            projected *= factor
        return projected
