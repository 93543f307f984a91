"""Zeroth order in fixed point: weights, shifts and steps are whole numbers on a grid.

Feng et al., "Stepping forward on the last mile", NeurIPS 2024, arXiv:2411.04036 (QZO-FF). Theirs,
by the abstract and what is published about the paper: forward passes of quantised weights that are
shifted by a quantised perturbation z; of m such differences of losses the signs alone, averaged,
g = sum of sign(L(W + eps z_i) - L(W - eps z_i)) z_i / m (sign-m-SPSA); a step in fixed point;
weights of 16 or 8 bits, activations of 8, m of 1 or 3; and a sharpness-aware variant whose
differences are taken at a point nearby.

The paper's scaling was not at hand; ours is: the grid is a power of two that reaches four stds of
the first weights, biases share it; z has 8 bits, as whole 1/32; shifts are whole grid steps, one
at least, and weights end at the ends of the grid [as in Bar, Giryes, "ZOQO: zero-order quantized
optimization", arXiv:2501.06736]; steps are rounded to nearest; activations are scaled by each
sample's largest; the point nearby lies up the slope's sign along one more direction. Losses are
compared in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..devices.arrays import namespace
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .optimizers import SGD
from .passes import Pass
from .within import refuse_norm
from .zeroth_order import Direction, check_shift, directions

SPAN = 4.0
"""Stds of the first weights that the grid reaches."""
UNIT = 32
"""What 1 is in a perturbation of 8 bits."""


@dataclass(frozen=True)
class QuantizedZerothOrder(Algorithm):
    """Weights on a grid of integers are written and multiplied twice a direction, and written once.

    The optimizer's rate is the length of a step; on a coarse grid a rate below half a grid step
    moves nothing.
    """

    weight_bits: int = 16
    """Bits of a weight's integer, its sign one of them."""
    activation_bits: int = 8
    """Bits that a layer's inputs are rounded to, their sign one of them."""
    directions: int = 1
    """Directions whose differences are averaged in a step, m."""
    direction: Direction = "gaussian"
    """What a shift of the weights is drawn from."""
    differences: Literal["signs", "slopes"] = "signs"
    """What is kept of a difference of losses: its sign, or all of it over twice the shift."""
    shift: float = 0.01
    """How far the weights are shifted, eps; rounded to whole grid steps."""
    neighbourhood: float = 0.0
    """How far from the weights, up the slope, the differences are taken; 0: at the weights."""

    by_sample: ClassVar[bool] = False
    by_outer_products: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, most in (("weight_bits", 24), ("activation_bits", 24), ("directions", 1000)):
            low, got = 1 if name == "directions" else 2, getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or not low <= got <= most:
                raise ValueError(f"{name} takes a whole number from {low} to {most}, got {got!r}")
        check_shift(self.direction, self.shift)
        if self.differences not in ("signs", "slopes"):
            raise ValueError(f'differences takes "signs" or "slopes", got {self.differences!r}')
        if not 0 <= self.neighbourhood < math.inf:
            raise ValueError(f"neighbourhood takes a number from 0, got {self.neighbourhood}")

    def demands(self, network: Network) -> Sequence[Demand]:
        if not isinstance(self.optimizer, SGD) or self.optimizer.momentum:
            raise ValueError(
                "quantized_zeroth_order makes steps of whole numbers: [optimizer] kind takes "
                '"sgd" without momentum'
            )
        why = 'keeps to whole numbers, which a norm does not: take norm = "none"'
        refuse_norm("quantized_zeroth_order", network, ("batch", "layer"), why)
        return self.weights(network)

    @property
    def _pairs(self) -> int:
        """Pairs of passes in a step."""
        return self.directions + bool(self.neighbourhood)

    def calls(self, depth: int) -> Mapping[str, int]:
        passes = 2 * self._pairs
        return {"weight MULTIPLY": passes * depth, "weight PROGRAM": (passes + 1) * depth}

    def enter(self, on: Placement, x: Any) -> Any:
        """Return x (batch, width) rounded to `activation_bits`, by each sample's largest."""
        xp, levels = namespace(x), 2 ** (self.activation_bits - 1) - 1
        on.host.count("QUANTIZE", len(x), 2 * x.shape[0] * x.shape[1])
        top = xp.amax(abs(x), 1)[:, None]
        step = xp.where(top > 0, top, xp.ones_like(top)) / levels
        return xp.round(x / step) * step

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        on.steps += 1
        draw = on.steps * self._pairs
        losses: list[float] = []
        before: tuple[str, ...] = ()
        nearby: dict[int, float] = {}
        if self.neighbourhood:
            up, before = self._difference(on, x, target, mask, draw, nearby, losses, before)
            nearby = {draw: math.copysign(self.neighbourhood, up)}
        moves = {}
        for number in range(draw + len(nearby), draw + self._pairs):
            slope, before = self._difference(on, x, target, mask, number, nearby, losses, before)
            kept = math.copysign(1.0, slope) if slope and self.differences == "signs" else slope
            moves[number] = -self.optimizer.rate * rate * kept / self.directions
        with on.ledger.stage("step", after=before):
            moved = list(self._codes(on, moves))
        for k, (grid, weights, biases) in enumerate(moved, 1):
            with on.ledger.stage(f"update/{k}", after=("step",)):
                on.digital[f"code/weight/{k}"], on.digital[f"code/bias/{k}"] = weights, biases
                self._write(on, k, grid, weights, biases)
        return sum(losses) / len(losses)

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        raise TypeError("quantized_zeroth_order learns from differences of losses: call `step`")

    def _difference(
        self,
        on: Placement,
        x: Any,
        target: Any,
        mask: Any,
        number: int,
        nearby: Mapping[int, float],
        losses: list[float],
        before: tuple[str, ...],
    ) -> tuple[float, tuple[str, ...]]:
        """Return the slope along direction `number` at the point `nearby`, and the last stage.

        The two losses are added to `losses`.
        """
        pair = []
        for side, sign in (("plus", 1.0), ("minus", -1.0)):
            name = f"{side}/{number % self._pairs + 1}"
            with on.ledger.stage(f"shift/{name}", after=before):
                shifted = self._codes(on, {**nearby, number: sign * self.shift}, least=1)
                for k, codes in enumerate(shifted, 1):
                    self._write(on, k, *codes)
            passed = self.forward(on, x, name, (f"shift/{name}",))
            with on.ledger.stage(f"error/{name}", after=(f"{name}/{on.network.depth}",)):
                pair.append(self.loss.error(on.host, passed.output, target, mask)[0])
            before = (f"error/{name}",)
        losses += pair
        return (pair[0] - pair[1]) / (2 * self.shift), before

    def _codes(
        self, on: Placement, moves: Mapping[int, float], least: int = 0
    ) -> Iterator[tuple[float, Any, Any]]:
        """Yield every layer's grid step, and its integers after moves along directions.

        `moves` maps the number of a direction to a length in units of the weights. With `least`
        each length is whole grid steps, so many at least; without, their sum is
        rounded. The integers are those of weights (n_out, n_in) and biases (n_out,), within the
        grid; what they start from is not changed.
        """
        drawn = zip(*[directions(on, self.direction, number) for number in moves], strict=True)
        top = 2 ** (self.weight_bits - 1) - 1
        for k, (demand, along) in enumerate(zip(self.weights(on.network), drawn, strict=True), 1):
            grid = 2.0 ** math.ceil(math.log2(SPAN * demand.spread / top))
            lengths = [by / grid for by in moves.values()]
            if least:
                lengths = [math.copysign(max(least, round(abs(by))), by) for by in lengths]
            on.host.count("MOVE", 1, (len(moves) + 1) * demand.n_out * (demand.n_in + 1))
            found = []
            for name in ("weight", "bias"):
                code = self._code(on, f"{name}/{k}", grid, top)
                xp = namespace(code)
                total: Any = 0
                for (over_weights, digital), by in zip(along, lengths, strict=True):
                    z = over_weights if name == "weight" else digital[f"bias/{k}"]
                    words = xp.clip(xp.round(z * UNIT), 1 - 4 * UNIT, 4 * UNIT - 1)
                    total = total + words * (by / UNIT)
                found.append(xp.clip(code + _whole(total), -top, top))
            yield grid, found[0], found[1]

    def _code(self, on: Placement, name: str, grid: float, top: int) -> Any:
        """Return the integers that stand for weights or biases, the nearest ones at first."""
        key = f"code/{name}"
        if key not in on.digital:
            first = on.array(on[name].matrix()) if name.startswith("weight") else on.digital[name]
            on.digital[key] = namespace(first).clip(_whole(first / grid), -top, top)
        return on.digital[key]

    def _write(self, on: Placement, k: int, grid: float, weights: Any, biases: Any) -> None:
        """Write what integers stand for: a power of two times them, which float32 holds exactly."""
        on[f"weight/{k}"].program(_real(weights) * grid)
        on.digital[f"bias/{k}"] = _real(biases) * grid


def _whole(x: Any) -> Any:
    """Return the nearest integers, of 32 bits."""
    xp = namespace(x)
    near = xp.round(x)
    return near.astype(np.int32) if xp is np else near.to(xp.int32)


def _real(code: Any) -> Any:
    xp = namespace(code)
    return code.astype(np.float32) if xp is np else code.to(xp.float32)
