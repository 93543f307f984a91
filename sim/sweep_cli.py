"""`hwloop sweep`: the command line of sweeps and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class _Group(TyperGroup):
    """`hwloop sweep FILE` is short for `hwloop sweep run FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="sweep",
    cls=_Group,
    help="Sweep hardware parameters, or search a design.\n\nhwloop sweep FILE starts either.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def run(
    file: Annotated[
        Path | None, typer.Argument(help="Experiment in TOML with [sweep] or [search].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Lay a value over the file; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the sweep; else one in runs/."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="SWEEP", help="Go on with a sweep; the same command does so too."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Processes; else one a core.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Train on a Dask cluster, as tcp://host:8786."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=1.0, metavar="SECONDS", help="End a training that takes longer."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take a grid of any size as meant.")] = False,
) -> None:
    """Carry out a sweep or a search, or go on with it.

    Killed at any moment, it goes on where it was.
    """
    from .exits import INTERRUPTED, STOPPED, Ended
    from .experiment import BadInput
    from .sweep_console import progress, screen, tallies
    from .sweep_run import carry_out, check, folder_for, open_plan, read_plan, usual_workers

    if resume is not None:
        if file is not None or settings or out is not None:
            raise BadInput("--resume goes on with a sweep as it was started: it takes no file")
        plan, folder = open_plan(resume), resume
    elif file is None:
        raise BadInput("hwloop sweep takes a file, or --resume and the folder of a sweep")
    else:
        plan = read_plan(file, settings or [])
        check(plan, yes)
        folder = folder_for(plan, out)
    objectives = getattr(plan, "objectives", ())
    constraints = getattr(plan, "constraints", ())
    try:
        with progress(screen(), plan.name, objectives, constraints) as on_progress:
            state = carry_out(
                plan, folder, on_progress, workers or usual_workers(), scheduler, timeout
            )
    except Ended:
        typer.echo(f"interrupted; go on with: hwloop sweep --resume {folder}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"{state.done:,} points: {', '.join(tallies(state))}\n")
    show(folder)
    if state.failed:
        raise typer.Exit(STOPPED)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    compare: Annotated[
        Path | None, typer.Option(metavar="SWEEP", help="Put another sweep beside it.")
    ] = None,
) -> None:
    """Print a sweep's table; write its page and its points.

    The points are written as CSV and, where pyarrow is installed, as Parquet; the page's figures
    beside it as SVG.
    """
    from .files import write
    from .sweep_console import screen
    from .sweep_page import drawings, render
    from .sweep_results import read
    from .sweep_svg import standalone
    from .sweep_table import csv_text, parquet, table

    found = read(folder) if compare is None else read(folder).beside(read(compare))
    where = screen()
    for one in table(found):
        where.print(one)
    write(folder / "sweep.csv", csv_text(found))
    typer.echo(f"points  {folder / 'sweep.csv'}")
    columns = parquet(found)
    if columns is not None:
        write(folder / "sweep.parquet", columns)
        typer.echo(f"        {folder / 'sweep.parquet'}")
    write(folder / "sweep.html", render(found))
    typer.echo(f"page    {folder / 'sweep.html'}")
    for name, figure in drawings(found).items():
        write(folder / "figures" / f"{name}.svg", standalone(figure))
    typer.echo(f"figures {folder / 'figures'}")
