"""Every rule on every device that can carry it, and a sentence for every device that cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pytest

from hwloop.algorithms import RULES, Algorithm, MeanSquare
from hwloop.devices import CATALOGUE, Can, Device, Ideal, Seed, Unable
from hwloop.mappings import Demand, Placement, build, place

DENSE = build((12,), 4, [9, 7])
PAIRS = [
    (rule, role, name) for rule in RULES for role in ("weight", "feedback") for name in CATALOGUE
]

THREE_LEVELS = ("ternary_dfa", "sign_dfa", "drtp", "tpsgd")
"""Rules that project -1, 0 and 1 alone, which is all that mirrors can show."""


def settled(rule: str) -> Algorithm:
    more = {"forward_forward": {"threshold": 0.4}, "equilibrium": {"loss": MeanSquare()}}
    return RULES[rule](**more.get(rule, {}))


def placed(algorithm: Algorithm, role: str, cls: Callable[..., Device]) -> Placement:
    demands = algorithm.demands(DENSE)
    kinds = {"weight": Ideal, "feedback": Ideal, role: cls}
    wanted = {key for d in demands for key in (d.role, d.like)}
    on = {
        role: lambda d, ledger, seed, cls=cls: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )
        for role, cls in kinds.items()
        if role in wanted
    }
    return place(DENSE, demands, on, "ideal", Seed(3))


@pytest.mark.parametrize(("rule", "role", "name"), PAIRS)
def test_a_pair_runs_and_counts_what_its_formula_says_or_refuses(rule, role, name):
    if name == "torch":
        pytest.importorskip("torch")
    algorithm, cls = settled(rule), CATALOGUE[name]
    demands = [d for d in algorithm.demands(DENSE) if role in (d.role, d.like)]
    if not demands:
        assert role == "feedback"
        return
    if any(d.needs & ~cls.can for d in demands):
        with pytest.raises(Unable, match=rf"needs [A-Z and,]+; {cls.__name__} can MULTIPLY"):
            placed(algorithm, role, cls)
        return
    on = placed(algorithm, role, cls)
    draw = np.random.default_rng(1)
    x = draw.random((10, 12)).astype(np.float32)
    target = np.eye(4, dtype=np.float32)[draw.integers(4, size=10)]
    if name == "opu" and rule not in THREE_LEVELS:
        with (
            pytest.raises(ValueError, match="feedback.*: mirrors are on or off, so inputs are"),
            on.ledger.step("train", samples=10),
        ):
            algorithm.step(on, x, target)
        on = placed(algorithm, role, partial(cls, input_bits=4))
    if cls.written_once and algorithm.calls(DENSE.depth).get(f"{role} PROGRAM"):
        with (
            pytest.raises(Unable, match=rf"{cls.__name__} is printed once"),
            on.ledger.step("train", samples=10),
        ):
            algorithm.step(on, x, target)
        return
    for _ in range(3):
        with on.ledger.step("train", samples=10):
            assert np.isfinite(algorithm.step(on, on.array(x), on.array(target)))
    [tally] = [(s, t) for s, t in on.ledger.steps.items() if s.kind == "train"]
    step, times = tally[0], tally[1].times
    assert times == 3
    counted: dict[str, int] = {}
    for op in step.ops:
        if op.device != "host":
            key = f"{op.device.split('/')[0]} {op.verb}"
            counted[key] = counted.get(key, 0) + 1
    calls = {key: n for key, n in algorithm.calls(DENSE.depth).items() if n}
    assert counted == (in_pairs(calls, demands) if name == "paired" else calls)


def in_pairs(calls: Mapping[str, int], demands: Sequence[Demand]) -> dict[str, int]:
    """Return the calls of roles whose transposes are products of a second device.

    Which is written as often as the first.
    """
    roles, found = {d.role for d in demands}, dict(calls)
    for key, n in calls.items():
        role, verb = key.split()
        if role in roles and verb == "TRANSPOSE":
            del found[key]
            found[f"{role} MULTIPLY"] = found.get(f"{role} MULTIPLY", 0) + n
        elif role in roles and verb in ("PROGRAM", "UPDATE"):
            found[key] = 2 * n
    return found


def test_demands_ask_for_no_more_than_the_formula_counts():
    for rule in RULES:
        algorithm = settled(rule)
        verbs = {key.split()[1] for key, n in algorithm.calls(DENSE.depth).items() if n}
        needs = Can(0)
        for demand in algorithm.demands(DENSE):
            needs |= demand.needs
        assert {a.name for a in needs} - verbs <= {"PROGRAM"}, rule  # first weights are written
