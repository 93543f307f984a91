"""Train networks on simulated and real matrix hardware, and read what it cost."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from . import cli_deploy, sweep_cli
from .cli_fabric import FabricName, StepKind, place, show, told
from .exits import BAD, INTERRUPTED, NONE, STOPPED, Ended
from .print_cli import print_design

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="hwloop",
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sweep_cli.app)
Technologies = Annotated[
    list[str] | None,
    typer.Option(
        "--technology",
        "-t",
        metavar="WHAT=TECHNOLOGY",
        help="Read a device, a role or a technology at other prices, as in feedback=opu_gen2; "
        "repeatable. A technology is one of `hwloop devices`, or a TOML file of your own.",
    ),
]
Run = Annotated[Path, typer.Argument(help="Folder of a finished run.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hwloop {__version__}")
        raise typer.Exit()


@app.callback()
def hwloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and stop.")
    ] = False,
) -> None:
    """Train networks on simulated and real matrix hardware, and read what it cost."""


@app.command()
def run(
    file: Annotated[
        Path | None,
        typer.Argument(help="Experiment in TOML; without it, the embedded one."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Lay a value over the file, as in train.epochs=5; repeatable. "
            "compare={} drops the arms that are compared.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the run; else a new one in runs/."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with an interrupted run, bit for bit."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the experiment as it would run, and stop.")
    ] = False,
) -> None:
    """Train an experiment, and what it is compared with.

    Ctrl-C leaves a run that can be resumed.
    """
    import tomli_w

    from .console import progress
    from .experiment import BadInput, read
    from .prepare import remarks
    from .run import execute, finished, new_folder, open_run, prepare_all

    if resume is not None and (file is not None or settings or out is not None):
        raise BadInput("--resume goes on with a run as it was started: it takes nothing else")
    experiment = open_run(resume) if resume is not None else read(file, settings or [])
    if show:
        typer.echo(tomli_w.dumps(dict(experiment.raw)), nl=False)
        return
    arms = prepare_all(experiment)
    for remark in remarks(arms):
        typer.echo(f"note: {remark}", err=True)
    folder = resume if resume is not None else new_folder(experiment, out)
    try:
        with progress(_console(), list(arms)) as on_progress:
            done = execute(folder, arms, on_progress)
    except Ended:
        done = False
    if not done:
        typer.echo(f"interrupted; go on with: hwloop run --resume {folder}", err=True)
        raise typer.Exit(INTERRUPTED)
    try:
        report(folder)
    except Ended:
        typer.echo(f"the run is done; show it with: hwloop report {folder}", err=True)
        raise
    if any(result.get("diverged") for result in finished(folder).values()):
        raise typer.Exit(STOPPED)


app.command()(place)


@app.command()
def report(folder: Run, technology: Technologies = None, fabric: FabricName = None) -> None:
    """Write a run's page, JSON and trace; print the gist."""
    from .console import chips, sentences, summary
    from .files import write, write_json
    from .findings import findings
    from .page import render
    from .report import assemble
    from .trace import trace

    made = assemble(folder, _pairs(technology), told(fabric))
    write_json(folder / "report.json", made)
    write_json(folder / "trace.json", trace(made))
    write(folder / "report.html", render(made))
    console = _console()
    console.print(summary(made))
    if (table := chips(made)) is not None:
        console.print(table)
    console.print(sentences(findings(made)))
    typer.echo(f"\nreport  {folder / 'report.html'}")
    typer.echo(f"trace   {folder / 'trace.json'} (opens in ui.perfetto.dev)")


@app.command()
def price(folder: Run, technology: Technologies = None) -> None:
    """Read a finished run's joules again, without training."""
    from .console import bill, summary
    from .findings import conditions
    from .report import assemble

    made = assemble(folder, _pairs(technology))
    console = _console()
    for arm in made["arms"]:
        console.print(bill(arm))
    console.print(summary(made))
    for sentence in conditions(made):
        console.print(f"- {sentence}", markup=False, highlight=False)


@app.command()
def time(
    folder: Run,
    technology: Technologies = None,
    fabric: FabricName = None,
    step: StepKind = "train",
) -> None:
    """Read a finished run's seconds again, without training."""
    from .console import summary, timeline
    from .findings import conditions
    from .places import BadInput
    from .report import assemble

    made = assemble(folder, _pairs(technology), told(fabric, step))
    if step != "train" and not any("fabric" in arm for arm in made["arms"]):
        raise BadInput(f"--step {step} goes with --fabric NAME, and this run has no fabric")
    console = _console()
    for arm in made["arms"]:
        if "fabric" in arm:
            show(arm["name"], arm["fabric"])
        else:
            console.print(timeline(arm))
    console.print(summary(made))
    for sentence in conditions(made):
        console.print(f"- {sentence}", markup=False, highlight=False)


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of a finished run.")],
    other: Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of another.")],
) -> None:
    """Put a run's predictions beside what another measured."""
    from .compare import compare as tables

    for table in tables(one, other):
        _console().print(table)


@app.command()
def devices() -> None:
    """Show what each device can do, and what prices it."""
    from .catalogue import abilities, technologies

    console = _console()
    console.print(abilities())
    console.print(technologies())


@app.command()
def algorithms() -> None:
    """Show what each rule asks for, and what runs where."""
    from .optimizer_table import optimizers
    from .rules import pairs, rules

    console = _console()
    console.print(rules())
    console.print(optimizers())
    console.print(pairs())


@app.command()
def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A section of the file, a rule, loss, optimizer, device, technology or data set; "
            "without it, all their names."
        ),
    ] = None,
) -> None:
    """Say what a name in an experiment file stands for."""
    from .explain import everything, explained

    console = _console()
    for part in [everything()] if name is None else explained(name):
        console.print(part)


app.command("deploy")(cli_deploy.command)
app.command("print")(print_design)


def _console() -> Console:
    from .console import plain_console

    return plain_console()


def _pairs(technology: list[str] | None) -> dict[str, str]:
    """Return WHAT: TECHNOLOGY. Raises BadInput where one is malformed, unknown or said twice."""
    from ..devices.technology import load
    from .experiment import BadInput

    pairs: dict[str, str] = {}
    for item in technology or []:
        what, _, stem = (part.strip() for part in item.partition("="))
        if not what or not stem:
            raise BadInput(
                f'--technology takes WHAT=TECHNOLOGY, as in feedback=opu_gen2; got "{item}"'
            )
        if what in pairs:
            raise BadInput(f'--technology says twice what "{what}" is: {pairs[what]} and {stem}')
        try:
            load(stem)
        except (ValueError, OSError) as wrong:
            raise BadInput(f"--technology {item}: {wrong}") from wrong
        pairs[what] = stem
    return pairs


def one_line(text: str) -> str:
    """Return a text with whatever could move a terminal's cursor written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def main() -> int:
    """Run the command line; wrong input is one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    before: Any = None
    try:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGINT, _end)
        app(prog_name="hwloop")
    except ValueError as wrong:
        from .places import BadInput

        if not isinstance(wrong, BadInput):
            raise
        print(f"hwloop: {one_line(str(wrong))}", file=sys.stderr)
        return BAD
    except Ended:
        print("hwloop: ended", file=sys.stderr)
        return INTERRUPTED
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    return NONE


def _end(number: int, frame: Any) -> None:
    raise Ended
