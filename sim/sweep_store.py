"""The folder of a sweep: its file, a journal of its points, and the trainings that they share.

One controller at a time writes. The journal only grows, a line a point, so whatever kills the
controller leaves whole lines and perhaps a piece of one, which is cut off when it is opened again.
A training is a run's folder like any other: `hwloop report` opens it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from .. import __version__
from .files import plain, read_json, write, write_json
from .folders import CHIPS, EXPERIMENT, LEDGER, RESULT, folder_of, open_run
from .places import BadInput
from .report import read_ledger
from .run import arms_of, finished
from .sweep_points import Point
from .sweep_reading import Training, world

FILE, STATE, POINTS, TRAININGS = "sweep.toml", "sweep.json", "points.jsonl", "trainings"
DATA, SERVED = "data.json", "places.json"
LOG = "workers.log"
KEPT = 8
"""Trainings that are kept in memory: points that share one come close together."""


class Store:
    """What a sweep has so far, and the only place where it is written."""

    def __init__(self, folder: Path):
        """Open the folder of a sweep, alone. Raises BadInput where it is none or is in use."""
        self.folder = folder
        self.digest = self._check()
        self.rows: dict[str, dict[str, Any]] = {}
        self._trained: OrderedDict[str, Training] = OrderedDict()
        self._worlds: dict[tuple[str, ...], str] = {}
        self._data: dict[str, str] = {}
        if (folder / DATA).is_file():
            self._data = dict(read_json(folder / DATA))
        path = folder / POINTS
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as wrong:
            raise BadInput(f"{path} cannot be written: {wrong.strerror}") from wrong
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            os.close(self._file)
            raise BadInput(f"{folder}: another hwloop sweep is at work there") from wrong
        try:
            for row in read_rows(path):
                if "failed" not in row:  # killed or too slow: no property of the point
                    self._know(row)
            cut_tail(path)
        except BadInput:
            self.close()
            raise

    def _check(self) -> str:
        state = read_json(self.folder / STATE) if (self.folder / STATE).is_file() else None
        if not isinstance(state, dict) or not isinstance(state.get("digest"), str):
            raise BadInput(f"{self.folder} is no sweep of hwloop: it holds no {STATE}")
        if state.get("hwloop") != __version__:
            raise BadInput(
                f"{self.folder} was begun by hwloop {state.get('hwloop')}, this is {__version__}: "
                "its points would not be those of one program; give another --out"
            )
        return str(state["digest"])

    def close(self) -> None:
        """Let others write."""
        os.close(self._file)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    # ---- points ------------------------------------------------------------------------

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row. Raises BadInput where the disk takes no more; nothing is lost then."""
        line = json.dumps(plain(row), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            done = os.write(self._file, line)
            if done < len(line):
                done += os.write(self._file, line[done:])
        except OSError as wrong:
            os.ftruncate(self._file, size)
            raise BadInput(
                f"{self.folder / POINTS} cannot be written: {wrong.strerror}; what is done is "
                f"kept: hwloop sweep --resume {self.folder}"
            ) from wrong
        if "failed" not in row:
            self.rows[row["point"]] = json.loads(line)

    def _know(self, row: dict[str, Any]) -> None:
        stems = tuple(row.get("technologies", ()))
        if stems and stems not in self._worlds:
            try:
                self._worlds[stems] = world(list(stems))
            except (ValueError, OSError):
                self._worlds[stems] = ""
        if stems and row.get("world") != self._worlds[stems]:
            raise BadInput(
                f"{self.folder}: a technology file was changed since the sweep began (one of "
                f"{', '.join(stems)}); restore it, or give another --out"
            )
        self.rows[row["point"]] = row

    # ---- trainings ---------------------------------------------------------------------

    def training(self, key: str) -> Training | None:
        """Return a training by its key, None where there is none yet."""
        if key in self._trained:
            self._trained.move_to_end(key)
            return self._trained[key]
        folder = self.folder / TRAININGS / key
        if not (folder / RESULT).is_file():
            return None
        found = read_training(folder)
        self._trained[key] = found
        if len(self._trained) > KEPT:
            self._trained.popitem(last=False)
        return found

    def put(self, point: Point, arms: Mapping[str, Mapping[str, Any]]) -> None:
        """Write what a training left; the main arm's result last, which makes it whole.

        Raises BadInput where its data are others than those of the points before it.
        """
        for name, one in arms_of(point.experiment).items():
            table, sha256 = json.dumps(one.raw.get("data", {}), sort_keys=True), arms[name]["data"]
            if table not in self._data:
                self._data[table] = sha256
                write_json(self.folder / DATA, self._data)
            if self._data[table] != sha256:
                raise BadInput(f"{point.where}: the data were changed since the sweep began")
        folder = self.folder / TRAININGS / point.training
        write(folder / EXPERIMENT, tomli_w.dumps({"name": "training", **point.raw}))
        for name, arm in reversed(list(arms.items())):
            write_json(folder_of(folder, name) / SERVED, arm["served"])
            if "chips" in arm:
                write(folder_of(folder, name) / CHIPS, arm["chips"])
            write(folder_of(folder, name) / LEDGER, arm["ledger"])
            write(folder_of(folder, name) / RESULT, arm["result"])


def read_training(folder: Path) -> Training:
    """Return the training in a run's folder. Raises BadInput where it is damaged."""
    results = finished(folder)
    ledgers = {name: read_ledger(folder, name) for name in results}
    served = {name: read_json(folder_of(folder, name) / SERVED) for name in results}
    return Training(open_run(folder), results, ledgers, served)


def create(folder: Path, raw: Mapping[str, Any], digest: str) -> None:
    """Make the folder of a new sweep. Raises BadInput where it cannot be written."""
    text = f"# As hwloop {__version__} ran it.\n{tomli_w.dumps(dict(raw))}"
    write_json(folder / STATE, {"hwloop": __version__, "digest": digest, "file": raw})
    write(folder / FILE, text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a journal, the last of each point; a piece of a line at its end is none.

    Raises BadInput where it cannot be read, or a whole line of it is damaged.
    """
    if not path.is_file():
        return []
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except OSError as wrong:
        raise BadInput(f"{path} cannot be read: {wrong.strerror}") from wrong
    rows = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            row = json.loads(line)
            rows[str(row["point"])] = row
        except (ValueError, KeyError, TypeError) as wrong:
            raise BadInput(
                f"{path}, line {number} is damaged: it is no point of a sweep"
            ) from wrong
    return list(rows.values())


def cut_tail(path: Path) -> None:
    """Cut a piece of a line off the end of a journal, which a killed writer left."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = len(data) if data.endswith(b"\n") else data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
