"""Every rule as a run: resumed bit for bit, steps without samples, graphs, printed tables."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import RULES
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import read_arrays
from hwloop.sim.rules import DEPTHS, formula, pairs, rules
from hwloop.sim.run import LEDGER, WEIGHTS, execute, new_folder, open_run, prepare_all

SMALL: dict[str, Any] = {
    "data": {"set": "digits", "limit_train": 96, "limit_test": 50},
    "network": {"hidden": [12, 9]},
    "train": {"epochs": 2, "batch": 32},
    "optimizer": {"rate": 0.05},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "matrix_engine"},
}
MORE: dict[str, dict[str, Any]] = {
    "forward_forward": {"network": {"hidden": [12, 9], "activation": "relu"}},
    "equilibrium": {"algorithm": {"rule": "equilibrium", "loss": "mean_square", "settle": 5}},
    "cascaded_forward, closed": {"algorithm": {"rule": "cascaded_forward", "heads": "closed"}},
    "feedback_alignment, signs": {
        "algorithm": {"rule": "feedback_alignment", "signs": "batchwise"}
    },
}


def file_of(case: str) -> dict[str, Any]:
    return SMALL | {"algorithm": {"rule": case.split(",")[0]}} | MORE.get(case, {})


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


@pytest.mark.parametrize("case", sorted({*RULES, *MORE} - {"backprop", "dfa", "frozen"}))
def test_every_rule_goes_on_bit_for_bit_after_an_interruption(case: str, tmp_path: Path):
    experiment = parse(file_of(case))
    for name in ("whole", "parts"):
        new_folder(experiment, tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 2)
    assert run(tmp_path / "parts")
    for file in (WEIGHTS, LEDGER):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    weights, _ = read_arrays(tmp_path / "whole" / WEIGHTS)
    assert all(np.isfinite(w).all() for w in weights.values())


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("weight", ["ideal", "torch"])
def test_a_batch_that_nobody_joined_changes_no_layer_by_its_data(rule: str, weight: str):
    if weight == "torch":
        pytest.importorskip("torch")
    raw = file_of(rule) | {
        "data": {"set": "digits", "limit_train": 40, "limit_test": 20},
        "train": {"epochs": 1, "batch": 1, "sampling": "poisson"},
        "weight": {"device": weight},
    }
    arm = prepare_all(parse(raw))["main"]
    assert min(len(batch) for batch in arm.batches()) == 0
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert not arm.diverged
    assert all(np.isfinite(w).all() for w in arm.weights().values())


@pytest.mark.parametrize("rule", sorted(RULES))
def test_graphs_learn_or_are_refused_in_a_sentence(rule: str, monkeypatch: pytest.MonkeyPatch):
    from scipy.sparse import csr_array

    from hwloop.sim.data import Data

    draw = np.random.default_rng(0)
    adjacency = csr_array((draw.random((30, 30)) < 0.2).astype(np.float32) / 6)
    graph = Data(
        name="made",
        x=draw.random((30, 8), np.float32),
        y=np.arange(30) % 3,
        train=np.arange(20),
        validation=np.array([], np.int64),
        test=np.arange(20, 30),
        n_classes=3,
        shape=(8,),
        graph=adjacency,
        licence="none",
        source="made here",
        sha256="",
        classes=("a", "b", "c"),
        notes=(),
    )
    monkeypatch.setattr("hwloop.sim.prepare.load_set", lambda experiment: graph)
    raw = file_of(rule)
    if rule == "forward_forward":
        raw = raw | {"algorithm": {"rule": rule, "threshold": 0.5}}
    refusing = {
        "pepita": "this network is a graph",
        "forward_forward": "layer 1 is a graph's",
        "scalable_ff": "layer 1 is a graph's",
        "activity_gradient": "whose samples do not mix",
        "likelihood_ratio": "whose samples do not mix",
        "equilibrium": "no graph's",
    }
    if rule in refusing:
        with pytest.raises(BadInput, match=refusing[rule]):
            prepare_all(parse(raw))
        return
    arm = prepare_all(parse(raw))["main"]
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert np.isfinite(arm.curve[-1]["loss"])


def test_heads_and_directions_stand_where_the_weights_do_unless_the_file_says_otherwise():
    raw = file_of("mono_forward")
    arm = prepare_all(parse(raw))["main"]
    assert arm.placement["head/1"].technology == arm.placement["weight/1"].technology
    arm = prepare_all(parse(raw | {"head": {"device": "ideal"}}))["main"]
    assert arm.placement["head/1"].technology == "ideal"
    assert "head/1" in arm.weights()
    with pytest.raises(BadInput, match=r"\[head\] head/1 needs .*; OPU can MULTIPLY"):
        prepare_all(parse(raw | {"head": {"device": "opu"}}))


def test_the_tables_name_every_rule_and_hold_formulas():
    table = rules()
    names = [str(cell) for cell in table.columns[0].cells]
    assert names == list(RULES)
    calls = dict(zip(names, (str(c) for c in table.columns[2].cells), strict=True))
    first = dict(zip(names, (str(c) for c in table.columns[3].cells), strict=True))
    assert "weight transpose: L - 1" in calls["backprop"]
    assert "weight multiply: 2 L - 1" in calls["forward_gradient"]
    assert "weight multiply: L^2" in calls["likelihood_ratio"]
    assert (first["backprop"], first["dfa"], first["drtp"]) == ("2 L + 1", "L + 3", "2")
    able = pairs()
    assert [str(cell) for cell in able.columns[0].cells] == list(RULES)


def test_formulas_are_read_off_and_never_guessed():
    assert formula(lambda depth: 0) == "0"
    assert formula(lambda depth: 1 - depth) == "-L + 1"
    assert formula(lambda depth: depth * (depth - 1) // 2) == "0.5 L^2 - 0.5 L"
    with pytest.raises(ValueError, match="no polynomial of degree 2"):
        formula(lambda depth: 2**depth)
    assert len(DEPTHS) == 4  # three fix a parabola, the fourth checks it
