"""The controller: every point once, in any order, after any accident, and trainings shared."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.places import BadInput
from hwloop.sim.sweep_control import ATTEMPTS, Controller, Grid, State
from hwloop.sim.sweep_file import Sweep
from hwloop.sim.sweep_run import open_plan, read_plan
from hwloop.sim.sweep_store import POINTS, STATE, TRAININGS, Store, create, read_rows

TEXT = """
name = "small"
[data]
set = "iris"
[network]
hidden = [4]
[train]
epochs = 1
[weight]
device = "matrix_engine"
[feedback]
device = "ideal"
[sweep]
"optimizer.rate" = [0.1, 0.4]
"host.technology" = ["nvidia_a100_fp32", "nvidia_h100_tf32", "cpu_host"]
seed = { count = 2 }
"""


class Here:
    """Carries out tasks in a thread, in the order or the disorder that it is told."""

    def __init__(self, choose: Callable[[int], int] = lambda n: 0, lose: set[int] | None = None):
        self.choose, self.lose = choose, lose or set()
        self.waiting: list[tuple[Future[Any], Any, Any]] = []
        self.carried = 0
        self.there = threading.Semaphore(0)
        threading.Thread(target=self.serve, daemon=True).start()

    def submit(self, call: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, call, args))
        self.there.release()
        return future

    def serve(self) -> None:
        while self.there.acquire():
            future, call, args = self.waiting.pop(self.choose(len(self.waiting)))
            self.carried += 1
            if self.carried in self.lose:
                future.set_exception(RuntimeError("its worker was killed"))
            else:
                future.set_result(call(*args))


def sweep(tmp_path: Path, name: str, text: str = TEXT) -> tuple[Sweep, Path]:
    file = tmp_path / f"{name}.toml"
    file.write_text(text)
    plan = read_plan(file)
    assert isinstance(plan, Sweep)
    folder = tmp_path / name
    if not (folder / STATE).is_file():
        create(folder, plan.raw, plan.digest)
    return plan, folder


def carry_out(plan: Sweep, folder: Path, executor: Here, width: int = 3) -> State:
    with Store(folder) as store:
        controller = Controller(
            Grid(plan.points(), len(plan)),
            store,
            executor,
            lambda: width,
            lambda state: None,
        )
        return controller.run()


def rows(folder: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in (folder / POINTS).read_text().splitlines()]
    assert len({row["point"] for row in found}) == len(found)
    return {row["point"]: row for row in found}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    plan, folder = sweep(tmp_path_factory.mktemp("alone"), "small")
    state = carry_out(plan, folder, Here(), width=1)
    assert (state.done, state.trained, state.saved, state.failed) == (12, 4, 8, 0)
    assert len(list((folder / TRAININGS).iterdir())) == 4
    return rows(folder)


def test_order_and_width_change_nothing(alone: dict[str, Any], tmp_path: Path):
    for seed in range(3):
        chance = random.Random(seed)
        place = tmp_path / str(seed)
        place.mkdir()
        plan, folder = sweep(place, "small")
        state = carry_out(plan, folder, Here(chance.randrange), width=4)
        assert state.saved == 8
        assert rows(folder) == alone
    assert [r["measures"]["accuracy"] for r in alone.values()]


def test_a_training_is_a_run_that_a_report_opens(alone: dict[str, Any], tmp_path: Path):
    from hwloop.sim.report import assemble

    plan, folder = sweep(tmp_path, "small")
    carry_out(plan, folder, Here())
    for row in rows(folder).values():
        made = assemble(folder / TRAININGS / row["training"])
        assert made["arms"][0]["accuracy"]["test"] == row["measures"]["accuracy"]


def test_it_goes_on_where_it_was_however_the_journal_was_cut(alone: dict[str, Any], tmp_path: Path):
    plan, folder = sweep(tmp_path, "small")
    carry_out(plan, folder, Here())
    whole = (folder / POINTS).read_bytes()
    chance = random.Random(5)
    for _ in range(8):
        (folder / POINTS).write_bytes(whole[: chance.randrange(len(whole))])
        state = carry_out(plan, folder, Here())
        assert state.trained == 0  # the trainings are there
        assert state.done == 12
        assert rows(folder) == alone
    assert (carry_out(plan, folder, Here()).known) == 12


def test_a_worker_that_is_lost_is_tried_again(alone: dict[str, Any], tmp_path: Path):
    plan, folder = sweep(tmp_path, "small")
    state = carry_out(plan, folder, Here(lose={1, 2, 4, 7}))
    assert state.lost == 4
    assert rows(folder) == alone


def test_a_point_that_loses_every_worker_is_left_and_tried_when_gone_on_with(
    alone: dict[str, Any], tmp_path: Path
):
    plan, folder = sweep(tmp_path, "small")
    state = carry_out(plan, folder, Here(lose=set(range(1, ATTEMPTS + 1))), width=1)
    assert state.failed == 1  # the others of its training have a worker left
    failed = [row for row in rows(folder).values() if "failed" in row]
    assert all("its worker was killed (5 times)" in row["failed"] for row in failed)
    state = carry_out(plan, folder, Here())
    assert state.failed == 0
    found = {row["point"]: row for row in read_rows(folder / POINTS)}
    assert found == alone


def test_a_wrong_point_is_a_row_with_its_sentence_and_the_others_go_on(tmp_path: Path):
    text = TEXT.replace("[0.1, 0.4]", "[0.1]").replace(
        '"host.technology" = ["nvidia_a100_fp32", "nvidia_h100_tf32", "cpu_host"]',
        '"network.hidden" = [[4], [1000000000]]',
    )
    plan, folder = sweep(tmp_path, "wrong", text)
    state = carry_out(plan, folder, Here())
    assert (state.done, state.failed, state.trained) == (4, 2, 2)
    wrong = [row["error"] for row in rows(folder).values() if "error" in row]
    assert len(wrong) == 2
    assert all("network.hidden = [1000000000]" in sentence for sentence in wrong)
    # what is wrong stays wrong: it is not tried again
    assert carry_out(plan, folder, Here()).known == 4


def test_a_price_that_is_missing_is_the_point_s_own_fault(tmp_path: Path):
    text = TEXT.replace('"cpu_host"', '"opu_gen3"')
    plan, folder = sweep(tmp_path, "price", text)
    state = carry_out(plan, folder, Here())
    assert (state.done, state.failed, state.trained) == (12, 4, 4)
    for row in rows(folder).values():
        if "error" in row:
            assert row["values"]["host.technology"] == "opu_gen3"
            assert 'unknown event "element"' in row["error"]


def test_one_controller_at_a_time(tmp_path: Path):
    _, folder = sweep(tmp_path, "small")
    with Store(folder), pytest.raises(BadInput, match="another hwloop sweep is at work there"):
        Store(folder)
    Store(folder).close()


def test_a_full_disk_is_a_sentence_and_nothing_is_lost(alone: dict[str, Any], tmp_path: Path):
    plan, folder = sweep(tmp_path, "small")
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from hwloop.sim.sweep_store import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "store = Store(Path(sys.argv[1]))\n"
        "store.add({'point': 'a', 'values': {}})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))\n"
        "try: store.add({'point': 'b', 'values': {'x': 'y' * 100}})\n"
        "except ValueError as wrong: print(wrong)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert "cannot be written: File too large; what is done is kept" in said.stdout
    assert [row["point"] for row in read_rows(folder / POINTS)] == ["a"]
    (folder / POINTS).unlink()
    carry_out(plan, folder, Here())
    assert rows(folder) == alone


def test_a_damaged_folder_is_refused(tmp_path: Path):
    plan, folder = sweep(tmp_path, "small")
    carry_out(plan, folder, Here())
    journal = (folder / POINTS).read_text()
    (folder / POINTS).write_text("[]\n" + journal)
    with pytest.raises(BadInput, match="line 1 is damaged"):
        Store(folder)
    (folder / POINTS).write_text(journal.replace('"world":"', '"world":"f'))
    with pytest.raises(BadInput, match="a technology file was changed since"):
        Store(folder)
    (folder / POINTS).write_text(journal)
    toml = (folder / "sweep.toml").read_text()
    (folder / "sweep.toml").write_text(toml.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(BadInput, match="was changed since the sweep began"):
        open_plan(folder)
    (folder / "sweep.toml").write_text(toml)
    state = (folder / STATE).read_text()
    (folder / STATE).write_text(state.replace('"hwloop": "', '"hwloop": "0'))
    with pytest.raises(BadInput, match="was begun by hwloop"):
        Store(folder)
    (folder / STATE).unlink()
    with pytest.raises(BadInput, match="is no sweep of hwloop"):
        Store(folder)


def test_changed_data_are_noticed(tmp_path: Path):
    data = tmp_path / "mine.csv"
    lines = ["a,b,class"] + [f"{k % 7},{k % 5},{k % 2}" for k in range(60)]
    data.write_text("\n".join(lines))
    text = TEXT.replace('set = "iris"', 'set = "csv"\npath = "mine.csv"')
    plan, folder = sweep(tmp_path, "own", text)
    assert plan.point(0).raw["data"]["path"] == os.fspath(data)

    class Changes(Here):
        def submit(self, call: Any, /, *args: Any) -> Future[Any]:
            if self.carried == 2:
                data.write_text("\n".join([*lines, "1,1,1"]))
            return super().submit(call, *args)

    with pytest.raises(BadInput, match="the data were changed since the sweep began"):
        carry_out(plan, folder, Changes(), width=1)
