"""`hwloop print` from a file to a folder: the same for any number of processes, and resumable."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from hwloop.devices.printed_circuit import circuit_from_json
from hwloop.sim import cli
from hwloop.sim.places import BadInput
from hwloop.sim.print_findings import sentences
from hwloop.sim.print_literature import literature, published
from hwloop.sim.print_page import render
from hwloop.sim.print_run import (
    CIRCUITS,
    DESIGN,
    FRONT,
    RESULT,
    area_of,
    new_design_folder,
    open_design,
    work,
)
from hwloop.sim.print_settings import read_design
from hwloop.sim.printed_data import words

SMALL = """
name = "iris & <b>light</b>"
seed = 3
[data]
set = "iris"
[circuit]
hidden = [2]
weight_bits = 5
[search]
population = 40
generations = 12
epochs = 12
starts = 1
sparsities = [0.0, 0.1]
[cost]
circuits = 4
"""
BARE = "map = false\nsimulate = false\n"
PROGRAMS = all(shutil.which(program) for program in ("yosys", "iverilog"))


def design_of(tmp_path: Path, text: str, *settings: str):
    path = tmp_path / "my.toml"
    path.write_text(text)
    return read_design(path, settings)


def done(design, folder: Path, processes: int = 1, interrupted=lambda: False):
    return work(design, folder, processes, lambda *_: None, interrupted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a design's folder and report, mapped and simulated."""
    if not PROGRAMS:
        pytest.skip("yosys and iverilog are absent")
    tmp_path = tmp_path_factory.mktemp("whole")
    design = design_of(tmp_path, SMALL + "\n[faults]\ncopies = 10\n", "search.compare=800")
    folder = new_design_folder(design, tmp_path / "out")
    return folder, done(design, folder)


def test_every_circuit_is_simulated_and_mapped_without_a_mismatch(whole):
    folder, report = whole
    for entry in [report["exact"], *report["front"]]:
        assert entry["mismatches"] == 0
        assert entry["mapped"]["mismatches"] == 0
        assert entry["mapped"]["area_m2"] > 0
        assert not entry["constant"]
    assert report == json.loads((folder / RESULT).read_text())


def test_the_front_is_one_and_keeps_the_bound(whole):
    _, report = whole
    front = report["front"]
    areas = [area_of(e) for e in front]
    accuracies = [e["train"] for e in front]
    assert areas == sorted(areas)
    assert accuracies == sorted(set(accuracies))
    assert min(accuracies) >= 1 - report["worst_loss"] - 1e-9
    assert max(areas) < area_of(report["exact"])
    for gain in report["gains"]:
        one = front[gain["circuit"]]
        assert one["train"] >= report["exact"]["train"] - gain["loss"] - 1e-9
        assert gain["area"] == pytest.approx(area_of(report["exact"]) / area_of(one))


def test_what_is_written_is_what_was_found(whole):
    folder, report = whole
    rows = list(csv.DictReader((folder / FRONT).read_text().splitlines()))
    assert len(rows) == 1 + len(report["front"])
    data = words("iris")
    for row in rows:
        place = folder / CIRCUITS / row["circuit"]
        circuit = circuit_from_json(json.loads((place / "circuit.json").read_text()))
        assert circuit.accuracy(data.x_test, data.y_test) == pytest.approx(
            float(row["test_accuracy"])
        )
        assert len((place / "rows.hex").read_text().splitlines()) == len(data.y_test)
        assert "module printed (" in (place / "printed.v").read_text()
        assert "module printed_bench;" in (place / "bench.v").read_text()


def test_searches_get_the_same_number_of_evaluations(whole):
    _, report = whole
    found = {s["name"]: s for s in report["searches"]}
    spent = 3 * 12 * 3
    assert found["compare/evolution"]["evaluations"] + spent <= 800
    assert found["compare/annealing"]["evaluations"] + spent <= 800
    for rule in ("backprop", "dfa"):
        assert 0 < found[f"compare/{rule}"]["evaluations"] <= 800
    assert all(0 <= s["hypervolume"] <= 1 for s in found.values())


def test_sentences_and_page_say_it_and_escape_it(whole):
    _, report = whole
    said = " ".join(sentences(report))
    assert f"0 of {(1 + len(report['front'])) * 45:,} rows differ" in said
    assert "a 30 mW battery" in said
    page = render(report)
    assert "<b>light</b>" not in page
    assert "iris &amp; &lt;b&gt;light&lt;/b&gt;" in page
    assert "Content-Security-Policy" in page
    assert page.count('<svg class="circuit"') == 1
    assert "PPDK_Standard_Library_1.0V" in page  # every number with where it was read


def test_the_result_does_not_depend_on_processes_nor_on_interruptions(tmp_path):
    design = design_of(tmp_path, SMALL + BARE)
    one = done(design, new_design_folder(design, tmp_path / "one"))
    two = done(design, new_design_folder(design, tmp_path / "two"), processes=2)
    assert one == two
    for file in (FRONT, RESULT, "report.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    folder = new_design_folder(design, tmp_path / "three")
    asked = 0

    def interrupted() -> bool:
        nonlocal asked
        asked += 1
        return asked % 9 == 0

    rounds = 0
    while (three := done(open_design(folder), folder, interrupted=interrupted)) is None:
        rounds += 1
        assert rounds < 50
    assert rounds > 2
    assert three == one
    assert not list((folder / "pieces").glob("*.safetensors"))


def test_without_programs_areas_are_estimates(tmp_path):
    design = design_of(tmp_path, SMALL + BARE)
    report = done(design, new_design_folder(design, tmp_path / "out"))
    said = " ".join(sentences(report))
    assert "Areas are estimates" in said
    assert "was not simulated" in said
    assert area_of(report["exact"]) == report["exact"]["estimate_m2"]
    assert "unknown" in render(report)


def test_the_command_prints_a_front_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "my.toml").write_text(SMALL + BARE)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["hwloop", "print", str(tmp_path / "my.toml"), "--out",
                                      str(out), "--processes", "1"])  # fmt: skip
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    said = capsys.readouterr().out
    assert "exact" in said
    assert str(out / "report.html") in said.replace("\n", "")
    assert cli.main() == 2
    assert "hwloop print --resume" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["hwloop", "print", "--resume", str(tmp_path)])
    assert cli.main() == 2
    assert f"holds no {DESIGN}" in capsys.readouterr().err


