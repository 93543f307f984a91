"""`hwloop print`: a data set in, a front of printed circuits out, down to Verilog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def print_design(
    file: Annotated[
        Path | None, typer.Argument(help="Design in TOML; without it, a small embedded one.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Lay a value over the file, as in search.generations=50; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the design; else a new one in runs/."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Go on with an interrupted design, bit for bit."),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(min=0, max=1024, help="Processes that share the work; 0: one a core. The "
                     "result does not depend on it."),
    ] = 0,
) -> None:  # fmt: skip
    """Design printed classifiers, down to Verilog.

    Ctrl-C leaves a folder that can be resumed.
    """
    from .console import plain_console
    from .console import sentences as as_list
    from .exits import INTERRUPTED, Ended
    from .places import BadInput
    from .print_console import progress, summary
    from .print_findings import sentences
    from .print_run import RESULT, new_design_folder, open_design, work
    from .print_settings import read_design
    from .print_tasks import cores
    from .run import interruptions

    if resume is not None and (file is not None or settings or out is not None):
        raise BadInput("--resume goes on with a design as it was started: it takes nothing else")
    design = open_design(resume) if resume is not None else read_design(file, settings or [])
    topology = design.topology(design.words())
    design.genes(topology)
    try:
        import pymoo  # noqa: F401
    except ImportError:
        raise BadInput('evolution needs pymoo: pip install "hwloop[printed]"') from None
    folder = resume if resume is not None else new_design_folder(design, out)
    console = plain_console()
    try:
        with progress(console) as report, interruptions() as interrupted:
            made = work(design, folder, processes or cores(), report, interrupted)
    except Ended:
        made = None
    if made is None:
        typer.echo(f"interrupted; go on with: hwloop print --resume {folder}", err=True)
        raise typer.Exit(INTERRUPTED)
    console.print(summary(made))
    console.print(as_list(sentences(made)))
    typer.echo(f"\nreport   {folder / 'report.html'}")
    typer.echo(f"numbers  {folder / RESULT}, {folder / 'front.csv'}")
    typer.echo(f"Verilog  {folder / 'circuits'}")
