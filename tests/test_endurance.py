"""What a run wears: counted per cell, against what the technology says that a cell lasts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwloop.devices import Crossbar, Ideal, PulsedCrossbar
from hwloop.devices.technology import load
from hwloop.sim.cli import app
from hwloop.sim.endurance import lasting, sentences


def test_every_write_of_every_cell_is_counted():
    crossbar = Crossbar(n_out=3, n_in=4, name="c", slices=2, levels=4, verify=3, tolerance=1e-3)
    two = PulsedCrossbar(n_out=3, n_in=4, name="p", transfer="tiki_taka2", transfer_rate=1.0)
    for k in range(3):
        for device in (crossbar, two):
            device.program(np.full((3, 4), 0.1 * k))
    rewritten = crossbar.wear() - 3
    assert rewritten.any()
    assert crossbar.wear().shape == (2, 2, 3, 4)
    told = [t.work for s, t in crossbar.ledger.steps.items() if s.ops[0].verb == "VERIFY"]
    assert rewritten.sum() == sum(work[0][0] for work in told)
    sent = 0
    for _ in range(20):
        two.update(np.ones((4, 3)), np.ones((4, 4)), 0.01)
    sent = sum(t.work[0][0] for s, t in two.ledger.steps.items() if s.ops[0].verb == "UPDATE")
    assert two.wear().shape == (2, 3, 4)
    assert two.wear().sum() == 3 * 12 + sent
    assert Ideal(n_out=1, n_in=1).wear() is None


def test_the_most_written_cell_decides_how_many_trainings_are_left():
    wear = {
        "weight/1": {"cells": 100, "largest": 50_000, "mean": 20.0},
        "weight/2": {"cells": 300, "largest": 4_000, "mean": 40.0},
        "feedback": {"cells": 10, "largest": 1, "mean": 1.0},
    }
    stems = {"weight/1": "rram_milo", "weight/2": "rram_milo", "feedback": "pcm_hermes"}
    rows = lasting(wear, {name: load(stem) for name, stem in stems.items()})
    assert rows[0]["trainings"] == load("rram_milo").parameter("endurance") / 50_000
    assert rows[2]["endurance"] is rows[2]["trainings"] is None
    said = list(sentences({"name": "main", "wear": rows}))
    assert said == [
        "The most written cell of main, in weight/1, had 50,000 writes or pulses, the mean of 400 "
        "cells is 35; a cell of rram_milo lasts 1 M, or 20 such trainings.",
        "The most written cell of main, in feedback, had 1 writes or pulses, the mean of 10 cells "
        "is 1; how many a cell of pcm_hermes lasts is unknown.",
    ]
    rows[0]["trainings"], rows[0]["largest"] = 0.5, 2_000_000
    assert "1 M: fewer than that" in next(sentences({"name": "main", "wear": rows}))


FILE = """
[data]
limit_train = 200
[network]
hidden = [8]
[algorithm]
rule = "backprop"
[train]
epochs = 1
[weight]
device = "pulsed_crossbar"
technology = "reram_gong_soft_bounds"
"""


def test_a_run_tells_its_wear_in_sentences_json_and_html(tmp_path: Path):
    (tmp_path / "wear.toml").write_text(FILE)
    run = tmp_path / "run"
    done = CliRunner().invoke(app, ["run", str(tmp_path / "wear.toml"), "--out", str(run)])
    assert done.exit_code == 0, done.output
    assert "a cell of reram_gong_soft_bounds lasts 100 G, or" in " ".join(done.output.split())
    wear = json.loads((run / "result.json").read_text())["wear"]
    assert wear["weight/1"]["cells"] == 8 * 64
    assert wear["weight/1"]["largest"] > wear["weight/1"]["mean"] > 1
    report = json.loads((run / "report.json").read_text())
    [row, _] = report["arms"][0]["wear"]
    assert row["trainings"] == pytest.approx(1e11 / row["largest"])
    html = (run / "report.html").read_text()
    assert "Wear of the cells" in html
    assert "Zhao et al., IEDM 2018" in html