WRONG = [
    ("[search]\npopulaton = 3", 'line 2: [search] unknown key "populaton"', '"population"?'),
    ("[search]\npopulation = 3", "line 2: [search] population takes a whole number from 4"),
    ("[circuit]\nhidden = [0]", "line 2: [circuit] hidden", "got 0"),
    ("[circuit]\nhidden = 3", "[circuit] hidden", "got 3"),
    ("[circuit]\ninput_bits = 0", "input_bits takes a whole number from 1 to 8"),
    ("[circuit]\ninput_bits = 9", "input_bits takes", "got 9"),
    ("[circuit]\nshifts = [99]", "[circuit] shifts"),
    ("[cost]\nconverter = 'flahs'", 'unknown converter "flahs"; did you mean "flash"?'),
    ("[cost]\ntechnology = 'egfet_1v1'", 'unknown technology "egfet_1v1"', "egfet_1v0"),
    ("[cost]\ntechnology = 'opu_gen3'", "[cost] technology opu_gen3", "area_NAND2X1"),
    ("[cost]\nbattery_W = 0", "battery_W takes a number above 0"),
    ("[search]\nloss_bound = 1.5", "loss_bound takes a number from 0 to below 1"),
    ("[faults]\nstuck = -1", "[faults] stuck takes"),
    ("[printer]\nx = 1", 'line 1: unknown key "printer"'),
    ("seed = -1", "seed takes a whole number from 0"),
    ("name = 3", "name takes a text"),
    ("x = ", "is not TOML"),
]


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in WRONG], ids=range(len(WRONG)))
def test_a_wrong_design_is_refused_with_the_place(text, says, tmp_path):
    with pytest.raises(BadInput) as wrong:
        design_of(tmp_path, text)
    for part in says:
        assert part in str(wrong.value)


MISFITS = [
    ("[data]\nset = 'irish'", "line 2: [data]", "did you mean 'iris'?"),
    ("[data]\nset = 'digits'", "no table of features"),
    ("[data]\nset = 'csv'\npath = 'none.csv'", "line 3: [data]", "cannot be read"),
    ("[data]\nset = 'iris'\n[circuit]\nshifts = [4, 4]", "line 4: [circuit]", "1 hidden layers"),
]


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in MISFITS], ids=range(len(MISFITS)))
def test_a_design_that_fits_no_data_is_refused(text, says, tmp_path):
    design = design_of(tmp_path, text)
    with pytest.raises(BadInput) as wrong:
        design.topology(design.words())
    for part in says:
        assert part in str(wrong.value)


@pytest.mark.parametrize(("key", "program"), [("map", "yosys"), ("simulate", "iverilog")])
def test_a_program_that_is_absent_is_named_before_anything_runs(
    key, program, tmp_path, monkeypatch
):
    there = shutil.which
    monkeypatch.setattr(shutil, "which", lambda p: None if p == program else f"/bin/{p}")
    with pytest.raises(BadInput, match=rf"\[cost\] {program} is not .*; or say {key} = false"):
        design_of(tmp_path, SMALL)
    monkeypatch.setattr(shutil, "which", there)
    assert not design_of(tmp_path, SMALL + BARE).cost.map


def test_a_folder_holds_one_design(tmp_path):
    design = design_of(tmp_path, SMALL + BARE)
    folder = new_design_folder(design, tmp_path / "out")
    assert done(design, folder, interrupted=lambda: True) is None
    text = (folder / DESIGN).read_text()
    (folder / DESIGN).write_text(text.replace("generations = 12", "generations = 13"))
    with pytest.raises(BadInput, match="is not the design that .* was begun with"):
        done(open_design(folder), folder)


def test_a_comparison_that_is_too_short_is_refused(tmp_path):
    design = design_of(tmp_path, SMALL + BARE, "search.compare=100")
    with pytest.raises(BadInput, match="compare takes more evaluations than the 108"):
        done(design, new_design_folder(design, tmp_path / "out"))


def test_published_points_have_sources_and_known_sets():
    from hwloop.sim.datasets import KNOWN

    assert {p.set for p in literature()} <= set(KNOWN)
    for point in literature():
        assert point.source
        assert point.area_cm2 > 0
        assert point.accuracy is None or 0.3 < point.accuracy < 1
    areas = [p.area_cm2 for p in published("cardiotocography")]
    assert areas == sorted(areas, reverse=True)
    assert np.isclose(areas[0], 33.4)


ROOT = Path(cli.__file__).parents[1]


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "printed").glob("*.toml")), ids=str)
def test_the_designs_in_examples_are_read(file):
    design = read_design(file, ["cost.map=false", "cost.simulate=false"])
    assert published(design.data.set)


def test_the_design_in_the_document_is_one(tmp_path):
    [text] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "printed.md").read_text(), re.DOTALL)
    design = design_of(tmp_path, text, "cost.map=false", "cost.simulate=false")
    assert design.circuit.hidden == [5]
    assert design.cost.battery_W == 0.03
