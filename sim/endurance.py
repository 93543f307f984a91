"""How much a training wears the cells of its devices, and how many such trainings they last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..devices import Device
from ..devices.technology import Technology
from .markup import Html, el, table
from .units import UNKNOWN, count

PARAMETER = "endurance"
"""The constant of a technology that states how many writes a cell lasts."""


def written(devices: Mapping[str, Device]) -> dict[str, dict[str, float]]:
    """Return by device how many cells were written, how often the most and on average."""
    found = {}
    for name, device in devices.items():
        wear = device.wear()
        if wear is not None:
            found[name] = {
                "cells": int(wear.size),
                "largest": int(wear.max()),
                "mean": float(np.mean(wear, dtype=np.float64)),
            }
    return found


def lasting(
    wear: Mapping[str, Mapping[str, float]], chosen: Mapping[str, Technology]
) -> list[dict[str, Any]]:
    """Return a row a device: its writes, what its technology's cells endure, and for how long.

    `trainings` is how many trainings like this one the most written cell lasts; None where the
    technology states no endurance.
    """
    rows = []
    for name, its in wear.items():
        technology = chosen[name]
        known = technology.parameters.get(PARAMETER)
        rows.append(
            {
                "device": name,
                "technology": technology.stem,
                **its,
                "endurance": None if known is None else known.value,
                "source": "" if known is None else known.source,
                "trainings": None if known is None else known.value / max(its["largest"], 1),
            }
        )
    return rows


def sentences(arm: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an arm's cells went through, a sentence a technology."""
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in arm.get("wear", ()):
        of.setdefault(row["technology"], []).append(row)
    for stem, rows in of.items():
        worst = max(rows, key=lambda row: row["largest"])
        cells = sum(row["cells"] for row in rows)
        mean = sum(row["cells"] * row["mean"] for row in rows) / cells
        text = (
            f"The most written cell of {arm['name']}, in {worst['device']}, had "
            f"{count(worst['largest'])} writes or pulses, the mean of {count(cells)} cells is "
            f"{count(mean)}; "
        )
        if worst["endurance"] is None:
            yield text + f"how many a cell of {stem} lasts is unknown."
        elif worst["trainings"] < 1:
            yield text + f"a cell of {stem} lasts {count(worst['endurance'])}: fewer than that."
        else:
            yield text + (
                f"a cell of {stem} lasts {count(worst['endurance'])}, or "
                f"{count(int(worst['trainings']))} such trainings."
            )


def wear_table(report: Mapping[str, Any]) -> list[Html]:
    """Return the writes of all devices of all arms, and whence their endurance is known."""
    rows = [
        [
            arm["name"],
            row["device"],
            row["technology"],
            count(row["cells"]),
            count(row["mean"]),
            count(row["largest"]),
            UNKNOWN if row["endurance"] is None else count(row["endurance"]),
            UNKNOWN if row["trainings"] is None else count(row["trainings"]),
        ]
        for arm in report["arms"]
        for row in arm.get("wear", ())
    ]
    columns = [
        "Arm", "Device", "Technology", "Cells", "Writes, mean", "Writes, most", "Endurance",
        "Trainings",
    ]  # fmt: skip
    if not rows:
        return []
    sources = {
        row["technology"]: row["source"]
        for arm in report["arms"]
        for row in arm.get("wear", ())
        if row["source"]
    }
    notes = [
        el("p", {"class": "note"}, f"How much a cell of {stem} endures: {source}.")
        for stem, source in sources.items()
    ]
    made = table("Wear of the cells", columns, rows, numeric=(3, 4, 5, 6, 7), cards=True)
    return [made, *notes]
