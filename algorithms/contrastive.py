"""Contrastive learning of two projections into one space, where things of a kind come together.

Radford et al. (CLIP), ICML 2021, for pairs; with labels, all rows of one label belong together,
as in Yang et al., "Unified contrastive learning in image-text-label space", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from ..devices.host import Host


def contrastive_loss(
    a: Array, b: Array, labels: Array, temperature: float
) -> tuple[float, Array, Array]:
    """Return the loss of unit rows a and b (n, dimensions), and its slopes by both, of that shape.

    Row k of a and of b are of kind labels[k] (n,). Mean of two cross-entropies: of each row of a
    among all rows of b under softmax(a . b / temperature), and the other way round; the target
    shares one among all rows of its kind. With n different labels that is CLIP's loss.
    """
    logits = a @ b.T / temperature
    same = (labels[:, None] == labels[None, :]).astype(a.dtype)
    target = same / same.sum(axis=1, keepdims=True)
    loss, slope = 0.0, np.zeros_like(logits)
    for axis in (1, 0):
        shifted = logits - logits.max(axis=axis, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=axis, keepdims=True)
        loss -= float((target * (shifted - np.log(total))).sum()) / (2 * len(a))
        slope += (e / total - target) / (2 * len(a))
    slope /= temperature
    return loss, slope @ b, slope.T @ a


@dataclass(eq=False)
class Projection:
    """Rows x (n, n_in) to unit rows (n, dimensions): standardised, W x + bias, and scaled to 1."""

    mean: Array
    std: Array
    w: Array
    bias: Array

    def standardised(self, x: Array) -> Array:
        """Return x with the mean 0 and std 1 that the training rows had."""
        return np.asarray((x - self.mean) / self.std, np.float32)

    def __call__(self, x: Array) -> Array:
        return _unit(self.standardised(x) @ self.w.T + self.bias)[0]


@dataclass(frozen=True)
class Contrastive:
    """Learns two projections by Adam on batches that hold a pair of every kind, or several."""

    dimensions: int = 64
    temperature: float = 0.2
    rate: float = 1e-3
    steps: int = 300
    pairs: int = 8
    """Pairs of each kind in a batch."""

    def __post_init__(self) -> None:
        for field in ("dimensions", "steps", "pairs"):
            got = getattr(self, field)
            if isinstance(got, bool) or not isinstance(got, int) or got < 1:
                raise ValueError(f"{field} takes a whole number from 1, got {got!r}")
        for field in ("temperature", "rate"):
            got = getattr(self, field)
            if not 0 < got < float("inf"):
                raise ValueError(f"{field} takes a finite number above 0, got {got!r}")

    def fit(
        self, a: Array, kinds_a: Array, b: Array, kinds_b: Array, host: Host, seed: Seed
    ) -> tuple[Projection, Projection]:
        """Return the projections learned from rows a (n, n_a) and b (m, n_b) of kinds (n,), (m,).

        Batches pair rows of one kind at random. Raises ValueError where the two do not hold the
        same kinds.
        """
        (learned,) = self.course(a, kinds_a, b, kinds_b, host, seed, self.steps)
        return learned

    def course(
        self, a: Array, kinds_a: Array, b: Array, kinds_b: Array, host: Host, seed: Seed, every: int
    ) -> Iterator[tuple[Projection, Projection]]:
        """Yield the projections as they are after `every` steps, twice as many, and so on.

        They go on learning where they are: a later one is the earlier one. Otherwise as `fit`.
        """
        kinds = np.unique(kinds_a)
        if not np.array_equal(kinds, np.unique(kinds_b)):
            raise ValueError(
                f"both sides take rows of the same kinds, got {kinds.tolist()} and "
                f"{np.unique(kinds_b).tolist()}"
            )
        sides = [self._start(x, name, seed) for x, name in ((a, "a"), (b, "b"))]
        rows = [s.standardised(x) for s, x in zip(sides, (a, b), strict=True)]
        where = [[np.flatnonzero(k == kind) for kind in kinds] for k in (kinds_a, kinds_b)]
        labels = np.repeat(kinds, self.pairs)
        moments = [[np.zeros_like(p) for p in (s.w, s.w, s.bias, s.bias)] for s in sides]
        for step in range(self.steps):
            rng = seed.child("pairs").rng(step)
            batch = [
                x[np.concatenate([rng.choice(of, self.pairs) for of in places])]
                for x, places in zip(rows, where, strict=True)
            ]
            raw = [x @ s.w.T + s.bias for x, s in zip(batch, sides, strict=True)]
            (unit_a, long_a), (unit_b, long_b) = (_unit(r) for r in raw)
            _, slope_a, slope_b = contrastive_loss(unit_a, unit_b, labels, self.temperature)
            self._count(host, batch)
            for side, x, unit, length, slope, (m, v, bias_m, bias_v) in zip(
                sides, batch, (unit_a, unit_b), (long_a, long_b), (slope_a, slope_b), moments,
                strict=True,
            ):  # fmt: skip
                delta = (slope - unit * (slope * unit).sum(axis=1, keepdims=True)) / length
                g = np.zeros_like(side.w)
                host.gradient(delta, x, 1.0, into=g)
                betas = (0.9, 0.999)
                host.adam(side.w, g, m, v, self.rate, betas, 1e-8, step + 1)
                slope_bias = delta.sum(axis=0)
                host.adam(side.bias, slope_bias, bias_m, bias_v, self.rate, betas, 1e-8, step + 1)
            if (step + 1) % every == 0:
                yield sides[0], sides[1]

    def _start(self, x: Array, name: str, seed: Seed) -> Projection:
        mean, std = x.mean(axis=0), x.std(axis=0)
        rng = seed.child(name).rng()
        w = rng.standard_normal((self.dimensions, x.shape[1]), np.float32)
        w /= np.float32(x.shape[1] ** 0.5)
        std = np.where(std > 0, std, 1).astype(np.float32)
        return Projection(mean.astype(np.float32), std, w, np.zeros(self.dimensions, np.float32))

    def _count(self, host: Host, batch: list[Array]) -> None:
        """Write down the products of a step: projections, and similarities with their slopes."""
        n = len(batch[0])
        macs = self.dimensions * (n * sum(x.shape[1] for x in batch) + 3 * n * n)
        host.count("CONTRAST", n, 4 * n * n, macs=macs)


def retrieve(queries: Array, gallery: Array, kinds: Array) -> Array:
    """Return the kind (n,) of the row of gallery (m, d), of kinds (m,), nearest to each query."""
    return np.asarray(kinds[(queries @ gallery.T).argmax(axis=1)])


def _unit(x: Array) -> tuple[Array, Array]:
    """Return rows scaled to length 1, and their lengths (n, 1)."""
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))
    length = np.maximum(length, np.float32(1e-12))
    return x / length, length
