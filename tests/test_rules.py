"""Rules without backpropagation: each against its own objective, estimates against the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.algorithms import (
    DFA,
    DRTP,
    PEPITA,
    RULES,
    SGD,
    ActivityGradient,
    Algorithm,
    Backprop,
    CascadedForward,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    ForwardGradient,
    LikelihoodRatio,
    MeanSquare,
    MonoForward,
    ScalableForwardForward,
    SignDFA,
    SyntheticGradient,
    TargetProjection,
    ZerothOrder,
)
from hwloop.algorithms.private import Private
from hwloop.devices import OPU, Can, Ideal, Seed, TorchMatrix, Unable
from hwloop.mappings import Convolve, Network, Placement, build, place

torch = pytest.importorskip("torch")
F = torch.nn.functional
DENSE = build((12,), 4, [9, 7])
CONVOLUTION = build((6, 6, 2), 4, [Convolve(3, 3, 2, 1), Convolve(2, 2), 8])
ONE = SGD(rate=1.0)


def placed(algorithm: Algorithm, network: Network = DENSE, seed: int = 3, **kinds) -> Placement:
    kinds = {"weight": Ideal, "feedback": Ideal, **kinds}
    demands = algorithm.demands(network)
    wanted = {key for d in demands for key in (d.role, d.like)}
    on = {
        role: lambda d, ledger, seed, cls=cls: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )
        for role, cls in kinds.items()
        if role in wanted
    }
    on = place(network, demands, on, "ideal", Seed(seed))
    draw = np.random.default_rng(seed)
    for name, value in on.digital.items():
        if name.startswith("bias"):
            value += on.array(draw.normal(size=len(value)).astype(np.float32) / 3)
    return on


def batch(network: Network, samples: int = 10, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(samples, network.layers[0].width_in)).astype(np.float32)
    classes = network.layers[-1].width_out
    return x, np.eye(classes, dtype=np.float32)[draw.integers(classes, size=samples)]


def changes(algorithm: Algorithm, on: Placement, x, target) -> dict[str, np.ndarray]:
    """Take one step and return what it took off every matrix and bias."""
    before = {name: device.matrix() for name, device in on.devices.items()}
    biases = {n: np.array(b) for n, b in on.digital.items() if n.startswith("bias")}
    with on.ledger.step("train", samples=len(x)):
        assert np.isfinite(algorithm.step(on, x, target))
    moved = {name: before[name] - device.matrix() for name, device in on.devices.items()}
    return moved | {name: b - np.asarray(on.digital[name]) for name, b in biases.items()}


def said(algorithm: Algorithm, on: Placement, x) -> np.ndarray:
    with on.ledger.step("evaluate", samples=len(x)):
        return np.asarray(algorithm.predict(on, x))


def leaves(on: Placement) -> dict[str, torch.Tensor]:
    """Return matrices and biases as float64 tensors that gradients can be had of."""
    arrays = {n: d.matrix() for n, d in on.devices.items()}
    arrays |= {n: b for n, b in on.digital.items() if n.startswith("bias")}
    return {
        n: torch.tensor(np.asarray(a), dtype=torch.float64, requires_grad=True)
        for n, a in arrays.items()
    }


def dense(p: dict[str, torch.Tensor], h: torch.Tensor, k: int, last: bool = False) -> torch.Tensor:
    z = h @ p[f"weight/{k}"].T + p[f"bias/{k}"]
    return z if last else torch.tanh(z)


def assert_descends(moved: dict[str, np.ndarray], p: dict[str, torch.Tensor], loss) -> None:
    """Assert that a step at rate 1 took the gradient of `loss` off whatever `loss` depends on."""
    for tensor in p.values():
        tensor.grad = None
    loss.backward()
    for name, tensor in p.items():
        if tensor.grad is not None:
            np.testing.assert_allclose(moved[name], tensor.grad.numpy(), atol=3e-6, err_msg=name)


# ---- errors that go back ----------------------------------------------------------------


def test_feedback_alignment_is_backprop_where_the_feedback_is_the_transpose():
    x, target = batch(CONVOLUTION)
    theirs = placed(Backprop(optimizer=ONE), CONVOLUTION)
    ours = placed(FeedbackAlignment(optimizer=ONE), CONVOLUTION)
    for k in range(2, CONVOLUTION.depth + 1):
        ours[f"feedback/{k}"].program(ours[f"weight/{k}"].matrix().T)
    expected = changes(Backprop(optimizer=ONE), theirs, x, target)
    got = changes(FeedbackAlignment(optimizer=ONE), ours, x, target)
    for name, change in expected.items():
        np.testing.assert_allclose(got[name], change, atol=1e-6)


def test_sign_concordant_feedback_has_the_signs_of_the_weights_and_its_own_magnitudes():
    sizes: dict[str, list[np.ndarray]] = {}
    for signs in ("uniform", "batchwise", "fixed"):
        algorithm = FeedbackAlignment(signs=signs)
        on = placed(algorithm)
        for _ in range(2):
            w = on["weight/2"].matrix()
            changes(algorithm, on, *batch(DENSE))
            b = on["feedback/2"].matrix()
            np.testing.assert_array_equal(np.sign(b), np.sign(w.T))
            sizes.setdefault(signs, []).append(np.abs(b))
    assert np.ptp(sizes["uniform"][0]) == 0
    assert (sizes["batchwise"][0] != sizes["batchwise"][1]).all()
    np.testing.assert_array_equal(sizes["fixed"][0], sizes["fixed"][1])


def test_the_shared_projection_serves_each_layer_from_its_first_units():
    algorithm = DFA(optimizer=ONE, shared=True)
    on = placed(algorithm)
    assert on["feedback"].matrix().shape == (9, 4)
    apart = placed(DFA(optimizer=ONE))
    b = on["feedback"].matrix()
    apart["feedback"].program(np.concatenate([b, b[:7]]))
    x, target = batch(DENSE)
    expected = changes(DFA(optimizer=ONE), apart, x, target)
    got = changes(algorithm, on, x, target)
    for k in (1, 2, 3):
        np.testing.assert_allclose(got[f"weight/{k}"], expected[f"weight/{k}"], atol=1e-6)


def test_sign_dfa_projects_the_signs():
    algorithm = SignDFA()
    on = placed(algorithm)
    e = np.array([[0.1, -0.9, 0.5, 0.3]], np.float32)
    expected = np.sign(e) @ on["feedback"].matrix().T
    np.testing.assert_allclose(algorithm.project(on, e), expected, atol=1e-6)


# ---- labels that go forward -------------------------------------------------------------


def test_drtp_teaches_hidden_layers_minus_the_projected_label():
    on = placed(DRTP(optimizer=ONE))
    x, target = batch(DENSE)
    p, b = leaves(on), torch.tensor(on["feedback"].matrix(), dtype=torch.float64)
    t = torch.tensor(target, dtype=torch.float64)
    moved = changes(DRTP(optimizer=ONE), on, x, target)
    h1 = dense(p, torch.tensor(x, dtype=torch.float64), 1)
    h2 = dense(p, h1.detach(), 2)
    # the label's projection is a constant slope at the units: the loss is minus their product
    linear = -(h1 * (t @ b[:9].T)).sum() - (h2 * (t @ b[9:].T)).sum()
    out = F.cross_entropy(dense(p, h2.detach(), 3, last=True), t, reduction="sum")
    assert_descends(moved, p, (linear + out) / 10)


class Steep(TargetProjection):
    """A local loss of one's own: log cosh of the difference."""

    def local_slope(self, units, target):
        return np.tanh(units - target)


