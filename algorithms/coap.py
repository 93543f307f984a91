"""COAP: Adam through a projection that follows the gradient by descent, recomputed at times.

Xiao et al., "COAP: memory-efficient training with correlation-aware gradient projection", CVPR
2025 (arXiv:2412.00071; github.com/bytedance/coap, whose settings are the defaults): every `every`
steps P descends MSE(G P^T P, G) (1 - cos), where cos is the mean over rows of the cosine of Adam's
first moment M P and G: one step of 0.1 along the slope, which is cut at a norm of 1, as in the
repository. Every `recompute` times, and first of all, P is the right singular vectors of Q^T G,
with Q R = G P_old^T: a sketch by the projection that was, at first a Gaussian one. Then
W -= rate alpha Adam(G P^T) P. P is written, so its device must be one that can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..mappings import Placement
from .galore import usable
from .low_rank import LowRankAdam, whole
from .projections import back, project, write

STEP = 0.1
"""Rate of the descent of P."""
LONGEST = 1.0
"""Norm at which its slope is cut."""
TINY = 1e-8
"""Least norm that a cosine divides by."""


@dataclass(frozen=True)
class COAP(LowRankAdam):
    """Adam through projections that are written: by descent, and by a sketched SVD now and then.

    A matrix with fewer outputs than `rank` has a projection of as many rows as it has outputs.
    """

    every: int = 32
    """Steps from one projection to the next, T_u."""
    recompute: int = 5
    """Of so many new projections one is computed anew, the others follow by descent."""

    writes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("recompute", self.recompute)

    def renew(self, on: Placement, name: str, count: int, gradient: Callable[[], Any]) -> None:
        if count % self.every:
            return
        g = gradient()
        if not usable(g):
            return
        if count % (self.every * self.recompute) == 0:
            sketch = project(on, name, g)
            write(on, name, on.host.leading(g, sketch.shape[1], sketch))
            return
        p = back(on, name)
        m = self.first_moment(on, name, (g.shape[0], p.shape[0]))
        on.host.count("COAP", 1, 4 * g.shape[0] * g.shape[1], macs=8 * p.shape[0] * _size(g))
        slope = correlation_slope(p, g, m)
        length = float((slope * slope).sum()) ** 0.5
        write(on, name, p - slope * (STEP * min(1.0, LONGEST / (length + 1e-6))))


def correlation_slope(p: Any, g: Any, m: Any) -> Any:
    """Return the slope (r, n) in P of MSE(G P^T P, G) (1 - mean over rows of cos(M P, G)).

    p (r, n), g (n_out, n), m (n_out, r), all of one array type.
    """
    n_out = g.shape[0]
    wrong = g @ p.T @ p - g
    mse = (wrong * wrong).mean()
    along_mse = ((p @ wrong.T) @ g + (p @ g.T) @ wrong) * (2.0 / _size(g))
    moved = m @ p
    long, wide = _lengths(moved), _lengths(g)
    cosine = (moved * g).sum(1)[:, None] / (long * wide)
    along_cosine = m.T @ (g / (long * wide) - moved * cosine / (long * long)) / n_out
    return along_mse * (1 - cosine.mean()) - along_cosine * mse


def _lengths(rows: Any) -> Any:
    """Return the length of each row as a column, at least TINY."""
    return ((rows * rows).sum(1) ** 0.5).clip(TINY)[:, None]


def _size(g: Any) -> int:
    return int(g.shape[0] * g.shape[1])
