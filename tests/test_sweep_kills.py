"""Workers and controllers are killed at random, over and over; no point is lost, none doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SMALL = """
name = "small"
[data]
set = "digits"
limit_train = 240
limit_test = 120
[network]
hidden = [16]
[train]
epochs = 4
[weight]
device = "matrix_engine"
[feedback]
device = "opu"
medium = "dense"
"""
SWEEP = """
[sweep]
"optimizer.rate" = [0.05, 0.2, 0.8]
"technology.opu_gen3.idle_W" = [10.0, 30.0]
seed = { count = 3 }
"""
SEARCH = """
[search]
objectives = ["accuracy", "energy_J"]
trials = 14
sampler = "random"
[search.space]
"optimizer.rate" = { log = [0.01, 1.0] }
"train.batch" = [16, 32]
"""
CODE = "import sys; from hwloop.sim.cli import main; sys.exit(main())"


def start(file: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CODE, "sweep", str(file), "--out", str(out), "--workers", "2"]
    with open(out.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)


def children(parent: int) -> list[int]:
    """Return the processes that a process of ours has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]


def gone(pids: set[int], patience_s: float = 10.0) -> bool:
    """Whether all of these processes end by themselves."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if not [p for p in pids if Path(f"/proc/{p}/cmdline").is_file() and _runs(p)]:
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return b"sweep_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def disturbed(file: Path, out: Path, chance: random.Random, kills: int) -> int:
    """Carry out a sweep while its workers and its controller are killed; return how many were."""
    killed = 0
    workers: set[int] = set()
    while True:
        process = start(file, out)
        try:
            while process.poll() is None:
                until = time.monotonic() + chance.uniform(0.3, 2.5)
                while time.monotonic() < until and process.poll() is None:
                    time.sleep(0.02)
                mine = children(process.pid)
                workers |= set(mine)
                if killed >= kills or process.poll() is not None:
                    continue
                target = process.pid if chance.random() < 0.35 or not mine else chance.choice(mine)
                os.kill(target, signal.SIGKILL)
                killed += 1
        finally:
            process.kill()
            process.wait()
        assert gone(workers), "a worker outlived its controller"
        if process.returncode == 0:
            return killed
        assert process.returncode == -signal.SIGKILL, out.with_suffix(".log").read_text()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_a_sweep_under_fire_is_the_sweep_that_was_left_alone(kills: int, tmp_path: Path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL + SWEEP)
    alone = start(file, tmp_path / "alone")
    assert alone.wait() == 0
    expected = {row["point"]: row for row in rows(tmp_path / "alone")}
    assert len(expected) == 18
    assert disturbed(file, tmp_path / "fire", random.Random(kills), kills) == kills
    found = rows(tmp_path / "fire")
    assert len(found) == 18
    assert {row["point"]: row for row in found} == expected


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_a_search_under_fire_has_every_trial_once(kills: int, tmp_path: Path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    file = tmp_path / "small.toml"
    file.write_text(SMALL + SEARCH)
    assert disturbed(file, tmp_path / "fire", random.Random(kills), kills) == kills
    found = rows(tmp_path / "fire")
    assert len({row["point"] for row in found}) == len(found) == 14
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "fire" / "study.jsonl")))
    [summary] = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    done = study.get_trials(states=[TrialState.COMPLETE])
    assert len(done) == 14
    assert not study.get_trials(states=[TrialState.RUNNING, TrialState.WAITING])
    told = {t.user_attrs["point"]: t.values for t in done}
    for row in found:
        values = [row["measures"]["accuracy"], row["measures"]["energy_J"]]
        assert told[row["point"]] == values
