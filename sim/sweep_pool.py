"""Worker processes on this machine, behind `submit`: each can be killed without harm to others."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from .sweep_worker import THREADS

START_S = 300.0
"""A worker that has not said that it is ready by then never will."""


class Lost(RuntimeError):
    """A worker died before it answered, or had to be ended; the task may be given again."""


class Pool:
    """So many workers, each a process of its own, started when it is first needed.

    A worker that dies takes only its own task with it, and is replaced. Tasks are names of
    functions and plain data: nothing is pickled.
    """

    def __init__(self, workers: int, limit_s: float | None = None, log: Path | None = None):
        self.workers = workers
        self._limit_s, self._log = limit_s, log
        self._tasks: queue.Queue[tuple[Future[Any], bytes] | None] = queue.Queue()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(k,), daemon=True) for k in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Return the future answer of a function of a module, of and with plain data."""
        future: Future[Any] = Future()
        named = f"{call.__module__}:{call.__qualname__}"
        text = json.dumps({"call": named, "args": args}).encode() + b"\n"
        self._tasks.put((future, text))
        return future

    def pids(self) -> list[int]:
        """Return the processes of the workers that run."""
        return [p.pid for p in list(self._processes.values()) if p.poll() is None]

    def close(self) -> None:
        """End every worker at once; what they were at is lost."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    # ---- one thread a worker -----------------------------------------------------------

    def _serve(self, slot: int) -> None:
        while (item := self._tasks.get()) is not None and not self._closed:
            future, text = item
            try:
                future.set_result(self._answer(slot, text))
            except (Lost, OSError, ValueError) as lost:
                self._end(slot)
                future.set_exception(lost if isinstance(lost, Lost) else Lost(str(lost)))
        self._end(slot)

    def _answer(self, slot: int, text: bytes) -> Any:
        process = self._processes.get(slot)
        if process is None or process.poll() is not None:
            process = self._start(slot)
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.flush()
        return json.loads(self._line(process, self._limit_s))

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it listens; one that is killed before takes no task."""
        environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
        command = [sys.executable, "-P", "-m", f"{__package__}.sweep_worker"]
        while not self._closed:
            self._end(slot)
            with open(self._log or os.devnull, "ab") as errors:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                )
            self._processes[slot] = process
            try:
                self._line(process, START_S)
                return process
            except Lost:
                if process.poll() is not None and process.returncode > 0:
                    raise
        raise Lost("the pool was closed")

    def _line(self, process: subprocess.Popen[bytes], limit_s: float | None) -> bytes:
        """Return the next line that a worker says. Raises Lost where it dies, or takes too long."""
        assert process.stdout is not None
        handle, text = process.stdout.fileno(), bytearray()
        until = None if limit_s is None else time.monotonic() + limit_s
        while not text.endswith(b"\n"):
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([handle], [], [], left)[0]:
                raise Lost(f"it took longer than {limit_s:g} s")
            more = os.read(handle, 1 << 20)
            if not more:
                code = process.wait()
                raise Lost(
                    f"its worker was killed by signal {-code}"
                    if code < 0
                    else f"its worker ended with code {code}"
                )
            text += more
        return bytes(text)

    def _end(self, slot: int) -> None:
        process = self._processes.pop(slot, None)
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was in it cannot be written any more
                    continue
