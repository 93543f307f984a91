"""Noise-aware training: weights are learned under the noise that a chip will put on them.

Every step draws the matrices' noise anew, runs forwards and backwards on the noisy matrices, and
changes those without noise. Gaussian noise on the weights is that of Joshi et al., "Accurate deep
neural network inference using computational phase-change memory", Nature Communications 11 (2020);
that the backward pass reads the same noisy weights is as in aihwkit, whose weight modifiers act on
both passes. Clipping to a multiple of a layer's std is aihwkit's LayerGaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..devices import Device, Seed
from ..devices.arrays import Array, namespace
from ..devices.weight_noise import perturbed
from ..mappings import Placement

Chip = Callable[[str, int, int, Seed], Device]
"""Makes the device (n_out, n_in) that a matrix of that name will be written to."""


@dataclass(frozen=True)
class NoiseAware:
    """What is put on the weights in every training step, and where they are cut after it.

    Raises ValueError for numbers that are no such noise or clip.
    """

    std: float = 0.0
    """Std of Gaussian noise on each weight, over the layer's largest magnitude."""
    chip: Chip | None = None
    """In place of Gaussian noise: weights as a newly made chip of this kind holds them, fresh
    from the write, another chip at each step."""
    clip_std: float = 0.0
    """Weights are cut at so many standard deviations of their layer; 0: they are not."""
    clip_percentile: float = 100.0
    """Weights are cut at this percentile of their layer's magnitudes; 100: they are not."""

    def __post_init__(self) -> None:
        if not 0 <= self.std < math.inf:
            raise ValueError(f"std takes a number from 0, got {self.std}")
        if self.chip is not None and self.std:
            raise ValueError("std and chip are two laws of one noise: give one of them")
        if not 0 <= self.clip_std < math.inf:
            raise ValueError(f"clip_std takes a number from 0, got {self.clip_std}")
        if not 0 < self.clip_percentile <= 100:
            raise ValueError(
                f"clip_percentile takes a number above 0 to 100, got {self.clip_percentile}"
            )
        if self.clip_std and self.clip_percentile < 100:
            raise ValueError("clip_std and clip_percentile are two clips: give one of them")

    @property
    def clips(self) -> bool:
        """Whether weights are cut at all."""
        return self.clip_std > 0 or self.clip_percentile < 100

    def inject(self, on: Placement) -> None:
        """Write every weight matrix with this step's noise; `on.clean` keeps those without."""
        for name, device in on.devices.items():
            if not name.startswith("weight"):
                continue
            w = _held(on, name)
            on.clean[name] = w
            plain = _plain(w)
            on.host.count("NOISE", 1, plain.size)
            device.program(on.array(self._noisy(name, plain, on)))

    def _noisy(self, name: str, w: Array, on: Placement) -> Array:
        seed = on.seed.child("noise").child(name)
        if self.chip is None:
            return perturbed(w, self.std, seed.at(on.steps))
        chip = self.chip(name, w.shape[0], w.shape[1], seed.child(str(on.steps)))
        chip.program(w)
        return chip.matrix()

    def clip(self, on: Placement, name: str) -> None:
        """Cut a matrix at its bound; what lies within stays as it is."""
        w = _held(on, name)
        plain = _plain(w)
        bound = self.bound(plain)
        on.host.count("CLIP", 1, plain.size)
        if np.abs(plain).max() > bound:
            w[:] = w.clip(-bound, bound)
            on[name].program(w)

    def bound(self, w: Array) -> float:
        """Return the largest magnitude that a weight of w (n_out, n_in) keeps."""
        if self.clip_std:
            return float(self.clip_std * np.std(w, dtype=np.float64))
        return float(np.percentile(np.abs(w), self.clip_percentile))


def _held(on: Placement, name: str) -> Any:
    """Return a matrix where the weights live: an optimizer's own copy, or one read off."""
    copy = on.digital.get(f"copy/{name}")
    return on.array(on[name].matrix()) if copy is None else copy


def _plain(w: Any) -> Array:
    return np.asarray(w if namespace(w) is np else w.detach().cpu().numpy(), np.float32)
