"""What the cells of a pulsed crossbar are: its settings, else its technology's, else ideal.

A technology's numbers are in its own units of weight; `w_max` puts their range where the weights
are, and the step, the bounds and the noise go with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pulse_cells import Pulsed
from .pulse_responses import Constant, Exponential, Linear, Response, SoftBounds, measured
from .technology import Technology

if TYPE_CHECKING:
    from .pulsed_crossbar import PulsedCrossbar

_SETTABLE = (
    "step_spread", "asymmetry", "asymmetry_spread", "cycle_noise", "write_noise", "bound_spread",
)  # fmt: skip
_EXPONENTIAL = ("a", "b", "up", "gamma_up", "down", "gamma_down")


def description(crossbar: PulsedCrossbar, technology: Technology) -> Pulsed:
    """Return the cells that a crossbar's fields and its technology's `pulse_` parameters state.

    Raises ValueError for values that make no cell, and for a response that the technology has no
    constants of.
    """
    response, step = _response(crossbar, technology)
    scale = _scale(crossbar, technology)
    found: dict[str, float | None] = {}
    for name in _SETTABLE:
        given = getattr(crossbar, name)
        found[name] = _of(technology, name, 0.0) if given is None else given
    if crossbar.write_noise is None:
        found["write_noise"] = _of(technology, "write_noise", 0.0) * scale
    found["lower_spread"] = found["bound_spread"]
    if crossbar.bound_spread is None:
        found["lower_spread"] = _of(technology, "lower_spread", found["bound_spread"] or 0.0)
    w_max = _of(technology, "w_max", 1.0) * scale
    w_min = _of(technology, "w_min", -1.0) * scale if crossbar.w_min is None else crossbar.w_min
    if crossbar.step is not None:
        step = crossbar.step
    elif step is not None:  # measured on a range from -1 to 1
        step *= (w_max - w_min) / 2
    else:
        stated = technology.parameters.get("pulse_step")
        step = 0.001 if stated is None else stated.value * scale
    return Pulsed(
        response=response,
        step=step,
        lognormal_step=crossbar.step_spread is None and _of(technology, "lognormal_step", 0.0) > 0,
        additive_noise=crossbar.cycle_noise is None and _of(technology, "additive_noise", 0.0) > 0,
        w_min=w_min,
        w_max=w_max,
        length=crossbar.length,
        train=crossbar.train,
        **found,
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
    kind = crossbar.response
    has = {
        "measured": technology.pulsing is not None,
        "exponential": "pulse_exponential_a" in technology.parameters,
        "linear": "pulse_slope_up" in technology.parameters,
    }
    if kind is None:
        kind = next((name for name, there in has.items() if there), "soft_bounds")
    if kind in ("measured", "exponential") and not has[kind]:
        what = "[pulsing] series" if kind == "measured" else "parameters pulse_exponential_..."
        raise ValueError(
            f"response {kind} takes a technology with {what}; {technology.stem} has none"
        )
    if kind == "measured" and technology.pulsing is not None:
        return measured(technology.pulsing.up_S, technology.pulsing.down_S)
    if kind == "exponential":
        numbers = [technology.parameter(f"pulse_exponential_{name}") for name in _EXPONENTIAL]
        return Exponential(*numbers), None
    if kind == "linear":
        slopes = (crossbar.slope_up, crossbar.slope_down)
        up, down = (
            _of(technology, name, 0.1) if given is None else given
            for name, given in zip(("slope_up", "slope_down"), slopes, strict=True)
        )
        return Linear(up, down), None
    return Constant() if kind == "constant" else SoftBounds(), None
