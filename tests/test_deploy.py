"""A trained network on chips: what it reaches as they age, what that costs, what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices import Ledger
from hwloop.sim.arm import Arm
from hwloop.sim.cli_deploy import command
from hwloop.sim.console import chips
from hwloop.sim.deploy import deploy, make_chip
from hwloop.sim.deploy_report import age, cost, sentences
from hwloop.sim.deploy_run import redeploy
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.page import render
from hwloop.sim.prepare import prepare_all
from hwloop.sim.report import assemble
from hwloop.sim.run import CHIPS, RESULT, execute, finished, new_folder, open_run

YEAR_S = 365.25 * 86400.0
EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"set": "digits"},
    "network": {"hidden": [24]},
    "algorithm": {"rule": "backprop"},
    "optimizer": {"rate": 0.3},
    "train": {"epochs": 4, "schedule": "linear"},
    "weight": {"device": "matrix_engine"},
    "deploy": {
        "chips": 2,
        "reads": 1,
        "times_s": [1.0, YEAR_S],
        "compensation": ["none", "global", "column"],
        "host": "cpu_host",
        "weight": {"device": "crossbar", "technology": "pcm_nandakumar"},
    },
}


def quiet(_: object) -> None:
    return


def trained(raw: dict[str, Any]) -> dict[str, Arm]:
    arms = prepare_all(parse(raw))
    for arm in arms.values():
        assert arm.train(quiet, lambda: False, lambda: None)
    return arms


def means(found: Any) -> np.ndarray:
    """Return accuracies (times, chips) of accuracies (times, chips, reads)."""
    return np.asarray(found).mean(-1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = {**SMALL, "compare": {"aware": {"noise": {"std": 0.1, "clip_std": 2.5}}}}
    folder = new_folder(parse(raw), tmp_path_factory.mktemp("run") / "run")
    assert execute(folder, prepare_all(open_run(folder)), quiet)
    return folder


# ---- accuracy over time -----------------------------------------------------------


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a technology whose cells all drift with one exponent, 0.2."""
    from importlib import resources

    text = resources.files("hwloop.devices.technology").joinpath("pcm_nandakumar.toml").read_text()
    kept = [part for part in text.split("\n\n") if "parameter.drift_" not in part]
    for name, value, unit in (("reference", 20.0, "s"), ("mean_constant", 0.2, "1")):
        kept.append(
            f'[parameter.drift_{name}]\nvalue = {value}\nunit = "{unit}"\nsource = "a test"'
        )
    path = tmp_path_factory.mktemp("technology") / "equal.toml"
    path.write_text("\n\n".join(kept) + "\n")
    return str(path)


def test_drift_without_spread_is_flat_under_compensation_and_not_without(equal: str) -> None:
    weight = {"device": "crossbar", "technology": equal, **EXACT}
    times_s = [1.0, 86400.0, YEAR_S, 10 * YEAR_S]
    put = SMALL["deploy"] | {"chips": 1, "times_s": times_s, "weight": weight}
    [arm] = trained(SMALL | {"deploy": put}).values()
    chip = deploy(arm, lambda: False)
    assert chip is not None
    found = {way: means(a)[:, 0] for way, a in chip.result["accuracy"].items()}
    assert set(found["global"]) == set(found["column"]) == {arm.accuracy("test")}
    assert found["none"][0] == pytest.approx(found["global"][0], abs=0.01)
    assert found["none"][-1] < found["global"][-1] - 0.01


@pytest.mark.parametrize("hidden", [[24], [{"channels": 4, "kernel": 3, "stride": 2}, 16]])
def test_an_exact_chip_reaches_what_was_trained(hidden: list[Any]) -> None:
    """Layers of any kind, each on a device of its own where [deploy] says so."""
    put = {"chips": 2, "weight": {"device": "ideal"}, "weight/1": {"device": "matrix_engine"}}
    [arm] = trained(SMALL | {"network": {"hidden": hidden}, "deploy": put}).values()
    chip = deploy(arm, lambda: False)
    assert chip is not None
    assert chip.result["times_s"] == [0.0]
    assert not chip.result["drifts"]
    assert np.unique(chip.result["accuracy"]["none"]).tolist() == [arm.accuracy("test")]
    kinds = {name: d.kind for name, d in chip.ledger.devices.items()}
    assert kinds["chip/weight/1"] == "MatrixEngine"
    assert kinds["chip/weight/2"] == "Ideal"


