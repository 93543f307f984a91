"""Searches: asked and told by one controller, pruned, constrained, gone on with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.places import BadInput
from hwloop.sim.search_file import Search
from hwloop.sim.search_study import Asked, importances
from hwloop.sim.sweep_run import carry_out, check, folder_for, read_plan
from hwloop.sim.sweep_store import POINTS, read_rows

BASE = """
name = "small"
[data]
set = "iris"
validation = 0.2
[network]
hidden = [6]
[train]
epochs = 4
batch = 16
[weight]
device = "matrix_engine"
[feedback]
device = "ideal"
"""
SPACE = """
[search.space]
"optimizer.rate" = { log = [1e-3, 1.0] }
"train.batch" = { linear = [4, 64] }
"algorithm.rule" = ["dfa", "frozen"]
"""


def search(tmp_path: Path, text: str, base: str = BASE) -> Search:
    file = tmp_path / "my.toml"
    file.write_text(base + text)
    found = read_plan(file)
    assert isinstance(found, Search)
    return found


def supposed(point: Any) -> dict[str, Any]:
    """Return a row that nobody trained: a bowl with its bottom at rate 0.1 and batch 16."""
    rate, batch = point.values["optimizer.rate"], point.values["train.batch"]
    loss = (math.log10(rate) + 1) ** 2 + (math.log2(batch) - 4) ** 2
    wrong = 0.2 * (point.values["algorithm.rule"] == "frozen")
    measures = {"accuracy": 1 / (1 + loss) - wrong, "energy_J": rate * batch, "latency_s": None}
    return {"point": point.key, "values": dict(point.values), "measures": measures}


def drive(asked: Asked, most: int | None = None) -> list[dict[str, Any]]:
    rows = []
    while (most is None or len(rows) < most) and (point := asked.ask()) is not None:
        rows.append(supposed(point))
        asked.tell(point, rows[-1])
    return rows


def test_tpe_finds_what_random_draws_do_not(tmp_path: Path):
    best = {}
    for sampler in ("tpe", "random"):
        text = f'[search]\nobjectives = ["accuracy"]\ntrials = 60\nsampler = "{sampler}"\n' + SPACE
        plan = search(tmp_path, text)
        folder = tmp_path / sampler
        folder.mkdir()
        rows = drive(Asked(plan, folder, {}))
        assert len(rows) == 60
        best[sampler] = max(row["measures"]["accuracy"] for row in rows)
        assert all(4 <= row["values"]["train.batch"] <= 64 for row in rows)
        shares = importances(plan, folder)["accuracy"]
        assert set(shares) == set(plan.leads)
        assert sum(shares.values()) == pytest.approx(1)
    assert best["tpe"] > 0.97
    assert best["tpe"] > best["random"]


def test_several_objectives_are_a_front_and_constraints_are_kept(tmp_path: Path):
    text = (
        '[search]\nobjectives = ["accuracy", "energy_J"]\nconstraints = ["accuracy >= 0.3"]\n'
        "trials = 60\n"
    )
    plan = search(tmp_path, text + SPACE)
    asked = Asked(plan, tmp_path, {})
    rows = drive(asked)
    front = {t.user_attrs["point"] for t in asked.study.best_trials}
    kept = [r for r in rows if r["measures"]["accuracy"] >= 0.3]
    assert front <= {r["point"] for r in kept}

    def beaten(row: Mapping[str, Any]) -> bool:
        a, e = row["measures"]["accuracy"], row["measures"]["energy_J"]
        others = ((o["measures"]["accuracy"], o["measures"]["energy_J"]) for o in kept)
        return any(x >= a and y <= e and (x, y) != (a, e) for x, y in others)

    assert front == {row["point"] for row in kept if not beaten(row)}


def test_a_study_goes_on_with_every_trial_once_wherever_it_was_killed(tmp_path: Path):
    text = '[search]\nobjectives = ["accuracy"]\ntrials = 12\nsampler = "random"\n' + SPACE
    plan = search(tmp_path, text)
    rows: dict[str, dict[str, Any]] = {}
    lives = 0
    while len(rows) < 12:
        lives += 1
        asked = Asked(plan, tmp_path, rows)  # a new controller finds the journal
        first = asked.ask()
        assert first is not None
        rows[first.key] = supposed(first)  # written, then killed before the study is told
        if lives % 2:
            second = asked.ask()  # asked for, then killed
            if second is not None and lives > 3:
                rows[second.key] = supposed(second)
                asked.tell(second, rows[second.key])
    asked = Asked(plan, tmp_path, rows)
    assert asked.ask() is None
    states = [t.state.name for t in asked.study.trials]
    assert states.count("COMPLETE") == 12
    assert "RUNNING" not in states
    told = [t.user_attrs["point"] for t in asked.study.trials if t.state.name == "COMPLETE"]
    assert sorted(told) == sorted(rows)


def test_a_study_that_goes_on_does_not_draw_again_what_it_drew(tmp_path: Path):
    text = '[search]\nobjectives = ["accuracy"]\ntrials = 30\nsampler = "random"\n' + SPACE
    plan = search(tmp_path, text)
    found = drive(Asked(plan, tmp_path, {}), 10)
    rows = {row["point"]: row for row in found}
    found += drive(Asked(plan, tmp_path, rows), 10)
    found += drive(Asked(plan, tmp_path, {r["point"]: r for r in found}))
    assert len({row["point"] for row in found}) == len(found) == 30


def test_a_search_trains_prunes_and_goes_on(tmp_path: Path):
    text = (
        '[search]\nobjectives = ["validation_accuracy"]\ntrials = 12\nprune = "median"\n'
        'rungs = [1, 2]\nsampler = "random"\n'
        '[search.space]\n"optimizer.rate" = { log = [1e-4, 3.0] }\n'
    )
    plan = search(tmp_path, text)
    check(plan, yes=False)
    folder = folder_for(plan, tmp_path / "out")
    state = carry_out(plan, folder, lambda state: None, workers=1)
    rows = read_rows(folder / POINTS)
    pruned = [row for row in rows if "pruned" in row]
    assert state.done == len(rows) == 12
    assert 0 < len(pruned) == state.pruned
    assert all(row["pruned"] in ("after epoch 1", "after epoch 2") for row in pruned)
    whole = [row["measures"]["validation_accuracy"] for row in rows if "measures" in row]
    assert max(row["curve_accuracy"] for row in pruned) <= max(whole)
    # points that go on to their end were trained in pieces: the same rows as in one
    from hwloop.sim.sweep_reading import row_of
    from hwloop.sim.sweep_store import TRAININGS, read_training
    from hwloop.sim.sweep_train import train

    row = next(row for row in rows if "measures" in row)
    training = read_training(folder / TRAININGS / row["training"])
    alone = train({"raw": training.experiment.raw, "where": ""})["arms"]["main"]
    result = json.loads(alone["result"])
    assert result["accuracy"] == training.results["main"]["accuracy"]
    point = plan.point({("optimizer", "rate"): row["values"]["optimizer.rate"]})
    assert row_of(point, training)["measures"]["accuracy"] == row["measures"]["accuracy"]
    again = carry_out(plan, folder, lambda state: None, workers=1)
    assert (again.done, again.known, again.trained) == (12, 12, 0)


WRONG = [
    ('objectives = ["acuracy"]\n', 'unknown measure "acuracy"; did you mean "accuracy"?'),
    ("objectives = []\n", "objectives takes"),
    ('objectives = ["accuracy", "accuracy"]\n', "names one twice"),
    ('objectives = ["frozen.accuracy"]\n', 'unknown measure "frozen.accuracy"'),
    ('objectives = ["area_m2"]\n', "does not produce area_m2: no technology of it states an area"),
    ('objectives = ["epsilon"]\n', "does not produce epsilon: nothing is promised without"),
    ('objectives = ["accuracy"]\nconstraints = ["x"]\n', 'takes bounds as "accuracy >= 0.97"'),
    ('objectives = ["accuracy"]\nconstraints = ["x >= 3"]\n', 'unknown measure "x"'),
    ('objectives = ["accuracy"]\nsampler = "tpee"\n', 'did you mean "tpe"?'),
    ('objectives = ["accuracy"]\ntrials = 0\n', "trials takes a whole number from 1"),
    ('objectives = ["accuracy"]\ntrails = 9\n', 'did you mean "trials"?'),
    ('objectives = ["accuracy"]\nrungs = [2]\n', "rungs says when to prune"),
    ('objectives = ["accuracy"]\nprune = "median"\n', "rungs takes epochs in rising order"),
    ('objectives = ["accuracy"]\nprune = "median"\nrungs = [9]\n', "below the 4 of [train]"),
    ('objectives = ["energy_J"]\nprune = "median"\nrungs = [1]\n', "looks at the learning curve"),
]


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in WRONG], ids=range(len(WRONG)))
def test_what_is_wrong_is_one_sentence(text: str, says: list[str], tmp_path: Path):
    with pytest.raises(BadInput) as wrong:
        check(search(tmp_path, f"[search]\n{text}{SPACE}"), yes=False)
    for part in says:
        assert part in str(wrong.value)


def test_an_objective_that_the_data_do_not_give_is_refused(tmp_path: Path):
    base = BASE.replace("validation = 0.2\n", "")
    plan = search(tmp_path, f'[search]\nobjectives = ["validation_accuracy"]\n{SPACE}', base)
    with pytest.raises(BadInput, match=r"give \[data\] validation a share above 0"):
        check(plan, yes=False)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ("", "[search.space] is empty"),
        ("'optimizer.ratee' = [1.0]\n", 'did you mean "rate"?'),
        ("'optimizer.rate' = { log = [1.0, 0.1] }\n", "low below high"),
        ("'optimizer.rate' = { log = [0.1, 1.0], n = 3 }\n", "takes a list of values"),
        ("'train.batch' = [8, 0]\n", "train.batch = 0"),
        ("seed = [1]\n[search.space.zip]\nseed = [2]\n", "seed is varied twice"),
    ],
)
def test_a_space_that_is_wrong_is_refused(space: str, says: str, tmp_path: Path):
    with pytest.raises(BadInput) as wrong:
        search(tmp_path, f'[search]\nobjectives = ["accuracy"]\n[search.space]\n{space}')
    assert says in str(wrong.value)
