"""Loss scaling: invisible in float32, and what keeps small errors in a narrow format."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.algorithms import DFA, Backprop, SignDFA, TernaryDFA
from hwloop.sim.experiment import parse
from hwloop.sim.run import prepare_all


def trained(rule: str, scale: float, **weight) -> tuple[dict[str, np.ndarray], float]:
    """Return the weights after one epoch on iris, and the share of errors that became 0."""
    raw = {
        "name": "scaled",
        "data": {"set": "iris"},
        "network": {"hidden": [8]},
        "train": {"epochs": 1},
        "algorithm": {"rule": rule, "loss_scale": scale},
        "weight": {"device": "matrix_engine", **weight},
    }
    if rule != "backprop":
        raw["feedback"] = {"device": "ideal"}
    arm = prepare_all(parse(raw))["main"]
    arm.train(lambda progress: None, lambda: False, lambda: None)
    return arm.weights(), arm.curve[-1]["loss"]


@pytest.mark.parametrize("rule", ["backprop", "dfa", "ternary_dfa"])
def test_it_changes_nothing_in_float32(rule):
    plain, _ = trained(rule, 1.0)
    scaled, _ = trained(rule, 1024.0)
    for name, w in plain.items():
        np.testing.assert_allclose(scaled[name], w, rtol=1e-5, atol=1e-6)


def test_it_saves_what_a_format_of_little_range_loses():
    """e4m3 without a scale of its own holds nothing below 2^-10; a step of 1e-3 is lost there."""
    fmt = {"gradients": "e4m3", "scaling": "none"}
    exact, _ = trained("backprop", 2.0**-12)
    start, _ = trained("backprop", 2.0**-12, **fmt)
    saved, _ = trained("backprop", 64.0, **fmt)
    lost = np.abs(start["weight/2"] - exact["weight/2"]).mean()
    kept = np.abs(saved["weight/2"] - exact["weight/2"]).mean()
    assert kept < 0.1 * lost


def test_rules_whose_changes_are_not_proportional_to_the_error_refuse_it():
    from hwloop.mappings import build

    network = build((4,), 3, [5])
    for rule in (Backprop, DFA, TernaryDFA):
        rule(loss_scale=8.0).demands(network)
    with pytest.raises(ValueError, match="loss_scale takes 1 for SignDFA"):
        SignDFA(loss_scale=8.0).demands(network)
    with pytest.raises(ValueError, match="loss_scale takes 1 in mode fixed"):
        TernaryDFA(loss_scale=8.0, mode="fixed")
    with pytest.raises(ValueError, match="finite number above 0, got -1"):
        Backprop(loss_scale=-1.0).demands(network)