def test_chips_differ_ways_share_a_chip_and_all_of_it_is_repeatable() -> None:
    [arm] = trained(SMALL).values()
    weights = arm.weights()
    one, two, again = (make_chip(arm, k, weights, Ledger()) for k in (0, 1, 0))
    for chip in (one, two, again):
        chip.program(weights)
    first, second, third = (c.devices["weight/1"].matrix() for c in (one, two, again))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    found = [deploy(arm, lambda: False) for _ in range(2)]
    assert found[0].result == found[1].result  # type: ignore[union-attr]
    assert found[0].ledger.to_json() == found[1].ledger.to_json()  # type: ignore[union-attr]


def test_noise_aware_training_beats_plain_training_on_noisy_chips() -> None:
    """Digits, cells whose writes are six times as noisy as published, eight chips, seed 0."""
    noisy = {"device": "crossbar", "technology": "pcm_nandakumar", "programming_noise": 6.0}
    put = {"chips": 8, "reads": 1, "times_s": [1.0], "compensation": "none", "weight": noisy}
    more = {"train": {"epochs": 15, "schedule": "linear"}, "network": {"hidden": [40, 40]}}
    aware = {"noise": {"std": 0.3, "clip_std": 2.0}}
    arms = trained(SMALL | more | {"deploy": put, "compare": {"aware": aware}})
    found = {}
    for name, arm in arms.items():
        chip = deploy(arm, lambda: False)
        assert chip is not None
        found[name] = means(chip.result["accuracy"]["none"])[0]
    gap = found["aware"].mean() - found["main"].mean()
    error = np.sqrt((found["aware"].var(ddof=1) + found["main"].var(ddof=1)) / 8)
    assert gap > 3 * error
    assert gap > 0.02


# ---- what it costs, and what a person sees -------------------------------------------


def test_writing_reading_and_compensating_are_counted_and_priced(run: Path) -> None:
    ledger = Ledger.from_json(json.loads((run / CHIPS).read_text()))
    of = {kind: sum(t.times for s, t in ledger.steps.items() if s.kind == kind) for kind in KINDS}
    assert of == {"program": 2, "evaluate": 2 * 2 * 3, "compensate": 2 * 2 * 2}
    assert ledger.samples("evaluate") == 2 * 2 * 3 * 450
    [program] = [t for s, t in ledger.steps.items() if s.kind == "program"]
    assert program.work == [[2 * 2 * 24 * 64], [2 * 2 * 10 * 24]]
    made = assemble(run)["arms"][0]["deploy"]
    written = 2 * (24 * 64 + 10 * 24) * 1e-11
    rows = [r for r in made["energy"]["rows"] if r["event"] == "cell_write"]
    assert sum(r["energy_J"] for r in rows) == pytest.approx(2 * written)
    assert made["energy"]["program_J"] >= written
    assert {d["name"] for d in made["devices"]} == {"host", "chip/weight/1", "chip/weight/2"}
    said = {c.what: c.joules for c in cost(assemble(run)["arms"][0])}
    assert said["writing"] == "over 35.5 nJ"  # nobody knows what the host draws when idle


KINDS = ("program", "evaluate", "compensate")


def test_other_prices_reach_the_chips(run: Path) -> None:
    plain = assemble(run)["arms"][0]["deploy"]
    other = assemble(run, {"chip": "rram_milo"})["arms"][0]["deploy"]
    assert other["energy"]["program_J"] > plain["energy"]["program_J"]
    assert other["ways"] == plain["ways"]
    with pytest.raises(BadInput, match='unknown device, role or technology "chips"'):
        assemble(run, {"chips": "rram_milo"})


def test_means_and_spreads_are_those_of_the_chips(run: Path) -> None:
    for arm in assemble(run)["arms"]:
        for way, curve in arm["deploy"]["ways"].items():
            found = means(arm["deploy"]["accuracy"][way])
            np.testing.assert_allclose([p["mean"] for p in curve], found.mean(1))
            np.testing.assert_allclose([p["std"] for p in curve], found.std(1, ddof=1))
            assert curve[0]["read_std"] is None