@pytest.mark.parametrize(
    ("algorithm", "local"),
    [
        (TargetProjection(optimizer=ONE), lambda apart: 0.5 * apart**2),
        (TargetProjection(optimizer=ONE, local_loss="absolute"), torch.abs),
        (Steep(optimizer=ONE), lambda apart: torch.log(torch.cosh(apart))),
    ],
    ids=["square", "absolute", "own"],
)
def test_target_projection_descends_its_local_losses(algorithm, local):
    on = placed(algorithm)
    x, target = batch(DENSE)
    p, b = leaves(on), torch.tensor(on["feedback"].matrix(), dtype=torch.float64)
    t = torch.tensor(target, dtype=torch.float64)
    moved = changes(algorithm, on, x, target)
    h1 = dense(p, torch.tensor(x, dtype=torch.float64), 1)
    h2 = dense(p, h1.detach(), 2)
    loss = F.cross_entropy(dense(p, h2.detach(), 3, last=True), t, reduction="sum")
    for h, part in ((h1, b[:9]), (h2, b[9:])):
        apart = h - torch.tanh(t @ part.T)
        loss = loss + local(apart).sum()
    assert_descends(moved, p, loss / 10)


def test_pepita_follows_its_rule():
    algorithm = PEPITA(optimizer=ONE, modulation=20.0)
    on = placed(algorithm)
    x, target = batch(DENSE)
    w = [on[f"weight/{k}"].matrix() for k in (1, 2, 3)]
    b = [on.digital[f"bias/{k}"].copy() for k in (1, 2, 3)]
    f = on["feedback"].matrix()
    assert f.shape == (12, 4)

    def run(h):
        states = [h]
        for k in (0, 1):
            states.append(np.tanh(states[-1] @ w[k].T + b[k]))
        z = states[-1] @ w[2].T + b[2]
        e = np.exp(z - z.max(1, keepdims=True))
        return states, e / e.sum(1, keepdims=True) - target

    first, error = run(x)
    second, late = run(x + 20.0 * error @ f.T)
    moved = changes(algorithm, on, x, target)
    for k in (1, 2):
        expected = (first[k] - second[k]).T @ second[k - 1] / 10
        np.testing.assert_allclose(moved[f"weight/{k}"], expected, atol=2e-6)
    np.testing.assert_allclose(moved["weight/3"], late.T @ second[2] / 10, atol=2e-6)


