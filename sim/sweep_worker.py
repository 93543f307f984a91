"""The process of a worker: tasks come in on one pipe, answers go out on another, as JSON lines.

It is started with its threads limited before numpy is imported: where workers share the cores of
a machine, a second thread each makes all of them wait for one another. It ends at once when the
pipe of its tasks is closed, which is what happens when its controller is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import BinaryIO

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""What a worker is started with, each set to one."""


def serve(answers: BinaryIO) -> None:
    """Carry out tasks until the controller is gone: {"call": "module:function", "args": [...]}."""
    tasks: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    answers.write(b'{"ready": true}\n')
    answers.flush()
    while True:
        task = json.loads(tasks.get())
        module, _, function = task["call"].partition(":")
        found = getattr(importlib.import_module(module), function)(*task["args"])
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


def _listen(tasks: queue.Queue[bytes]) -> None:
    """Take in tasks; end the process, whatever it does, when no more can come."""
    for line in sys.stdin.buffer:
        tasks.put(line)
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the controller's to answer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    try:
        serve(out)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # at once: the listener sits in a read that cannot be interrupted
