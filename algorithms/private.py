"""Noisy gradient sums that keep each sample private, whatever noisy device made the errors.

Clip after the measurement, then add isotropic Gaussian noise [Abadi et al., "Deep learning with
differential privacy", 2016]. The norm of an outer product is the product of the norms, so errors
clipped to clip_u and inputs clipped to clip_h bound every sample's part, for every realisation of
the device's noise: that noise can only help, and privacy does not rest on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..devices.arrays import Array, like, namespace
from ..devices.release import Release
from ..devices.seeds import Draw

SOFTMAX_CLIP = math.sqrt(2.0)
"""No softmax minus one-class target is longer than this: the clip of an output layer's errors."""

_MARGIN = 1.0 - 1e-6
"""Keeps a float32 row that was just scaled from ending above its bound by rounding."""


class Part(NamedTuple):
    """One layer's share of a step: its errors, its inputs, and what bounds and hides them.

    A bias learns privately as one more input: append a 1 to every row of `h`, and let `clip_h`
    leave room for it.
    """

    name: str
    u: Any
    """Errors at the layer's outputs, (batch * rows_per_sample, n_out), numpy or torch."""
    h: Any
    """Inputs of the layer, (batch * rows_per_sample, n_in), numpy or torch."""
    clip_u: float
    """Largest L2 norm of one sample's errors; SOFTMAX_CLIP for a softmax output layer."""
    clip_h: float
    """Largest L2 norm of one sample's inputs."""
    noise_multiplier: float
    """Std of the noise over clip_u * clip_h."""
    rows_per_sample: int = 1
    """More than one where a layer sees patches; a sample's rows stand together."""


def clip_rows(x: Any, bound: float, rows_per_sample: int = 1) -> Any:
    """Return rows (batch * rows_per_sample, n) with every sample's L2 norm at most `bound`.

    Samples within the bound stay as they are. Entries that are not finite become 0: left alone,
    one of them would show through any noise. Raises ValueError where bound is not above 0.
    """
    if not 0 < bound < math.inf:
        raise ValueError(f"bound takes a number above 0, got {bound}")
    if x.ndim != 2 or len(x) % rows_per_sample:
        raise ValueError(f"x takes (batch * {rows_per_sample}, n), got {tuple(x.shape)}")
    xp = namespace(x)
    x = xp.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    samples = x.reshape(len(x) // rows_per_sample, rows_per_sample * x.shape[1])
    wide = samples.astype(np.float64) if xp is np else samples.double()
    norm = xp.linalg.norm(wide, axis=1) if xp is np else xp.linalg.vector_norm(wide, dim=1)
    over = norm > bound
    scale = xp.where(over, bound * _MARGIN / xp.where(over, norm, 1.0), 1.0)
    return like(wide * scale[:, None], x).reshape(x.shape)


def noisy_sums(parts: Sequence[Part], draw: Draw) -> dict[str, Any]:
    """Return for each part the sum over samples of u h^T, clipped and noised: (n_out, n_in).

    Noise has a std of noise_multiplier * clip_u * clip_h and is drawn by the part's name. Array
    type, place and float32 or float64 are those of u. Divide by the *expected* size of a Poisson
    batch: the size of the batch that came is itself private. The noise is a float's: it hides
    what is seen of a number, not what its last bits may betray.
    """
    sums = {}
    for part in parts:
        _check(part)
        u = clip_rows(part.u, part.clip_u, part.rows_per_sample)
        h = clip_rows(part.h, part.clip_h, part.rows_per_sample)
        std = part.noise_multiplier * part.clip_u * part.clip_h
        rng = draw.seed.child(part.name).rng(draw.step)
        noise = rng.standard_normal((u.shape[1], h.shape[1]), dtype=np.float32) * np.float32(std)
        sums[part.name] = u.T @ h + like(noise, u)
    return sums


@dataclass(frozen=True)
class Private:
    """How every layer of a network learns privately: one noise multiplier and two bounds."""

    noise_multiplier: float
    """Std of the noise on each layer's sum over that layer's sensitivity, the product of bounds."""
    clip_error: float = 1.0
    """Largest L2 norm of a sample's errors at a hidden layer, after the measurement."""
    clip_input: float = 10.0
    """Largest L2 norm of a sample's inputs to a layer, the 1 of its bias included."""

    def __post_init__(self) -> None:
        for name in ("noise_multiplier", "clip_error", "clip_input"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} takes a number above 0, got {getattr(self, name)}")

    def sums(
        self, name: str, u: Any, h: Any, draw: Draw, last: bool = False, rows_per_sample: int = 1
    ) -> tuple[Any, Any]:
        """Return a layer's noisy sums, for its weights (n_out, n_in) and its biases (n_out,).

        u (batch * rows_per_sample, n_out), h (batch * rows_per_sample, n_in). `last` marks a
        softmax output layer, whose errors are bounded by SOFTMAX_CLIP.
        """
        xp = namespace(h)
        with_one = xp.concatenate([h, xp.ones_like(h[:, :1])], 1)
        clip_u = SOFTMAX_CLIP if last else self.clip_error
        part = Part(
            name, u, with_one, clip_u, self.clip_input, self.noise_multiplier, rows_per_sample
        )
        total = noisy_sums([part], draw)[name]
        return total[:, :-1], total[:, -1]

    def norm_sums(
        self, name: str, u: Any, normal: Any, draw: Draw, rows_per_sample: int = 1
    ) -> tuple[Any, Any]:
        """Return the noisy sums of a layer that is normalised by sample: for gains, for biases.

        u and normal (batch * rows_per_sample, n_out): the errors at its activations, and what the
        gains multiplied. Both slopes of a sample together are at most clip_error long.
        """
        xp, n_out = namespace(u), u.shape[1]
        samples = len(u) // rows_per_sample
        both = xp.concatenate([u * normal, u], 1).reshape(samples, rows_per_sample, 2 * n_out)
        each = both.sum(1)
        one = xp.ones_like(each[:, :1])
        part = Part(name, each, one, self.clip_error, 1.0, self.noise_multiplier)
        total = noisy_sums([part], draw)[name][:, 0]
        return total[:n_out], total[n_out:]

    def release(self, names: Sequence[str], rate: float, sampling: str = "poisson") -> Release:
        """Return what a step over the layers `names` lets out, for the ledger.

        `rate` is the probability with which each sample enters the batch.
        """
        return Release("sample", tuple((n, self.noise_multiplier) for n in names), sampling, rate)


def poisson_batch(samples: int, rate: float, rng: np.random.Generator) -> Array:
    """Return the indices of a batch that each of `samples` enters alone with probability `rate`.

    Amplification by sampling holds for such batches, and not for shuffled ones. May be empty.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate takes a number in (0, 1], got {rate}")
    return np.flatnonzero(rng.random(samples) < rate)


def _check(part: Part) -> None:
    if len(part.u) != len(part.h):
        raise ValueError(f"{part.name}: u has {len(part.u)} rows and h {len(part.h)}")
    if not 0 <= part.noise_multiplier < math.inf:
        raise ValueError(
            f"{part.name}: noise_multiplier takes a number >= 0, got {part.noise_multiplier}"
        )
