"""Gradient training that knows the printed hardware: straight through its rounding and its masks.

The forward pass is the circuit's own, whole number by whole number: weights are rounded to a power
of two (or to fixed point), inputs lose the bits that are not wired, sums are cut and saturate. The
backward pass takes all of that for the identity where it does not saturate (the straight-through
estimator; Bengio, Leonard and Courville, 2013), and errors reach the hidden layers through the
transposed weights or, with `rule="dfa"`, through fixed random matrices (Nokland 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit, Topology

LEAK = 0.1
"""Slope of a hidden unit that is shut or saturated: none would leave it so for good."""
GAIN = 6.0
"""What the outputs are multiplied by before the softmax: weights of at most 1 are not enough."""
PASSES_AN_EPOCH = 3
"""An epoch counts as so many evaluations of the training rows: one forward, two backward."""


@dataclass(frozen=True)
class Gradient:
    """How a printed network is trained by gradients. Raises ValueError for impossible settings."""

    rule: Literal["backprop", "dfa"] = "backprop"
    weights: Literal["power_of_two", "fixed"] = "power_of_two"
    weight_bits: int = 8
    """Magnitude and sign: exponents 0 to weight_bits - 1, or fixed point to 2^(bits-1) - 1."""
    epochs: int = 200
    batch: int = 64
    rate: float = 0.02
    sparsity: float = 0.0
    """Pull of every weight towards zero: an L1 penalty on weights of at most 1, a sample."""

    def __post_init__(self) -> None:
        if self.rule not in ("backprop", "dfa"):
            raise ValueError(f'rule takes "backprop" or "dfa", got {self.rule!r}')
        if self.weights not in ("power_of_two", "fixed"):
            raise ValueError(f'weights takes "power_of_two" or "fixed", got {self.weights!r}')
        for name, low in (("weight_bits", 2), ("epochs", 0), ("batch", 1)):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or got < low:
                raise ValueError(f"{name} takes a whole number from {low}, got {got!r}")
        if not 0 < self.rate < np.inf or not 0 <= self.sparsity < np.inf:
            raise ValueError(
                f"rate takes a number above 0 and sparsity one from 0, got {self.rate} and "
                f"{self.sparsity}"
            )

    @property
    def scale(self) -> int:
        """What a weight of 1 is in the circuit."""
        return int(2 ** (self.weight_bits - 1))

    def rounded(self, latent: Array) -> Array:
        """Return the circuit's whole-number weights of real ones in -1 .. 1."""
        full = latent * self.scale
        if self.weights == "fixed":
            return np.asarray(np.rint(full).clip(1 - self.scale, self.scale - 1))
        size = abs(full)
        exponent = np.clip(np.rint(np.log2(np.maximum(size, 1e-9))), 0, self.weight_bits - 1)
        return np.asarray(np.where(size < 0.5, 0.0, np.sign(full) * 2.0**exponent))


def train(
    settings: Gradient,
    x: Array,
    y: Array,
    topology: Topology,
    seed: Seed,
    start: Circuit | None = None,
    mask: Array | None = None,
) -> Circuit:
    """Return a circuit trained on x (samples, features) words and classes y (samples,).

    It begins at random, or fine-tunes `start`; `mask` (weights,) says which bits are wired, by
    default those of `start`, or all. The circuit of the best epoch on the training rows is kept.
    """
    net = _Net(settings, topology, seed, start, mask)
    columns = np.ascontiguousarray(x, np.float64)
    best = net.circuit()
    found = best.accuracy(x, y)
    for epoch in range(settings.epochs):
        order = seed.child("order").rng(epoch).permutation(len(y))
        rate = settings.rate * 0.5 * (1 + np.cos(np.pi * epoch / settings.epochs))
        for k in range(0, len(order), settings.batch):
            rows = order[k : k + settings.batch]
            net.step(columns[rows], y[rows], rate)
        now = net.circuit()
        accuracy = now.accuracy(x, y)
        # Late epochs have felt the pull to zero longest: they win ties and near ties.
        if accuracy >= found - (0.002 if settings.sparsity else 0.0):
            best, found = now, max(found, accuracy)
    return best


