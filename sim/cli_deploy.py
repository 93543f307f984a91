"""The command `hwloop deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Lay a value over [deploy], as in chips=20, times_s=[1,86400] or "
            "weight={device='crossbar',technology='pcm_hermes'}; repeatable.",
        ),
    ] = None,
) -> None:
    """Put a finished run's weights on chips, and see how they age.

    Nothing is trained. The chip is that of [deploy] in the run's file, or as --set says.
    """
    from .console import chips, plain_console, progress, sentences
    from .deploy_report import sentences as said
    from .deploy_run import redeploy
    from .files import write_json

    console = plain_console()
    with progress(console, ["main, on chips"]) as on_progress:
        made = redeploy(folder, settings or [], on_progress)
    write_json(folder / "deploy.json", made)
    console.print(chips(made))
    console.print(sentences(said(made)))
    typer.echo(f"\nchips  {folder / 'deploy.json'}")
