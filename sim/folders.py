"""The folder of a run: made for a new one, found for an old one, one below it for each arm."""

from __future__ import annotations

import difflib
import errno
from contextlib import suppress
from pathlib import Path

import tomli_w

from .. import __version__
from .experiment import MAIN, BadInput, Experiment, read
from .files import write

EXPERIMENT, RESULT, LEDGER = "experiment.toml", "result.json", "ledger.json"
WEIGHTS, CHIPS = "weights.safetensors", "chips_ledger.json"


def folder_of(run: Path, arm: str) -> Path:
    """Return the folder of one arm."""
    return run if arm == MAIN else run / "compare" / arm


def new_folder(experiment: Experiment, out: Path | None) -> Path:
    """Make a folder for a new run, with the experiment in it, and return it.

    Without `out` it is runs/<name>, with a number behind it where that is taken. Raises BadInput
    where `out` holds something, or cannot be written; nothing is left behind then.
    """
    made: list[Path] = []
    try:
        run = _fresh(experiment.name, made) if out is None else _empty(out, made)
        text = f"# As hwloop {__version__} ran it.\n{tomli_w.dumps(dict(experiment.raw))}"
        write(run / EXPERIMENT, text)
    except (OSError, BadInput) as wrong:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        if isinstance(wrong, BadInput):
            raise
        where = out if out is not None else Path("runs")
        raise BadInput(f"{where} cannot be written: {wrong.strerror or wrong}") from wrong
    return run


def slug(name: str) -> str:
    """Return a name as a folder may bear it."""
    base = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return base.strip("-")[:60] or "run"


def _fresh(name: str, made: list[Path]) -> Path:
    base = slug(name)
    _make(Path("runs"), made)
    number = 1
    while True:
        run = Path("runs") / (base if number == 1 else f"{base}-{number}")
        with suppress(FileExistsError):
            run.mkdir()
            made.append(run)
            return run
        number += 1


def _empty(out: Path, made: list[Path]) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        known = (out / EXPERIMENT).is_file()
        also = f", or go on with it by hwloop run --resume {out}" if known else ""
        raise BadInput(f"{out} is not empty and stays as it is: give another --out{also}")
    _make(out, made)
    return out


def _make(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(folder))
    if folder.parent != folder:
        _make(folder.parent, made)
    folder.mkdir()
    made.append(folder)


def open_run(run: Path) -> Experiment:
    """Return the experiment of a run's folder. Raises BadInput where it is no such folder."""
    try:
        if (run / EXPERIMENT).is_file():
            return read(run / EXPERIMENT)
        beside = [p.name for p in run.parent.iterdir() if (p / EXPERIMENT).is_file()]
    except OSError:
        beside = []
    near = difflib.get_close_matches(run.name, beside, 1, 0.5)
    hint = f"; did you mean {run.parent / near[0]}?" if near else ""
    raise BadInput(f"{run} is no run of hwloop: it holds no {EXPERIMENT}{hint}")