def test_table_sentences_and_page_show_every_arm_and_way(run: Path) -> None:
    report = json.loads(json.dumps(assemble(run)))
    table = chips(report)
    assert table is not None
    assert [c.header for c in table.columns] == ["arm", "compensation", "1 s", "1 year"]
    assert table.row_count == 6
    said = list(sentences(report))
    assert any(s.startswith("aware reaches") and "on 2 chips of pcm_nandakumar" in s for s in said)
    assert any(
        "1 year after the write, with drift made up for by a factor a column" in s
        for s in [s[0].lower() + s[1:] for s in said]
    )
    assert any("writing takes" in s and "a compensation takes" in s for s in said)
    page = render(report)
    for part in ('id="deploy"', 'data-plot="deploy"', "main, left to drift", "What chips cost"):
        assert part in page


@pytest.mark.parametrize(
    ("time_s", "said"),
    [(0.0, "just written"), (0.5, "500 ms"), (1.0, "1 s"), (60.0, "1 min"), (5400.0, "1.5 h"),
     (30 * 86400.0, "30 days"), (YEAR_S, "1 year"), (10 * YEAR_S, "10 years")],
)  # fmt: skip
def test_ages_are_said_as_people_say_them(time_s: float, said: str) -> None:
    assert age(time_s) == said


# ---- a run's files ----------------------------------------------------------------


def test_a_run_stopped_on_its_chips_goes_on_bit_for_bit(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_folder(open_run(run), tmp_path / "run")
    original, calls = Arm.accuracy, 0

    def stop(self: Arm, part: Any, x: Any = None, most: int | None = None) -> float:
        nonlocal calls
        calls += "chip/weight/1" in self.placement.ledger.devices and most is None
        if calls == 3:
            signal.raise_signal(signal.SIGINT)
        return original(self, part, x, most)

    monkeypatch.setattr(Arm, "accuracy", stop)
    assert not execute(folder, prepare_all(open_run(folder)), quiet)
    assert not (folder / RESULT).exists()
    monkeypatch.undo()
    assert execute(folder, prepare_all(open_run(folder)), quiet)
    for name, result in finished(run).items():
        assert result["deploy"] == finished(folder)[name]["deploy"]
    assert (folder / CHIPS).read_bytes() == (run / CHIPS).read_bytes()


def test_a_changed_ledger_of_chips_is_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / CHIPS).write_text((folder / CHIPS).read_text()[:-2])
    with pytest.raises(BadInput, match="chips_ledger.json is cut short or was changed"):
        finished(folder)


def test_a_finished_run_is_put_on_other_chips_without_training(run: Path, capsys) -> None:
    before = (run / RESULT).read_bytes()
    command(run, ["chips=1", "weight={device='ideal'}", "times_s=[1]", "compensation='none'"])
    made = json.loads((run / "deploy.json").read_text())
    for arm in made["arms"]:
        [point] = arm["deploy"]["ways"]["none"]
        assert point["mean"] == arm["accuracy"]["test"]
    said = capsys.readouterr().out
    assert "on 1 chip of ideal" in said
    assert "main reaches" in said
    assert (run / RESULT).read_bytes() == before
    again = redeploy(run, [])
    for arm, result in zip(again["arms"], finished(run).values(), strict=True):
        assert arm["deploy"]["accuracy"] == result["deploy"]["accuracy"]


# ---- refusals -----------------------------------------------------------------------

