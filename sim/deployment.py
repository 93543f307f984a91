"""[noise] and [deploy]: what a chip will do to the weights, and the chip that they are put on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from ..algorithms import NoiseAware
from ..devices import CATALOGUE, Can, Device, Ledger, Seed
from ..devices.technology import load as load_technology
from ..devices.words import unknown
from .places import Source, shown
from .tables import Positive, Table, table_at, validated

WAYS = ("none", "global", "column")
"""How drift may be made up for: not at all, by one factor a matrix, by one for each output."""
TIMES_S = (1.0, 60.0, 3600.0, 86400.0, 30 * 86400.0, 365.25 * 86400.0, 3652.5 * 86400.0)
"""A second, a minute, an hour, a day, thirty days, a year and ten, from the write on."""


class NoiseTable(Table):
    """[noise]: what training puts on the weights, and where it cuts them."""

    std: Annotated[float, Field(ge=0)] = 0.0
    """Std of Gaussian noise on each weight, over the layer's largest magnitude."""
    chip: bool = False
    """Weights as the chip of [deploy] holds them fresh from the write, another one at each step."""
    clip_std: Annotated[float, Field(ge=0)] = 0.0
    """Weights are cut at so many standard deviations of their layer; 0: they are not."""
    clip_percentile: Annotated[float, Field(gt=0, le=100)] = 100.0
    """Weights are cut at this percentile of their layer's magnitudes; 100: they are not."""


class DeployTable(Table):
    """[deploy]: how often the trained network is put on a chip and looked at."""

    chips: Positive = 5
    """Chips, each with noise, spread and faults of its own."""
    reads: Positive = 2
    """Passes over the test data at each time, each with read noise of its own."""


@dataclass(frozen=True)
class Deployment:
    """A checked [deploy]: the trained network on chips, and its accuracy as they age."""

    chips: int
    reads: int
    times_s: tuple[float, ...] | None
    """Seconds since the write; None: those that suit the chip."""
    compensation: tuple[str, ...] | None
    """Ways in which drift is made up for, each by itself; None: those that suit the chip."""
    places: Mapping[str, Mapping[str, Any]]
    """"weight" or "weight/1", ... -> {"device": ..., and the fields of that device}."""
    host: str | None
    """Technology that prices the elementwise work beside the chip; None: that of [host]."""

    def settings(self, name: str) -> Mapping[str, Any]:
        """Return the settings of the device that holds the matrix of this name."""
        return self.places.get(name, self.places["weight"])

    def chip(self, name: str, n_out: int, n_in: int, seed: Seed, ledger: Ledger) -> Device:
        """Return the device that holds a matrix, as yet without it. Raises ValueError."""
        settings = dict(self.settings(name))
        cls = CATALOGUE[settings.pop("device")]
        return cls(
            n_out=n_out, n_in=n_in, name=f"chip/{name}", seed=seed, ledger=ledger, **settings
        )


Place = Callable[[Source, tuple[str, ...], Any], dict[str, Any]]
"""Reads a table that chooses a device."""


def read_deploy(at: Source, given: Any, place: Place) -> Deployment | None:
    """Return the deployment that [deploy] describes; None without one. Raises BadInput."""
    if given is None:
        return None
    values = dict(table_at(at, ("deploy",), given))
    times, ways = values.pop("times_s", None), values.pop("compensation", None)
    host = values.pop("host", None)
    places = {}
    for key in list(values):
        role, numbered, number = key.partition("/")
        if role == "weight" and (not numbered or number.isdigit()):
            places[key] = place(at, ("deploy", key), values.pop(key))
    if "weight" not in places:
        raise at.bad(
            ("deploy", "weight"),
            "weight is missing: say what chip the weights are put on, as weight = { device = "
            '"crossbar" }',
        )
    also = ("times_s", "compensation", "host", "weight")
    table = validated(at, ("deploy",), DeployTable, values, also)
    for key, settings in places.items():
        cls = CATALOGUE[settings["device"]]
        if Can.PROGRAM not in cls.can:
            able = [name for name, one in CATALOGUE.items() if Can.PROGRAM in one.can]
            raise at.bad(
                ("deploy", key),
                f"{settings['device']} cannot be programmed, and a trained network must be "
                f"written to its chip; able are: {', '.join(able)}",
            )
    return Deployment(
        table.chips, table.reads, _times(at, times), _ways(at, ways), places, _host(at, host)
    )


def _host(at: Source, given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise at.bad(("deploy", "host"), f"host takes a technology's name, got {shown(given)}")
    try:
        load_technology(given)
    except (ValueError, OSError) as wrong:
        raise at.bad(("deploy", "host"), str(wrong)) from wrong
    return given


def _times(at: Source, given: Any) -> tuple[float, ...] | None:
    if given is None:
        return None
    listed = given if isinstance(given, list) else [given]
    right = all(
        isinstance(t, (int, float)) and not isinstance(t, bool) and 0 < t < math.inf for t in listed
    )
    if not listed or not right or any(a >= b for a, b in zip(listed, listed[1:], strict=False)):
        raise at.bad(
            ("deploy", "times_s"),
            "times_s takes seconds since the write, above 0 and each later than the one before, "
            f"as [1, 86400, 31557600]; got {shown(given)}",
        )
    return tuple(float(t) for t in listed)


def _ways(at: Source, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    listed = given if isinstance(given, list) else [given]
    for way in listed:
        if not isinstance(way, str) or way not in WAYS:
            said = unknown("compensation", way if isinstance(way, str) else shown(way), WAYS)
            raise at.bad(("deploy", "compensation"), said)
    if not listed or len(set(listed)) < len(listed):
        raise at.bad(
            ("deploy", "compensation"),
            f"compensation takes ways that differ, of {', '.join(WAYS)}; got {shown(given)}",
        )
    return tuple(listed)


def aware_of(
    at: Source,
    noise: NoiseTable,
    deployment: Deployment | None,
    places: Mapping[str, Mapping[str, Any]],
) -> NoiseAware | None:
    """Return the noise-aware training of [noise]; None where it does nothing. Raises BadInput."""
    if noise == NoiseTable():
        return None
    for key, settings in places.items():
        device = settings["device"]
        if key.split("/")[0] == "weight" and not CATALOGUE[device].digital:
            able = [name for name, one in CATALOGUE.items() if one.digital]
            raise at.bad(
                (key, "device"),
                f"{device} brings noise of its own: [noise] is put on weights that are held as "
                f"numbers, by {', '.join(able)}",
            )
    chip = None
    if noise.chip:
        if deployment is None:
            raise at.bad(("noise", "chip"), "chip is that of [deploy], and there is no [deploy]")

        def chip(name: str, n_out: int, n_in: int, seed: Seed) -> Device:
            return deployment.chip(name, n_out, n_in, seed, Ledger())

    try:
        return NoiseAware(noise.std, chip, noise.clip_std, noise.clip_percentile)
    except ValueError as wrong:
        raise at.bad(("noise", str(wrong).split()[0]), str(wrong)) from wrong
