"""What a person sees in the terminal: whole at its width, and never the markup of a name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from hwloop.sim import console
from hwloop.sim.arm import Progress
from hwloop.sim.catalogue import abilities, technologies
from hwloop.sim.experiment import read
from hwloop.sim.report import assemble
from hwloop.sim.run import execute, new_folder, prepare_all


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small finished run."""
    experiment = read(None, ["train.epochs=2", "network.hidden=[16]"])
    folder = new_folder(experiment, tmp_path_factory.mktemp("runs") / "run")
    assert execute(folder, prepare_all(experiment), lambda _: None)
    return folder


def drawn(what: object, width: int) -> list[str]:
    paper = Console(width=width, force_terminal=False, highlight=False)
    with paper.capture() as captured:
        paper.print(what)
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_tables_are_whole_at_the_width_of_a_terminal(width: int, small_run: Path):
    report = assemble(small_run)
    tables = [console.summary(report), abilities(), technologies()]
    for arm in report["arms"]:
        tables += [console.bill(arm), console.timeline(arm)]
    for table in tables:
        lines = drawn(table, width)
        assert all(len(line) <= width for line in lines)
        assert not any("…" in line for line in lines)
        as_wide_as_it_likes = drawn(table, 300)
        if table not in tables[1:3]:  # those fold their prose
            assert [line.split() for line in lines] == [
                line.split() for line in as_wide_as_it_likes
            ]


def test_names_in_tables_are_not_markup():
    statement = {"name": "x, whole gradient", "adjacency": "sample", "delta": 1e-5}
    arm = {
        "name": "[red]arm[/red]",
        "rule": "[b]",
        "accuracy": {"test": 0.5},
        "energy": {"train_J": 1.0, "per_sample_J": None, "unmetered": True},
        "latency": {"train_s": 1.0, "measured": True},
        "privacy": [{**statement, "epsilon": "inf"}, {**statement, "epsilon": 2.5}],
    }
    text = "\n".join(drawn(console.summary({"name": "[bold]n", "arms": [arm]}), 120))
    for part in (
        "[red]arm[/red]",
        "[b]",
        "[bold]n",
        "1 J + ?",
        "1 s *",
        "2.5 sample",
        "*: measured",
    ):
        assert part in text
    assert "[x]" in "\n".join(drawn(console.sentences(["[x] and [/x]"]), 80))


def state(step: int, epoch: int = 0, accuracy: float | None = None) -> Progress:
    return Progress("main", epoch, 3, step, 10, 0.5, accuracy, 1.5e-3, 2e-6)


def test_progress_is_a_bar_with_loss_accuracy_joules_and_seconds():
    paper = Console(width=80, force_terminal=True, highlight=False, color_system=None)
    with paper.capture() as captured, console.progress(paper, ["main"]) as show:
        show(state(1))
        show(state(0, 3, 0.9))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", captured.get())
    [last, *_] = [line for line in re.split("[\r\n]", text) if "epoch 3/3" in line]
    assert last.startswith("main ━")
    for part in ("epoch 3/3", "loss 0.500", "acc 90.0 %", "1.5 mJ", "2 µs"):
        assert part in last
    assert len(last) <= 80


def test_progress_in_a_log_is_a_line_now_and_then():
    paper = Console(width=80, force_terminal=False, highlight=False)
    with paper.capture() as captured, console.progress(paper, ["main"]) as show:
        for step in range(1, 10):
            show(state(step))
        show(state(0, 3, 0.9))
    assert captured.get().splitlines() == [
        "main: epoch 1/3  loss 0.500  1.5 mJ  2 µs",
        "main: epoch 3/3  loss 0.500  acc 90.0 %  1.5 mJ  2 µs",
    ]
