"""What a worker does: train one configuration. A pure function of plain data, on any machine."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arm import Arm

_ALONE = threading.Lock()
"""Threads of one process take turns: a training limits the threads of its whole process."""


def train(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the training of a configuration left, as plain data.

    The task holds `raw`, the experiment, and `where`, how a sentence about it begins. With `upto`
    training stops after so many epochs, and the answer holds a `checkpoint` to go on from; given
    back with the task, it goes on bit for bit. `limit_s` ends it when it takes longer.

    The answer holds `arms`, or `checkpoint` and `curve`, or `error`, a sentence; or `late`.
    """
    from .places import BadInput

    with _ALONE:
        try:
            return _train(task)
        except BadInput as wrong:
            return {"error": str(wrong)}
        except Exception as wrong:
            last = "".join(traceback.format_exception(wrong))
            said = " ".join(f"{type(wrong).__name__}: {wrong}".split())
            return {"error": f"{task['where']}: a defect of hwloop, {said}", "traceback": last}


def _train(task: Mapping[str, Any]) -> dict[str, Any]:
    from .checkpoint import CHECKPOINT
    from .experiment import parse
    from .places import Source
    from .run import CHIPS, LEDGER, RESULT, arms_of, execute, folder_of, prepare_all

    start = time.monotonic()
    limit_s, upto = task.get("limit_s"), task.get("upto")
    experiment = parse(task["raw"], Source(task["where"]))
    arms = prepare_all(experiment)
    main = arms["main"]

    def over() -> bool:
        if limit_s is not None and time.monotonic() - start > limit_s:
            return True
        return upto is not None and main.epoch >= upto and main.step == 0

    with tempfile.TemporaryDirectory(prefix="hwloop-") as scratch:
        run = Path(scratch)
        if task.get("checkpoint"):
            (run / CHECKPOINT).write_bytes(base64.b64decode(task["checkpoint"]))
        if not execute(run, arms, lambda progress: None, over):
            if upto is None or main.epoch < upto:
                return {"late": True}
            saved = base64.b64encode((run / CHECKPOINT).read_bytes()).decode()
            return {"checkpoint": saved, "curve": main.curve}
        found: dict[str, dict[str, Any]] = {}
        for name in arms_of(experiment):
            folder = folder_of(run, name)
            found[name] = {
                "result": (folder / RESULT).read_text("utf-8"),
                "ledger": (folder / LEDGER).read_text("utf-8"),
                "data": arms[name].data.sha256,
                "served": _served(arms[name]),
            }
            if (folder / CHIPS).is_file():
                found[name]["chips"] = (folder / CHIPS).read_text("utf-8")
        return {"arms": found}


def _served(arm: Arm) -> dict[str, str]:
    """Return which place of the file serves each device."""
    experiment = arm.experiment
    demands = experiment.algorithm.demands(arm.placement.network)
    return {d.name: d.served_by(experiment.places) or d.role for d in demands}
