"""Noise-aware training: the noise has its law, is drawn anew, and leaves the weights it trains."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.algorithms import (
    COAP,
    DFA,
    SGD,
    Adam,
    Algorithm,
    Apollo,
    Backprop,
    CompAct,
    Frozen,
    NoiseAware,
    TernaryDFA,
)
from hwloop.algorithms.private import Private
from hwloop.devices import CATALOGUE, Can, Crossbar, Ideal, Ledger, MatrixEngine, TorchMatrix
from hwloop.devices.cells import Cells
from hwloop.devices.seeds import Seed
from hwloop.devices.technology import load
from hwloop.devices.weight_noise import perturbed
from hwloop.mappings import Network, Placement, build, place

rng = np.random.default_rng(8)
NETWORK = build((12,), 4, [9, 7])
X = rng.normal(size=(10, 12)).astype(np.float32)
TARGET = np.eye(4, dtype=np.float32)[rng.integers(4, size=10)]


def placed(algorithm: Algorithm, network: Network = NETWORK, weight=Ideal) -> Placement:
    def made(cls):
        return lambda d, ledger, seed: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )

    demands = algorithm.demands(network)
    roles = {d.role for d in demands}
    on = {role: made({"weight": weight, "feedback": Ideal}.get(role, Ideal)) for role in roles}
    return place(network, demands, on, "ideal", Seed(3))


def steps(algorithm: Algorithm, on: Placement, times: int = 1) -> None:
    for _ in range(times):
        with on.ledger.step("train", samples=len(X)):
            algorithm.step(on, on.array(X), on.array(TARGET))


def held(on: Placement) -> dict[str, bytes]:
    weights = {n: d.matrix().tobytes() for n, d in on.devices.items() if n[0] == "w"}
    return weights | {n: np.asarray(a).tobytes() for n, a in on.digital.items() if n[0] == "b"}


def test_injected_noise_has_its_mean_and_std_over_the_largest_weight() -> None:
    w = rng.normal(size=(200, 300)).astype(np.float32)
    noise = (perturbed(w, 0.05, Seed(1).at(0)) - w) / np.abs(w).max()
    n = noise.size
    assert abs(noise.mean()) < 5 * 0.05 / np.sqrt(n)
    assert noise.std() == pytest.approx(0.05, rel=5 / np.sqrt(2 * n))
    assert abs(np.mean(noise * w)) < 5 * 0.05 * w.std() / np.sqrt(n)


def test_the_noise_of_a_chip_is_that_of_its_write() -> None:
    """Half of full scale: one cell at half with its std, one at 0 whose noise is cut below 0."""
    w = np.full((300, 300), 0.5, np.float32)
    w[0, 0] = 1.0

    def chip(name: str, n_out: int, n_in: int, seed: Seed) -> Crossbar:
        made = {"name": name, "seed": seed, "ledger": Ledger()}
        return Crossbar(n_out=n_out, n_in=n_in, technology="pcm_nandakumar", adc_bits=0, **made)

    on = placed(Frozen(), build((300,), 300, []))
    on["weight/1"].program(w)
    NoiseAware(chip=chip).inject(on)
    found = (on["weight/1"].matrix() - w).ravel()[1:]
    cells = Cells.of(load("pcm_nandakumar"), None, None)
    half, zero = cells.programming_std(np.array([0.5 * cells.g_max_S, 0.0])) / cells.span_S
    n = found.size
    mean = -zero / np.sqrt(2 * np.pi)
    std = np.sqrt(half**2 + zero**2 * (0.5 - 0.5 / np.pi))
    assert found.mean() == pytest.approx(mean, abs=5 * std / np.sqrt(n))
    assert found.std() == pytest.approx(std, rel=5 / np.sqrt(2 * n))
    assert half > 0.03


def test_noise_is_drawn_anew_each_step_and_is_gone_after_it() -> None:
    algorithm = Frozen(aware=NoiseAware(std=0.1))
    on = placed(algorithm)
    before, seen = on["weight/1"].matrix(), []
    for _ in range(3):
        algorithm.aware.inject(on)  # type: ignore[union-attr]
        seen.append(on["weight/1"].matrix())
        for name in list(on.clean):
            on.settle(name)
        on.steps += 1
    assert not any(np.array_equal(a, b) for a, b in zip(seen, [before, *seen], strict=False))
    steps(algorithm, on)
    np.testing.assert_array_equal(on["weight/1"].matrix(), before)
    assert not on.clean


@pytest.mark.parametrize("weight", [Ideal, MatrixEngine, TorchMatrix])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1),
        SGD(0.1, momentum=0.9),
        Adam(0.01),
        Apollo(0.01, rank=2),
        COAP(0.01, rank=2, every=2),
        CompAct(0.01, rank=2, every=2),
    ],
    ids=["sgd", "momentum", "adam", "apollo", "coap", "compact"],
)
@pytest.mark.parametrize("rule", [Backprop, DFA, TernaryDFA, Frozen])
def test_without_noise_it_is_plain_training_bit_for_bit(rule, optimizer, weight) -> None:
    if weight is TorchMatrix:
        pytest.importorskip("torch")
    plain, aware = rule(optimizer=optimizer), rule(optimizer=optimizer, aware=NoiseAware())
    one, other = placed(plain, weight=weight), placed(aware, weight=weight)
    steps(plain, one, 4)
    steps(aware, other, 4)
    assert held(one) == held(other)


def test_without_noise_private_training_is_the_same_bit_for_bit() -> None:
    plain = Backprop(private=Private(1.0))
    aware = Backprop(private=Private(1.0), aware=NoiseAware())
    one, other = placed(plain), placed(aware)
    steps(plain, one, 3)
    steps(aware, other, 3)
    assert held(one) == held(other)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.5)], ids=["sgd", "momentum"])
@pytest.mark.parametrize("rule", [Backprop, TernaryDFA])
def test_the_step_of_the_noisy_network_moves_the_weights_without_noise(rule, optimizer) -> None:
    """Forwards and backwards read the same noisy matrices; the clean ones move by that gradient."""
    aware = rule(optimizer=optimizer, aware=NoiseAware(std=0.2))
    plain = rule(optimizer=optimizer)
    on, noisy = placed(aware), placed(plain)
    before = {n: on[n].matrix() for n in on.devices}
    on.steps = 1
    aware.aware.inject(on)
    for n in before:
        if n[0] == "w":
            noisy[n].program(on[n].matrix())
    for n in list(on.clean):
        on.settle(n)
    on.steps = 0
    start = {n: noisy[n].matrix() for n in before}
    steps(aware, on)
    steps(plain, noisy)
    for n in (n for n in before if n[0] == "w"):
        moved, should = on[n].matrix() - before[n], noisy[n].matrix() - start[n]
        np.testing.assert_allclose(moved, should, atol=1e-6)
        assert abs(start[n] - before[n]).max() > 0.05 * abs(before[n]).max()


@pytest.mark.parametrize("optimizer", [SGD(0.5), Adam(0.05)], ids=["sgd", "adam"])
@pytest.mark.parametrize("clip", [{"clip_std": 1.5}, {"clip_percentile": 80.0}])
def test_weights_are_cut_at_their_bound_and_nowhere_else(optimizer, clip) -> None:
    plain = Backprop(optimizer=optimizer)
    aware = Backprop(optimizer=optimizer, aware=NoiseAware(**clip))
    one, other = placed(plain), placed(aware)
    steps(plain, one)
    steps(aware, other)
    for n in one.devices:
        w = one[n].matrix()
        bound = np.percentile(abs(w), 80) if "clip_percentile" in clip else 1.5 * w.std()
        assert (abs(w) > bound).any()
        np.testing.assert_allclose(other[n].matrix(), np.clip(w, -bound, bound), atol=1e-7)
    steps(aware, other, 5)
    copies = {n: a for n, a in other.digital.items() if n.startswith("copy/")}
    assert len(copies) == (3 if isinstance(optimizer, Adam) else 0)
    for n, copy in copies.items():
        np.testing.assert_array_equal(copy, other[n.removeprefix("copy/")].matrix())


def test_frozen_layers_are_read_with_noise_and_never_cut() -> None:
    aware = Frozen(aware=NoiseAware(std=0.5, clip_std=0.5))
    on, plain = placed(aware), placed(Frozen())
    before = on["weight/1"].matrix()
    steps(aware, on)
    steps(Frozen(), plain)
    np.testing.assert_array_equal(on["weight/1"].matrix(), before)
    assert not np.array_equal(on["weight/3"].matrix(), plain["weight/3"].matrix())


def test_what_noise_takes_is_counted() -> None:
    aware = Backprop(aware=NoiseAware(std=0.1, clip_std=2.0))
    on = placed(aware, weight=MatrixEngine)
    steps(aware, on)
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    verbs = [(op.stage, op.verb) for op in step.ops]
    for k in (1, 2, 3):
        ops = [op.verb for op in step.ops if op.device == f"weight/{k}"]
        assert ops[0] == "PROGRAM"
        assert ops.index("UPDATE") > ops.index("PROGRAM", 1) > ops.index("MULTIPLY")
    assert verbs.count(("noise", "NOISE")) == verbs.count(("clip", "CLIP")) == 3
    after = dict(step.after)
    assert after["forward/1"] == ("noise",)
    assert set(after["clip"]) == set(after) - {"clip"}


def test_a_step_that_fails_leaves_the_weights_without_noise() -> None:
    aware = Backprop(aware=NoiseAware(std=0.1))
    on = placed(aware)
    before = held(on)
    with pytest.raises(ValueError, match="batch"), on.ledger.step("train", samples=1):
        aware.step(on, X[:, :5], TARGET)
    assert held(on) == before
    assert not on.clean


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"std": -0.1}, "std takes a number from 0"),
        ({"std": float("nan")}, "std takes a number from 0"),
        ({"clip_std": -1.0}, "clip_std takes a number from 0"),
        ({"clip_percentile": 0.0}, "clip_percentile takes a number above 0 to 100"),
        ({"clip_std": 1.0, "clip_percentile": 99.0}, "two clips"),
        ({"std": 0.1, "chip": lambda *a: None}, "two laws of one noise"),
    ],
)
def test_no_noise_is_made_of_wrong_numbers(settings, says) -> None:
    with pytest.raises(ValueError, match=says):
        NoiseAware(**settings)


@pytest.mark.parametrize("name", [name for name, cls in CATALOGUE.items() if cls.digital])
def test_a_digital_device_holds_what_was_written(name) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    device = CATALOGUE[name](n_out=5, n_in=7, name="w", seed=Seed(0))
    assert device.can & (Can.PROGRAM | Can.UPDATE | Can.TRANSPOSE)
    w = rng.normal(size=(5, 7)).astype(np.float32)
    device.program(w)
    np.testing.assert_array_equal(device.matrix(), w)
    x = rng.normal(size=(3, 7)).astype(np.float32)
    np.testing.assert_array_equal(device.multiply(x), device.multiply(x))
