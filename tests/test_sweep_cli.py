"""`hwloop sweep` from the command line: what a person sees, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import hwloop as package
from hwloop.sim.cli import main
from hwloop.sim.sweep_console import Best, counts, progress, told
from hwloop.sim.sweep_control import State
from hwloop.sim.sweep_measures import MEASURES
from hwloop.sim.sweep_run import check, read_plan
from hwloop.sim.sweep_train import train

ROOT = Path(package.__file__).parent
STUDIES = sorted([*(ROOT / "examples").glob("sweep_*.toml"), *(ROOT / "examples").glob("search_*")])
TEXT = """
name = "small sweep"
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
"host.technology" = ["nvidia_a100_fp32", "cpu_host"]
"""


class Said(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def hwloop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Call the command line in a folder with one file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(TEXT)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["hwloop", *arguments])
        try:
            code = main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Said(code, *capsys.readouterr())

    return call


def test_a_sweep_leaves_its_folder_goes_on_and_is_shown(
    hwloop: Callable[..., Said], tmp_path: Path
):
    said = hwloop("sweep", "my.toml", "--workers", "1")
    assert said.code == 0, said.err
    folder = tmp_path / "runs" / "small-sweep"
    assert "4 points: 2 trained, 2 trainings saved" in said.out
    assert "4 points took 2 trainings: 2 were saved" in " ".join(said.out.split())
    assert {p.name for p in folder.iterdir()} >= {
        "sweep.html",
        "sweep.csv",
        "sweep.toml",
        "points.jsonl",
        "figures",
        "trainings",
    }
    before = (folder / "points.jsonl").read_bytes()
    for again in (("sweep", "my.toml"), ("sweep", "--resume", "runs/small-sweep")):
        said = hwloop(*again)
        assert (said.code, "4 points: 4 were there" in said.out) == (0, True)
    assert (folder / "points.jsonl").read_bytes() == before
    # another sweep of the same name has a folder of its own, and both stand side by side
    assert hwloop("sweep", "my.toml", "--set", "train.epochs=2", "--workers", "1").code == 0
    said = hwloop("sweep", "show", "runs/small-sweep", "--compare", "runs/small-sweep-2")
    assert said.code == 0
    assert "runs/small-sweep-2" in said.out.replace("\n", "") or "small-sweep-2" in said.out


def test_a_search_is_shown_by_its_front(hwloop: Callable[..., Said], tmp_path: Path):
    text = TEXT.partition("[sweep]")[0] + (
        '[search]\nobjectives = ["accuracy", "energy_J"]\ntrials = 4\n'
        '[search.space]\n"train.batch" = { linear = [8, 64] }\n'
    )
    (tmp_path / "search.toml").write_text(text)
    said = hwloop("sweep", "search.toml", "--out", "found", "--workers", "1")
    assert said.code == 0, said.err
    assert "Pareto front of" in said.out
    assert "by test accuracy and training energy" in " ".join(said.out.split())


def test_a_wrong_point_is_a_1_and_the_others_are_there(hwloop: Callable[..., Said], tmp_path: Path):
    text = TEXT.replace('"cpu_host"', '"opu_gen3"')
    (tmp_path / "my.toml").write_text(text)
    said = hwloop("sweep", "my.toml", "--out", "out", "--workers", "1")
    assert said.code == 1
    assert "2 failed" in said.out
    assert 'unknown event "element"' in " ".join(said.out.split())


WRONG = [
    (("sweep", "none.toml"), "none.toml cannot be read"),
    (("sweep", "my.toml", "--set", "sweep.x=3"), "[sweep] x takes a list of values"),
    (("sweep", "my.toml", "--set", "sweep.train.batches=[3]"), 'did you mean "batch"?'),
    (("sweep", "my.toml", "--out", "full"), "full is not empty and stays as it is"),
    (("sweep", "my.toml", "--out", "full/file/x"), "cannot be written"),
    (("sweep", "my.toml", "--resume", "full"), "--resume goes on with a sweep as it was started"),
    (("sweep", "--resume", "full"), "full is no sweep of hwloop"),
    (("sweep", "--workers", "1"), "hwloop sweep takes a file"),
    (("sweep", "show", "full"), "full is no sweep of hwloop"),
    (("sweep", "my.toml", "--out", "other"), "other holds another sweep and stays as it is"),
    (("run", "my.toml"), "[sweep] is what hwloop sweep does"),
    (("sweep", "plain.toml"), "it has neither: hwloop run runs it"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_input_is_one_sentence_and_changes_nothing(
    arguments: tuple[str, ...], says: str, hwloop: Callable[..., Said], tmp_path: Path
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sweep.json").write_text(json.dumps({"digest": "another"}))
    (tmp_path / "plain.toml").write_text(TEXT.partition("[sweep]")[0])
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    said = hwloop(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("hwloop: ")
    assert said.err.count("\n") == 1
    assert says in said.err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_help(hwloop: Callable[..., Said]):
    for command in (("sweep",), ("sweep", "run"), ("sweep", "show")):
        for flag in ("-h", "--help"):
            said = hwloop(*command, flag)
            assert said.code == 0
            assert said.out.startswith("Usage: hwloop sweep")
            assert all(len(line) <= 80 for line in said.out.splitlines())
            assert "..." not in said.out.replace("[ARGS]...", "")


def test_sweeps_load_no_optuna_and_the_command_line_nothing_heavy():
    code = (
        "import sys, hwloop.sim.cli, hwloop.sim.sweep_cli\n"
        "print([m for m in ('numpy', 'optuna', 'numba', 'distributed') if m in sys.modules])\n"
        "import hwloop.sim.sweep_run, hwloop.sim.sweep_page\n"
        "print([m for m in ('optuna', 'distributed', 'pyarrow', 'plotly') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


# ---- progress ------------------------------------------------------------------------------


def test_progress_says_rate_time_left_and_the_best(capsys: pytest.CaptureFixture[str]):
    from rich.console import Console

    rows = [
        {"values": {"weight.adc_bits": k}, "measures": {"accuracy": a, "energy_J": e}}
        for k, (a, e) in enumerate([(0.5, 1.0), (0.9, 3.0), (0.8, 2.0)])
    ]
    state = State(total=8, done=4, known=1, trained=3, saved=2, wall_s=90.0, rows=list(rows))
    assert counts(state) == (
        "4 of 8 points, 2/min, 2 min left, 3 trained, 2 trainings saved, 1 were there"
    )
    best = Best([MEASURES["accuracy"], MEASURES["energy_J"]])
    best.take(rows)
    assert best.lines() == [
        "best test accuracy 90.0 %: adc_bits 1",
        "best training energy 1 J: adc_bits 0",
    ]
    with progress(Console(force_terminal=True, width=100), "my sweep") as show:
        show(state)
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().out)
    for part in ("my sweep", "4/8", "2/min", "2 min left", "best test accuracy 90.0 %"):
        assert part in shown


def test_values_are_told_in_short():
    assert told({"device": "crossbar", "technology": "pcm_hermes", "adc_bits": 4}) == (
        "crossbar, pcm_hermes, adc_bits 4"
    )
    assert told([64, {"channels": 8}]) == "[64, channels 8]"
    assert told(True) == "true"
    assert told(1 / 3) == "0.3333"


# ---- what ships ----------------------------------------------------------------------------


@pytest.mark.parametrize("file", STUDIES, ids=lambda f: f.stem)
def test_the_studies_that_ship_can_be_carried_out(file: Path):
    settings = (
        [] if "epochs" in str(tomllib.loads(file.read_text()).get("search")) else ["train.epochs=1"]
    )
    plan = read_plan(file, settings)
    check(plan, yes=False)
    assert 30 <= len(plan) <= 100
    point = plan.check() if not hasattr(plan, "points") else plan.point(len(plan) - 1)
    assert "arms" in train({"raw": point.raw, "where": file.stem})
    assert (ROOT / "docs" / "figures" / f"{file.stem}.svg").is_file()


def test_every_study_has_its_figure_in_the_docs():
    page = (ROOT / "docs" / "sweep.md").read_text()
    assert len(STUDIES) == 4
    for file in STUDIES:
        assert f"(figures/{file.stem}.svg)" in page
        assert f"`{file.name}`" in page