# ---- losses of one's own ----------------------------------------------------------------


def test_mono_forward_descends_the_loss_of_every_head():
    algorithm = MonoForward(optimizer=ONE)
    on = placed(algorithm)
    x, target = batch(DENSE)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    moved = changes(algorithm, on, x, target)
    h1 = dense(p, torch.tensor(x, dtype=torch.float64), 1)
    h2 = dense(p, h1.detach(), 2)
    heads = [h1 @ p["head/1"].T, dense(p, h2, 3, last=True)]
    assert_descends(moved, p, sum(F.cross_entropy(s, t) for s in heads))


def test_cascaded_forward_descends_in_its_heads_alone_and_all_of_them_vote():
    algorithm = CascadedForward(optimizer=ONE)
    on = placed(algorithm)
    x, target = batch(DENSE)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    h1 = dense(p, torch.tensor(x, dtype=torch.float64), 1).detach()
    h2 = dense(p, h1, 2).detach()
    heads = [h1 @ p["head/1"].T, dense(p, h2, 3, last=True)]
    votes = sum(torch.softmax(s, 1) for s in heads).detach().numpy()
    np.testing.assert_allclose(said(algorithm, on, x), votes, atol=1e-5)
    moved = changes(algorithm, on, x, target)
    assert not moved["weight/1"].any()
    assert not moved["weight/2"].any()
    assert_descends(moved, p, sum(F.cross_entropy(s, t) for s in heads))


def test_closed_heads_are_the_ridge_regression_of_all_that_was_seen():
    algorithm = CascadedForward(heads="closed", ridge=0.3)
    on = placed(algorithm)
    seen, wanted = [], []
    for seed in range(5):
        x, target = batch(DENSE, 10, seed)
        with on.ledger.step("evaluate", samples=10):
            h1 = algorithm.forward(on, x).outputs[0].astype(np.float64)
        seen.append(h1)
        wanted.append(target)
        changes(algorithm, on, x, target)
    h, y = np.concatenate(seen), np.concatenate(wanted)
    expected = np.linalg.solve(h.T @ h + 0.3 * np.eye(9), h.T @ y).T
    np.testing.assert_allclose(on["head/1"].matrix(), expected, atol=1e-5)


def test_trained_blocks_of_cascaded_forward_learn_as_dfa_does():
    on, theirs = placed(CascadedForward(optimizer=ONE, blocks="dfa")), placed(DFA(optimizer=ONE))
    x, target = batch(DENSE)
    got = changes(CascadedForward(optimizer=ONE, blocks="dfa"), on, x, target)
    expected = changes(DFA(optimizer=ONE), theirs, x, target)
    for k in (1, 2, 3):
        np.testing.assert_allclose(got[f"weight/{k}"], expected[f"weight/{k}"], atol=1e-6)


def unit(h: torch.Tensor) -> torch.Tensor:
    return h / ((h**2).mean(1, keepdim=True).sqrt() + 1e-4)


