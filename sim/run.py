"""A run: all arms of an experiment, in a folder that can be read, resumed and read again."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ..mappings import Recurrent
from . import checkpoint, endurance
from .arm import Arm, Progress
from .checkpoint import CHECKPOINT
from .deploy import Deployed, deploy
from .experiment import MAIN, BadInput
from .files import json_text, read_json, write, write_arrays, write_json
from .folders import CHIPS, EXPERIMENT, LEDGER, RESULT, WEIGHTS, folder_of, new_folder, open_run
from .metering import meter_of, metered
from .prepare import arms_of, prepare_all
from .threads import sharing

__all__ = [
    "CHECKPOINT",
    "CHIPS",
    "EXPERIMENT",
    "LEDGER",
    "MAIN",
    "RESULT",
    "WEIGHTS",
    "arms_of",
    "execute",
    "finished",
    "folder_of",
    "new_folder",
    "open_run",
    "prepare_all",
]


def execute(
    run: Path,
    arms: dict[str, Arm],
    on_progress: Callable[[Progress], None],
    over: Callable[[], bool] = lambda: False,
) -> bool:
    """Train every arm that is not done yet; return False where it was interrupted.

    By Ctrl-C, or by `over`, which is asked before every step.

    What was interrupted goes on, bit for bit, when this is called again for the same folder with
    newly prepared arms. Raises BadInput where a checkpoint is not one of these arms.
    """
    open_ones = []
    for name, arm in arms.items():
        folder = folder_of(run, name)
        for part in (CHECKPOINT, WEIGHTS, LEDGER, CHIPS, RESULT):
            for left in folder.glob(f".{part}.*"):  # half a file, from a run that was killed
                left.unlink(missing_ok=True)
        if not (folder / RESULT).is_file():
            if (folder / CHECKPOINT).is_file():
                checkpoint.load(arm, folder / CHECKPOINT)
            open_ones.append(arm)
    meters = {arm.name: meter_of(arm) for arm in open_ones}
    with interruptions() as interrupted:
        for arm in open_ones:
            folder = folder_of(run, arm.name)
            with sharing(arm.experiment.train.threads):
                save = partial(checkpoint.save, arm, folder / CHECKPOINT)
                with metered(meters[arm.name], folder):
                    done = arm.train(on_progress, lambda: interrupted() or over(), save)
                if not done:
                    return False
                chips = None
                if arm.experiment.deploy is not None:
                    chips = deploy(arm, interrupted, on_progress=on_progress)
                    if chips is None:
                        save()
                        return False
                _finish(folder, arm, chips)
    return True


def _finish(folder: Path, arm: Arm, chips: Deployed | None) -> None:
    accuracy: dict[str, float] = {"test": arm.accuracy("test")}
    if len(arm.data.validation):
        accuracy["validation"] = arm.accuracy("validation")
    layers = arm.placement.network.layers
    ledger = json_text(arm.placement.ledger.to_json())
    curve = [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in arm.curve]
    result: dict[str, Any] = {
        "name": arm.name,
        "rule": type(arm.experiment.algorithm).__name__,
        "accuracy": accuracy,
        "curve": curve,
        "curve_part": arm.part,
        "epochs": arm.epoch,
        "stopped": arm.stopped,
        "diverged": arm.diverged,
        "wall_s": arm.wall_s,
        "network": [
            {"kind": type(a).__name__, "n_out": a.n_out, "n_in": a.n_in, "activation": a.activation}
            | ({"steps": a.steps, "width": a.width} if isinstance(a, Recurrent) else {})
            for a in layers
        ],
        "parameters": arm.placement.network.parameters,
        "wear": endurance.written(arm.placement.devices),
        "data": {
            "set": arm.data.name,
            "train": len(arm.data.train),
            "validation": len(arm.data.validation),
            "test": len(arm.data.test),
            "classes": arm.data.n_classes,
            "shape": list(arm.data.shape),
            "source": arm.data.source,
            "licence": arm.data.licence,
            "notes": list(arm.data.notes),
        },
        "digest": arm.experiment.digest,
        "ledger_blake2s": _hash(ledger),
    }
    if chips is not None:
        text = json_text(chips.ledger.to_json())
        result["deploy"] = {**chips.result, "ledger_blake2s": _hash(text)}
        write(folder / CHIPS, text)
    write_arrays(folder / WEIGHTS, arm.weights(), {"experiment": arm.experiment.digest})
    write(folder / LEDGER, ledger)
    write_json(folder / RESULT, result)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _hash(text: str) -> str:
    return hashlib.blake2s(text.encode()).hexdigest()


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed; a second Ctrl-C ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False
    before: dict[int, Any] = {}

    def press(number: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        pressed = True

    try:
        for s in (signal.SIGINT, signal.SIGTERM):
            before[s] = signal.signal(s, press)
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_RESULT: dict[str, type] = {
    "name": str,
    "rule": str,
    "accuracy": dict,
    "curve": list,
    "curve_part": str,
    "epochs": int,
    "stopped": str,
    "network": list,
    "data": dict,
}


def finished(run: Path) -> dict[str, dict[str, Any]]:
    """Return the results of a run's arms.

    Raises BadInput where one is not done yet, or its files are not as the run left them.
    """
    found = {}
    for name, experiment in arms_of(open_run(run)).items():
        folder = folder_of(run, name)
        path = folder / RESULT
        if not path.is_file():
            raise BadInput(f"{run} is not finished ({name}): hwloop run --resume {run}")
        result = read_json(path)
        for key, kind in _RESULT.items():
            if not isinstance(result, dict) or not isinstance(result.get(key), kind):
                raise BadInput(f"{path} is not the result of a run: {key} is missing or damaged")
        if result.get("digest", experiment.digest) != experiment.digest:
            raise BadInput(
                f"{path} belongs to another experiment than {run / EXPERIMENT}, which was changed "
                "after the run; restore it, or run it anew"
            )
        if "ledger_blake2s" in result:
            _check_ledger(folder / LEDGER, result["ledger_blake2s"])
        if "deploy" in result:
            _check_ledger(folder / CHIPS, result["deploy"]["ledger_blake2s"])
        found[name] = result
    return found


def _check_ledger(path: Path, expected: str) -> None:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text"
        raise BadInput(f"{path} cannot be read: {reason}") from wrong
    if _hash(text) != expected:
        raise BadInput(f"{path} is cut short or was changed: it is not the ledger of this result")
