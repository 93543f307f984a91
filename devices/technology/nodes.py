"""A technology made at another node: converters by the survey, digital parts by their scaling."""

from __future__ import annotations

import re
from dataclasses import replace

from ..converters import expected_adc
from . import Event, Technology

_VOLTS = 0.8
_ENERGY = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
}
"""Energy of a digital operation at a node in nm, a V^2 + b V + c: Stillmaker and Baas, Integration
58 (2017), as the package hwcomponents has it."""


def digital_energy(node_nm: float) -> float:
    """Return the energy of a digital operation at a node, relative to others, at 0.8 V.

    Linear between the nodes that Stillmaker and Baas fitted. Raises ValueError beyond them.
    """
    nodes = sorted(_ENERGY)
    if not nodes[0] <= node_nm <= nodes[-1]:
        raise ValueError(f"a node takes {nodes[0]} to {nodes[-1]} nm, got {node_nm:g} nm")
    energies = [a * _VOLTS**2 + b * _VOLTS + c for a, b, c in (_ENERGY[n] for n in nodes)]
    above = next(k for k, n in enumerate(nodes) if n >= node_nm)
    if nodes[above] == node_nm:
        return energies[above]
    low, high = nodes[above - 1], nodes[above]
    part = (node_nm - low) / (high - low)
    return energies[above - 1] * (1 - part) + energies[above] * part


def at_node(technology: Technology, node: str, stem: str) -> Technology:
    """Return a technology at a node such as "22nm".

    Events that scale as "adc" follow the regression over published converters at their own bits
    and rate, those that scale as "digital" Stillmaker and Baas in energy and the square of the
    node in area; times stay, and so does all else: cells, and what moves charge through them.
    Raises ValueError for no node, and where the file does not say at which its prices are.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)nm", node)
    if not found:
        raise ValueError(f'technology {stem}: a node is written as in "@22nm", got "@{node}"')
    if "node" not in technology.parameters or not any(
        row.scales for rows in technology.events.values() for row in rows
    ):
        raise ValueError(
            f"technology {technology.stem} states measured totals, which no law takes to another "
            "node; leave out the @"
        )
    old_m, new_m = technology.parameter("node"), float(found[1]) * 1e-9
    try:
        ratio = digital_energy(new_m * 1e9) / digital_energy(old_m * 1e9)
    except ValueError as wrong:
        raise ValueError(f"technology {stem}: {wrong}") from wrong

    def moved(row: Event) -> Event:
        if not row.scales:
            return row
        energy, area = ratio, (new_m / old_m) ** 2
        if row.scales == "adc" and row.latency_s:
            new, old = (expected_adc(row.bits, 1 / row.latency_s, m) for m in (new_m, old_m))
            energy, area = new.energy_J / old.energy_J, new.area_m2 / old.area_m2
        law = "the survey of arXiv:2404.06553" if row.scales == "adc" else "Stillmaker and Baas"
        return replace(
            row,
            energy_J=None if row.energy_J is None else row.energy_J * energy,
            area_m2=None if row.area_m2 is None else row.area_m2 * area,
            source=f"{row.source}; energy times {energy:.3g} for {node} ({law})",
        )

    events = {name: tuple(map(moved, rows)) for name, rows in technology.events.items()}
    placed = replace(technology.parameters["node"], value=new_m)
    return replace(
        technology,
        stem=stem,
        name=f"{technology.name}, at {node}",
        events=events,
        parameters={**technology.parameters, "node": placed},
    )
