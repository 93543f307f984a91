"""A cluster's workers behind `submit`: Dask carries the same tasks that the pool here does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .places import BadInput
from .sweep_control import ATTEMPTS, Submits

WAIT_S = 60.0
"""How long a scheduler may be without a worker before the sweep gives up."""
LOOK_S = 2.0


@contextmanager
def cluster(address: str) -> Iterator[tuple[Submits, Callable[[], int]]]:
    """Yield the executor of a Dask scheduler, and how many trainings its workers hold at once.

    Dask itself gives a task to another worker when one dies. Raises BadInput where Dask is not
    installed, or nobody answers at the address.
    """
    try:
        import distributed
    except ImportError as absent:
        raise BadInput("--scheduler needs Dask: pip install 'hwloop[cluster]'") from absent
    try:
        made: Any = distributed.Client
        client: Any = made(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as wrong:
        raise BadInput(f"--scheduler {address}: no Dask scheduler answers there") from wrong
    try:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except (TimeoutError, OSError) as wrong:
            raise BadInput(f"--scheduler {address}: it has no worker") from wrong
        yield client.get_executor(pure=False, retries=ATTEMPTS), _Width(client, address)
    finally:
        client.close(timeout=2)


class _Width:
    """How many trainings to hand to a cluster that may grow and shrink: one more than it runs."""

    def __init__(self, client: Any, address: str):
        self._client, self._address = client, address
        self._looked, self._threads = 0.0, 1

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            if self._client.status == "closed":
                raise BadInput(f"--scheduler {self._address}: it is gone; what is done is kept")
            self._threads = sum(self._client.nthreads().values()) or self._threads
        return self._threads + 1
