"""Recurrent layers in a run: resumed bit for bit, private, on chips, on a fabric, in the report."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import RULES, SGD, Backprop
from hwloop.algorithms.private import Private
from hwloop.devices import Ideal, Seed
from hwloop.mappings import Recur, build, place
from hwloop.sim.deploy import deploy
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import read_arrays
from hwloop.sim.page import render
from hwloop.sim.prepare import prepare_all
from hwloop.sim.report import assemble
from hwloop.sim.rules import rules
from hwloop.sim.run import LEDGER, WEIGHTS, execute, new_folder, open_run

TRAINING = [name for name, rule in RULES.items() if rule().repeats((2, 1)) is not None]
SMALL: dict[str, Any] = {
    "name": "rows",
    "data": {"set": "digits", "limit_train": 96, "limit_test": 50},
    "network": {
        "hidden": [{"recurrent": 12, "steps": 8, "states": "all"}, {"recurrent": 9, "steps": 8}]
    },
    "train": {"epochs": 2, "batch": 32},
    "optimizer": {"rate": 0.05},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "matrix_engine"},
}


def quiet(_: object) -> None:
    return


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


@pytest.mark.parametrize("rule", TRAINING)
def test_every_rule_goes_on_bit_for_bit_after_an_interruption(rule: str, tmp_path: Path):
    experiment = parse(SMALL | {"algorithm": {"rule": rule}})
    for name in ("whole", "parts"):
        new_folder(experiment, tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 2)
    assert run(tmp_path / "parts")
    for file in (WEIGHTS, LEDGER):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    weights, _ = read_arrays(tmp_path / "whole" / WEIGHTS)
    assert weights["weight/1"].shape == (12, 8 + 12)
    assert weights["weight/2"].shape == (9, 12 + 9)


@pytest.mark.parametrize("rule", TRAINING)
@pytest.mark.parametrize("weight", ["ideal", "torch"])
def test_a_batch_that_nobody_joined_changes_no_layer_by_its_data(rule: str, weight: str):
    if weight == "torch":
        pytest.importorskip("torch")
    raw = SMALL | {
        "algorithm": {"rule": rule},
        "data": {"set": "digits", "limit_train": 40, "limit_test": 20},
        "train": {"epochs": 1, "batch": 1, "sampling": "poisson"},
        "weight": {"device": weight},
    }
    arm = prepare_all(parse(raw))["main"]
    assert min(len(batch) for batch in arm.batches()) == 0
    assert arm.train(quiet, lambda: False, lambda: None)
    assert not arm.diverged
    assert all(np.isfinite(w).all() for w in arm.weights().values())


def test_private_training_clips_the_whole_sequence_of_each_sample():
    network = build((10,), 3, [Recur(4, 5)])
    algorithm = Backprop(optimizer=SGD(rate=1.0), private=Private(1e-9, 0.05, 1.5))
    demands = algorithm.demands(network)

    def moved(x, target) -> np.ndarray:
        def made(d, ledger, seed):
            return Ideal(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

        on = place(network, demands, {"weight": made}, "ideal", Seed(1))
        w = on["weight/1"].matrix()
        with on.ledger.step("train", samples=len(x)):
            algorithm.step(on, x, target)
        return w - on["weight/1"].matrix()

    draw = np.random.default_rng(0)
    x = 3 * draw.normal(size=(6, 10)).astype(np.float32)
    target = np.eye(3, dtype=np.float32)[draw.integers(3, size=6)]
    alone = [moved(x[k : k + 1], target[k : k + 1]) for k in range(6)]
    np.testing.assert_allclose(moved(x, target), np.mean(alone, 0), atol=1e-6)
    sizes = [np.linalg.norm(one) for one in alone]
    assert max(sizes) <= 0.05 * 1.5 * (1 + 1e-4)
    assert min(sizes) > 0


@pytest.mark.parametrize("rule", ["backprop", "dfa", "tpsgd"])
def test_a_chip_without_errors_answers_as_the_trained_network_does(rule: str):
    raw = SMALL | {
        "algorithm": {"rule": rule},
        "deploy": {
            "chips": 1,
            "reads": 1,
            "weight": {"device": "ideal"},
            "weight/2": {"device": "crossbar", "technology": "pcm_nandakumar"},
        },
    }
    arm = prepare_all(parse(raw))["main"]
    assert arm.train(quiet, lambda: False, lambda: None)
    found = deploy(arm, lambda: False)
    assert found is not None
    [step] = [s for s in found.ledger.steps if s.kind == "evaluate"]
    reads = [op.device for op in step.ops if op.verb == "MULTIPLY"]
    assert [reads.count(f"chip/weight/{k}") for k in (1, 2, 3)] == [8, 8, 1]
    raw = raw | {"deploy": {"chips": 1, "weight": {"device": "ideal"}}}
    exact = prepare_all(parse(raw))["main"]
    assert exact.train(quiet, lambda: False, lambda: None)
    found = deploy(exact, lambda: False)
    assert found is not None
    assert np.unique(found.result["accuracy"]["none"]).tolist() == [exact.accuracy("test")]


def test_a_run_on_a_fabric_is_timed_there_and_its_report_shows_the_layers(tmp_path: Path):
    raw = SMALL | {
        "algorithm": {"rule": "backprop"},
        "weight": {"device": "crossbar", "technology": "pcm_hermes"},
        "optimizer": {"rate": 0.05, "momentum": 0.9},
        "host": {"technology": "isaac_digital"},
        "fabric": {"use": "chip64"},
        "compare": {
            "dfa": {"algorithm": {"rule": "dfa"}, "feedback": {"device": "opu", "input_bits": 4}}
        },
    }
    del raw["feedback"]
    new_folder(parse(raw | {"fabric": {"use": ""}}), tmp_path / "apart")
    assert run(tmp_path / "apart")
    arm = prepare_all(parse({k: v for k, v in raw.items() if k != "compare"}))["main"]
    [step] = [s for s in arm.rehearsal.steps if s.kind == "train"]
    stages = dict(step.after)
    assert stages["forward/2/3"] == ("forward/1/3", "forward/2/2")
    assert stages["backward/1/4"] == ("backward/2/4", "backward/1/5")
    report = assemble(tmp_path / "apart")
    page = render(report)
    assert "8 – 12 × 8 steps – 9 × 8 steps – 10" in page
    assert "12 × 20" in page  # outputs and inputs of the first matrix, in the chapter on devices
    assert report["arms"][0]["network"][0]["kind"] == "Recurrent"


def test_rules_without_one_are_refused_with_the_place_in_the_file():
    with pytest.raises(BadInput, match=r"\[algorithm\].*layer 1 is recurrent, and PEPITA has no"):
        prepare_all(parse(SMALL | {"algorithm": {"rule": "pepita"}}))
    wrong = SMALL | {"network": {"hidden": [{"recurrent": 9, "steps": 7}]}}
    with pytest.raises(BadInput, match="7 steps of equal width, and 64 features do not divide"):
        prepare_all(parse(wrong))


def test_the_table_of_rules_says_what_a_step_more_costs():
    table = rules()
    names = [str(cell) for cell in table.columns[0].cells]
    calls = dict(zip(names, (str(c) for c in table.columns[2].cells), strict=True))
    assert {name for name in names if "a step more" in calls[name]} == set(TRAINING)
    assert "a step more: weight multiply 1, weight transpose 1" in calls["backprop"]
    assert calls["dfa"].endswith("a step more: weight multiply 1")
