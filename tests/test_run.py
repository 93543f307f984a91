"""A run that is interrupted anywhere and resumed is the run that was left alone, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwloop.sim.experiment import parse, read
from hwloop.sim.files import read_arrays
from hwloop.sim.run import (
    CHECKPOINT,
    LEDGER,
    RESULT,
    WEIGHTS,
    execute,
    finished,
    folder_of,
    new_folder,
    open_run,
    prepare_all,
)

SMALL = {
    "name": "small",
    "data": {"set": "digits", "limit_train": 160, "limit_test": 100},
    "network": {"hidden": [24, 16]},
    "train": {"epochs": 3, "batch": 32, "schedule": "cosine"},
    "optimizer": {"rate": 0.1},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "opu", "medium": "dense"},
}
BACKPROP = {"algorithm": {"rule": "backprop"}}
CASES = {
    "light, dense": {},
    "light, lazy": {"feedback": {"device": "opu", "medium": "lazy"}},
    "light, lazy, real inputs": {
        "algorithm": {"rule": "dfa"},
        "feedback": {"device": "opu", "medium": "lazy", "input_bits": 4},
    },
    "momentum": {**BACKPROP, "optimizer": {"rate": 0.05, "momentum": 0.9}},
    "adam": {**BACKPROP, "optimizer": {"kind": "adam"}},
    "private": {
        "algorithm": {"rule": "dfa"},
        "feedback": {"device": "ideal"},
        "train": {"epochs": 3, "batch": 8, "sampling": "poisson"},
        "privacy": {"noise_multiplier": 1.0},
    },
    "private momentum": {
        **BACKPROP,
        "optimizer": {"rate": 0.05, "momentum": 0.5},
        "train": {"epochs": 3, "batch": 2, "sampling": "poisson"},
        "privacy": {"noise_multiplier": 1.0},
    },
    "early stop": {
        **BACKPROP,
        "data": {"set": "digits", "limit_train": 200, "validation": 0.2},
        "train": {"epochs": 60, "batch": 32, "patience": 2},
    },
    "noise-aware": {**BACKPROP, "noise": {"std": 0.1, "clip_std": 2.0}},
    "noise-aware adam": {
        "optimizer": {"kind": "adam"},
        "noise": {"std": 0.1, "clip_percentile": 98.0},
    },
    "convolution": {
        **BACKPROP,
        "network": {"hidden": [{"channels": 4, "kernel": 3, "stride": 2}, 16]},
    },
    "two arms": {
        "data": {"set": "iris", "validation": 0.2},
        "compare": {"frozen": {"algorithm": {"rule": "frozen"}}},
    },
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


def outcome(folder: Path, *, measured: bool = False) -> dict[str, object]:
    found: dict[str, object] = {}
    for arm, result in finished(folder).items():
        weights, metadata = read_arrays(folder_of(folder, arm) / WEIGHTS)
        found[f"{arm} weights"] = {name: w.tobytes() for name, w in weights.items()}
        found[f"{arm} stopped"] = (result["epochs"], result["stopped"], metadata)
        ledger = json.loads((folder_of(folder, arm) / LEDGER).read_text())
        if measured:
            ledger.pop("measured")
            for row in result["curve"]:
                del row["latency_s"], row["energy_J"]  # of standing power, for as long
        else:
            found[f"{arm} ledger bytes"] = (folder_of(folder, arm) / LEDGER).read_bytes()
            found[f"{arm} weight bytes"] = (folder_of(folder, arm) / WEIGHTS).read_bytes()
        found[f"{arm} ledger"], found[f"{arm} curve"] = ledger, result["curve"]
        found[f"{arm} accuracy"] = result["accuracy"]
    return found


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_bit_for_bit(case: str, tmp_path: Path):
    experiment = parse({**SMALL, **CASES[case]})
    left_alone = new_folder(experiment, tmp_path / "left alone")
    assert train(left_alone)
    expected = outcome(left_alone)
    for stops in ((1,), (4, 1, 6), (8,)):
        folder = new_folder(experiment, tmp_path / str(stops))
        for stop in stops:
            assert not train(folder, stop)
            assert (folder / CHECKPOINT).is_file() or (folder / RESULT).is_file()
        assert train(folder)
        assert outcome(folder) == expected
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        assert left == {"experiment.toml", WEIGHTS, LEDGER, RESULT}
    if case == "early stop":
        assert "no better" in expected["main stopped"][1]  # type: ignore[index]


@pytest.mark.parametrize("place", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_run_on_torch_goes_on_bit_for_bit_but_for_what_the_clock_says(
    kind: str, place: str, tmp_path: Path
):
    torch = pytest.importorskip("torch")
    if place == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    device = {"device": "torch", "place": place}
    change = {"weight": device, "feedback": device, "optimizer": {"kind": kind, "rate": 0.01}}
    experiment = parse({**SMALL, **change, "algorithm": {"rule": "dfa"}})
    left_alone = new_folder(experiment, tmp_path / "left alone")
    assert train(left_alone)
    folder = new_folder(experiment, tmp_path / "resumed")
    assert not train(folder, 8)
    assert train(folder)
    assert outcome(folder, measured=True) == outcome(left_alone, measured=True)


@pytest.mark.parametrize("case", ["light, lazy", "adam", "private"])
def test_a_run_is_the_same_without_its_rehearsal(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = parse({**SMALL, **CASES[case]})
    assert train(new_folder(experiment, tmp_path / "rehearsed"))
    monkeypatch.setattr("hwloop.sim.prepare.rehearse", lambda _: None)
    assert train(new_folder(experiment, tmp_path / "not"))
    assert outcome(tmp_path / "not") == outcome(tmp_path / "rehearsed")


def test_the_rehearsal_leaves_no_trace():
    [arm] = prepare_all(parse(SMALL)).values()
    assert arm.placement.steps == arm.epoch == arm.step == 0
    assert [step.kind for step in arm.placement.ledger.steps] == ["program"]
    assert all(d.state()["operations"][0] <= 1 for d in arm.placement.devices.values())
    assert set(arm.placement.digital) == {"bias/1", "bias/2", "bias/3"}


def test_a_diverging_arm_ends_with_a_reason_and_the_others_go_on(tmp_path: Path):
    change = {"optimizer": {"rate": 1e30}, "network": {"hidden": [8], "activation": "relu"}}
    other = {"compare": {"calm": {"optimizer": {"rate": 0.1}}}}
    folder = new_folder(parse({**SMALL, **change, **other}), tmp_path / "run")
    assert train(folder)
    found = finished(folder)
    assert found["main"]["diverged"]
    assert "[optimizer] rate" in found["main"]["stopped"]
    assert not found["calm"]["diverged"]
    assert found["calm"]["epochs"] == 3


# ---- other processes ------------------------------------------------------------------

CODE = "import sys; from hwloop.sim.cli import main; sys.exit(main())"


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(2400):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.025)
    raise AssertionError(f"{path} has not come")


LONG = ("--set", "compare={}", "--set", "train.epochs=400", "--set", "network.hidden=[32]")


def test_control_c_leaves_a_run_that_can_be_resumed(tmp_path: Path):
    process = start("run", *LONG, "--out", "run", cwd=tmp_path)
    wait_for(tmp_path / "run" / CHECKPOINT, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "interrupted; go on with: hwloop run --resume run\n"
    epoch = json.loads(read_arrays(tmp_path / "run" / CHECKPOINT)[1]["state"])["epoch"]
    assert 0 < epoch < 400
    assert train(tmp_path / "run", 3) is False  # it resumes; the whole of it is tested above


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path):
    settings = ["train.epochs=12", "compare={}", "network.hidden=[64]"]
    left_alone = new_folder(read(None, settings), tmp_path / "left alone")
    assert train(left_alone)
    asked = [word for setting in settings for word in ("--set", setting)]
    process = start("run", *asked, "--out", "run", cwd=tmp_path)
    rng = random.Random(1)
    killed = 0
    for _ in range(6):
        wait_for(tmp_path / "run" / CHECKPOINT, process)
        time.sleep(rng.uniform(0.0, 0.15))
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if (tmp_path / "run" / RESULT).exists():
            break
        process = start("run", "--resume", "run", cwd=tmp_path)
        time.sleep(rng.uniform(0.5, 2.0))
    process.kill()
    process.communicate()
    assert killed
    assert train(tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(left_alone)
