"""Low-rank optimizers from a file: resumed bit for bit, on light and cells; what is refused."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import OPTIMIZERS
from hwloop.devices import OPU
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import read_arrays
from hwloop.sim.optimizer_table import calls_of, kept_by, optimizers
from hwloop.sim.prepare import prepare_all
from hwloop.sim.run import CHECKPOINT, LEDGER, WEIGHTS, execute, new_folder, open_run

SMALL: dict[str, Any] = {
    "data": {"set": "digits", "limit_train": 96, "limit_test": 50},
    "network": {"hidden": [12]},
    "algorithm": {"rule": "backprop"},
    "train": {"epochs": 3, "batch": 32},
    "weight": {"device": "matrix_engine"},
    "projection": {"device": "ideal"},
}
LIGHT = {"projection": {"device": "opu", "input_bits": 6}}
CELLS = {"projection": {"device": "crossbar"}}
CASES: dict[str, dict[str, Any]] = {
    "flora": {"optimizer": {"kind": "flora", "rank": 4, "every": 3}},
    "flora, light": {"optimizer": {"kind": "flora", "rank": 4, "every": 3}, **LIGHT},
    "flora, random cells": {
        "optimizer": {"kind": "flora", "rank": 4, "every": 3},
        "projection": {"device": "random_crossbar"},
    },
    "galore, cells": {"optimizer": {"kind": "galore", "rank": 4, "every": 3}, **CELLS},
    "coap, cells": {"optimizer": {"kind": "coap", "rank": 4, "every": 2, "recompute": 2}, **CELLS},
    "compact": {"optimizer": {"kind": "compact", "rank": 4, "every": 2}},
    "compact, light": {"optimizer": {"kind": "compact", "rank": 4, "every": 2}, **LIGHT},
    "compact on pulsed cells": {
        "optimizer": {"kind": "compact", "rank": 4, "every": 2},
        "weight": {"device": "pulsed_crossbar"},
    },
    "compact under noise": {
        "optimizer": {"kind": "compact", "rank": 4, "every": 2},
        "noise": {"std": 0.1},
    },
    "flora, private": {
        "optimizer": {"kind": "flora", "rank": 4, "every": 3},
        "privacy": {"noise_multiplier": 1.0},
    },
    "noise": {"optimizer": {"kind": "gradient_noise", "rate": 0.1}},
    "noise and flora": {
        "optimizer": {"kind": "gradient_noise", "rate": 0.01, "of": {"kind": "flora", "every": 3}}
    },
    "compact, torch": {
        "optimizer": {"kind": "compact", "rank": 4, "every": 2},
        "weight": {"device": "torch"},
    },
}


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_bit_for_bit(case: str, tmp_path: Path):
    if "torch" in case:
        pytest.importorskip("torch")
    experiment = parse(SMALL | CASES[case])
    for name in ("whole", "parts"):
        new_folder(experiment, tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 4)
    assert (tmp_path / "parts" / CHECKPOINT).is_file()
    assert run(tmp_path / "parts")
    files = (WEIGHTS,) if "torch" in case else (WEIGHTS, LEDGER)  # torch's ledger holds seconds
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    weights, _ = read_arrays(tmp_path / "whole" / WEIGHTS)
    assert all(np.isfinite(w).all() for w in weights.values())


@pytest.mark.parametrize(
    ("optimizer", "at_least"),
    [
        ({"kind": "flora", "rate": 0.01, "every": 10}, 0.75),
        ({"kind": "compact", "rate": 0.1, "every": 20}, 0.75),
    ],
    ids=lambda one: one["kind"] if isinstance(one, dict) else "",
)
def test_light_can_project_and_digits_are_learned(optimizer: dict[str, Any], at_least: float):
    raw = SMALL | LIGHT | {
        "data": {"set": "digits", "limit_train": 600},
        "network": {"hidden": [32]},
        "train": {"epochs": 8, "batch": 32, "schedule": "linear"},
        "optimizer": optimizer,
    }  # fmt: skip
    arm = prepare_all(parse(raw))["main"]
    assert isinstance(arm.placement["projection/1"], OPU)
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert arm.accuracy("test") > at_least


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "flora", "rank": 65}, r"\[optimizer\] rank takes at most 64, the inputs of"),
        (
            {"kind": "gradient_noise", "of": {"kind": "flora", "rank": 65}},
            r"\[optimizer\] of: rank takes at most 64",
        ),
        ({"kind": "galore", "gap": 3}, r'\[optimizer\] unknown key "gap" for kind "galore"'),
        (
            {"kind": "compact", "inner": "x"},
            r'\[optimizer\] unknown inner "x"; there is: adam, sgd',
        ),
        (
            {"kind": "gradient_noise", "of": {"kind": "adam", "beta": 1.0}},
            r'\[optimizer\] unknown key "beta" for kind "adam"; did you mean "beta[12]"',
        ),
        (
            {"kind": "gradient_noise", "of": {"kind": "adam", "beta1": "a"}},
            r'\[optimizer\] beta1 takes a number, got "a"',
        ),
        ({"kind": "gradient_noise", "of": {"kind": ["adam"]}}, r"\[optimizer\] of takes an optim"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(change: dict[str, Any], says: str):
    with pytest.raises(BadInput, match=says):
        prepare_all(parse(SMALL | {"optimizer": change}))


@pytest.mark.parametrize("kind", ["galore", "coap"])
def test_light_cannot_hold_a_projection_that_is_computed(kind: str):
    with pytest.raises(BadInput, match="projection/1 needs PROGRAM; OPU can MULTIPLY") as wrong:
        prepare_all(parse(SMALL | LIGHT | {"optimizer": {"kind": kind}}))
    able = str(wrong.value).partition("able are: ")[2].split(", ")
    assert "crossbar" in able
    assert "printed" not in able  # which holds what it was printed with


def test_the_table_of_optimizers_says_what_runs():
    table = optimizers()
    assert [str(cell) for cell in table.columns[0].cells] == list(OPTIMIZERS)
    flora, compact = OPTIMIZERS["flora"](rank=5), OPTIMIZERS["compact"](rank=5)  # type: ignore[call-arg]
    assert kept_by(flora) == "n_out rank"
    assert kept_by(compact) == "2 n_out rank"
    assert kept_by(OPTIMIZERS["adam"]()) == "4 n_out n_in"
    one = ["projection transpose: 8 for rank 5", "weight update: rank", "projection multiply: b"]
    assert calls_of(compact) == Counter(one)
    more = dict(zip(OPTIMIZERS, (str(cell) for cell in table.columns[4].cells), strict=True))
    assert (more["sgd"], more["galore"]) == ("-", "projection program: rank")
    assert more["flora"].splitlines() == [
        "projection multiply: rank",
        "projection program: rank",
        "projection transpose: 8 for rank 5",
    ]
