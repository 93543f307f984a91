"""Gradient noise: any optimizer on gradients with Gaussian noise that fades.

Neelakantan et al., "Adding gradient noise improves learning for very deep networks",
arXiv:1511.06807, eq. 1: g := g + N(0, s_t^2) with s_t^2 = eta / (1 + t)^gamma, for each parameter
on its own; t counts from 0. The paper takes gamma = 0.55 and eta out of 0.01, 0.3 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..devices import Can
from ..devices.words import unknown
from ..mappings import Demand, Placement
from .optimizers import Optimizer, positive


@dataclass(frozen=True)
class GradientNoise(Optimizer):
    """Noise on every gradient, then another optimizer; matrices are written, not updated."""

    eta: float = 0.01
    """Variance of the noise in the first step."""
    gamma: float = 0.55
    """How fast the variance fades: with 1 / (1 + t) to this power."""
    of: Mapping[str, Any] = field(default_factory=lambda: {"kind": "sgd"})
    """The optimizer: a table with `kind` and its settings, but its rate, which is `rate`."""

    def __post_init__(self) -> None:
        positive("rate", self.rate)
        positive("eta", self.eta)
        if not 0 <= self.gamma < float("inf"):
            raise ValueError(f"gamma takes a number from 0, got {self.gamma}")
        self._inner()

    @property
    def needs(self) -> Can:
        return Can.PROGRAM

    def demands(self, weights: Sequence[Demand]) -> Sequence[Demand]:
        try:
            return self._inner().demands(weights)
        except ValueError as wrong:
            raise ValueError(f"of: {wrong}") from wrong

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        empty = on.array(np.zeros((delta.shape[1], rows.shape[1]), np.float32))
        self.descend(on, name, on.host.gradient(delta, rows, scale, into=empty), rate)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self._inner().descend(on, name, gradient + self._noise(on, name, gradient), rate)

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self._inner().shift(on, name, gradient + self._noise(on, name, gradient), rate)

    def _noise(self, on: Placement, name: str, gradient: Any) -> Any:
        """Return this step's noise in the shape of a gradient, by the seed, name and step."""
        taken = on.digital.setdefault(f"noisy/{name}", np.zeros(1, np.int64))
        t = int(taken[0])
        taken[0] += 1
        rng = on.seed.child("gradient noise").child(name).rng(t)
        drawn = rng.standard_normal(tuple(gradient.shape), np.float32)
        on.host.count("NOISE", 1, drawn.size)
        return on.array(drawn * np.float32((self.eta / (1 + t) ** self.gamma) ** 0.5))

    def _inner(self) -> Optimizer:
        from . import OPTIMIZERS

        settings = dict(self.of)
        kind = settings.pop("kind", "sgd")
        known = {name: cls for name, cls in OPTIMIZERS.items() if cls is not GradientNoise}
        if not isinstance(kind, str) or kind not in known:
            raise ValueError(f"of takes an optimizer: {unknown('kind', str(kind), known)}")
        if "rate" in settings:
            raise ValueError("of takes no rate; the rate beside it is that of the optimizer")
        made: Any = known[kind]
        for key in settings:
            if key not in (names := [f.name for f in fields(made) if f.name != "rate"]):
                raise ValueError(f"of takes the settings of {kind}: {unknown('key', key, names)}")
        inner: Optimizer = made(rate=self.rate, **settings)
        return inner
