"""A fabric in an experiment: placed before training, timed after it, drawn and traced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.cli_fabric import told
from hwloop.sim.console_fabric import floorplan, placement
from hwloop.sim.experiment import BadInput, read
from hwloop.sim.fabric_time import time_fabric
from hwloop.sim.page import render
from hwloop.sim.prepare import prepare_all
from hwloop.sim.pricing import technologies
from hwloop.sim.report import assemble
from hwloop.sim.run import execute, new_folder
from hwloop.sim.trace import trace

CHIP = """
name = "on <b>a chip</b>"
[data]
set = "iris"
[network]
hidden = [300]
[algorithm]
rule = "dfa"
[optimizer]
kind = "sgd"
rate = 0.02
momentum = 0.9
[train]
epochs = 1
batch = 40
[weight]
device = "crossbar"
[feedback]
device = "crossbar"
[host]
technology = "isaac_digital"
[fabric]
use = "chip64"
[compare.backpropagation]
algorithm = { rule = "backprop" }
[compare.nowhere]
fabric = { use = "" }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fabric")
    experiment = read(write(folder, CHIP))
    arms = prepare_all(experiment)
    made = new_folder(experiment, folder / "run")
    assert execute(made, arms, lambda progress: None)
    return made


@pytest.fixture(scope="module")
def report(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(assemble(run)))
    return found


def test_arms_on_a_fabric_are_timed_on_it_and_others_are_not(report):
    main, backpropagation, nowhere = report["arms"]
    assert "fabric" not in nowhere
    for arm in (main, backpropagation):
        fabric = arm["fabric"]
        usual_s = arm["timeline"]["times"] * fabric["makespan_s"]
        most_s = arm["steps"] * fabric["makespan_s"]
        assert usual_s * (1 - 1e-9) <= arm["latency"]["train_s"] <= most_s * (1 + 1e-9)
        assert fabric["makespan_s"] >= fabric["critical_path_s"] > 0
        assert arm["timeline"]["makespan_s"] == fabric["makespan_s"]
        assert {p["device"] for p in fabric["placement"]} >= {"weight/1", "weight/2"}
        assert sum(p["blocks"] for p in fabric["placement"]) == sum(
            len(t["blocks"]) for t in fabric["tiles"]
        )
        assert any(r["device"] == "links" for r in arm["energy"]["rows"])
    assert main["latency"]["train_s"] != nowhere["latency"]["train_s"]
    assert main["accuracy"] == nowhere["accuracy"]


def test_the_page_draws_the_floorplan_and_escapes_names(report):
    page = render(report)
    assert "Where it sits" in page
    assert "<svg" in page
    assert "on &lt;b&gt;a chip&lt;/b&gt;" in page
    assert page.count("<rect") >= 64
    del report["arms"][0]["fabric"], report["arms"][1]["fabric"]
    assert "Where it sits" not in render(report)


def test_the_terminal_draws_what_lies_where(run):
    fabric = assemble(run)["arms"][0]["fabric"]
    drawn = floorplan(fabric).plain
    assert "A weight/1   B weight/2   C feedback" in drawn
    assert "tiles are empty" in drawn
    assert [column.header for column in placement("main", fabric).columns][0] == "Matrix"


def test_a_trace_holds_stages_verbs_and_phases_nested_on_every_machine(run):
    made = assemble(run)
    events = json.loads(json.dumps(trace(made)))["traceEvents"]
    named = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert any("core/0" in name for name in named.values())
    assert any("standing power" in name for name in named.values())
    tracks: dict[tuple[int, int], list[Any]] = {}
    for e in events:
        if e["ph"] == "X":
            assert e["dur"] >= 0
            assert e["pid"] in named
            tracks.setdefault((e["pid"], e["tid"]), []).append(e)
    # the complete events of a track nest: none begins inside another and ends outside it
    for slices in tracks.values():
        slices.sort(key=lambda e: (round(e["ts"] * 1e3), -round(e["dur"] * 1e3)))
        open_ones: list[int] = []
        for e in slices:
            start, stop = round(e["ts"] * 1e3), round((e["ts"] + e["dur"]) * 1e3)
            while open_ones and open_ones[-1] <= start:
                open_ones.pop()
            assert all(stop <= end for end in open_ones)
            if stop > start:
                open_ones.append(stop)


