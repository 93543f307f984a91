"""Norms in a run: resumed bit for bit, evaluated with running statistics, deployed, priced."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices.technology import load
from hwloop.sim.arm import Arm
from hwloop.sim.deploy import make_chip
from hwloop.sim.deploy_run import redeploy
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import read_arrays
from hwloop.sim.prepare import prepare_all, remarks
from hwloop.sim.pricing import bill, technologies
from hwloop.sim.run import CHIPS, LEDGER, WEIGHTS, execute, new_folder, open_run
from hwloop.sim.timing import replay_all

POOLED = {"channels": 6, "kernel": 3, "pool": 2, "pooling": "max"}
SMALL: dict[str, Any] = {
    "data": {"set": "digits", "limit_train": 160, "limit_test": 80},
    "network": {"hidden": [POOLED, {"width": 12, "norm": "layer"}], "norm": "batch"},
    "train": {"epochs": 2, "batch": 32},
    "optimizer": {"rate": 0.1},
    "algorithm": {"rule": "ternary_dfa"},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "matrix_engine"},
}


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


def trained(**more: Any) -> Arm:
    arm = prepare_all(parse(SMALL | more))["main"]
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    return arm


@pytest.mark.parametrize(
    ("rule", "optimizer", "weight"),
    [
        ("ternary_dfa", "sgd", "matrix_engine"),
        ("backprop", "adam", "matrix_engine"),
        ("mono_forward", "sgd", "torch"),
    ],
)
def test_a_run_goes_on_bit_for_bit_after_an_interruption(rule, optimizer, weight, tmp_path):
    if weight == "torch":
        pytest.importorskip("torch")
    raw = SMALL | {
        "algorithm": {"rule": rule},
        "optimizer": {"kind": optimizer, "rate": 0.01},
        "weight": {"device": weight},
    }
    for name in ("whole", "parts"):
        new_folder(parse(raw), tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 3)
    assert run(tmp_path / "parts")
    files = (WEIGHTS, LEDGER) if weight != "torch" else (WEIGHTS,)  # its seconds are measured
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    weights, _ = read_arrays(tmp_path / "whole" / WEIGHTS)
    assert {n for n in weights if n[-1] == "1"} > {
        "bias/1",
        "gain/1",
        "running_mean/1",
        "running_variance/1",
    }
    assert {n for n in weights if n.startswith(("gain", "running")) and n[-1] == "2"} == {"gain/2"}
    assert (weights["running_variance/1"] != 1).all()


def test_the_rehearsal_leaves_the_running_statistics_as_they_start():
    arm = prepare_all(parse(SMALL))["main"]
    assert not arm.placement.digital["running_mean/1"].any()
    assert (arm.placement.digital["running_variance/1"] == 1).all()


def test_an_answer_depends_on_no_other_sample():
    arm = trained()
    algorithm, on = arm.experiment.algorithm, arm.placement
    x = arm.data.x[arm.data.test[:20]]
    with on.ledger.step("evaluate", samples=20):
        together = algorithm.predict(on, x)
        alone = np.concatenate([algorithm.predict(on, x[k : k + 1]) for k in range(20)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_chip_answers_with_the_statistics_of_the_training(tmp_path: Path):
    learns = {"algorithm": {"rule": "backprop"}, "train": {"epochs": 10, "batch": 16}}
    chip = {"deploy": {"chips": 1, "reads": 1, "weight": {"device": "ideal"}}}
    raw = SMALL | learns | chip
    folder = new_folder(parse(raw), tmp_path / "run")
    assert run(folder)
    arms = prepare_all(open_run(folder))
    weights, _ = read_arrays(folder / WEIGHTS)
    chip = make_chip(arms["main"], 0, weights, arms["main"].placement.ledger)
    for name in ("running_mean/1", "running_variance/1", "gain/1", "gain/2"):
        np.testing.assert_array_equal(chip.placement.digital[name], weights[name])
    arm = trained(**learns)
    expected = arm.accuracy("test")
    assert expected > 0.5
    assert redeploy(folder, [])["arms"][0]["deploy"]["accuracy"]["none"] == [[[expected]]]
    assert (folder / CHIPS).exists()


def test_energy_and_time_hold_the_digital_work_of_norms_and_pooling():
    found = {}
    for norm in ("none", "batch"):
        network = {"hidden": [POOLED, 12], "norm": norm}
        arm = prepare_all(parse(SMALL | {"network": network, "host": {"technology": "cpu_host"}}))
        ledger = arm["main"].rehearsal
        chosen = technologies(ledger)
        seconds = {step: line.makespan_s for step, line in replay_all(ledger, chosen).items()}
        rows = bill(ledger, chosen, seconds, kinds=["train"])
        host = {r.verb: r.energy_J for r in rows if r.device == "host" and r.event == "element"}
        [time_s] = [s for step, s in seconds.items() if step.kind == "train"]
        found[norm] = host, time_s
    each_J = load("cpu_host").event("element", 1, 1, ()).energy_J
    pooled, outputs = 32 * 36 * 6, 32 * (36 * 6 + 12)
    for host, _ in found.values():
        assert host["POOL"] == host["POOL_ADJOINT"] == pytest.approx(pooled * each_J)
    host, time_s = found["batch"]
    assert host["NORMALISE"] == host["NORMALISE_ADJOINT"] == pytest.approx(3 * outputs * each_J)
    assert time_s > found["none"][1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"train": {"batch": 1}}, r"\[train\] norm = .batch. takes 2 .* leave one of a single"),
        ({"train": {"batch": 53}}, "batches of 53 leave one of a single sample of 160"),
        ({"train": {"sampling": "poisson"}}, "a Poisson batch may hold fewer: take sampling"),
        (
            {"privacy": {"noise_multiplier": 1.0}},
            r"\[algorithm\] layer 1 has norm = .batch., which mixes samples",
        ),
        (
            {"algorithm": {"rule": "likelihood_ratio"}},
            r"layer 1 has norm = .batch., and likelihood_ratio .* take norm = .layer.",
        ),
        ({"network": {"norm": "bach"}}, r'\[network\] unknown norm "bach"; did you mean "batch"'),
        ({"network": {"hidden": [{"width": 0}]}}, "hidden, layer 1, width takes a whole number"),
        ({"network": {"hidden": [{"width": 3, "pool": 2}]}}, 'layer 1: unknown key "pool"'),
        ({"network": {"hidden": [{"width": 3, "norm": "btch"}]}}, 'layer 1, norm "btch"'),
        (
            {"network": {"hidden": [POOLED | {"pooling": "maximum"}]}},
            r'unknown hidden, layer 1, pooling "maximum"',
        ),
        (
            {"network": {"hidden": [POOLED | {"pool": 1}]}},
            r'\[network\] layer 1: pooling = "max" takes a pool from 2, got 1',
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(more, says):
    with pytest.raises(BadInput, match=says):
        prepare_all(parse(SMALL | more))


def test_layer_norm_learns_privately_from_batches_of_any_size():
    private = {
        "network": {"hidden": [POOLED, 12], "norm": "layer"},
        "train": {"epochs": 1, "batch": 1, "sampling": "poisson"},
        "privacy": {"noise_multiplier": 1.0},
    }
    arm = trained(**private)
    assert min(len(batch) for batch in arm.batches()) == 0
    assert all(np.isfinite(w).all() for w in arm.weights().values())
    assert arm.releases[0].parts[-2:] == ("norm/1", "norm/2")


def test_a_norm_that_no_layer_takes_is_said():
    """Recurrent layers take none, and a network without hidden layers has none to give it to."""
    file = {"data": {"set": "digits", "limit_train": 100}, "algorithm": {"rule": "backprop"}}
    file |= {"weight": {"device": "ideal"}, "train": {"epochs": 1}}
    recurrent = {"hidden": [{"recurrent": 8, "steps": 8}], "norm": "layer"}
    said = '[network] norm is "layer", and no hidden layer takes it'
    assert remarks(prepare_all(parse(file | {"network": recurrent}))) == [said]
    dense = {"hidden": [8], "norm": "layer"}
    assert remarks(prepare_all(parse(file | {"network": dense}))) == []
