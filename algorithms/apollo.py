"""APOLLO: Adam's sense of scale from projected gradients, and changes that stay outer products.

Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance". The gradient G = D^T X of a matrix
is never formed: its projection G P^T = D^T (X P^T) needs the projected inputs alone, which any
device that multiplies can make. Adam's moments live there, (n_out, rank) in place of (n_out, n_in);
what they do to the length of each output's row is done to that output's errors, and the change is
one update in place, as crossbars make it. The projection is fixed here, where the paper draws it
again now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..devices import Can
from ..mappings import Demand, Placement
from .optimizers import Adam, Optimizer, digital_copy, memory, positive
from .projections import projection_demand, projection_of


@dataclass(frozen=True)
class Apollo(Optimizer):
    """Plain descent whose every output has a rate of its own."""

    rate: float = 1e-2
    """Step along the gradient, before each output's own factor and [train] schedule."""
    rank: int = 8
    """Outputs of the projection of each matrix's inputs."""
    beta1: float = 0.9
    """Share of the mean projected gradient that a step keeps."""
    beta2: float = 0.999
    """Share of the mean squared projected gradient that a step keeps."""
    epsilon: float = 1e-8
    """Added to the root of the mean square."""
    growth: float = 1.01
    """Most that a matrix's change may grow from one step to the next."""

    def __post_init__(self) -> None:
        self._adam()
        if isinstance(self.rank, bool) or self.rank < 1:
            raise ValueError(f"rank takes a whole number from 1, got {self.rank}")
        if not self.growth > 1:
            raise ValueError(f"growth takes a number above 1, got {self.growth}")

    @property
    def needs(self) -> Can:
        return Can.UPDATE

    def demands(self, weights: Sequence[Demand]) -> Sequence[Demand]:
        return [projection_demand(d, self.rank) for d in weights]

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        projected = on[projection_of(name)].multiply(rows)
        batch, n_out = delta.shape
        into = memory(on, f"gradient/{name}", (n_out, self.rank))
        small = on.host.gradient(delta, projected, scale, into=into)
        scaled = delta * self._factors(on, name, small)
        on.host.count("SCALE", batch, batch * n_out, macs=batch * batch * (n_out + rows.shape[1]))
        squared = ((scaled @ scaled.T) * (rows @ rows.T)).sum()  # of the change that is not formed
        limit = self._limit(on, name, scale * float(squared.clip(0)) ** 0.5)
        on.settle(name)
        on[name].update(scaled, rows, -self.rate * rate * scale * limit)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        w = digital_copy(on, name)
        small = on[projection_of(name)].multiply(gradient)
        step = gradient * self._factors(on, name, small)[:, None]
        limit = self._limit(on, name, float((step * step).sum()) ** 0.5)
        on.host.add(w, step, -self.rate * rate * limit)
        on[name].program(w)

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self._adam().shift(on, name, gradient, rate)

    def _adam(self) -> Adam:
        positive("rate", self.rate)
        return Adam(self.rate, self.beta1, self.beta2, self.epsilon)

    def _factors(self, on: Placement, name: str, small: Any) -> Any:
        """Return by how much Adam would resize each row of `small` (n_out, rank): (n_out,)."""
        moved = memory(on, f"moved/{name}", tuple(small.shape))
        moved *= 0
        Adam(1.0, self.beta1, self.beta2, self.epsilon).move(on, f"small/{name}", moved, small, 1.0)
        before = (small * small).sum(1) ** 0.5
        return (moved * moved).sum(1) ** 0.5 / (before + 1e-12)

    def _limit(self, on: Placement, name: str, size: float) -> float:
        """Return the factor that keeps a change's size within `growth` of the one before."""
        last = memory(on, f"size/{name}", (1,))
        before = float(last[0])
        most = self.growth * before if before > 0 else size
        last[0] = min(size, most)
        return min(size, most) / size if size > 0 else 1.0