class _Net:
    """Real weights behind a circuit, and Adam's moments of them."""

    def __init__(
        self,
        settings: Gradient,
        topology: Topology,
        seed: Seed,
        start: Circuit | None,
        mask: Array | None,
    ) -> None:
        self.settings, self.topology = settings, topology
        full = (1 << topology.word_bits()) - 1
        given = mask if mask is not None else (full if start is None else start.mask)
        whole = Circuit(topology, np.ones_like(full), given, np.zeros(topology.units, np.int32))
        self.masks = [whole.layer(k)[1] for k in range(topology.hidden + 1)]
        self.dense = bool((given == full).all())
        self.unit, self.w, self.b, self.feedback = [], [], [], []
        unit = settings.scale * 2.0**topology.input_bits
        for k, (n_in, n_out) in enumerate(topology.layers):
            self.unit.append(unit)  # what 1 is in the sums of this layer
            rng = seed.child(f"weight/{k}").rng()
            if start is None:
                self.w.append(rng.uniform(-1, 1, (n_out, n_in)) * min(1.0, (6 / n_in) ** 0.5))
                self.b.append(np.zeros(n_out))
            else:
                weight, _, bias = start.layer(k)
                self.w.append(weight / settings.scale)
                self.b.append(bias / unit)
            classes = topology.sizes[-1]
            feedback = seed.child(f"feedback/{k}").rng().standard_normal((n_out, classes))
            self.feedback.append(feedback / classes**0.5)
            if k < topology.hidden:
                unit *= settings.scale / 2.0 ** topology.shifts[k]
        self.moments = [[np.zeros_like(p), np.zeros_like(p)] for p in (*self.w, *self.b)]
        self.steps = 0

    def circuit(self) -> Circuit:
        bias = np.concatenate([np.rint(b * u) for b, u in zip(self.b, self.unit, strict=True)])
        weight = np.concatenate([self.settings.rounded(w).ravel() for w in self.w])
        mask = np.concatenate([m.ravel() for m in self.masks])
        return Circuit(self.topology, weight, mask, bias)

    def step(self, x: Array, y: Array, rate: float) -> None:
        last = self.topology.hidden
        h, inputs, open_units, weights = x, [], [], []
        for k in range(last + 1):
            w = self.settings.rounded(self.w[k])
            wired = h if self.dense else (h.astype(np.int64)[:, None, :] & self.masks[k])
            total = h @ w.T if self.dense else np.einsum("boi,oi->bo", wired, w)
            total += np.rint(self.b[k] * self.unit[k])
            inputs.append(wired)
            weights.append(w / self.settings.scale)
            if k < last:
                cut = np.floor(total / 2.0 ** self.topology.shifts[k])
                h = np.clip(cut, 0, self.topology.top)
                inside = (cut > 0) & (cut < self.topology.top)
                open_units.append(np.where(inside, 1.0, LEAK))
        logits = np.maximum(total, 0) / self.unit[last] * GAIN
        error = np.exp(logits - logits.max(1, keepdims=True))
        error /= error.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        gradients: list[tuple[Array, Array]] = []
        delta = error
        for k in range(last, -1, -1):
            scale = self.unit[k] / self.settings.scale
            given = inputs[k]
            slope = delta.T @ given if self.dense else np.einsum("bo,boi->oi", delta, given)
            gradients.insert(0, (slope / (len(y) * scale), delta.mean(0)))
            if k:
                back = (
                    delta @ weights[k]
                    if self.settings.rule == "backprop"
                    else error @ self.feedback[k - 1].T
                )
                delta = back * open_units[k - 1]
        self._adam(gradients, rate)

    def _adam(self, gradients: list[tuple[Array, Array]], rate: float) -> None:
        self.steps += 1
        slopes = [g for g, _ in gradients] + [g for _, g in gradients]
        for p, g, (m, v) in zip((*self.w, *self.b), slopes, self.moments, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            step = m / (1 - 0.9**self.steps)
            p -= rate * step / (np.sqrt(v / (1 - 0.999**self.steps)) + 1e-8)
        pull = rate * self.settings.sparsity
        for w in self.w:
            w[:] = np.clip(np.sign(w) * np.maximum(abs(w) - pull, 0), -1, 1)