def test_forward_forward_descends_the_loss_of_its_goodness():
    algorithm = ForwardForward(optimizer=ONE, threshold=0.4, label=3.0)
    on = placed(algorithm)
    x, target = batch(DENSE)
    p = leaves(on)
    moved = changes(algorithm, on, x, target)
    wrong = algorithm._wrong(on, target)
    assert (wrong.argmax(1) != target.argmax(1)).all()
    total = 0.0
    for label, sign in ((target, 1), (wrong, -1)):
        h = torch.tensor(np.concatenate([3 * label, x[:, 4:]], 1), dtype=torch.float64)
        for k in (1, 2):
            h = dense(p, unit(h.detach()), k)
            total = total + F.softplus(sign * (0.4 - (h**2).mean(1))).sum() / 10
    assert_descends(moved, p, total)


def test_forward_forward_answers_with_the_label_that_all_layers_respond_to_most():
    algorithm = ForwardForward(threshold=0.4, label=3.0)
    on = placed(algorithm)
    x, _ = batch(DENSE)
    p = leaves(on)
    expected = []
    for c in range(4):
        label = 3 * np.eye(4)[[c] * 10]
        h = torch.tensor(np.concatenate([label, x[:, 4:]], 1), dtype=torch.float64)
        score = 0.0
        for k in (1, 2):
            h = dense(p, unit(h), k)
            score = score + (h**2).mean(1)
        expected.append(score.detach().numpy())
    np.testing.assert_allclose(said(algorithm, on, x), np.stack(expected, 1), atol=1e-5)


@pytest.mark.parametrize("network", [DENSE, CONVOLUTION], ids=["dense", "convolution"])
def test_scalable_forward_forward_descends_the_loss_of_every_class_s_goodness(network):
    algorithm = ScalableForwardForward(optimizer=ONE, threshold=0.4)
    on = placed(algorithm, network)
    x, target = batch(network)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    moved = changes(algorithm, on, x, target)
    h, total = x.astype(np.float32), 0.0
    for k, layer in enumerate(network.hidden, 1):
        if k > 1:
            h = h - h.mean(1, keepdims=True)
            h = h / np.sqrt((h**2).mean(1, keepdims=True) + 1e-5)
        rows = torch.tensor(layer.gather(h), dtype=torch.float64)
        units = dense(p, rows, k)
        channels = (units @ p[f"head/{k}"].T).reshape(10, layer.rows_per_sample, 4)
        goodness = (channels**2).mean(1)
        right = F.softplus(0.4 - goodness) * t
        wrong = F.softplus(goodness - 0.4) * (1 - t) / 3
        total = total + (right + wrong).sum() / 10
        h = layer.scatter(units.detach().numpy().astype(np.float32))
    assert_descends(moved, p, total)


def test_synthetic_slopes_teach_at_once_and_descend_to_what_is_sent_down():
    algorithm = SyntheticGradient(optimizer=ONE)
    on = placed(algorithm)
    draw = np.random.default_rng(0)
    for k, shape in ((1, (9, 13)), (2, (7, 11))):
        assert not on[f"head/{k}"].matrix().any()
        on[f"head/{k}"].program(draw.normal(size=shape).astype(np.float32) / 3)
    x, target = batch(DENSE)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    moved = changes(algorithm, on, x, target)
    h1 = dense(p, torch.tensor(x, dtype=torch.float64), 1)
    h2 = dense(p, h1.detach(), 2)
    z3 = dense(p, h2.detach(), 3, last=True)
    s1 = torch.cat([h1.detach(), t], 1) @ p["head/1"].T
    s2 = torch.cat([h2.detach(), t], 1) @ p["head/2"].T
    sent2 = ((torch.softmax(z3, 1) - t) @ p["weight/3"]).detach()
    sent1 = ((s2 * (1 - h2**2)) @ p["weight/2"]).detach()
    models = 0.5 * ((s1 - sent1) ** 2).sum() + 0.5 * ((s2 - sent2) ** 2).sum()
    layers = (h1 * s1.detach()).sum() + (h2 * s2.detach()).sum()
    loss = models + layers + F.cross_entropy(z3, t, reduction="sum")
    assert_descends(moved, p, loss / 10)


# ---- estimates of the gradient ----------------------------------------------------------

SMALL = build((5,), 3, [4])


