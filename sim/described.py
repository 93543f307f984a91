"""The devices of a ledger and what prices them, as plain data for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..devices.ledger import Ledger
from ..devices.technology import Technology
from .pricing import area_m2, converters, part_of


def described(ledger: Ledger, chosen: Mapping[str, Technology]) -> dict[str, Any]:
    """Return area by part, devices with their settings, and technologies with their sources."""
    return {
        "area_m2": area_m2(ledger, chosen),
        "devices": [
            {
                "name": name,
                "kind": d.kind,
                "technology": chosen[name].stem,
                "part": part_of(d, chosen[name]),
                "n_out": d.n_out,
                "n_in": d.n_in,
                "settings": dict(d.settings),
                "prices": converters(d, chosen[name]),
            }
            for name, d in ledger.devices.items()
        ],
        "technologies": {t.stem: _sources(t) for t in chosen.values()},
    }


def _sources(technology: Technology) -> dict[str, Any]:
    return {
        "name": technology.name,
        "description": technology.description,
        "idle_W": technology.idle_W,
        "idle_source": technology.idle_source,
        "area_m2": technology.area_m2,
        "area_source": technology.area_source,
        "events": {name: [asdict(e) for e in es] for name, es in technology.events.items()},
        "parameters": {n: asdict(p) for n, p in technology.parameters.items()},
    }
