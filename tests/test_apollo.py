"""APOLLO: its factors against Adam's, its updates in place, its limit, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.algorithms import (
    DFA,
    SGD,
    Adam,
    Apollo,
    Backprop,
    MonoForward,
    ScalableForwardForward,
)
from hwloop.devices import OPU, Can, Ideal, Seed, TorchMatrix
from hwloop.mappings import build, place
from hwloop.sim.experiment import parse
from hwloop.sim.prepare import prepare_all

DENSE = build((12,), 4, [9, 7])


def placed(algorithm, weight=Ideal, projection=Ideal):
    demands = algorithm.demands(DENSE)

    def made(cls):
        return lambda d, ledger, seed: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )

    kinds = {"weight": weight, "projection": projection, "feedback": Ideal}
    wanted = {key for d in demands for key in (d.role, d.like)}
    on = {role: made(cls) for role, cls in kinds.items() if role in wanted}
    return place(DENSE, demands, on, "ideal", Seed(3))


def batch():
    draw = np.random.default_rng(1)
    return draw.normal(size=(10, 12)).astype(np.float32), np.eye(4, dtype=np.float32)[[0, 1] * 5]


def moved(algorithm, on, steps=1):
    before = {k: on[f"weight/{k}"].matrix() for k in (1, 2, 3) if f"weight/{k}" in on.devices}
    for _ in range(steps):
        x, target = (on.array(a) for a in batch())
        with on.ledger.step("train", samples=10):
            algorithm.step(on, x, target)
    return {k: before[k] - on[f"weight/{k}"].matrix() for k in before}


def test_with_the_identity_as_projection_each_row_has_the_length_that_adam_gives_it():
    ours = Backprop(optimizer=Apollo(rate=0.01, rank=12))
    on = placed(ours)
    for k, n_in in ((1, 12), (2, 9), (3, 7)):
        on[f"projection/{k}"].program(np.eye(12, n_in, dtype=np.float32))
    theirs = Backprop(optimizer=Adam(rate=0.01))
    expected, got = moved(theirs, placed(theirs)), moved(ours, on)
    for k in (1, 2, 3):
        lengths = np.linalg.norm(expected[k], axis=1)
        np.testing.assert_allclose(np.linalg.norm(got[k], axis=1), lengths, rtol=1e-3)


def test_the_direction_of_each_row_is_the_gradient_s():
    ours, plain = Backprop(optimizer=Apollo(rank=3)), Backprop(optimizer=SGD(rate=1.0))
    got, gradient = moved(ours, placed(ours)), moved(plain, placed(plain))
    for k in (1, 2, 3):
        cosine = (got[k] * gradient[k]).sum(1)
        cosine /= np.linalg.norm(got[k], axis=1) * np.linalg.norm(gradient[k], axis=1)
        np.testing.assert_allclose(cosine, 1, atol=1e-4)


def test_changes_grow_by_no_more_than_the_limit():
    algorithm = Backprop(optimizer=Apollo(rate=0.01, rank=3, growth=1.05))
    on = placed(algorithm)
    sizes = [np.linalg.norm(moved(algorithm, on)[2]) for _ in range(12)]
    ratios = np.array(sizes[1:]) / np.array(sizes[:-1])
    assert ratios.max() < 1.05 + 1e-3


@pytest.mark.parametrize("rule", [DFA, Backprop, MonoForward, ScalableForwardForward])
@pytest.mark.parametrize("weight", [Ideal, TorchMatrix])
def test_weights_need_updates_alone_and_projections_products_alone(rule, weight):
    if weight is TorchMatrix:
        pytest.importorskip("torch")
    algorithm = rule(optimizer=Apollo(rank=2))
    demands = {d.name: d for d in algorithm.demands(DENSE)}
    assert {d.needs for n, d in demands.items() if n.startswith("projection")} == {Can.MULTIPLY}
    on = placed(algorithm, weight, weight)
    moved(algorithm, on, 2)
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    verbs = {(op.device.split("/")[0], op.verb) for op in step.ops}
    assert ("weight", "PROGRAM") not in verbs
    assert ("projection", "MULTIPLY") in verbs
    assert on.digital["gradient/weight/1"].shape == (9, 2)


def test_light_can_project_and_digits_are_learned():
    raw = {
        "data": {"set": "digits", "limit_train": 400},
        "network": {"hidden": [32]},
        "algorithm": {"rule": "backprop"},
        "optimizer": {"kind": "apollo", "rate": 0.02, "rank": 8},
        "train": {"epochs": 8, "batch": 32, "schedule": "linear"},
        "weight": {"device": "ideal"},
        "projection": {"device": "opu", "input_bits": 6},
    }
    arm = prepare_all(parse(raw))["main"]
    assert isinstance(arm.placement["projection/1"], OPU)
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert arm.accuracy("test") > 0.8


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rank": 0}, "rank takes a whole number from 1, got 0"),
        ({"growth": 1.0}, "growth takes a number above 1"),
        ({"rate": 0.0}, "rate takes a finite number above 0"),
        ({"beta2": 1.0}, "beta2 takes a number from 0 to below 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, says):
    with pytest.raises(ValueError, match=says):
        Apollo(**settings)
