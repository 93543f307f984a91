"""Epsilon of Gaussian mechanisms composed over the steps of a run, by dp-accounting.

All of it is for neighbouring data sets whose distance is in the noise multipliers already:
add-or-remove of one unit at sensitivity 1. (The library's other relation, replace-one, doubles
the sensitivity in one of its accountants and not in the other.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np

Method = Literal["pld", "rdp"]

_COARSE = 1000.0
"""Above this epsilon by RDP, privacy loss distributions would take minutes to say "none"."""


class Epsilon(NamedTuple):
    """A privacy loss and how it was bounded."""

    value: float
    method: str
    """`analytic`, `zCDP`, `PLD`, `RDP` or `none`."""


class Sampled(NamedTuple):
    """Steps whose Poisson batches each pass one joint Gaussian mechanism."""

    multiplier: float
    rate: float
    steps: int


def squared_mu(multiplier: float) -> float:
    """Return z^-2, infinite at 0: what Gaussian mechanisms add up when they are composed."""
    if math.isnan(multiplier) or multiplier < 0:
        raise ValueError(f"a noise multiplier takes a number >= 0, got {multiplier}")
    return math.inf if multiplier < 1e-100 else multiplier**-2.0


def joint_multiplier(multipliers: Iterable[float]) -> float:
    """Return (sum of z^-2)^-1/2: parts of one step see the same batch, so they are one release.

    Composing them as if each had drawn its own batch claims too little: L parts at z are one
    Gaussian at z / sqrt(L), inside one sampling.
    """
    total = sum(squared_mu(z) for z in multipliers)
    return 1.0 / math.sqrt(total) if total else math.inf


def gaussian_epsilon(mu: float, delta: float) -> Epsilon:
    """Return epsilon at delta of a Gaussian mechanism whose means lie mu stds apart.

    Analytic [Balle and Wang, 2018]: delta = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu).
    Where that loses its digits, from zCDP: rho + 2 sqrt(rho ln(1/delta)), rho = mu^2 / 2
    [Bun and Steinke, 2016].
    """
    _check_delta(delta)
    if mu == 0:
        return Epsilon(0.0, "analytic")
    if mu == math.inf:
        return Epsilon(math.inf, "none")
    if 1e-3 <= mu <= 1e6:
        from dp_accounting import get_epsilon_gaussian

        try:
            with np.errstate(all="raise", under="ignore"):
                return Epsilon(float(get_epsilon_gaussian(1.0 / mu, delta)), "analytic")
        except FloatingPointError:
            pass
    return Epsilon(0.5 * mu * mu + mu * math.sqrt(2.0 * math.log(1.0 / delta)), "zCDP")


def composed_epsilon(
    sampled: Sequence[Sampled], delta: float, mu: float = 0.0, method: Method = "pld"
) -> Epsilon:
    """Return epsilon at delta of Poisson-sampled steps and one Gaussian mechanism of `mu`.

    `pld` composes privacy loss distributions (tight; seconds), `rdp` Renyi divergences (an upper
    bound; milliseconds). A run whose bound is beyond a thousand gets the smaller of RDP's and the
    one without amplification. Infinite where any noise is 0.
    """
    _check_delta(delta)
    if method not in ("pld", "rdp"):
        raise ValueError(f"method takes pld or rdp, got {method}")
    for group in sampled:
        if not 0 < group.rate <= 1 or group.steps < 0:
            raise ValueError(f"sampled takes rates in (0, 1] and steps >= 0, got {group}")
    groups = [g for g in sampled if g.steps and g.multiplier < math.inf]
    plain = math.sqrt(mu * mu + sum(g.steps * squared_mu(g.multiplier) for g in groups))
    unamplified = gaussian_epsilon(plain, delta)
    if unamplified.value == math.inf or all(g.rate == 1 for g in groups):
        return unamplified
    event = _event(groups, mu)
    rdp = Epsilon(_account(event, delta, None), "RDP")
    if rdp.value > _COARSE:
        return min(rdp, unamplified)
    if method == "rdp":
        return rdp
    return Epsilon(_account(event, delta, 1e-4 * max(1.0, rdp.value / 10.0)), "PLD")


def calibrate(
    epsilon: float,
    delta: float,
    rate: float,
    steps: int,
    layers: int = 1,
    method: Method = "pld",
) -> float:
    """Return the noise multiplier of each of `layers` parts that a run of epsilon at delta needs.

    Batches are Poisson with probability `rate` (1 for all of the data in every step). The parts
    share the budget equally: sqrt(layers) times the joint multiplier, which is the least that
    keeps epsilon, to a thousandth.
    """
    if not 0 < epsilon < _COARSE:
        raise ValueError(f"epsilon takes a number between 0 and {_COARSE:.0f}, got {epsilon}")
    if steps < 1 or layers < 1:
        raise ValueError(f"steps and layers take 1 or more, got {steps} and {layers}")

    def spent(multiplier: float, how: Method) -> float:
        return composed_epsilon([Sampled(multiplier, rate, steps)], delta, method=how).value

    low, high = 0.5, 1.0
    while spent(high, "rdp") > epsilon:
        low, high = high, 2.0 * high
    while spent(low, "rdp") <= epsilon:
        low, high = 0.5 * low, low
    high = _least(low, high, epsilon, lambda z: spent(z, "rdp"))
    if method == "pld" and rate < 1:
        low = 0.8 * high
        while spent(low, "pld") <= epsilon:
            low, high = 0.8 * low, low
        high = _least(low, high, epsilon, lambda z: spent(z, "pld"))
    return math.sqrt(layers) * high


def _least(low: float, high: float, epsilon: float, spent: Callable[[float], float]) -> float:
    """Return a z in [low, high] that spends at most epsilon and exceeds the least by < 0.1 %."""
    from scipy.optimize import brentq

    found = float(brentq(lambda z: spent(z) / epsilon - 1.0, low, high, rtol=2e-4))
    while spent(found) > epsilon:
        found *= 1.0 + 2e-4
    return min(found, high)


def _event(groups: Sequence[Sampled], mu: float) -> Any:
    import dp_accounting as dp

    events: list[Any] = [dp.GaussianDpEvent(1.0 / mu)] if mu else []
    for multiplier, rate, steps in groups:
        step = dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(multiplier))
        events.append(dp.SelfComposedDpEvent(step, steps))
    return dp.ComposedDpEvent(events)


def _account(event: Any, delta: float, interval: float | None) -> float:
    """Return epsilon by RDP, or by PLD on a grid of `interval`, which rounds up."""
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    relation = NeighboringRelation.ADD_OR_REMOVE_ONE
    accountant = (
        RdpAccountant(neighboring_relation=relation)
        if interval is None
        else PLDAccountant(relation, value_discretization_interval=interval)
    )
    with _quietly():
        accountant.compose(event)
        return float(accountant.get_epsilon(delta))


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library from printing which Renyi orders it leaves out: the bound holds without."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta takes a number in (0, 1), got {delta}")
