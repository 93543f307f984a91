"""A Dask cluster gives the rows that this machine gives, whichever of its workers are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.places import BadInput
from hwloop.sim.sweep_cluster import cluster
from hwloop.sim.sweep_file import Sweep
from hwloop.sim.sweep_run import carry_out, read_plan
from hwloop.sim.sweep_store import POINTS, create

distributed = pytest.importorskip("distributed")

TEXT = """
name = "small"
[data]
set = "digits"
limit_train = 200
limit_test = 100
[network]
hidden = [16]
[train]
epochs = 3
[weight]
device = "matrix_engine"
[feedback]
device = "ideal"
[sweep]
"optimizer.rate" = [0.05, 0.1, 0.2, 0.4]
"host.technology" = ["nvidia_a100_fp32", "cpu_host"]
seed = { count = 2 }
"""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ports and sockets of Dask's own
        with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        ) as found:
            yield found


def sweep(tmp_path: Path, name: str) -> tuple[Sweep, Path]:
    file = tmp_path / "small.toml"
    file.write_text(TEXT)
    plan = read_plan(file)
    assert isinstance(plan, Sweep)
    create(tmp_path / name, plan.raw, plan.digest)
    return plan, tmp_path / name


def rows(folder: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in (folder / POINTS).read_text().splitlines()]
    assert len({row["point"] for row in found}) == len(found) == 16
    return {row["point"]: row for row in found}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_whose_workers_are_killed_gives_the_same_rows(local: Any, tmp_path: Path):
    plan, here = sweep(tmp_path, "here")
    carry_out(plan, here, lambda state: None, workers=2)
    plan, there = sweep(tmp_path, "there")
    chance, over = random.Random(1), threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not over.wait(chance.uniform(1.0, 3.0)) and len(killed) < 4:
            pids = [w.pid for w in local.workers.values() if w.pid]
            if pids:
                killed.append(chance.choice(pids))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        state = carry_out(plan, there, lambda state: None, scheduler=local.scheduler_address)
    finally:
        over.set()
        killer.join()
    assert killed
    assert (state.done, state.failed, state.saved) == (16, 0, 8)
    assert rows(there) == rows(here)


def test_nobody_at_the_address_is_a_sentence():
    with pytest.raises(BadInput, match="no Dask scheduler answers there"), cluster("nonsense://x"):
        pass
