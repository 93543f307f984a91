"""Optimizers whose memory is low-rank: what GaLore, Flora, COAP and CompAct have in common.

A gradient G = D^T X (n_out, n_in) is seen through a projection P (rank, n_in) of the matrix's
inputs alone: G P^T = D^T (X P^T). What is remembered has that shape, (n_out, rank); so has the step
M, and the change M P is an outer product of `rank` rows, made by one update in place.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..devices import Can
from ..mappings import Demand, Placement
from .optimizers import Adam, Optimizer, digital_copy, memory, positive
from .projections import back, project, projection_demand


@dataclass(frozen=True)
class LowRank(Optimizer):
    """Changes each matrix by a step (n_out, rank) times its projection (rank, n_in)."""

    rate: float = 0.01
    rank: int = 8
    """Outputs of the projection of each matrix's inputs; at most as many as those."""
    every: int = 200
    """Steps from one projection to the next."""

    writes: ClassVar[bool] = False
    """Whether projections are computed and written; else they are random, on any device."""

    def __post_init__(self) -> None:
        positive("rate", self.rate)
        whole("rank", self.rank)
        whole("every", self.every)

    @property
    def needs(self) -> Can:
        return Can.UPDATE

    def demands(self, weights: Sequence[Demand]) -> Sequence[Demand]:
        for d in weights:
            if self.rank > d.n_in:
                raise ValueError(
                    f"rank takes at most {d.n_in}, the inputs of {d.name} ({d.n_out}, {d.n_in}), "
                    f"got {self.rank}"
                )
        needs = Can.MULTIPLY | Can.PROGRAM if self.writes else Can.MULTIPLY
        ranks = [min(self.rank, d.n_out) if self.writes else self.rank for d in weights]
        return [projection_demand(d, r, needs) for d, r in zip(weights, ranks, strict=True)]

    @abc.abstractmethod
    def step(self, on: Placement, name: str, small: Any, p: Any) -> Any:
        """Return the step M (n_out, rank) for a projected gradient of its shape, given P."""

    def renew(self, on: Placement, name: str, count: int, gradient: Callable[[], Any]) -> None:
        """Change the projection where its time has come, before step number `count` from 0.

        `gradient` forms the whole gradient (n_out, n_in).
        """

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        shape = delta.shape[1], on[name].n_in

        def whole_gradient() -> Any:
            return on.host.gradient(delta, rows, scale, into=_zeros(on, shape))

        self.renew(on, name, self._count(on, name), whole_gradient)
        seen = self.see(on, name, rows)
        empty = _zeros(on, (shape[0], seen.shape[1]))
        small = on.host.gradient(delta, seen, scale, into=empty)
        p = back(on, name)
        m = self.step(on, name, small, p)
        on.settle(name)
        on[name].update(m.T, p, -self.rate * rate)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self.renew(on, name, self._count(on, name), lambda: gradient)
        small, p = project(on, name, gradient), back(on, name)
        m, w = self.step(on, name, small, p), digital_copy(on, name)
        on.host.gradient(m.T, p, -self.rate * rate, into=w, keep=1.0)
        on[name].program(w)

    def see(self, on: Placement, name: str, rows: Any) -> Any:
        """Return the projection (b, rank) of a matrix's input rows (b, n_in)."""
        return project(on, name, rows)

    def _count(self, on: Placement, name: str) -> int:
        """Return how many steps matrix `name` has taken, and count this one."""
        taken = on.digital.setdefault(f"steps/{name}", np.zeros(1, np.int64))
        taken[0] += 1
        return int(taken[0]) - 1


@dataclass(frozen=True)
class LowRankAdam(LowRank):
    """Adam on projected gradients; biases, which are not projected, by plain Adam."""

    scale: float = 1.0
    """Factor on the steps of matrices, alpha."""
    beta1: float = 0.9
    """Share of the mean projected gradient that a step keeps."""
    beta2: float = 0.999
    """Share of the mean squared projected gradient that a step keeps."""
    epsilon: float = 1e-8
    """Added to the root of the mean square."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("scale", self.scale)
        self._adam(self.rate)

    def step(self, on: Placement, name: str, small: Any, p: Any) -> Any:
        moved = _zeros(on, tuple(small.shape))
        self._adam(1.0).move(on, f"small/{name}", moved, small, 1.0)
        on.host.count("SCALE", 1, small.shape[0] * small.shape[1])
        return moved * -self.scale

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self._adam(self.rate).shift(on, name, gradient, rate)

    def first_moment(self, on: Placement, name: str, shape: tuple[int, int]) -> Any:
        """Return Adam's first moment (n_out, rank) of matrix `name`."""
        return memory(on, f"mean/small/{name}", shape)

    def _adam(self, rate: float) -> Adam:
        return Adam(rate, self.beta1, self.beta2, self.epsilon)


def whole(name: str, value: int) -> None:
    """Raise ValueError where a setting is no whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} takes a whole number from 1, got {value}")


def _zeros(on: Placement, shape: tuple[int, ...]) -> Any:
    return on.array(np.zeros(shape, np.float32))
