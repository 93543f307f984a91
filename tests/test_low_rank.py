"""Low-rank optimizers against their papers' equations, in float64, on any projection."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import (
    COAP,
    OPTIMIZERS,
    RULES,
    Apollo,
    Backprop,
    CompAct,
    Flora,
    GaLore,
    GradientNoise,
    MeanSquare,
)
from hwloop.algorithms.coap import correlation_slope
from hwloop.algorithms.compact import Compressed
from hwloop.algorithms.low_rank import LowRank
from hwloop.algorithms.projections import back, project, redraw
from hwloop.devices import OPU, Can, Crossbar, Device, Ideal, RandomCrossbar, Seed, TorchMatrix
from hwloop.devices.host import Host
from hwloop.devices.ledger import Ledger
from hwloop.mappings import build, place

M, N, B = 9, 12, 6
"""Outputs, inputs and rows of a batch."""
ONE = build((N,), M, [])
DENSE = build((12,), 4, [9, 7])
LOW_RANK = (Flora, GaLore, COAP, CompAct)


class Fixed(Device):
    """An exact Gaussian matrix that nobody can write or transpose, of a scale of its own."""

    usual_technology = "ideal"

    def matrix(self):
        return self._stream.rng().standard_normal((self.n_out, self.n_in), np.float32) * 3

    def _multiply(self, x, draw):
        return x @ self.matrix().T

    def _cost(self, verb, batch):
        return {}


class OneWay(Fixed):
    """An exact matrix that is written, and that nobody can transpose."""

    def __post_init__(self):
        super().__post_init__()
        self._w = np.zeros((self.n_out, self.n_in), np.float32)

    def matrix(self):
        return self._w.copy()

    def _program(self, w, draw):
        self._w[:] = w


def placed(algorithm, network=DENSE, weight=Ideal, projection=Ideal, seed=3):
    demands = algorithm.demands(network)

    def made(cls):
        more = {"input_bits": 8} if cls is OPU else {}
        return lambda d, ledger, seed: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger, **more
        )

    kinds = {"weight": weight, "projection": projection, "feedback": Ideal}
    wanted = {key for d in demands for key in (d.role, d.like)}
    on = {role: made(cls) for role, cls in kinds.items() if role in wanted}
    return place(network, demands, on, "ideal", Seed(seed))


def factors(step: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(step + 10)
    return tuple(draw.standard_normal((B, n)).astype(np.float32) for n in (M, N))


def changed(optimizer, on, step: int, whole: bool = False) -> None:
    delta, rows = factors(step)
    if whole:
        optimizer.descend(on, "weight/1", delta.T @ rows / B, 1.0)
    else:
        optimizer.change(on, "weight/1", delta, rows, 1 / B, 1.0)


def gradient(step: int) -> Any:
    delta, rows = (a.astype(np.float64) for a in factors(step))
    return delta.T @ rows / B


class AdamBefore:
    """Adam in float64, as its paper writes it."""

    def __init__(self) -> None:
        self.m = self.v = np.zeros(1)
        self.t = 0

    def __call__(self, g: Any) -> Any:
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.999**self.t)
        return m / (np.sqrt(v) + 1e-8)


def leading(g: Any, rank: int) -> Any:
    p = np.linalg.svd(g, full_matrices=False)[2][:rank]
    return p * np.where(-p.min(1) > p.max(1), -1, 1)[:, None]


# ---- each is what its paper says ----------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("projection", [Ideal, Fixed, OneWay])
def test_flora_carries_its_momentum_from_one_projection_to_the_next(projection, whole):
    optimizer = Flora(rate=0.01, rank=4, every=3, beta=0.8)
    on = placed(Backprop(optimizer=optimizer), ONE, projection=projection)
    w = on["weight/1"].matrix().astype(np.float64)
    a, m, seen = back(on, "weight/1").astype(np.float64), np.zeros((M, 4)), []
    for step in range(8):
        changed(optimizer, on, step, whole)
        old, a = a, back(on, "weight/1").astype(np.float64)
        seen.append(a)
        if step in (3, 6):
            assert abs(a - old).max() > 0.1
            m = m @ (old @ a.T)
        else:
            np.testing.assert_allclose(a, old, atol=1e-6)
        m = 0.8 * m + 0.2 * gradient(step) @ a.T
        full = m @ a
        w -= 0.01 * full / np.sqrt((full**2).mean())
        np.testing.assert_allclose(on["weight/1"].matrix(), w, atol=1e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_galore_is_adam_on_the_leading_singular_vectors(whole):
    optimizer = GaLore(rate=0.01, rank=4, every=3, scale=0.5)
    on = placed(Backprop(optimizer=optimizer), ONE)
    w, adam = on["weight/1"].matrix().astype(np.float64), AdamBefore()
    for step in range(8):
        changed(optimizer, on, step, whole)
        g = gradient(step)
        if step % 3 == 0:
            p = leading(g, 4)
        w -= 0.01 * 0.5 * adam(g @ p.T) @ p
        np.testing.assert_allclose(on["weight/1"].matrix(), w, atol=1e-6)
    np.testing.assert_allclose(on["projection/1"].matrix(), p, atol=1e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_coap_descends_its_objective_and_recomputes_by_a_sketch(whole):
    torch = pytest.importorskip("torch")
    optimizer = COAP(rate=0.01, rank=4, every=2, recompute=3)
    on = placed(Backprop(optimizer=optimizer), ONE)
    w, adam = on["weight/1"].matrix().astype(np.float64), AdamBefore()
    p = on["projection/1"].matrix().astype(np.float64)
    followed = recomputed = 0
    for step in range(10):
        changed(optimizer, on, step, whole)
        g = gradient(step)
        if step % 6 == 0:
            q = np.linalg.qr(g @ p.T)[0]
            p, recomputed = leading(q.T @ g, 4), recomputed + 1
        elif step % 2 == 0:
            leaf, of = torch.tensor(p, requires_grad=True), torch.tensor(g)
            loss = torch.nn.functional.mse_loss(of @ leaf.T @ leaf, of)
            moved = torch.tensor(adam.m) @ leaf
            cosine = torch.nn.functional.cosine_similarity(moved, of, dim=1).mean()
            (loss * (1 - cosine)).backward()
            torch.nn.utils.clip_grad_norm_(leaf, 1.0)
            p, followed = p - 0.1 * leaf.grad.numpy(), followed + 1
        w -= 0.01 * adam(g @ p.T) @ p
        np.testing.assert_allclose(on["weight/1"].matrix(), w, atol=1e-6)
    assert (followed, recomputed) == (3, 2)


@pytest.mark.parametrize("far", [0.1, 5.0])
def test_coap_s_slope_is_autograd_s(far):
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    p, g, m = (far * draw.standard_normal(s) for s in ((3, N), (M, N), (M, 3)))
    g[2], m[4] = 0, 0  # an output without a gradient, and one without a moment
    leaf, of = torch.tensor(p, requires_grad=True), torch.tensor(g)
    loss = torch.nn.functional.mse_loss(of @ leaf.T @ leaf, of)
    cosine = torch.nn.functional.cosine_similarity(torch.tensor(m) @ leaf, of, dim=1)
    (loss * (1 - cosine.mean())).backward()
    expected = leaf.grad.numpy()
    assert abs(correlation_slope(p, g, m) - expected).max() < 1e-10 * abs(expected).max()


@pytest.mark.parametrize("given", ["kept", "rows", "whole"])
@pytest.mark.parametrize("projection", [Ideal, Fixed])
@pytest.mark.parametrize("inner", ["adam", "sgd"])
def test_compact_learns_from_what_it_kept(inner, projection, given):
    optimizer = CompAct(rate=0.01, rank=4, every=3, scale=0.5, inner=inner)
    on = placed(Backprop(optimizer=optimizer), ONE, projection=projection)
    w, adam = on["weight/1"].matrix().astype(np.float64), AdamBefore()
    drawn = []
    for step in range(8):
        p = back(on, "weight/1").astype(np.float64)
        drawn.append(p)
        delta, rows = factors(step)
        if given == "kept":
            kept = optimizer.kept(on, "weight/1", rows)
            optimizer.change(on, "weight/1", delta, kept, 1 / B, 1.0)
        else:
            changed(optimizer, on, step, given == "whole")
        small = gradient(step) @ p.T
        w -= 0.01 * 0.5 * (adam(small) if inner == "adam" else small) @ p
        np.testing.assert_allclose(on["weight/1"].matrix(), w, atol=1e-6)
    fresh = [k for k in range(1, 8) if abs(drawn[k] - drawn[k - 1]).max() > 0.1]
    assert fresh == [3, 6]


@pytest.mark.parametrize("make", [Flora, CompAct, GaLore, COAP])
def test_biases_are_not_projected(make):
    optimizer = make(rate=0.01)
    on = placed(Backprop(optimizer=optimizer), ONE)
    draw = np.random.default_rng(0)
    b, m, adam = np.zeros(M), np.zeros(M), AdamBefore()
    for _ in range(3):
        g = draw.standard_normal(M)
        optimizer.shift(on, "bias/1", g.astype(np.float32), 1.0)
        m = 0.9 * m + 0.1 * g
        b -= 0.01 * (m / np.sqrt((m**2).mean()) if make is Flora else adam(g))
        np.testing.assert_allclose(on.digital["bias/1"], b, atol=1e-6)


# ---- projections -------------------------------------------------------------------------


@pytest.mark.parametrize("projection", [Ideal, Fixed, OneWay, TorchMatrix])
def test_what_is_read_back_is_what_projects(projection):
    if projection is TorchMatrix:
        pytest.importorskip("torch")
    on = placed(Backprop(optimizer=CompAct(rank=5)), ONE, projection=projection)
    for _ in range(3):
        rows = factors(0)[1]
        p = back(on, "weight/1")
        np.testing.assert_allclose(project(on, "weight/1", rows), rows @ p.T, atol=1e-5)
        redraw(on, "weight/1")
    if projection is Fixed:
        assert (p**2).sum() == pytest.approx(N, rel=1e-5)
    if projection is OneWay:
        before = on["projection/1"].matrix()
        np.testing.assert_allclose(back(on, "weight/1"), before, atol=1e-6)
        assert abs(before - p).max() > 0.1


@pytest.mark.parametrize("projection", [OPU, RandomCrossbar])
def test_noisy_matrices_are_read_better_than_input_by_input(projection):
    on = placed(Backprop(optimizer=CompAct()), build((200,), M, []), projection=projection)
    device = on["projection/1"]
    w = device.matrix()
    w *= (200 / (w**2).sum()) ** 0.5
    alone = device.multiply(np.eye(200, dtype=np.float32)).T
    alone *= (200 / (alone**2).sum()) ** 0.5
    off = np.linalg.norm(back(on, "weight/1") - w) / np.linalg.norm(w)
    assert off < 0.15
    assert off < 0.5 * np.linalg.norm(alone - w) / np.linalg.norm(w)


@pytest.mark.parametrize("projection", [Ideal, Fixed])
@pytest.mark.parametrize("make", [Flora, CompAct])
def test_what_comes_back_of_a_gradient_is_the_gradient_on_average(make, projection):
    """Over draws of P: of Flora's momentum beyond its size, of CompAct's own change."""
    if make is Flora:
        optimizer = Flora(rate=1.0, rank=4, every=1, beta=0.0)
    else:
        optimizer = CompAct(rate=1.0, rank=4, every=1, scale=1.0, inner="sgd")
    on = placed(Backprop(optimizer=optimizer), ONE, projection=projection)
    g, found = gradient(0), []
    for _ in range(1500):
        before = on["weight/1"].matrix()
        on["weight/1"].program(0 * before)
        changed(optimizer, on, 0)
        if make is Flora:
            found.append(on.digital["momentum/weight/1"] @ back(on, "weight/1"))
        else:
            found.append(-on["weight/1"].matrix())
    drawn = np.array(found, np.float64)
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (abs(drawn.mean(0) - g) < 5 * error).all()
    assert (error > 1e-4).all()


@pytest.mark.parametrize("projection", [OPU, RandomCrossbar, Crossbar])
@pytest.mark.parametrize("make", [Flora, CompAct])
def test_a_noisy_projection_brings_its_noise_into_the_weights(make, projection):
    def weights(seed):
        optimizer = make(rank=4, every=2)
        algorithm = Backprop(optimizer=optimizer)
        on = placed(algorithm, ONE, projection=projection)
        on["projection/1"]._operations = seed  # other draws of the same device's noise
        for step in range(4):
            changed(optimizer, on, step)
        return on["weight/1"].matrix()

    one, other = weights(100), weights(200)
    start = placed(Backprop(optimizer=make(rank=4)), ONE)["weight/1"].matrix()
    apart, moved = np.linalg.norm(one - other), np.linalg.norm(one - start)
    assert 1e-4 * moved < apart < moved


# ---- what the devices are asked for ------------------------------------------------------


def counted(optimizer, steps: int, projection=Ideal, network=DENSE) -> list[Counter[Any]]:
    """Return per training step how often each role was asked for a verb on how many vectors."""
    algorithm = Backprop(optimizer=optimizer)
    on = placed(algorithm, network, projection=projection)
    x, target = batch()
    found = []
    for k in range(steps):
        before = dict(on.ledger.steps)
        with on.ledger.step("train", samples=k + 1):
            algorithm.step(on, x, target)
        [step] = [s for s in on.ledger.steps if s not in before]
        ops = [(op.device, op.verb, op.batch) for op in step.ops if "projection" in op.device]
        ops += [(op.device, op.verb, op.batch) for op in step.ops if op.verb == "UPDATE"]
        found.append(Counter((d.split("/")[0], v, b) for d, v, b in ops))
    return found


def batch():
    draw = np.random.default_rng(1)
    return draw.normal(size=(10, 12)).astype(np.float32), np.eye(4, dtype=np.float32)[[0, 1] * 5]


def test_every_call_is_in_the_ledger():
    """Three matrices, rank 3, a batch of 10; the rows of P are read by 4 vectors."""
    step = Counter(
        {
            ("projection", "MULTIPLY", 10): 3,
            ("projection", "TRANSPOSE", 4): 3,
            ("weight", "UPDATE", 3): 3,
        }
    )
    written = step + Counter({("projection", "PROGRAM", 3): 3})
    carried = written + Counter(
        {("projection", "TRANSPOSE", 4): 3, ("projection", "MULTIPLY", 3): 3}
    )
    assert counted(Flora(rank=3, every=2), 4) == [step, step, carried, step]
    assert counted(GaLore(rank=3, every=2), 4) == [written, step, written, step]
    assert counted(CompAct(rank=3, every=2), 4) == [step, written, step, written]
    assert counted(Apollo(rank=3), 1) == [
        Counter({("projection", "MULTIPLY", 10): 3, ("weight", "UPDATE", 10): 3})
    ]
    followed = written + Counter({("projection", "TRANSPOSE", 4): 3})
    sketched = written + Counter({("projection", "MULTIPLY", n): 1 for n in (9, 7, 4)})
    assert counted(COAP(rank=3, every=1, recompute=2), 3) == [sketched, followed, sketched]


def test_a_fixed_projection_is_read_once_and_never_written():
    """12, 9 and 7 inputs are read by 16, 16 and 8 vectors; a new draw is other places and signs."""
    step = Counter({("projection", "MULTIPLY", 10): 3, ("weight", "UPDATE", 3): 3})
    read = step + Counter({("projection", "MULTIPLY", 16): 2, ("projection", "MULTIPLY", 8): 1})
    carried = step + Counter({("projection", "MULTIPLY", 3): 3})
    assert counted(Flora(rank=3, every=2), 3, Fixed) == [read, step, carried]
    assert counted(CompAct(rank=3, every=2), 3, Fixed) == [read, step, step]


def test_the_host_counts_its_svd():
    ledger = Ledger()
    host = Host(ledger, "ideal")
    g = np.random.default_rng(0).standard_normal((M, N)).astype(np.float32)
    with ledger.step("train", samples=1):
        host.leading(g, 3)
        host.leading(g, 3, g @ g[:3].T)
    [(step, tally)] = ledger.steps.items()
    macs = [dict(zip((e for e, _ in o.depths), w, strict=True))["mac"] for o, w in zip(
        step.ops, tally.work, strict=True)]  # fmt: skip
    qr = M * 9 - 9 + 3 * M * N
    assert macs == [N * M**2 + 5.5 * M**3, qr + N * 9 + 5.5 * 27]


@pytest.mark.parametrize("make", LOW_RANK)
def test_which_devices_may_serve(make):
    needs = {d.name: d.needs for d in Backprop(optimizer=make(rank=3)).demands(DENSE)}
    computed = make in (GaLore, COAP)
    expected = Can.MULTIPLY | Can.PROGRAM if computed else Can.MULTIPLY
    assert needs["projection/2"] == expected
    assert Can.UPDATE in needs["weight/2"]
    ranks = {d.name: d.n_out for d in Backprop(optimizer=make(rank=6)).demands(DENSE)}
    assert ranks["projection/3"] == (4 if computed else 6)  # of 4 outputs


@pytest.mark.parametrize("rule", sorted(RULES.keys() - {"quantized_zeroth_order"}))  # SGD alone
@pytest.mark.parametrize("make", [Flora, COAP, CompAct, GradientNoise])
def test_every_rule_learns_by_them(rule, make):
    more = {"forward_forward": {"threshold": 0.4}, "equilibrium": {"loss": MeanSquare()}}
    names = make.__dataclass_fields__
    settings = {"rank": 2, "every": 2} if "rank" in names else {"eta": 1e-4}
    algorithm = RULES[rule](optimizer=make(rate=0.01, **settings), **more.get(rule, {}))
    on = placed(algorithm)
    before = {name: d.matrix() for name, d in on.devices.items() if name.startswith("weight")}
    x, target = batch()
    for _ in range(3):
        with on.ledger.step("train", samples=10):
            assert np.isfinite(algorithm.step(on, x, target))
    after = {name: on[name].matrix() for name in before}
    assert all(np.isfinite(w).all() for w in after.values())
    assert any((after[name] != before[name]).any() for name in before)


# ---- what is kept -------------------------------------------------------------------------


def test_compact_keeps_projections_alone_while_it_learns_and_all_while_it_answers(monkeypatch):
    algorithm = Backprop(optimizer=CompAct(rank=3))
    on, seen = placed(algorithm), []
    learn = Backprop.learn
    monkeypatch.setattr(
        Backprop,
        "learn",
        lambda self, on, passed, *a: (
            seen.append(passed),
            learn(self, on, passed, *a),
        ),  # fmt: skip
    )
    x, target = batch()
    with on.ledger.step("train", samples=10):
        algorithm.step(on, x, target)
    assert [type(kept) for kept in seen[0].inputs] == [Compressed] * 3
    assert sum(kept.z.size for kept in seen[0].inputs) == 10 * 3 * 3  # in place of 10 (12 + 9 + 7)
    with on.ledger.step("evaluate", samples=10):
        algorithm.predict(on, x)
    [step] = [s for s in on.ledger.steps if s.kind == "evaluate"]
    assert {op.device.split("/")[0] for op in step.ops} == {"weight", "host"}


@pytest.mark.parametrize("weight", [Ideal, TorchMatrix])
def test_inputs_kept_whole_or_compressed_teach_the_same(monkeypatch, weight):
    if weight is TorchMatrix:
        pytest.importorskip("torch")
    algorithm = Backprop(optimizer=CompAct(rank=3, every=2))
    found = []
    for whole in (False, True):
        monkeypatch.setattr(Backprop, "keeps_inputs", whole)
        on = placed(algorithm, weight=weight, projection=weight)
        x, target = (on.array(a) for a in batch())
        for _ in range(5):
            with on.ledger.step("train", samples=10):
                algorithm.step(on, x, target)
        found.append([on[f"weight/{k}"].matrix() for k in (1, 2, 3)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("make", LOW_RANK)
def test_weights_in_torch_learn_as_those_in_numpy_do(make):
    pytest.importorskip("torch")
    algorithm, found = Backprop(optimizer=make(rank=3, every=2)), []
    for kind in (Ideal, TorchMatrix):
        on = placed(algorithm, weight=kind, projection=kind)
        x, target = (on.array(a) for a in batch())
        for _ in range(5):
            with on.ledger.step("train", samples=10):
                algorithm.step(on, x, target)
        found.append([on[f"weight/{k}"].matrix() for k in (1, 2, 3)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize("make", LOW_RANK)
def test_memory_is_of_the_rank(make):
    algorithm = Backprop(optimizer=make(rank=2))
    on = placed(algorithm)
    x, target = batch()
    with on.ledger.step("train", samples=10):
        algorithm.step(on, x, target)
    kept = {k: v.size for k, v in on.digital.items() if "bias" not in k and v.ndim == 2}
    moments = 1 if make is Flora else 2
    assert sum(kept.values()) == moments * 2 * (9 + 7 + 4)


def test_a_gradient_of_nothing_leaves_a_written_projection_as_it_is():
    for make in (GaLore, COAP):
        optimizer = make(rank=4)
        on = placed(Backprop(optimizer=optimizer), ONE)
        before = on["projection/1"].matrix()
        optimizer.descend(on, "weight/1", np.zeros((M, N), np.float32), 1.0)
        np.testing.assert_array_equal(on["projection/1"].matrix(), before)
        assert np.isfinite(on["weight/1"].matrix()).all()


# ---- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", LOW_RANK)
def test_a_rank_beyond_a_layer_s_inputs_is_refused(make):
    with pytest.raises(ValueError, match=r"rank takes at most 7, the inputs of weight/3 \(4, 7\)"):
        Backprop(optimizer=make(rank=8)).demands(DENSE)


@pytest.mark.parametrize(
    ("make", "settings", "says"),
    [
        *[(make, {"rank": 0}, "rank takes a whole number from 1, got 0") for make in LOW_RANK],
        *[(make, {"every": 0}, "every takes a whole number from 1, got 0") for make in LOW_RANK],
        (Flora, {"beta": 1.0}, "beta takes a number from 0 to below 1, got 1.0"),
        (Flora, {"rate": 0.0}, "rate takes a finite number above 0, got 0.0"),
        (GaLore, {"scale": 0.0}, "scale takes a finite number above 0, got 0.0"),
        (GaLore, {"beta2": 1.0}, "beta2 takes a number from 0 to below 1, got 1.0"),
        (COAP, {"recompute": 0}, "recompute takes a whole number from 1, got 0"),
        (CompAct, {"inner": "rms"}, 'inner takes "adam" or "sgd", got \'rms\''),
    ],
)
def test_settings_out_of_range_are_named(make, settings, says):
    with pytest.raises(ValueError, match=says):
        make(**settings)


def test_every_optimizer_has_a_name_in_a_file():
    assert {Flora, GaLore, COAP, CompAct, GradientNoise} <= set(OPTIMIZERS.values())
    assert all(issubclass(OPTIMIZERS[name], LowRank) for name in ("flora", "galore", "coap"))