def test_the_joules_of_a_trace_are_those_of_the_step(run):
    made = assemble(run)
    events = trace(made)["traceEvents"]
    for number, arm in enumerate(made["arms"], 1):
        if "fabric" not in arm:
            continue
        mine = [e for e in events if e["ph"] == "X" and e["pid"] // 100_000 == number]
        joules = sum(e["args"]["energy_J"] for e in mine if e["cat"] in ("phase", "standing"))
        assert joules == pytest.approx(arm["fabric"]["energy"]["total_J"], rel=1e-9)


def test_a_fabric_may_be_said_afterwards(run):
    with pytest.raises(BadInput, match="main: weight/1 is of kind Crossbar and priced as"):
        assemble(run, fabric=told("gpu"))
    made = assemble(run, fabric=told("chip64"))
    assert all("fabric" in arm for arm in made["arms"])
    with pytest.raises(BadInput, match='--fabric chip46: unknown fabric "chip46"; did you mean'):
        told("chip46")
    with pytest.raises(BadInput, match="--step takes train or evaluate, got program"):
        told("gpu", "program")
    inference = assemble(run, fabric=told("chip64", "evaluate"))["arms"][0]
    assert inference["fabric"]["step"] == "evaluate"
    without = assemble(run)["arms"][2]  # the same steps, and no fabric
    assert inference["latency"]["train_s"] == pytest.approx(without["latency"]["train_s"])
    assert inference["latency"]["evaluate_s"] != without["latency"]["evaluate_s"]


@pytest.mark.parametrize("objective", ["time", "energy"])
def test_a_search_is_never_worse_than_where_it_starts_and_is_reproducible(objective, tmp_path):
    more = f'strategy = "searched"\nmoves = 25\nobjective = "{objective}"\n'
    text = CHIP.replace('use = "chip64"\n', f'use = "chip64"\n{more}')
    arm = prepare_all(read(write(tmp_path, text), ["compare={}"]))["main"]
    chosen = technologies(arm.rehearsal)
    costs = {}
    for strategy in ("first_fit", "balanced", "least_traffic", "searched"):
        table = arm.experiment.fabric.model_copy(update={"strategy": strategy})
        timed = time_fabric(arm.rehearsal, chosen, table)
        one = timed.steps[timed.shown]
        costs[strategy] = one.makespan_s if objective == "time" else one.expanded.graph.energy_J
    assert costs["searched"] <= min(costs.values())
    again = time_fabric(arm.rehearsal, chosen, arm.experiment.fabric)
    assert "searched: " in again.plan.notes[-1]
    assert again.plan.nodes == time_fabric(arm.rehearsal, chosen, arm.experiment.fabric).plan.nodes


def test_placing_trains_nothing(tmp_path):
    path = write(tmp_path, CHIP)
    code = "import sys; from hwloop.sim.cli import main; sys.exit(main())"
    for more, says in (
        ([str(path)], "main on 64-core phase-change chip (first_fit)"),
        (["--list"], "chip64"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, "place", *more],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert says in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["my.toml"]


# ---- what is wrong ----------------------------------------------------------------

WRONG = [
    ('use = "chip65"', 'line 23: [fabric] unknown fabric "chip65"; did you mean "chip64"?'),
    ('use = "none.toml"', "none.toml\" is not there"),
    ('use = "chip64"\nstrategy = "balance"', 'did you mean "balanced"?'),
    ('use = "chip64"\nin_flight = 0', "in_flight takes a whole number from 1 to 64, got 0"),
    ('use = "chip64"\nstrategy = "pinned"', "strategy pinned takes a table [fabric.pin]"),
    ('use = "chip64"\nmoves = 10', 'moves is for strategy "searched"'),
    ('strategy = "balanced"', "strategy lays a network on a fabric, and use names none"),
    ('use = "chip64"\npin = 3', "pin takes a table of names, each with a list, each a text, got 3"),
    ('use = "chip64"\ncopies = { "weight/1" = 0 }', "copies takes a table of names, each with"),
    ('use = "chip64"\nduplicate = "auto"\ncopies = { "weight/1" = 2 }', "copies are said"),
]  # fmt: skip


@pytest.mark.parametrize(("fabric", "says"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_table_is_refused_with_its_place(fabric, says, tmp_path):
    path = write(tmp_path, CHIP.replace('use = "chip64"', fabric))
    with pytest.raises(BadInput) as wrong:
        read(path)
    assert says in str(wrong.value).replace(str(path), "my.toml")


MISFITS = [
    (['fabric.pin={"weight/9"=["core/0"]}'], 'unknown matrix to pin "weight/9"'),
    (['fabric.pin={"weight/1"=["core/99"]}'], 'weight/1 is pinned to unknown tile "core/99"'),
    (["fabric.copies={\"weight/9\"=2}"], 'copies: unknown matrix "weight/9"'),
    (["network.hidden=[5000, 5000]"], "more tiles would hold them"),
    (["weight.tile_rows=512", "network.hidden=[300, 300]"], "arrays of 300 x 512 cells"),
    (['host.technology="cpu_host"'], 'say [host] technology = "isaac_digital"'),
    (['fabric.use="gpu"'], "give it another device or technology, or another fabric"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "says"), MISFITS, ids=range(len(MISFITS)))
def test_what_does_not_fit_is_refused_before_any_training(settings, says, tmp_path):
    experiment = read(write(tmp_path, CHIP), [*settings, "compare={}"])
    with pytest.raises(BadInput, match=r"\[fabric\]") as wrong:
        prepare_all(experiment)
    assert says in str(wrong.value)