@pytest.mark.parametrize(
    ("algorithm", "draws"),
    [
        (ForwardGradient(optimizer=ONE), 2000),
        (ActivityGradient(optimizer=ONE), 1000),
        (LikelihoodRatio(optimizer=ONE, noise=0.02), 1000),
        (ZerothOrder(optimizer=ONE, shift=0.003), 2000),
        (ZerothOrder(optimizer=ONE, shift=0.003, direction="gaussian"), 2000),
    ],
    ids=["weights", "activities", "likelihood", "spsa", "mezo"],
)
def test_estimates_have_the_gradient_as_their_mean(algorithm, draws):
    x, target = batch(SMALL)
    expected = changes(Backprop(optimizer=ONE), placed(Backprop(), SMALL), x, target)
    on = placed(algorithm, SMALL)
    state = {name: np.array(value) for name, value in on.state().items()}
    found: dict[str, list[np.ndarray]] = {}
    for step in range(draws):
        on.restore(state | {"steps": np.array([step])})
        on.digital = {n: a for n, a in on.digital.items() if not n.startswith("copy")}
        for name, change in changes(algorithm, on, x, target).items():
            found.setdefault(name, []).append(change)
    for k in (1, 2):
        for name in (f"weight/{k}", f"bias/{k}"):
            each = np.array(found[name], np.float64)
            error = each.std(0) / np.sqrt(draws) + 2e-4  # and what float32 losses can resolve
            assert (np.abs(each.mean(0) - expected[name]) < 5 * error).all(), name


def test_the_equilibrium_rule_is_the_gradient_of_the_free_state_s_error():
    network = build((6,), 3, [5, 4])
    algorithm = EquilibriumPropagation(
        loss=MeanSquare(), optimizer=ONE, beta=0.05, settle=200, nudge=200
    )
    on = placed(algorithm, network)
    x, target = batch(network)

    def cost() -> float:
        answer = said(algorithm, on, x).astype(np.float64)
        return float(0.5 * ((answer - target) ** 2).sum(1).mean())

    expected = {}
    tried = {"weight/1": [(0, 1), (3, 4)], "weight/2": [(1, 2)], "weight/3": [(2, 0)]}
    for name, entries in tried.items():
        w = on[name].matrix()
        for entry in entries:
            costs = []
            for by in (0.05, -0.05):
                shifted = w.copy()
                shifted[entry] += by
                on[name].program(shifted)
                costs.append(cost())
            on[name].program(w)
            expected[name, entry] = (costs[0] - costs[1]) / 0.1
    moved = changes(algorithm, on, x, target)
    for (name, entry), slope in expected.items():
        assert moved[name][entry] == pytest.approx(slope, abs=2e-3, rel=0.03), (name, entry)


# ---- all of them ------------------------------------------------------------------------


def settled(rule: str) -> Algorithm:
    """Return a rule with what it needs to run on the networks of these tests."""
    more = {"forward_forward": {"threshold": 0.4}, "equilibrium": {"loss": MeanSquare()}}
    return RULES[rule](**more.get(rule, {}))


POOLING = build((9, 7, 2), 4, [Convolve(3, 2, pool=3), Convolve(2, 2), 8])


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("weight", [Ideal, TorchMatrix], ids=["numpy", "torch"])
@pytest.mark.parametrize("network", [CONVOLUTION, POOLING], ids=["strides", "pooling"])
def test_every_rule_runs_on_convolutions(rule, weight, network):
    algorithm = settled(rule)
    if rule == "equilibrium" and network is POOLING:
        with pytest.raises(ValueError, match="convolutions without pooling"):
            algorithm.demands(network)
        return
    on = placed(algorithm, network, weight=weight)
    x, target = (on.array(a) for a in batch(network))
    with on.ledger.step("train", samples=10):
        assert np.isfinite(algorithm.step(on, x, target))
    assert said(algorithm, on, x).shape == (10, 4)


EARLY = {
    "drtp",
    "tpsgd",
    "mono_forward",
    "cascaded_forward",
    "forward_forward",
    "scalable_ff",
    "synthetic_gradient",
}
"""Rules whose first layer learns before the output is known."""


PASSES = {"frozen", "equilibrium", "zeroth_order", "quantized_zeroth_order"}
"""Rules whose first layer does not learn, or whose output passes have names of their own."""


