"""The commands that lay a network on a fabric: `hwloop place`, and what `time --fabric` prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

FabricName = Annotated[
    str | None,
    typer.Option(
        "--fabric",
        "-f",
        metavar="FABRIC",
        help="Time every arm on this fabric: one of `hwloop place --list`, or a TOML file.",
    ),
]


StepKind = Annotated[
    str,
    typer.Option(
        "--step",
        metavar="KIND",
        help="With --fabric: train, or evaluate for inference alone.",
    ),
]


def place(
    file: Annotated[
        Path | None,
        typer.Argument(help="Experiment in TOML; without it, the embedded one."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Lay a value over the file, as in fabric.strategy=balanced; repeatable.",
        ),
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="Show the fabrics that ship with hwloop, and stop.")
    ] = False,
) -> None:
    """Show where matrices lie on a fabric, and time a step there.

    Nothing is trained: one step is taken and forgotten.
    """
    from .console import plain_console
    from .experiment import BadInput, read
    from .fabric_report import fabric_part
    from .fabric_time import fabric_bill, time_fabric
    from .prepare import prepare_all
    from .pricing import technologies

    if list_all:
        plain_console().print(fabrics())
        return
    experiment = read(file, settings or [])
    if not any(arm.fabric.use for arm in (experiment, *experiment.compare.values())):
        raise BadInput(
            f'{experiment.at.where} has no fabric: say [fabric] use = "...", or --set '
            "fabric.use=...; `hwloop place --list` shows what there is"
        )
    for name, arm in prepare_all(experiment).items():
        if not arm.experiment.fabric.use:
            continue
        ledger = arm.rehearsal
        chosen = technologies(ledger)
        timed = time_fabric(ledger, chosen, arm.experiment.fabric)
        show(name, fabric_part(timed, fabric_bill(timed, ledger, chosen)))


def show(name: str, fabric: Mapping[str, Any]) -> None:
    """Print an arm's placement, floorplan and the time of its step."""
    from .console import plain_console
    from .console_fabric import costs, floorplan, placement, use

    console = plain_console()
    console.print(placement(name, fabric))
    console.print(floorplan(fabric, console.width))
    console.print(use(fabric))
    console.print(costs(fabric))
    for sentence in (fabric["bottleneck"], *fabric["notes"]):
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print()


def fabrics() -> Any:
    """Return a table of the fabrics that ship with hwloop."""
    from ..mappings.fabric_file import load, names
    from .console import table_of

    table = table_of("fabrics", ("name", "what it is", "tiles", "hosts"), ())
    for stem in names():
        fabric = load(stem)
        tiles = ", ".join(
            f"{t.count} {t.name}" + (f" of {t.rows} x {t.columns}" if t.rows else "")
            for t in fabric.tiles.values()
        )
        hosts = ", ".join(f"{h.name} ({h.technology})" for h in fabric.hosts.values())
        table.add_row(stem, fabric.description, tiles, hosts)
    return table


def told(name: str | None, step: str = "train") -> Any:
    """Return the table that `--fabric` and `--step` stand for, None without. Raises BadInput."""
    from .places import BadInput
    from .tables_fabric import FabricTable

    if name is None:
        return None
    from ..mappings.fabric_file import load

    try:
        load(name)
    except (ValueError, OSError) as wrong:
        raise BadInput(f"--fabric {name}: {wrong}") from wrong
    if step not in ("train", "evaluate"):
        raise BadInput(f"--step takes train or evaluate, got {step}")
    return FabricTable(use=name, steps="evaluate" if step == "evaluate" else "all")
