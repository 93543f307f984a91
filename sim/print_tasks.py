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
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_json, write_json

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


def run_pieces(
    folder: Path,
    pieces: Sequence[Piece],
    processes: int,
    report: Report,
    interrupted: Callable[[], bool],
) -> dict[str, Any] | None:
    """Return the result of every piece by its name, or None where it was interrupted.

    What is done lies in `folder` and is not done again.
    """
    done, open_ones = {}, []
    for piece in pieces:
        file = _file(folder, piece.name)
        if file.is_file():
            done[piece.name] = read_json(file)
        else:
            open_ones.append(piece)
    if processes == 1 or len(open_ones) < 2:
        for piece in open_ones:
            result = _run(piece, folder, report, interrupted)
            if result is None:
                return None
            done[piece.name] = result
    elif not _run_apart(folder, open_ones, min(processes, len(open_ones)), report, interrupted):
        return None
    else:
        done |= {piece.name: read_json(_file(folder, piece.name)) for piece in open_ones}
    return {piece.name: done[piece.name] for piece in pieces}


def cores() -> int:
    """Return how many processes can work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '-')}.json"


def _run(piece: Piece, folder: Path, report: Report, interrupted: Callable[[], bool]) -> Any:
    file = _file(folder, piece.name)
    checkpoint = file.with_suffix(".safetensors")
    result = piece.function(Context(piece.name, checkpoint, report, interrupted), **piece.arguments)
    if result is not None:
        write_json(file, result)
        checkpoint.unlink(missing_ok=True)
        result = read_json(file)
    return result


_SAID: Any = None
_STOP: Any = None


def _begin(said: Any, stop: Any) -> None:
    global _SAID, _STOP
    _SAID, _STOP = said, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_here(piece: Piece, folder: Path) -> bool:
    def report(name: str, share: float, what: str) -> None:
        _SAID.put((name, share, what))

    return _run(piece, folder, report, _STOP.is_set) is not None


def _run_apart(
    folder: Path,
    pieces: Sequence[Piece],
    processes: int,
    report: Report,
    interrupted: Callable[[], bool],
) -> bool:
    context = multiprocessing.get_context("spawn")
    said, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(processes, context, _begin, (said, stop)) as pool:
        waiting: set[Future[bool]] = {pool.submit(_run_here, p, folder) for p in pieces}
        whole = True
        try:
            while waiting:
                finished, waiting = wait(waiting, 0.1, FIRST_COMPLETED)
                while True:
                    try:
                        report(*said.get_nowait())
                    except queue.Empty:
                        break
                whole = all([f.result() for f in finished]) and whole
                if interrupted() and not stop.is_set():
                    stop.set()
                    for future in waiting:
                        future.cancel()
                    waiting = {f for f in waiting if not f.cancelled()}
                    whole = False
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return whole