STILL = {"weight": {"device": "crossbar", "technology": "rram_milo"}}
WRONG = [
    ({"weight": {"device": "opu"}}, "opu cannot be programmed", "able are: crossbar"),
    ({"weight": {"device": "crosbar"}}, 'unknown device "crosbar"; did you mean "crossbar"?'),
    ({"weight": {}}, "[deploy] weight: device is missing"),
    ({"weight": {"device": "crossbar", "adc_bit": 8}}, 'did you mean "adc_bits"?'),
    ({"weight": {"device": "crossbar", "technology": "pcm"}}, 'unknown technology "pcm"'),
    ({"weight": {"device": "crossbar", "levels": 1}}, "levels takes 0 (any conductance) or 2"),
    ({"weight": {"device": "ideal", "technology": "rram_milo"}}, None),
    ({"weight/9": {"device": "ideal"}}, '[deploy] unknown place "weight/9"; did you mean'),
    ({"chips": 0}, "chips takes a whole number from 1"),
    ({"reads": 1.5}, "reads takes a whole number from 1"),
    ({"chip": 3}, '[deploy] unknown key "chip"; did you mean "chips"?'),
    ({"times_s": [-1.0]}, "times_s takes seconds since the write, above 0"),
    ({"times_s": [10, 1]}, "each later than the one before"),
    ({"times_s": []}, "times_s takes seconds", "got []"),
    ({"times_s": [True]}, "times_s takes seconds"),
    ({"times_s": "1 day"}, "times_s takes seconds", 'got "1 day"'),
    ({"compensation": "globl"}, 'unknown compensation "globl"; did you mean "global"?'),
    ({"compensation": ["none", "none"]}, "compensation takes ways that differ"),
    ({"compensation": []}, "compensation takes ways that differ"),
    ({"host": 3}, "host takes a technology's name, got 3"),
    ({"host": "cpu_hots"}, 'unknown technology "cpu_hots"'),
    ({**STILL, "times_s": [1, 2]}, "times_s asks for 2 times", "rram_milo do not drift"),
    ({**STILL, "times_s": [1], "compensation": "global"}, "compensation makes up for drift"),
]


@pytest.mark.parametrize(("change", "says"), [(c, s) for c, *s in WRONG], ids=range(len(WRONG)))
def test_a_wrong_deployment_is_refused_before_the_run(change, says) -> None:
    given = {**SMALL["deploy"], **change}
    if "weight" in change:
        given = {k: v for k, v in given.items() if k not in ("times_s", "compensation")} | change
    if says == [None]:
        prepare_all(parse({**SMALL, "deploy": given}))
        return
    with pytest.raises(BadInput) as wrong:
        prepare_all(parse({**SMALL, "deploy": given}))
    for part in says:
        assert part in str(wrong.value)
    assert "[deploy" in str(wrong.value)


NOISE = [
    ({"noise": {"std": -1}}, "[noise] std takes a number from 0"),
    ({"noise": {"stdd": 1}}, 'unknown key "stdd"; did you mean "std"?'),
    ({"noise": {"clip_percentile": 0}}, "clip_percentile takes a number above 0 to 100"),
    ({"noise": {"clip_std": 1, "clip_percentile": 90}}, "clip_std and clip_percentile are two"),
    ({"noise": {"std": 0.1, "chip": True}}, "std and chip are two laws of one noise"),
    ({"noise": {"chip": True}, "deploy": None}, "chip is that of [deploy], and there is no"),
    ({"noise": {"std": 0.1}, "weight": {"device": "crossbar"}}, "crossbar brings noise of its own",
     "ideal, matrix_engine, torch"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), [(c, s) for c, *s in NOISE], ids=range(len(NOISE)))
def test_wrong_noise_is_refused_before_the_run(change, says) -> None:
    raw = {k: v for k, v in {**SMALL, **change}.items() if v is not None}
    with pytest.raises(BadInput) as wrong:
        prepare_all(parse(raw))
    for part in says:
        assert part in str(wrong.value)


@pytest.mark.parametrize(
    ("rule", "table", "says"),
    [
        ("zeroth_order", {"noise": {"std": 0.1}}, "runs passes of its own"),
        ("cascaded_forward", {}, "answers with head/1 beside the weights"),
    ],
)
def test_rules_that_do_not_fit_are_refused(rule: str, table: dict[str, Any], says: str) -> None:
    more = {"network": {"hidden": [24, 16]}, "head": {"device": "ideal"}}
    raw = {**SMALL, **table, **more, "algorithm": {"rule": rule}}
    with pytest.raises(BadInput, match=says):
        prepare_all(parse(raw))


def test_a_deployment_without_a_chip_is_refused() -> None:
    given = {k: v for k, v in SMALL["deploy"].items() if k != "weight"}
    with pytest.raises(BadInput, match=r"\[deploy\] weight is missing: say what chip"):
        parse({**SMALL, "deploy": given})
