"""Worker processes: one thread each, replaced when they are killed, gone with their controller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from hwloop.sim.sweep_pool import Lost, Pool
from hwloop.sim.sweep_worker import THREADS

PATIENCE_S = 120.0


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with Pool(2, log=tmp_path / "log") as found:
        yield found


def test_it_calls_functions_of_modules_with_plain_data(pool: Pool):
    found = [pool.submit(os.path.join, "a", str(k)) for k in range(5)]
    assert [f.result(PATIENCE_S) for f in found] == [f"a/{k}" for k in range(5)]
    assert len(pool.pids()) <= 2


def test_a_worker_has_one_thread_before_numpy_is_there(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = pool.submit(os.getenv, "OMP_NUM_THREADS").result(PATIENCE_S)
    assert found == "1"
    assert pool.submit(os.getenv, "NUMBA_NUM_THREADS").result(PATIENCE_S) == "1"
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(THREADS)
    code = (
        "import sys, hwloop.sim.sweep_worker\n"
        "assert not {'numpy', 'numba', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_killed_worker_takes_its_own_task_with_it_and_is_replaced(pool: Pool):
    wait([pool.submit(time.sleep, 0.2) for _ in range(2)])  # each thread takes one: both listen
    before = set(pool.pids())
    assert len(before) == 2
    slow = pool.submit(time.sleep, 600)
    time.sleep(0.5)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(Lost, match="killed by signal 9"):
        slow.result(PATIENCE_S)
    while before & set(pool.pids()):
        time.sleep(0.01)
    assert pool.submit(os.path.join, "a", "b").result(PATIENCE_S) == "a/b"
    assert not before & set(pool.pids())


def test_a_task_that_takes_too_long_is_ended(tmp_path: Path):
    with Pool(1, limit_s=0.2, log=tmp_path / "log") as pool:
        slow, fast = pool.submit(time.sleep, 600), pool.submit(os.path.join, "a", "b")
        with pytest.raises(Lost, match=r"longer than 0\.2 s"):
            slow.result(PATIENCE_S)
        assert fast.result(PATIENCE_S) == "a/b"


def test_what_ends_a_worker_is_in_its_log(tmp_path: Path):
    with Pool(1, log=tmp_path / "log") as pool:
        with pytest.raises(Lost, match="ended with code 1"):
            pool.submit(os.stat, "/no/such/file").result(PATIENCE_S)
        assert pool.submit(os.path.join, "a", "b").result(PATIENCE_S) == "a/b"
    assert "No such file" in (tmp_path / "log").read_text()


def test_closing_ends_workers_in_the_middle_of_their_work(tmp_path: Path):
    pool = Pool(2, log=tmp_path / "log")
    futures = [pool.submit(time.sleep, 600) for _ in range(2)]
    while len(pool.pids()) < 2:
        time.sleep(0.02)
    pids = pool.pids()
    pool.close()
    assert all(f.exception(PATIENCE_S) for f in wait(futures, PATIENCE_S).done)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_when_their_controller_is_killed(tmp_path: Path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from hwloop.sim.sweep_pool import Pool\n"
        "pool = Pool(1, log=Path(sys.argv[1]))\n"
        "pool.submit(time.sleep, 0).result()\n"
        "pool.submit(time.sleep, 600)\n"
        "print(pool.pids()[0], flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        pid = int(controller.stdout.readline())
        os.kill(pid, 0)
        controller.kill()
        controller.wait()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("the worker outlived its controller")
