"""Pieces of a design's work: each by its name, in any number of processes, kept when done.

A piece depends on what it is given alone, so the result does not depend on how many processes
there are, nor on when a run was interrupted.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .files import read_json, write_json
from .threads import sharing

Report = Callable[[str, float, str], None]
"""Takes a piece's name, the share that is done, and what there is to say."""


@dataclass(frozen=True)
class Piece:
    """One piece: a function at the top of a module, and plain arguments."""

    name: str
    function: Callable[..., Any]
    """Called as function(context, **arguments); it returns plain data, or None if interrupted."""
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What a running piece can use: a file of its own, and a way to say how far it is."""

    name: str
    checkpoint: Path
    report: Report
    interrupted: Callable[[], bool]

    def say(self, share: float, what: str = "") -> None:
        """Tell how much is done, from 0 to 1."""
        self.report(self.name, share, what)


class Workers:
    """Processes that do pieces, begun when first needed; with one, the work is done here."""

    def __init__(
        self, folder: Path, processes: int, report: Report, interrupted: Callable[[], bool]
    ) -> None:
        self.folder, self.processes = folder, processes
        self.report, self.interrupted = report, interrupted
        self._context = multiprocessing.get_context("spawn")
        self._said: Any = None
        self._stop: Any = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)

    def run(self, pieces: Sequence[Piece]) -> dict[str, Any] | None:
        """Return the result of every piece by its name, or None where it was interrupted.

        What is done lies in the folder and is not done again.
        """
        open_ones = [piece for piece in pieces if not _file(self.folder, piece.name).is_file()]
        if self.processes == 1 or len(open_ones) < 2:
            for piece in open_ones:
                if not _done(piece, self.folder, self.report, self.interrupted):
                    return None
        elif not self._run_apart(open_ones):
            return None
        return {piece.name: read_json(_file(self.folder, piece.name)) for piece in pieces}

    def _run_apart(self, pieces: Sequence[Piece]) -> bool:
        if self._pool is None:
            self._said, self._stop = self._context.Queue(), self._context.Event()
            self._pool = ProcessPoolExecutor(
                self.processes, self._context, _begin, (self._said, self._stop)
            )
        waiting = {self._pool.submit(_run_here, piece, self.folder) for piece in pieces}
        whole = True
        while waiting:
            finished, waiting = wait(waiting, 0.1, FIRST_COMPLETED)
            self._pass_on()
            whole = all([future.result() for future in finished]) and whole
            if self.interrupted() and not self._stop.is_set():
                self._stop.set()
                waiting = {future for future in waiting if not future.cancel()}
                whole = False
        self._pass_on()
        return whole

    def _pass_on(self) -> None:
        while True:
            try:
                self.report(*self._said.get_nowait())
            except queue.Empty:
                return


def cores() -> int:
    """Return how many processes can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '-')}.json"


def _done(piece: Piece, folder: Path, report: Report, interrupted: Callable[[], bool]) -> bool:
    """Do a piece and write its result down; return False where it was interrupted."""
    file = _file(folder, piece.name)
    checkpoint = file.with_suffix(".safetensors")
    context = Context(piece.name, checkpoint, report, interrupted)
    with sharing(1):  # the last bits of a product depend on how many threads share it
        result = piece.function(context, **piece.arguments)
    if result is None:
        return False
    write_json(file, result)
    checkpoint.unlink(missing_ok=True)
    return True


_SAID: Any = None
_STOP: Any = None
_PARENT = 0


def _begin(said: Any, stop: Any) -> None:
    global _SAID, _STOP, _PARENT
    _SAID, _STOP, _PARENT = said, stop, os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_here(piece: Piece, folder: Path) -> bool:
    return _done(piece, folder, lambda *said: _SAID.put(said), _stopped)


def _stopped() -> bool:
    """Whether the work is interrupted, or whoever asked for it is gone."""
    return bool(_STOP.is_set()) or os.getppid() != _PARENT
