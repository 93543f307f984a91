"""`hwloop compare`: predictions beside measurements, never mixed in one row."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hwloop.sim.compare import compare, figures
from hwloop.sim.experiment import BadInput
from hwloop.sim.files import write_json
from hwloop.sim.metering import ENERGY
from hwloop.sim.power import Reading


def reading(method: str = "nvml_total_energy") -> Reading:
    return Reading("NVIDIA H200", method, 4200.0, 14.0, 60.0, 280)  # type: ignore[arg-type]


def test_each_figure_says_how_it_came_about(report: dict[str, Any]):
    arms = {arm["name"]: arm for arm in report["arms"]}
    assert figures(arms["backpropagation"])["train_s"][1] == "modelled"
    assert "measured" in figures(arms["real"])["train_s"][1]
    assert figures(arms["real"])["modelled_J"][1] == "modelled, a lower bound"
    assert figures(arms["real"])["metered_J"] == (None, "")


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    from hwloop.sim.experiment import parse
    from hwloop.sim.run import execute, new_folder, prepare_all

    made = []
    for name, device in (("predicted", "matrix_engine"), ("met", "torch")):
        experiment = parse(
            {
                "name": name,
                "data": {"set": "iris"},
                "network": {"hidden": [4]},
                "train": {"epochs": 1},
                "algorithm": {"rule": "backprop"},
                "weight": {"device": device},
            }
        )
        folder = new_folder(experiment, tmp_path / name)
        execute(folder, prepare_all(experiment), lambda progress: None)
        made.append(folder)
    return made[0], made[1]


def test_two_runs_stand_side_by_side_with_what_was_metered(runs: tuple[Path, Path]):
    pytest.importorskip("torch")
    one, other = runs
    write_json(other / ENERGY, [reading().to_json()])
    [table] = compare(one, other)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "nvidia_a100_fp32 against torch" in text
    row = next(line for line in text.splitlines() if "energy, metered  " in line)
    assert "4.2 kJ  measured" in row
    row = next(line for line in text.splitlines() if "beyond rest" in line)
    assert "3.36 kJ  measured" in row
    assert "metered over modelled" in text
    assert "integrated" not in text


def test_runs_without_a_common_arm_and_unfinished_ones_are_refused(tmp_path: Path):
    with pytest.raises(BadInput):
        compare(tmp_path, tmp_path)
