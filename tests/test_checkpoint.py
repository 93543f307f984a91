"""A checkpoint that is damaged, or of another run, is refused and stays as it is."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import read_arrays, write_arrays
from hwloop.sim.run import CHECKPOINT, execute, new_folder, open_run, prepare_all

SMALL = {
    "name": "small",
    "data": {"set": "digits", "limit_train": 160, "limit_test": 100},
    "network": {"hidden": [24, 16]},
    "train": {"epochs": 3, "batch": 32},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "opu", "medium": "lazy"},
}


def train(folder: Path, stop_after: int | None = None) -> bool:
    """Train what lies in a folder, as a new process would; press Ctrl-C after so many reports."""
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    folder = new_folder(parse(SMALL), tmp_path / "run")
    assert not train(folder, 4)
    return folder


def refusal(folder: Path) -> str:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(BadInput) as refused:
        train(folder)
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return str(refused.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(interrupted: Path, share: float):
    path = interrupted / CHECKPOINT
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert refusal(interrupted).startswith(f"{path} is not a whole safetensors file")
    path.write_bytes(whole)
    assert train(interrupted)


def test_a_checkpoint_of_another_experiment_is_refused(interrupted: Path, tmp_path: Path):
    other = new_folder(parse({**SMALL, "seed": 1}), tmp_path / "other")
    assert not train(other, 2)
    os.replace(other / CHECKPOINT, interrupted / CHECKPOINT)
    assert "belongs to another experiment" in refusal(interrupted)


def changed(folder: Path, **changes: object) -> None:
    arrays, metadata = read_arrays(folder / CHECKPOINT)
    state = {**json.loads(metadata["state"]), **changes}
    write_arrays(folder / CHECKPOINT, arrays, {"state": json.dumps(state)})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hwloop": "0.0.1"}, "was written by hwloop 0.0.1"),
        ({"world": "0"}, "other data or technology files"),
        ({"epoch": "x"}, "does not fit the experiment"),
        ({"ledger": {"devices": 3}}, "does not fit the experiment"),
        ({"curve": None}, "does not fit the experiment"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    interrupted: Path, changes: dict[str, object], says: str
):
    changed(interrupted, **changes)
    assert says in refusal(interrupted)


def test_a_checkpoint_of_other_sizes_is_refused(interrupted: Path):
    arrays, metadata = read_arrays(interrupted / CHECKPOINT)
    name = "device:weight/1:w"
    write_arrays(interrupted / CHECKPOINT, {**arrays, name: arrays[name][:5, :5]}, metadata)
    assert "does not fit the experiment" in refusal(interrupted)
    del arrays[name]
    write_arrays(interrupted / CHECKPOINT, arrays, metadata)
    assert f"lacks {name}" in refusal(interrupted)
    write_arrays(interrupted / CHECKPOINT, {"a": np.zeros(2)}, {})
    assert "is not a checkpoint of hwloop" in refusal(interrupted)
