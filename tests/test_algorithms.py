"""Algorithms: gradients against torch's, rules against their formulas, counts against theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from hwloop.algorithms import (
    DFA,
    SGD,
    Adam,
    Algorithm,
    Backprop,
    Frozen,
    MeanSquare,
    TernaryDFA,
    signed_masks,
    stochastic_masks,
    ternarise,
)
from hwloop.devices import OPU, Can, Ideal, Seed, Unable
from hwloop.mappings import Convolve, Network, Placement, build, place

torch = pytest.importorskip("torch")
rng = np.random.default_rng(4)
DENSE = build((12,), 4, [9, 7])


def placed(algorithm: Algorithm, network: Network = DENSE, **kinds) -> Placement:
    kinds = {"weight": Ideal, "feedback": Ideal, **kinds}
    demands = algorithm.demands(network)
    roles = {d.role for d in demands}
    on = {
        role: lambda d, ledger, seed, cls=cls: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )
        for role, cls in kinds.items()
        if role in roles and cls is not None
    }
    return place(network, demands, on, "ideal", Seed(3))


def batch(network: Network, samples: int = 10) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(samples, network.layers[0].width_in)).astype(np.float32)
    classes = network.layers[-1].width_out
    return x, np.eye(classes, dtype=np.float32)[rng.integers(classes, size=samples)]


def autograd(on: Placement, x, target, loss: str, mask=None) -> tuple[float, dict]:
    """Return the loss and every gradient, by torch, of what the placement holds."""
    p = {
        f"{kind}/{k}": torch.tensor(a, dtype=torch.float64, requires_grad=True)
        for k in range(1, on.network.depth + 1)
        for kind, a in (
            ("weight", on[f"weight/{k}"].matrix()),
            ("bias", np.asarray(on.digital[f"bias/{k}"])),
        )
    }
    h = torch.tensor(x, dtype=torch.float64)
    for k, layer in enumerate(on.network.layers, 1):
        if layer.rows_per_sample > 1 or hasattr(layer, "channels_in"):
            image = h.reshape(-1, layer.height, layer.width, layer.channels_in).permute(0, 3, 1, 2)
            w = p[f"weight/{k}"].reshape(
                layer.channels_out, layer.kernel, layer.kernel, layer.channels_in
            )
            z = torch.nn.functional.conv2d(
                image,
                w.permute(0, 3, 1, 2),
                p[f"bias/{k}"],
                stride=layer.stride,
                padding=layer.padding,
            ).permute(0, 2, 3, 1)
            z = z.reshape(len(x), -1)
        else:
            if hasattr(layer, "adjacency"):
                h = torch.tensor(layer.adjacency.toarray(), dtype=torch.float64) @ h
            z = h @ p[f"weight/{k}"].T + p[f"bias/{k}"]
        h = z if layer.activation == "identity" else getattr(torch, layer.activation)(z)
        if getattr(layer, "pool", 1) > 1:
            image = h.reshape(len(x), layer.height_out, layer.across_out, -1).permute(0, 3, 1, 2)
            pooled = torch.nn.functional.avg_pool2d(image, layer.pool)
            h = pooled.permute(0, 2, 3, 1).reshape(len(x), -1)
    t = torch.tensor(target, dtype=torch.float64)
    if loss == "cross_entropy":
        each = -(torch.log_softmax(h, 1) * t).sum(1)
    else:
        each = 0.5 * ((h - t) ** 2).sum(1)
    share = 1.0 if mask is None else torch.tensor(mask / mask.mean(), dtype=torch.float64)
    total = (each * share).mean()
    total.backward()
    return float(total.detach()), {name: a.grad.numpy() for name, a in p.items()}


NETWORKS = {
    "dense": DENSE,
    "relu": build((12,), 4, [9, 7], "relu"),
    "sigmoid": build((12,), 4, [9], "sigmoid"),
    "linear": build((12,), 4, []),
    "convolution": build((6, 6, 2), 4, [Convolve(3, 3, 2, 1), Convolve(2, 2), 8], "tanh"),
    "pooling": build((9, 7, 2), 4, [Convolve(3, 2, pool=3), Convolve(2, 2), 8], "tanh"),
    "graph": build(
        (5,), 3, [6, 6], adjacency=csr_array(np.float32(0.3) * (rng.random((10, 10)) < 0.5))
    ),
}


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_square"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_backprop_is_autograd(name, loss):
    network = NETWORKS[name]
    more = {"loss": MeanSquare()} if loss == "mean_square" else {}
    algorithm = Backprop(optimizer=SGD(rate=1.0), **more)
    on = placed(algorithm, network)
    x, target = batch(network)
    mask = (np.arange(10) % 3 > 0).astype(np.float32) if name == "graph" else None
    expected, gradients = autograd(on, x, target, loss, mask)
    before = {n: on[n].matrix() for n in on.devices}
    biases = {n: b.copy() for n, b in on.digital.items()}
    with on.ledger.step("train", samples=10):
        got = algorithm.step(on, x, target, mask)
    assert got == pytest.approx(expected, rel=1e-5)
    for k in range(1, network.depth + 1):
        step = before[f"weight/{k}"] - on[f"weight/{k}"].matrix()
        np.testing.assert_allclose(step, gradients[f"weight/{k}"], atol=2e-6)
        shift = biases[f"bias/{k}"] - on.digital[f"bias/{k}"]
        np.testing.assert_allclose(shift, gradients[f"bias/{k}"], atol=2e-6)


def test_dfa_follows_its_rule():
    algorithm = DFA(optimizer=SGD(rate=1.0))
    on = placed(algorithm)
    x, target = batch(DENSE)
    w = [on[f"weight/{k}"].matrix() for k in (1, 2, 3)]
    b = on["feedback"].matrix()
    assert b.shape == (16, 4)
    h1 = np.tanh(x @ w[0].T)
    h2 = np.tanh(h1 @ w[1].T)
    z = h2 @ w[2].T
    e = np.exp(z) / np.exp(z).sum(1, keepdims=True) - target
    d1 = (e @ b[:9].T) * (1 - h1**2)
    d2 = (e @ b[9:].T) * (1 - h2**2)
    with on.ledger.step("train", samples=10):
        algorithm.step(on, x, target)
    for k, (d, h) in enumerate([(d1, x), (d2, h1), (e, h2)], 1):
        step = w[k - 1] - on[f"weight/{k}"].matrix()
        np.testing.assert_allclose(step, d.T @ h / 10, atol=1e-6)
        np.testing.assert_allclose(-on.digital[f"bias/{k}"], d.mean(0), atol=1e-6)
    np.testing.assert_array_equal(on["feedback"].matrix(), b)


def test_dfa_equals_backprop_where_there_is_nothing_hidden():
    states = []
    for rule in (DFA, Backprop, Frozen, TernaryDFA):
        on = placed(rule(), NETWORKS["linear"])
        x, target = np.ones((3, 12), np.float32), np.eye(4, dtype=np.float32)[:3]
        with on.ledger.step("train", samples=3):
            rule().step(on, x, target)
        states.append(on["weight/1"].matrix())
    assert all((s == states[0]).all() for s in states)


def test_frozen_leaves_hidden_layers_alone_and_they_need_no_writing():
    algorithm = Frozen()
    on = placed(algorithm)
    before = [on[f"weight/{k}"].matrix() for k in (1, 2, 3)]
    x, target = batch(DENSE)
    with on.ledger.step("train", samples=10):
        algorithm.step(on, x, target)
    moved = [(on[f"weight/{k}"].matrix() != w).any() for k, w in enumerate(before, 1)]
    assert moved == [False, False, True]
    assert [d.needs for d in algorithm.demands(DENSE)][:2] == [Can.MULTIPLY] * 2


@pytest.mark.parametrize("optimizer", [SGD(rate=0.1, momentum=0.9), Adam(rate=0.01)])
def test_optimizers_with_a_memory_are_torchs(optimizer):
    algorithm = Backprop(optimizer=optimizer)
    on = placed(algorithm)
    p = {
        name: torch.tensor(a.copy(), requires_grad=True)
        for k in (1, 2, 3)
        for name, a in (
            (f"weight/{k}", on[f"weight/{k}"].matrix()),
            (f"bias/{k}", on.digital[f"bias/{k}"]),
        )
    }
    if isinstance(optimizer, SGD):
        theirs = torch.optim.SGD(p.values(), lr=0.1, momentum=0.9)
    else:
        theirs = torch.optim.Adam(p.values(), lr=0.01)
    for _ in range(8):
        x, target = batch(DENSE)
        _, gradients = autograd(on, x, target, "cross_entropy")
        for name, tensor in p.items():
            tensor.grad = torch.tensor(gradients[name], dtype=torch.float32)
        theirs.step()
        with on.ledger.step("train", samples=10):
            algorithm.step(on, x, target)
    for k in (1, 2, 3):
        np.testing.assert_allclose(
            on[f"weight/{k}"].matrix(), p[f"weight/{k}"].detach().numpy(), atol=2e-5
        )
        np.testing.assert_allclose(
            on.digital[f"bias/{k}"], p[f"bias/{k}"].detach().numpy(), atol=2e-5
        )


def test_ternarise_relative_and_fixed():
    e = np.array([[0.5, -0.1, -0.4], [0.0, 0.0, 0.0], [0.02, -0.02, 0.004]], np.float32)
    t, factor = ternarise(e, 0.25, relative=True)
    np.testing.assert_array_equal(t, [[1, 0, -1], [0, 0, 0], [1, -1, 0]])
    np.testing.assert_allclose(factor[:, 0], [0.5, 0, 0.022], rtol=1e-5)
    # The rescaled code has the L1 norm of the error it stands for.
    np.testing.assert_allclose(abs(t * factor).sum(1), abs(e).sum(1), rtol=1e-5)
    t, _ = ternarise(e, 0.25, relative=False)
    np.testing.assert_array_equal(t, [[1, 0, -1], [0, 0, 0], [0, 0, 0]])
    both = ternarise(torch.tensor(e), 0.25, relative=True)
    np.testing.assert_array_equal(both[0].numpy(), ternarise(e, 0.25, relative=True)[0])


def test_signed_masks_keep_the_sum_of_each_sign():
    e = np.array([[0.1, -0.9, 0.5, 0.3], [0.0, 0.0, 0.0, 0.0], [0.2, -0.1, -0.1, 0.0]], np.float32)
    masks, factor = signed_masks(e, 0.25)
    assert set(np.unique(masks)) <= {0, 1}
    np.testing.assert_array_equal(masks[:3], [[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(masks[3:], [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]])
    sums = (masks * factor).sum(1)
    np.testing.assert_allclose(sums[:3], np.maximum(e, 0).sum(1), rtol=1e-6)
    np.testing.assert_allclose(sums[3:], np.minimum(e, 0).sum(1), rtol=1e-6)
    tensors = signed_masks(torch.tensor(e), 0.25)
    np.testing.assert_array_equal(tensors[0].numpy(), masks)
    np.testing.assert_array_equal(tensors[1].numpy(), factor)


def test_stochastic_masks_are_binary_and_their_mean_is_the_error():
    e = np.array([[0.1, -0.9, 0.5, 0.3], [0.0, 0.0, 0.0, 0.0], [0.2, -0.1, -0.1, 0.0]], np.float32)
    draws = 4000
    many = np.tile(e, (draws, 1))
    uniform = np.random.default_rng(0).random((2 * len(many), 4), np.float32)
    masks, factor = stochastic_masks(many, uniform)
    assert set(np.unique(masks)) == {0, 1}
    coded = (masks * factor).astype(float).reshape(2, draws, 3, 4).sum(0)
    largest = np.where(e > 0, e.max(1, keepdims=True), -e.min(1, keepdims=True))
    std = np.sqrt(abs(e) * (largest - abs(e)) / draws)
    assert (abs(coded.mean(0) - e) <= 5 * std + 1e-6).all()
    np.testing.assert_allclose(coded.std(0), std * draws**0.5, atol=0.02)
    tensors = stochastic_masks(torch.tensor(many), torch.tensor(uniform))
    np.testing.assert_array_equal(tensors[0].numpy(), masks)
    np.testing.assert_array_equal(tensors[1].numpy(), factor)


def test_the_stochastic_mode_draws_by_step_and_means_what_dfa_projects():
    algorithm = TernaryDFA(mode="stochastic")
    on = placed(algorithm)
    e = np.array([[0.1, -0.9, 0.5, 0.3]], np.float32)
    found = []
    for step in range(2000):
        on.steps = step
        found.append(algorithm.project(on, e))
    exact = e @ on["feedback"].matrix().T
    error = np.std(found, 0) / len(found) ** 0.5
    assert (abs(np.mean(found, 0, dtype=float) - exact) <= 5 * error + 1e-6).all()
    assert np.std(found, 0).min() > 0
    np.testing.assert_array_equal(algorithm.project(on, e), found[-1])  # the same step, again


def test_the_balanced_mode_projects_each_sign_by_itself():
    algorithm = TernaryDFA(threshold=0.25)
    on = placed(algorithm)
    e = np.array([[0.1, -0.9, 0.5, 0.3]], np.float32)
    code = np.array([[0, -0.9, 0.45, 0.45]], np.float32)
    projected = algorithm.project(on, e)
    np.testing.assert_allclose(projected, code @ on["feedback"].matrix().T, atol=1e-6)


def test_the_fixed_mode_sends_the_code_alone_and_the_relative_one_resizes_it():
    for mode, scale in (("fixed", False), ("relative", True)):
        algorithm = TernaryDFA(threshold=0.2, mode=mode)
        on = placed(algorithm)
        e = np.array([[0.5, -0.1, -0.4, 0.0]], np.float32)
        t, factor = ternarise(e, 0.2, mode == "relative")
        expected = (t * factor if scale else t) @ on["feedback"].matrix().T
        np.testing.assert_allclose(algorithm.project(on, e), expected, atol=1e-6)


def test_dfa_updates_wait_for_the_feedback_alone_and_backprop_for_one_another():
    after = {}
    for rule in (DFA, Backprop):
        on = placed(rule())
        x, target = batch(DENSE)
        with on.ledger.step("train", samples=10):
            rule().step(on, x, target)
        [step] = [s for s in on.ledger.steps if s.kind == "train"]
        after[rule] = dict(step.after)
    assert after[DFA]["update/1"] == after[DFA]["update/2"] == ("feedback",)
    assert after[DFA]["update/3"] == ("error",)
    assert after[Backprop]["backward/2"] == ("backward/3",)
    assert after[Backprop]["update/1"] == ("backward/2",)


def test_what_a_device_cannot_do_is_refused_before_anything_is_written():
    with pytest.raises(Unable, match="weight/1 needs PROGRAM and UPDATE; OPU can MULTIPLY"):
        placed(Backprop(), weight=OPU)
    with pytest.raises(ValueError, match=r"feedback has no device: say \[feedback\]"):
        placed(DFA(), feedback=None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SGD(rate=0), "rate takes a finite number above 0, got 0"),
        (lambda: SGD(momentum=1.0), "momentum takes a number from 0 to below 1"),
        (lambda: Adam(beta2=-0.1), "beta2 takes a number from 0 to below 1"),
        (lambda: TernaryDFA(threshold=1.0), "threshold takes a number from 0 to below 1"),
        (lambda: TernaryDFA(mode="absolute"), 'mode takes "balanced", "relative", "fixed" or "st'),
        (
            lambda: TernaryDFA(mode="stochastic", threshold=0.1),
            "threshold has no use where mode is stochastic, which draws it; got 0.1",
        ),
    ],
)
def test_settings_out_of_range_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
