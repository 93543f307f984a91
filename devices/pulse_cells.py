"""What the cells of an array do under pulses: the description, the cells, where they settle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np

from .arrays import Array
from .pulse_responses import Response, SoftBounds, relative_step
from .seeds import Draw

LONGEST = 31
"""Slots of the longest train: one word of bits, less its sign."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Pulsed:
    """What the cells of an array do under pulses, and how the pulses are made.

    A pulse moves a cell by `step * (1 +- asymmetry + ...) * response(w) * (1 + cycle_noise * N)`
    in units of the weight, and never beyond the cell's bounds. N is a new normal at each pulse.
    Where the noise is additive, `response(w) + cycle_noise * N` stands for the product of the two.
    The defaults are ideal soft-bounds cells. Raises ValueError for values that make no cell.
    """

    response: Response = field(default_factory=SoftBounds)
    step: float = 0.001
    """Mean size of one pulse at response 1, in units of the weight."""
    step_spread: float = 0.0
    """Standard deviation of the step from cell to cell, over `step`; the same up and down."""
    lognormal_step: bool = False
    """Whether `step_spread` is the standard deviation of the step's logarithm instead."""
    asymmetry: float = 0.0
    """Up steps are 1 + asymmetry, down steps 1 - asymmetry."""
    asymmetry_spread: float = 0.0
    """Standard deviation of the asymmetry from cell to cell."""
    cycle_noise: float = 0.0
    """Standard deviation of one pulse from the next, over the pulse."""
    additive_noise: bool = False
    """Whether `cycle_noise` counts in steps at response 1 instead, wherever the cell is."""
    write_noise: float = 0.0
    """Standard deviation of what each write leaves on the reads of a cell, in units of weight."""
    w_min: float = -1.0
    w_max: float = 1.0
    bound_spread: float = 0.0
    """Standard deviation of the upper bound from cell to cell, over the bound."""
    lower_spread: float | None = None
    """The same of the lower bound; None: as of the upper."""
    length: int = LONGEST
    """Slots of a train: as many at most, or exactly so where `manage_length` is off."""
    train: Literal["stochastic", "deterministic"] = "stochastic"
    """Random bits; or columns that pulse without a gap and rows that pulse evenly spaced."""
    manage_length: bool = True
    """Send no more slots than a sample needs: ceil(rate max|x| max|y| / step)."""
    manage_scale: bool = True
    """Share the amplitude so that the largest x and the largest y pulse equally often."""

    def __post_init__(self) -> None:
        if not self.w_min < 0 < self.w_max:
            raise ValueError(f"Pulsed takes w_min < 0 < w_max, got {self.w_min!r}, {self.w_max!r}")
        if not 0 < self.step <= self.w_max - self.w_min:
            raise ValueError(f"Pulsed: step takes above 0 up to w_max - w_min, got {self.step!r}")
        if not -1 < self.asymmetry < 1:
            raise ValueError(f"Pulsed: asymmetry takes above -1, below 1, got {self.asymmetry!r}")
        for name in (
            "step_spread", "asymmetry_spread", "cycle_noise", "write_noise", "bound_spread",
            "lower_spread",
        ):  # fmt: skip
            got = getattr(self, name)
            if got is not None and not 0 <= got < np.inf:
                raise ValueError(f"Pulsed: {name} takes 0 or more, got {got!r}")
        if not (isinstance(self.length, int) and 1 <= self.length <= LONGEST):
            raise ValueError(f"Pulsed: length takes 1 to {LONGEST} slots, got {self.length!r}")
        if self.train not in ("stochastic", "deterministic"):
            raise ValueError(
                f'Pulsed: train takes "stochastic" or "deterministic", got {self.train!r}'
            )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of one array: what does not change (`step`, `bound`) and the pulses they had.

    A step of 0 is a cell that is stuck.
    """

    step: Array
    """float32 (n_out, n_in, 2): size of a pulse up, and down; both at least 0."""
    bound: Array
    """float32 (n_out, n_in, 2): upper bound, lower bound."""
    wear: Array
    """uint32 (n_out, n_in): pulses so far; `pulsed_update` and `pulse` add to it in place."""


def make_cells(description: Pulsed, n_out: int, n_in: int, draw: Draw) -> Cells:
    """Return cells (n_out, n_in) with the device-to-device spread of the description.

    step_up, step_down = step |size +- beta|, beta = asymmetry + asymmetry_spread N2, where size is
    1 + step_spread N1, or exp(step_spread N1) where it is lognormal; bounds = +-|bound (1 + spread
    N)|, as in IBM's aihwkit (rpu_pulsed_device.cpp, with consistency enforced).
    """
    from .kernels.normal import normals

    noise = np.empty(4 * n_out * n_in, np.float32)
    normals(draw.key(), 0, noise)
    n = noise.reshape(4, n_out, n_in)
    d = description
    beta = d.asymmetry + d.asymmetry_spread * n[1]
    size = np.exp(d.step_spread * n[0]) if d.lognormal_step else 1 + d.step_spread * n[0]
    step = d.step * np.abs(np.stack([size + beta, size - beta], axis=-1))
    lower = d.bound_spread if d.lower_spread is None else d.lower_spread
    spread = np.abs(1 + np.stack([d.bound_spread * n[2], lower * n[3]], axis=-1))
    bound = spread * np.array([d.w_max, d.w_min])
    return Cells(
        step.astype(np.float32), bound.astype(np.float32), np.zeros((n_out, n_in), np.uint32)
    )


@final
class WriteNoise:
    """What the last write of each cell left on the reads of it: constant until the next pulse.

    A cell is read as w + write_noise N, where every pulse draws its own N (the apparent and the
    hidden weight of IBM's aihwkit). Only the last pulse before a read can be seen, so N is drawn
    for the cells that had pulses since the noise was last renewed.
    """

    def __init__(self, cells: Cells, std: float) -> None:
        self._cells, self._std = cells, np.float32(std)
        self.noise = np.zeros(cells.wear.shape, np.float32)
        """Added to w when it is read, in units of the weight."""
        self.seen = cells.wear.copy()
        """The wear at which each cell's noise was drawn."""

    def renew(self, draw: Draw, column: int | None = None) -> None:
        """Draw anew for all cells that had pulses, or for those of one column."""
        from .kernels.normal import normals

        part = np.s_[:] if column is None else np.s_[:, column]
        wear, seen = self._cells.wear[part], self.seen[part]
        z = np.empty(wear.size, np.float32)
        normals(draw.key(), 0, z)
        np.copyto(self.noise[part], self._std * z.reshape(wear.shape), where=wear != seen)
        seen[:] = wear


def step_size(w: Array, cells: Cells, description: Pulsed, down: bool) -> Array:
    """Return the mean size (n_out, n_in) of the next pulse of cells at w."""
    high, low = cells.bound[..., 0], cells.bound[..., 1]
    return np.asarray(
        cells.step[..., int(down)] * relative_step(description.response, w, low, high, down)
    )


def symmetry_point(cells: Cells, description: Pulsed) -> Array:
    """Return the w (n_out, n_in) where a pulse up and a pulse down cancel.

    Pulses of random sign drive a cell there. For soft bounds it is
    (s_up - s_down) / (s_up / w_max - s_down / w_min), s the steps. Found by bisection, which
    assumes that steps up shrink and steps down grow with w; a cell whose steps never meet gives
    the bound that it drifts to, one whose steps are equal at 0 gives 0.
    """
    high, low = cells.bound[..., 0].copy(), cells.bound[..., 1].copy()
    for _ in range(30):
        middle = (high + low) / 2
        rises = step_size(middle, cells, description, False) > step_size(
            middle, cells, description, True
        )
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    zero = np.zeros_like(low)
    up, down = (step_size(zero, cells, description, down) for down in (False, True))
    return np.where(up == down, zero, (low + high) / 2)
