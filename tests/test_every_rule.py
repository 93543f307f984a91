"""The comparison of all rules: rates climb to the best, finished trainings stay, passes count."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwloop

EXAMPLES = Path(hwloop.__file__).parent / "examples"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("every_rule")


def small(script: Any, **more: Any) -> Any:
    return replace(script.TASKS["digits"], hidden=(8,), epochs=2, choose=(None, 0.16, 1), **more)


@pytest.mark.parametrize("best", [1e-4, 0.3, 30.0])
def test_a_rate_is_climbed_to_from_where_the_rule_starts(script, tmp_path, monkeypatch, best):
    tried = []

    def peaked(task, entry, rate, *_: Any) -> dict[str, Any]:
        tried.append(rate)
        return {"rate": rate, "curve": [-abs(np.log10(rate / best))], "test": 0.0}

    monkeypatch.setattr(script, "trained", peaked)
    task = small(script, grid=False)
    kept = script.Kept(task, tmp_path)
    assert kept.rate("DFA", 0.0) == best
    assert len(tried) == len(set(tried)) == abs(round(2 * np.log10(best / 0.3))) + 3
    again = script.Kept(task, tmp_path)
    monkeypatch.setattr(script, "trained", None)  # whatever trained now would fail
    assert again.rate("DFA", 0.0) == best


def test_a_training_is_kept_whole_and_made_once(script, tmp_path, monkeypatch):
    task = small(script, rules=("backprop", "frozen control"), shares=(0.0,), checks=2)
    monkeypatch.setitem(script.TASKS, "digits", task)
    monkeypatch.setattr(sys, "argv", ["every_rule.py", "--results", str(tmp_path)])
    script.main()
    first = (tmp_path / "digits.json").read_bytes()
    run = json.loads(first)["backprop | noise 0 | seed 2"]
    assert len(run["curve"]) == task.epochs * task.checks
    assert min(run["curve"][-1], run["test"]) > 0.2
    monkeypatch.setattr(script, "trained", None)
    script.main()
    assert (tmp_path / "digits.json").read_bytes() == first


def test_passes_and_joules_to_the_target_are_those_of_the_first_look_that_reaches_it(
    script, tmp_path
):
    task = small(script, target=0.9, checks=2, shares=(0.0,))
    kept = script.Kept(task, tmp_path)
    for number, curve in enumerate(([0.5, 0.91, 0.8], [0.5, 0.6, 0.95], [0.9, 0.1, 0.1])):
        run = {"rate": 0.3, "curve": curve, "test": curve[-1]}
        kept.once(f"DFA | noise 0 | seed {number}", lambda run=run: run)
    cells = script.row("DFA", kept)
    price = kept.price("DFA")
    assert cells[1:3] == ["3 m 2 u", f"{price['stages'][0]} / {price['stages'][1]}"]
    assert cells[3].startswith(f"{np.mean([80, 95, 10]):.1f} ± {np.std([80, 95, 10]):.1f}")
    assert cells[-2:] == ["1.0", f"{price['J']:.3g}"]  # the mean of 2, 3 and 1 half passes
    kept.found["DFA | noise 0 | seed 2"]["curve"] = [0.1] * 3
    assert script.row("DFA", kept)[-2:] == ["never", "-"]
    del kept.found["DFA | noise 0 | seed 1"]
    assert script.row("DFA", kept)[3].endswith(" (2 epochs, 2 seeds)")


def test_feedback_costs_what_the_transposes_that_it_stands_for_cost(script, tmp_path):
    kept = script.Kept(script.TASKS["digits"], tmp_path)
    backprop, alignment = kept.price("backprop"), kept.price("feedback alignment")
    assert alignment["calls"]["MULTIPLY"] == 5
    assert alignment["J"] == pytest.approx(backprop["J"], rel=1e-6)


def test_a_wrong_task_is_a_sentence(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["every_rule.py", "minst"])
    with pytest.raises(SystemExit):
        script.main()
    assert "TASK takes digits, fashion_mnist, mnist, cora, cifar10, got 'minst'" in (
        capsys.readouterr().err
    )
