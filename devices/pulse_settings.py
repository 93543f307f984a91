"""What the cells of a pulsed crossbar are: its settings, else its technology's, else ideal.

A technology's numbers are in its own units of weight; `w_max` puts their range where the weights
are, and the step, the bounds and the noise go with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .pulse_cells import Pulsed
from .pulse_responses import Constant, Exponential, Linear, Response, SoftBounds, measured
from .technology import Technology

if TYPE_CHECKING:
    from .pulsed_crossbar import PulsedCrossbar

_EXPONENTIAL = ("a", "b", "up", "gamma_up", "down", "gamma_down")


def description(crossbar: PulsedCrossbar, technology: Technology) -> Pulsed:
    """Return the cells that a crossbar's fields and its technology's `pulse_` parameters state.

    Raises ValueError for values that make no cell, and for a response that the technology has no
    constants of.
    """
    response, step = _response(crossbar, technology)
    scale = _scale(crossbar, technology)

    def said(given: float | None, name: str, default: float = 0.0, unit: float = 1.0) -> float:
        return _of(technology, name, default) * unit if given is None else given

    w_max = _of(technology, "w_max", 1.0) * scale
    w_min = said(crossbar.w_min, "w_min", -1.0, scale)
    if crossbar.step is not None:
        step = crossbar.step
    elif step is not None:  # measured on a range from -1 to 1
        step *= (w_max - w_min) / 2
    else:
        stated = technology.parameters.get("pulse_step")
        step = 0.001 if stated is None else stated.value * scale
    upper = said(crossbar.bound_spread, "bound_spread")
    return Pulsed(
        response=response,
        step=step,
        step_spread=said(crossbar.step_spread, "step_spread"),
        lognormal_step=crossbar.step_spread is None and _of(technology, "lognormal_step", 0.0) > 0,
        asymmetry=said(crossbar.asymmetry, "asymmetry"),
        asymmetry_spread=said(crossbar.asymmetry_spread, "asymmetry_spread"),
        cycle_noise=said(crossbar.cycle_noise, "cycle_noise"),
        additive_noise=crossbar.cycle_noise is None and _of(technology, "additive_noise", 0.0) > 0,
        write_noise=said(crossbar.write_noise, "write_noise", 0.0, scale),
        w_min=w_min,
        w_max=w_max,
        bound_spread=upper,
        lower_spread=said(crossbar.bound_spread, "lower_spread", upper),
        length=crossbar.length,
        train=crossbar.train,
    )


def zero_error(crossbar: PulsedCrossbar, technology: Technology) -> float:
    """Return the standard deviation of measured symmetry points, in units of the weight."""
    if crossbar.zero_error is not None:
        return crossbar.zero_error
    return _of(technology, "zero_error", 0.0) * _scale(crossbar, technology)


def _scale(crossbar: PulsedCrossbar, technology: Technology) -> float:
    """Return what one unit of weight in the technology stands for, by where `w_max` is put."""
    top = crossbar.w_max
    return 1.0 if top is None else top / _of(technology, "w_max", 1.0)


def _of(technology: Technology, name: str, default: float) -> float:
    found = technology.parameters.get(f"pulse_{name}")
    return default if found is None else found.value


def _response(crossbar: PulsedCrossbar, technology: Technology) -> tuple[Response, float | None]:
    """Return the response, and the mean step on a range of 2 where that was measured."""
    series = technology.pulsing
    has = {
        "measured": series is not None,
        "exponential": "pulse_exponential_a" in technology.parameters,
        "linear": "pulse_slope_up" in technology.parameters,
    }
    kind: str | None = crossbar.response
    if kind is None:
        kind = next((name for name, there in has.items() if there), "soft_bounds")
    if kind in ("measured", "exponential") and not has[kind]:
        what = "[pulsing] series" if kind == "measured" else "parameters pulse_exponential_..."
        raise ValueError(
            f"response {kind} takes a technology with {what}; {technology.stem} has none"
        )
    if kind == "measured" and series is not None:
        return measured(np.array(series.up_S), np.array(series.down_S))
    if kind == "exponential":
        numbers = [technology.parameter(f"pulse_exponential_{name}") for name in _EXPONENTIAL]
        return Exponential(*numbers), None
    if kind == "linear":
        up, down = (
            _of(technology, name, 0.1) if given is None else given
            for name, given in (
                ("slope_up", crossbar.slope_up),
                ("slope_down", crossbar.slope_down),
            )
        )
        return Linear(up, down), None
    return Constant() if kind == "constant" else SoftBounds(), None
