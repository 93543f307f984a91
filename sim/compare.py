"""What one run predicted beside what another measured: `hwloop compare RUN_A RUN_B`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from .experiment import BadInput
from .reading import measured_share, unmetered
from .report import assemble
from .units import percent, si

Arm = Mapping[str, Any]
ROWS = (
    ("test accuracy", "accuracy"),
    ("time of a training step", "step_s"),
    ("time of training", "train_s"),
    ("energy, modelled", "modelled_J"),
    ("energy, metered", "metered_J"),
    ("of it beyond rest", "work_J"),
)


def figures(arm: Arm) -> dict[str, tuple[float | None, str]]:
    """Return what is compared, each with how it came about.

    `modelled` comes from technology files, `measured` from a clock or a counter of the hardware,
    `integrated` from sampled power. Joules of the three are never added.
    """
    share = measured_share(arm)
    timed = "modelled"
    if share:
        timed = "measured" if share > 0.9995 else f"{percent(share)} measured"
    whole_s = arm["latency"]["train_s"]
    metered = arm.get("metered")
    tag = metered["tag"] if metered else ""
    return {
        "accuracy": (arm["accuracy"]["test"], ""),
        "step_s": (whole_s / arm["steps"] if arm["steps"] else None, timed),
        "train_s": (whole_s, timed),
        "modelled_J": (
            arm["energy"]["train_J"],
            "modelled, a lower bound" if unmetered(arm) else "modelled",
        ),
        "metered_J": (metered["energy_J"] if metered else None, tag),
        "work_J": (metered["work_J"] if metered else None, tag),
    }


def compare(one: Path, other: Path) -> list[Table]:
    """Return a table for each arm that both runs have.

    Raises BadInput where a run is not finished, or they have no arm in common.
    """
    first, second = ({arm["name"]: arm for arm in assemble(run)["arms"]} for run in (one, other))
    common = [name for name in first if name in second]
    if not common:
        raise BadInput(f"{one} and {other} have no arm in common")
    return [_table(str(one), str(other), first[name], second[name]) for name in common]


def _table(one: str, other: str, a: Arm, b: Arm) -> Table:
    title = (
        a["name"]
        if _works_on(a) == _works_on(b)
        else (f"{a['name']}: {_works_on(a)} against {_works_on(b)}")
    )
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("", style="bold")
    for name in (one, other):
        table.add_column(escape(name), justify="right", overflow="fold")
        table.add_column("")
    table.add_column("second / first", justify="right")
    mine, its = figures(a), figures(b)
    for label, key in ROWS:
        (x, how_x), (y, how_y) = mine[key], its[key]
        if x is None and y is None:
            continue
        ratio = f"{y / x:.3g}" if x and y is not None and key != "accuracy" else ""
        table.add_row(label, _shown(key, x), how_x, _shown(key, y), how_y, ratio)
    predicted, met = mine["modelled_J"][0], its["metered_J"][0]
    if predicted and met:
        table.add_row("energy, metered over modelled", "", "", "", "", f"{met / predicted:.3g}")
    return table


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return percent(value) if key == "accuracy" else si(value, "s" if key.endswith("_s") else "J")


def _works_on(arm: Arm) -> str:
    """Return what an arm's weights are worked on by."""
    parts = {d["part"] for d in arm["devices"] if d["name"].startswith("weight")}
    return " and ".join(sorted(parts))
