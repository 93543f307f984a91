"""Flora: momentum that is kept compressed by random projections, drawn again now and then.

Hao, Cao, Mou, "FLORA: low-rank adapters are secretly gradient compressors", ICML 2024
(arXiv:2402.03293; github.com/BorealisAI/flora-opt): with A ~ N(0, 1 / r) of shape (r, n_in), drawn
anew every kappa steps, m := m A_old A_new^T then, m := beta m + (1 - beta) G A^T at each step, and
W -= rate m A / RMS(m A). Where the repository divides by Adafactor's second moments and cuts at an
RMS of 1, the whole step is given an RMS of 1 here, which takes no memory at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..mappings import Placement
from .low_rank import LowRank
from .optimizers import memory
from .projections import back, project, redraw


@dataclass(frozen=True)
class Flora(LowRank):
    """Momentum of random projections; a change is an outer product of `rank` rows, of RMS 1."""

    rate: float = 0.003
    """RMS of the change of a weight in one step."""
    every: int = 1000
    """Steps from one projection to the next, kappa."""
    beta: float = 0.9
    """Share of the momentum that is kept in each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta < 1:
            raise ValueError(f"beta takes a number from 0 to below 1, got {self.beta}")

    def renew(self, on: Placement, name: str, count: int, gradient: Callable[[], Any]) -> None:
        if count == 0 or count % self.every:
            return
        m, old = self._momentum(on, name, on[name].n_out), back(on, name)
        redraw(on, name)
        across = project(on, name, old)  # (r, r): A_old A_new^T
        on.host.count("CARRY", 1, 0, macs=m.shape[0] * m.shape[1] ** 2)
        m[:] = m @ across

    def step(self, on: Placement, name: str, small: Any, p: Any) -> Any:
        m = self._momentum(on, name, small.shape[0])
        m *= self.beta
        m += (1 - self.beta) * small
        (n_out, r), n_in = m.shape, p.shape[1]
        on.host.count("MOMENTUM", 1, 2 * n_out * r, macs=r * r * (n_in + n_out))
        rms = float((((m @ (p @ p.T)) * m).sum() / (n_out * n_in)).clip(0)) ** 0.5  # of m P
        return m / rms if rms > 0 else m * 0

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        m = memory(on, f"momentum/{name}", tuple(gradient.shape))
        m *= self.beta
        m += (1 - self.beta) * gradient
        rms = float((m * m).mean()) ** 0.5
        if rms > 0:
            on.host.add(on.digital[name], m, -self.rate * rate / rms)

    def _momentum(self, on: Placement, name: str, n_out: int) -> Any:
        return memory(on, f"momentum/{name}", (n_out, self.rank))
