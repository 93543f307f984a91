"""How many threads the products of a run share: one, unless the experiment says otherwise.

The last bits of a product depend on how many threads share it, so a run would depend on the
machine. And threads wait for one another in a loop: where something else holds a core, a product
of 32 x 64 by 64 x 256 takes a hundred times as long on two threads as on one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sharing(threads: int) -> Iterator[None]:
    """Let every BLAS, and torch on the CPU if it is loaded, work with so many threads inside."""
    import scipy.linalg.blas  # noqa: F401  # its BLAS is another than numpy's; both are limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(limits=threads, user_api="blas"):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
