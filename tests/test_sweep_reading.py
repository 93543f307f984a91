"""A point that reads the training of another is the point that trained by itself, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices import CATALOGUE, Can, Ledger, Seed
from hwloop.devices.technology import load
from hwloop.devices.technology.altered import name_of
from hwloop.sim.experiment import parse
from hwloop.sim.sweep_points import Point, physics, point
from hwloop.sim.sweep_reading import Training, row_of
from hwloop.sim.sweep_train import train

BASE: dict[str, Any] = {
    "name": "small",
    "data": {"set": "iris", "validation": 0.2},
    "network": {"hidden": [6]},
    "train": {"epochs": 2, "batch": 16, "sampling": "poisson"},
    "optimizer": {"rate": 0.2, "momentum": 0.5},
    "weight": {"device": "crossbar", "technology": "pcm_nandakumar"},
    "feedback": {"device": "opu"},
    "privacy": {"noise_multiplier": 2.0},
    "compare": {
        "exact": {"weight": {"device": "matrix_engine"}, "feedback": {"device": "matrix_engine"}}
    },
}


def trained(one: Point) -> Training:
    answer = train({"raw": one.raw, "where": "here"})
    assert "arms" in answer, answer
    results = {name: json.loads(arm["result"]) for name, arm in answer["arms"].items()}
    ledgers = {n: Ledger.from_json(json.loads(a["ledger"])) for n, a in answer["arms"].items()}
    served = {name: arm["served"] for name, arm in answer["arms"].items()}
    return Training(parse(one.raw), results, ledgers, served)


OTHERS = {
    "prices": {("technology", "pcm_nandakumar", "event", "adc", "energy_J"): 1e-9},
    "standing power": {("technology", "opu_gen3", "idle_W"): 1.0},
    "time": {("technology", "opu_gen3", "event", "frame", "latency_s"): 1e-3},
    "area": {("technology", "pcm_nandakumar", "area_m2"): 1e-6},
    "host": {("host", "technology"): "nvidia_h100_tf32"},
    "an arm's technology": {("compare", "exact", "weight", "technology"): "nvidia_h100_fp32"},
    "part": {("weight", "part"): "one chip", ("feedback", "part"): "one chip"},
    "delta": {("privacy", "delta"): 1e-3},
    "all": {
        ("technology", "opu_gen3", "idle_W"): 1.0,
        ("host", "technology"): "cpu_host",
        ("weight", "part"): "one chip",
        ("privacy", "delta"): 1e-3,
    },
}


@pytest.fixture(scope="module")
def first() -> tuple[Point, Training]:
    one = point(BASE, {}, "")
    return one, trained(one)


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_reading_again_is_training_again(
    changes: dict[tuple[str, ...], Any], first: tuple[Point, Training]
):
    one, training = first
    other = point(BASE, changes, "")
    assert other.key != one.key
    assert other.training == one.training
    read, own = row_of(other, training), row_of(other, trained(other))
    assert read == own
    assert read["measures"] != row_of(one, training)["measures"] or changes.keys() <= {
        ("technology", "pcm_nandakumar", "area_m2"),
    }


TRAINED_ANEW = {
    "a device's field": {("weight", "read_noise"): 2.0},
    "a constant": {("technology", "pcm_nandakumar", "parameter", "g_max", "value"): 3e-5},
    "another technology": {("weight", "technology"): "pcm_hermes"},
    "seed": {("seed",): 1},
    "noise": {("privacy", "noise_multiplier"): 3.0},
    "an arm": {("compare", "exact", "train", "epochs"): 1},
}


@pytest.mark.parametrize("changes", TRAINED_ANEW.values(), ids=TRAINED_ANEW)
def test_whatever_trains_otherwise_is_trained_anew(changes: dict[tuple[str, ...], Any]):
    assert point(BASE, changes, "").training != point(BASE, {}, "").training


def test_equal_constants_are_equal_physics():
    assert physics("nvidia_a100_fp32") == physics("nvidia_h100_tf32")
    assert physics("opu_gen3; idle_W = 3.0") == physics("opu_gen3")
    assert physics("opu_gen3; parameter.camera_bits = 6") != physics("opu_gen3")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_no_device_looks_at_prices_while_it_works(name: str):
    """What sharing a training rests on: a device reads the constants of a technology alone."""
    cls = CATALOGUE[name]
    usual = load(cls.usual_technology)
    changes = {f"event.{e}.{p}": 0.125 for e in usual.events for p in ("energy_J", "latency_s")}
    altered = name_of(usual.stem, {**changes, "idle_W": 7.0, "area_m2": 1e-6})
    assert (
        load(altered).event(next(iter(usual.events)), 1, 1).energy_J == 0.125 if changes else True
    )
    x = np.sign(np.random.default_rng(0).standard_normal((4, 6))).astype(np.float32)
    outputs, costs = [], []
    for technology in (usual.stem, altered):
        device = cls(n_out=5, n_in=6, name="d", seed=Seed(3), technology=technology)
        if Can.PROGRAM in device.can:
            device.program(np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32))
        outputs.append(np.asarray(device.multiply(x)))
        if Can.UPDATE in device.can:
            device.update(outputs[-1], x, 0.01)
        outputs[-1] = np.concatenate([outputs[-1], np.asarray(device.multiply(x))])
        costs.append([(op.verb, op.depths) for step in device.ledger.steps for op in step.ops])
    np.testing.assert_array_equal(*outputs)
    assert costs[0] == costs[1]


def test_altered_numbers_say_where_they_come_from():
    t = load("opu_gen3; event.frame.latency_s = 1e-05; idle_W = 3")
    rows = load("opu_gen3").events["frame"]
    assert [r.latency_s for r in t.events["frame"]] == [1e-5] * len(rows)
    assert [r.n_in_max for r in t.events["frame"]] == [r.n_in_max for r in rows]
    assert t.events["frame"][0].source.startswith("Supposed: event.frame.latency_s = 1e-05 inst")
    assert rows[0].source in t.events["frame"][0].source
    assert t.idle_W == 3.0
    assert t.events["call"] == load("opu_gen3").events["call"]
    assert name_of(name_of("x", {"b": 1.0}), {"a": 2.0, "b": 3.0}) == "x; a = 2.0; b = 3.0"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("opu_gen3; x", '"x" is no change'),
        ("opu_gen3; idle_W = nan", "is no change"),
        ("opu_gen3; idle_W = -1", "takes a number from 0, got -1"),
        ("opu_gen3; idle = 1", 'unknown number "idle"'),
        ("opu_gen3; event.fram.energy_J = 1", 'did you mean "frame"?'),
        ("opu_gen3; event.frame.energy = 1", 'did you mean "energy_J"?'),
        ("opu_gen3; parameter.camera_bit = 1", 'did you mean "camera_bits"?'),
        ("opu_gen; idle_W = 1", 'did you mean "opu_gen'),
    ],
)
def test_changes_that_are_none_are_refused(name: str, says: str):
    with pytest.raises(ValueError, match="technology") as wrong:
        load(name)
    assert says in str(wrong.value)


def test_a_pure_function_gives_the_same_bytes_again(tmp_path: Path):
    task = {"raw": point(BASE, {}, "").raw, "where": "here"}

    def once(task: dict[str, Any]) -> dict[str, Any]:
        found = train(task)["arms"]
        for arm in found.values():
            arm["result"] = {k: v for k, v in json.loads(arm["result"]).items() if k != "wall_s"}
        return found

    assert once(task) == once(task)


def test_a_training_in_pieces_is_the_training_in_one():
    raw = {k: v for k, v in point(BASE, {}, "").raw.items() if k != "compare"}
    raw["train"] = {**raw["train"], "epochs": 5}
    task: dict[str, Any] = {"raw": raw, "where": "here"}
    whole = train(task)["arms"]["main"]
    for upto in (1, 3):
        piece = train({**task, "upto": upto})
        assert [row["epoch"] for row in piece["curve"]] == list(range(1, upto + 1))
        task["checkpoint"] = piece["checkpoint"]
    last = train(task)["arms"]["main"]
    assert last["ledger"] == whole["ledger"]
    one, other = (json.loads(arm["result"]) for arm in (last, whole))
    assert {**one, "wall_s": 0} == {**other, "wall_s": 0}


def test_a_training_that_takes_too_long_says_so():
    assert train({"raw": BASE, "where": "here", "limit_s": 0.0}) == {"late": True}


def test_what_is_wrong_is_a_sentence_and_no_exception():
    raw = {**BASE, "weight": {"device": "crossbar", "adc_bits": 40}}
    answer = train({"raw": raw, "where": "weight.adc_bits = 40"})
    assert answer["error"].startswith("weight.adc_bits = 40: [weight] ")


def test_matrices_that_another_place_serves_are_read_again_too():
    base = {
        "name": "small",
        "data": {"set": "iris"},
        "network": {"hidden": [6, 6]},
        "train": {"epochs": 1},
        "algorithm": {"rule": "mono_forward"},
        "weight": {"device": "matrix_engine"},
    }
    one = point(base, {}, "")
    other = point(base, {("weight", "technology"): "nvidia_h100_tf32", ("weight", "part"): "p"}, "")
    assert one.training == other.training
    training = trained(one)
    heads = {key for name, key in training.served["main"].items() if name.startswith("head")}
    assert heads == {"weight"}
    assert row_of(other, training) == row_of(other, trained(other))


def test_what_a_network_reaches_on_chips_is_a_measure():
    base = {
        "name": "small",
        "data": {"set": "iris"},
        "network": {"hidden": [6]},
        "train": {"epochs": 1},
        "algorithm": {"rule": "backprop"},
        "weight": {"device": "matrix_engine"},
        "deploy": {"chips": 2, "weight": {"device": "crossbar"}},
    }
    one = point(base, {}, "")
    assert point(base, {("deploy", "weight", "adc_bits"): 3}, "").training != one.training
    training = trained(one)
    found = training.results["main"]["deploy"]["accuracy"]
    last = list(found.values())[-1][-1]
    mean = np.mean([accuracy for chip in last for accuracy in chip])
    assert row_of(one, training)["measures"]["chip_accuracy"] == pytest.approx(mean)


def test_fabrics_are_read_again_too():
    base = {
        "name": "small",
        "data": {"set": "iris"},
        "network": {"hidden": [6]},
        "train": {"epochs": 1},
        "algorithm": {"rule": "backprop"},
        "optimizer": {"momentum": 0.5},
        "weight": {"device": "crossbar"},
        "host": {"technology": "isaac_digital"},
    }
    one = point(base, {}, "")
    other = point(base, {("fabric", "use"): "chip64", ("fabric", "strategy"): "balanced"}, "")
    assert one.training == other.training
    read, own = row_of(other, trained(one)), row_of(other, trained(other))
    assert read == own
    assert read["measures"]["latency_s"] != row_of(one, trained(one))["measures"]["latency_s"]
