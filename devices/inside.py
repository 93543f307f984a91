"""The device inside a wrapper: made from a table with `device` and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .base import SET_BY_MAPPING, Can, Device, Unable, words
from .ledger import Ledger
from .words import unknown


def make_inside(
    wrapper: Device,
    of: Mapping[str, Any],
    not_of: tuple[type[Device], ...],
    n_out: int,
    n_in: int,
    name: str,
    ledger: Ledger,
) -> Device:
    """Return the device (n_out, n_in) that a wrapper's `of` names, at the wrapper's technology.

    Raises ValueError for a key or a device that there is not, Unable for one that cannot be
    programmed, or that is one of the wrappers `not_of`.
    """
    from . import CATALOGUE

    settings = dict(of)
    kind = settings.pop("device", None)
    able = [k for k, c in CATALOGUE.items() if Can.PROGRAM in c.can and c not in not_of]
    if kind not in CATALOGUE:
        raise ValueError(f"{wrapper.name}: of: {unknown('device', str(kind), able)}")
    cls = CATALOGUE[kind]
    if kind not in able:
        raise Unable(
            f"{wrapper.name}: of takes a device that can PROGRAM; {cls.__name__} can "
            f"{words(cls.can)}; able are: {', '.join(able)}"
        )
    known = {f.name for f in fields(cls)} - SET_BY_MAPPING
    for key in settings:
        if key not in known:
            raise ValueError(f"{wrapper.name}: of: {unknown('key', key, known)}")
    if wrapper.technology and settings.setdefault("technology", wrapper.technology) != (
        wrapper.technology
    ):
        raise ValueError(
            f"{wrapper.name}: technology is {wrapper.technology} outside of `of` and "
            f"{settings['technology']} inside; say it once"
        )
    return cls(n_out=n_out, n_in=n_in, name=name, seed=wrapper.seed, ledger=ledger, **settings)


def inner_state(name: str, device: Device) -> dict[str, Any]:
    """Return a device's state, each array's name after `name` and a colon."""
    return {f"{name}:{key}": array for key, array in device.state().items()}


def restore_inner(name: str, device: Device, arrays: Mapping[str, Any]) -> None:
    """Give a device back what `inner_state` returned among `arrays`."""
    start = f"{name}:"
    device.restore({k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)})
