"""GaLore: Adam in the space of the gradient's own leading singular vectors.

Zhao, Zhang, Chen, Wang, Anandkumar, Tian, "GaLore: memory-efficient LLM training by gradient
low-rank projection", ICML 2024 (arXiv:2403.03507; github.com/jiaweizzhao/GaLore, whose README's
rate, gap and scale are the defaults): every `every` steps the rows of P are the leading right
singular vectors of that step's gradient, R = G P^T, and W -= rate alpha Adam(R) P; Adam's moments
stay as they are when P changes. The repository's `proj_type = "right"`: the inputs' side. P is no
random matrix, so its device must be one that can be written; the whole gradient is formed on the
host in those steps alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..mappings import Placement
from .low_rank import LowRankAdam
from .projections import write


@dataclass(frozen=True)
class GaLore(LowRankAdam):
    """Adam on the gradient's leading directions, found by an SVD and written to the projection.

    A matrix with fewer outputs than `rank` has a projection of as many rows as it has outputs.
    """

    scale: float = 0.25

    writes: ClassVar[bool] = True

    def renew(self, on: Placement, name: str, count: int, gradient: Callable[[], Any]) -> None:
        if count % self.every:
            return
        g = gradient()
        if usable(g):
            write(on, name, on.host.leading(g, min(self.rank, g.shape[0])))


def usable(g: Any) -> bool:
    """Whether a gradient has a direction: it is finite, and not 0."""
    return 0 < float((g * g).sum()) < float("inf")
