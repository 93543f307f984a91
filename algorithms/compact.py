"""CompAct: a forward pass keeps the projections of a layer's inputs in place of the inputs.

Shamshoum, Hodos, Sieradzki, Schuster, "CompAct: compressed activations for memory-efficient LLM
training", NAACL 2025 (arXiv:2410.15352), algorithms 1 to 3: z = x P^T with P ~ N(0, 1 / r) is kept
from the forward pass to the update, which sees G P^T = D^T z; Adam's moments have that shape, and
W -= rate alpha Adam(D^T z) P. P is drawn anew after every T updates. With `inner = "sgd"` the
change is D^T z P itself, whose mean over draws of P is the gradient.

Kept from the forward pass to the update: b r numbers a layer in place of b n_in, b the rows of the
batch (of a convolution: all its patches). What an activation's own slope takes is kept beside it,
as in the paper: b n_out outputs for tanh and sigmoid, one bit each for relu.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from ..mappings import Placement
from .low_rank import LowRankAdam
from .projections import project, redraw


class Compressed(NamedTuple):
    """What is kept of a layer's inputs."""

    z: Any
    """Their projections, (b, rank)."""


@dataclass(frozen=True)
class CompAct(LowRankAdam):
    """Adam, or plain descent, on gradients of compressed inputs; projections are random."""

    scale: float = 0.25
    inner: Literal["adam", "sgd"] = "adam"
    """What is done with the compressed gradient."""

    compresses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner not in ("adam", "sgd"):
            raise ValueError(f'inner takes "adam" or "sgd", got {self.inner!r}')

    def kept(self, on: Placement, name: str, rows: Any) -> Any:
        return Compressed(project(on, name, rows))

    def see(self, on: Placement, name: str, rows: Any) -> Any:
        return rows.z if isinstance(rows, Compressed) else project(on, name, rows)

    def step(self, on: Placement, name: str, small: Any, p: Any) -> Any:
        return super().step(on, name, small, p) if self.inner == "adam" else small * self.scale

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        super().change(on, name, delta, rows, scale, rate)
        self._end(on, name)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        super().descend(on, name, gradient, rate)
        self._end(on, name)

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        if self.inner == "adam":
            super().shift(on, name, gradient, rate)
        else:
            on.host.add(on.digital[name], gradient, -self.rate * rate)

    def _end(self, on: Placement, name: str) -> None:
        """Draw the projection anew where its time has come, for the next forward pass."""
        if int(on.digital[f"steps/{name}"][0]) % self.every == 0:
            redraw(on, name)