@pytest.mark.parametrize("rule", sorted(set(RULES) - PASSES))
def test_only_rules_that_need_the_output_wait_for_it(rule):
    algorithm = settled(rule)
    on = placed(algorithm)
    with on.ledger.step("train", samples=10):
        algorithm.step(on, *batch(DENSE))
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    after = dict(step.after)

    def waits(stage: str) -> set[str]:
        return {stage}.union(*(waits(earlier) for earlier in after[stage]))

    first = next(s for s in ("update/1", "update/head/1") if s in after)
    assert "forward/1" in waits(first)
    needs_output = bool({"error", "noise/1/0/plus/loss"} & waits(first))
    assert needs_output == (rule not in EARLY)


@pytest.mark.parametrize(
    ("make", "network", "says"),
    [
        (lambda: FeedbackAlignment(signs="some"), DENSE, "signs takes"),
        (lambda: TargetProjection(local_loss="huber"), DENSE, "local_loss takes"),
        (lambda: CascadedForward(ridge=0), DENSE, "ridge takes a number above 0, got 0"),
        (lambda: ForwardForward(), DENSE, "threshold takes less than 1 under tanh"),
        (lambda: ForwardForward(label=0), DENSE, "label takes a number above 0, got 0"),
        (lambda: ForwardForward(threshold=0.5), build((4,), 4, [9]), "first 4 features, and the"),
        (lambda: ForwardForward(threshold=0.5), build((9,), 4, []), "this network has none"),
        (lambda: EquilibriumPropagation(), DENSE, 'loss takes "mean_square"'),
        (lambda: EquilibriumPropagation(beta=1.0), DENSE, "beta takes a number between 0 and 1"),
        (lambda: LikelihoodRatio(noise=0), DENSE, "noise takes a number above 0"),
        (lambda: ZerothOrder(shift=-1), DENSE, "shift takes a number above 0"),
        (
            lambda: MonoForward(private=Private(1.0)),
            DENSE,
            "MonoForward learns by more than sums over samples",
        ),
        (
            lambda: CascadedForward(heads="closed"),
            build((3,), 2, [9000]),
            "take layers of 8192 units at most, this network has 9000",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_placed(make, network, says):
    with pytest.raises(ValueError, match=says):
        make().demands(network)


def test_an_opu_carries_whatever_is_only_multiplied_and_refuses_the_rest():
    for rule in ("feedback_alignment", "dfa", "sign_dfa", "ternary_dfa", "drtp", "pepita"):
        feedback = [d for d in RULES[rule]().demands(DENSE) if d.role == "feedback"]
        assert all(d.needs == Can.MULTIPLY for d in feedback)
    with pytest.raises(Unable, match="feedback/2 needs PROGRAM; OPU can MULTIPLY"):
        placed(FeedbackAlignment(signs="uniform"), feedback=OPU)


@pytest.mark.filterwarnings("ignore")  # BioTorch's hooks are deprecated
def test_dfa_has_biotorch_s_gradients():
    pytest.importorskip("biotorch", reason="pip install --no-deps biotorch")
    from biotorch.module.biomodule import BioModule

    x, target = batch(DENSE)
    on = placed(DFA(optimizer=ONE))
    layers = []
    for k, (n_out, n_in) in enumerate(((9, 12), (7, 9), (4, 7)), 1):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.Tanh()]
        layers[-2].weight.data = torch.tensor(on[f"weight/{k}"].matrix())
        layers[-2].bias.data = torch.tensor(on.digital[f"bias/{k}"])
    theirs = BioModule(torch.nn.Sequential(*layers[:-1]), mode="dfa", output_dim=4)
    linear = [m for m in theirs.modules() if hasattr(m, "weight_backward")]
    b = torch.tensor(on["feedback"].matrix())
    linear[1].weight_backward.data, linear[2].weight_backward.data = b[:9].T, b[9:].T
    wanted = torch.tensor(target.argmax(1))
    said = theirs(torch.tensor(x), wanted, F.cross_entropy)
    F.cross_entropy(said, wanted).backward()
    moved = changes(DFA(optimizer=ONE), on, x, target)
    for k, layer in enumerate(linear, 1):
        np.testing.assert_allclose(moved[f"weight/{k}"], layer.weight.grad.numpy(), atol=1e-6)
        np.testing.assert_allclose(moved[f"bias/{k}"], layer.bias.grad.numpy(), atol=1e-6)
