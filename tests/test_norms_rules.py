"""Every rule through norms and max pooling: its own objective by autograd, or a sentence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import csr_array

from hwloop.algorithms import (
    DFA,
    PEPITA,
    RULES,
    SGD,
    ActivityGradient,
    Algorithm,
    Backprop,
    CascadedForward,
    FeedbackAlignment,
    ForwardGradient,
    LikelihoodRatio,
    MeanSquare,
    ZerothOrder,
)
from hwloop.devices import Ideal, MatrixEngine, Seed, TorchMatrix
from hwloop.mappings import Connect, Convolution, Convolve, Network, Placement, build, place

torch = pytest.importorskip("torch")
F = torch.nn.functional
ONE = SGD(rate=1.0)


def network_of(norm: str, pooling: str = "max", activation: str = "tanh", classes: int = 4):
    """Return a network whose first layer pools 9 x 7 pixels by 2, so that some are left over."""
    hidden = [Convolve(3, padding=1, pool=2, pooling=pooling), Convolve(2, 2), 8]
    return build((9, 7, 2), classes, hidden, activation, norm=norm)


def plain(a) -> np.ndarray:
    return np.asarray(a).copy()


def placed(algorithm: Algorithm, network: Network, weight=Ideal, seed: int = 3) -> Placement:
    """Return a network on ideal devices whose biases and gains are random."""

    def make(cls):
        return lambda d, ledger, seed: cls(
            n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger
        )

    demands = algorithm.demands(network)
    wanted = {d.role for d in demands} | {d.like for d in demands}
    on = {
        r: make(weight if r == "weight" else Ideal) for r in ("weight", "feedback") if r in wanted
    }
    on = place(network, demands, on, "ideal", Seed(seed))
    draw = np.random.default_rng(seed)
    for name, value in on.digital.items():
        if name.startswith(("bias", "gain")):
            value += on.array(draw.normal(size=len(value)).astype(np.float32) / 3)
    return on


def batch(network: Network, samples: int = 10, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(samples, network.layers[0].width_in)).astype(np.float32)
    classes = network.layers[-1].width_out
    return x, np.eye(classes, dtype=np.float32)[draw.integers(classes, size=samples)]


def learned(on: Placement) -> dict[str, np.ndarray]:
    found = {name: device.matrix() for name, device in on.devices.items()}
    kept = {n: a for n, a in on.digital.items() if n.startswith(("bias", "gain"))}
    return found | {n: plain(a) for n, a in kept.items()}


def changes(algorithm: Algorithm, on: Placement, x, target) -> dict[str, np.ndarray]:
    """Take one step and return what it took off every matrix, bias and gain."""
    before = learned(on)
    with on.ledger.step("train", samples=len(x)):
        assert np.isfinite(algorithm.step(on, on.array(x), on.array(target)))
    after = learned(on)
    return {name: before[name] - after[name] for name in before}


def leaves(on: Placement) -> dict[str, torch.Tensor]:
    return {
        n: torch.tensor(a, dtype=torch.float64, requires_grad=True) for n, a in learned(on).items()
    }


class Said(NamedTuple):
    """What a layer says in torch: what its activation takes, activated rows, units."""

    taken: torch.Tensor
    rows: torch.Tensor
    units: torch.Tensor


def torch_layer(network: Network, p: dict[str, torch.Tensor], k: int, h: torch.Tensor) -> Said:
    """Return what layer k says of h (batch, width_in), by torch's functions alone."""
    layer = network.layers[k - 1]
    w, bias, gain = (p.get(f"{name}/{k}") for name in ("weight", "bias", "gain"))
    image = isinstance(layer, Convolution)
    if image:
        size = layer.channels_out, layer.kernel, layer.kernel, layer.channels_in
        pixels = h.reshape(-1, layer.height, layer.width, layer.channels_in)
        z = F.conv2d(
            pixels.permute(0, 3, 1, 2),
            w.reshape(size).permute(0, 3, 1, 2),
            stride=layer.stride,
            padding=layer.padding,
        )
    else:
        z = (layer.gather(h) if hasattr(layer, "adjacency") else h) @ w.T
    if layer.norm == "batch":
        a = F.batch_norm(z, None, None, gain, bias, training=True)
    elif layer.norm == "layer":
        a = F.group_norm(z, 1, gain, bias) if image else F.layer_norm(z, w.shape[:1], gain, bias)
    else:
        a = z + (bias[:, None, None] if image else bias)
    y = a if layer.activation == "identity" else getattr(torch, layer.activation)(a)
    if not image:
        return Said(a, y, y)
    units = y
    if layer.pool > 1:
        pool = F.max_pool2d if layer.pooling == "max" else F.avg_pool2d
        units = pool(y, layer.pool)
    flat = [t.permute(0, 2, 3, 1) for t in (a, y, units)]
    rows = [t.reshape(-1, layer.channels_out) for t in flat[:2]]
    return Said(*rows, flat[2].reshape(len(h), -1))


def assert_descends(moved: dict[str, np.ndarray], p: dict[str, torch.Tensor], loss) -> None:
    """Assert that a step at rate 1 took the gradient of `loss` off whatever `loss` depends on."""
    for tensor in p.values():
        tensor.grad = None
    loss.backward()
    reached = {name: tensor for name, tensor in p.items() if tensor.grad is not None}
    assert "gain/1" in reached
    for name, tensor in reached.items():
        np.testing.assert_allclose(moved[name], tensor.grad.numpy(), atol=1e-5, err_msg=name)


def test_graphs_are_normalised_over_their_nodes():
    draw = np.random.default_rng(0)
    adjacency = csr_array(np.float32(0.3) * (draw.random((10, 10)) < 0.5))
    dense = torch.tensor(adjacency.toarray(), dtype=torch.float64)
    mask = (np.arange(10) % 3 > 0).astype(np.float32)
    for norm in ("batch", "layer"):
        network = build((5,), 3, [6, Connect(6, "none")], adjacency=adjacency, norm=norm)
        assert [a.norm for a in network.layers] == [norm, "none", "none"]
        on = placed(Backprop(optimizer=ONE), network)
        x, target = batch(network)
        p, before = leaves(on), learned(on)
        with on.ledger.step("train", samples=10):
            Backprop(optimizer=ONE).step(on, x, target, mask)
        h = torch.tensor(x, dtype=torch.float64)
        for k in (1, 2, 3):
            z = dense @ h @ p[f"weight/{k}"].T
            if k == 1:
                gain, bias = p["gain/1"], p["bias/1"]
                a = F.layer_norm(z, (6,), gain, bias)
                if norm == "batch":
                    a = F.batch_norm(z, None, None, gain, bias, training=True)
            else:
                a = z + p[f"bias/{k}"]
            h = a if k == 3 else torch.tanh(a)
        each = F.cross_entropy(h, torch.tensor(target, dtype=torch.float64), reduction="none")
        loss = (each * torch.tensor(mask / mask.mean())).mean()
        after = learned(on)
        assert_descends({n: before[n] - after[n] for n in before}, p, loss)


# ---- every rule's own objective ----------------------------------------------------------


def hidden_of(network: Network, p, x) -> list[Said]:
    """Return what the hidden layers say; no slope passes from one to the one below."""
    said, h = [], torch.tensor(x, dtype=torch.float64)
    for k in range(1, network.depth):
        said.append(torch_layer(network, p, k, h.detach()))
        h = said[-1].units
    return said


def settled(rule: str, **more) -> Algorithm:
    """Return a rule with what it needs to run on the networks of these tests."""
    needed = {"forward_forward": {"threshold": 0.4}, "scalable_ff": {"threshold": 0.4}}
    if rule == "equilibrium":
        more["loss"] = MeanSquare()
    return RULES[rule](**needed.get(rule, {}), **more)


def unit(h: torch.Tensor) -> torch.Tensor:
    return h / ((h**2).mean(1, keepdim=True).sqrt() + 1e-4)


def objective(rule: str, algorithm: Algorithm, on: Placement, p, x, target) -> torch.Tensor:
    """Return what a rule descends, in torch; hidden layers do not see each other's slopes."""
    network, t = on.network, torch.tensor(target, dtype=torch.float64)
    last, samples = network.depth, len(x)
    if rule == "backprop":
        h = torch.tensor(x, dtype=torch.float64)
        for k in range(1, last + 1):
            h = torch_layer(network, p, k, h).units
        return F.cross_entropy(h, t)
    if rule == "forward_forward":
        wrong = algorithm._wrong(on, target)
        both = [np.concatenate([label, x[:, 4:]], 1) for label in (target, wrong)]
        h = torch.tensor(np.concatenate(both), dtype=torch.float64)
        sign = torch.tensor([1.0] * samples + [-1.0] * samples, dtype=torch.float64)
        total = 0.0
        for k in range(1, last):
            h = torch_layer(network, p, k, unit(h.detach())).units
            total = total + F.softplus(sign * (0.4 - (h**2).mean(1))).sum() / samples
        return total
    if rule == "scalable_ff":
        h, total = torch.tensor(x, dtype=torch.float64), 0.0
        for k, layer in enumerate(network.hidden, 1):
            seen = F.layer_norm(h, h.shape[1:]) if k > 1 else h
            said = torch_layer(network, p, k, seen.detach())
            channels = (said.rows @ p[f"head/{k}"].T).reshape(samples, layer.rows_per_sample, 4)
            good = (channels**2).mean(1)
            each = F.softplus(0.4 - good) * t + F.softplus(good - 0.4) * (1 - t) / 3
            total, h = total + each.sum() / samples, said.units
        return total
    said = hidden_of(network, p, x)
    units = [s.units for s in said]
    top = torch_layer(network, p, last, units[-1].detach()).units
    error = (torch.softmax(top, 1) - t).detach()
    total = F.cross_entropy(top, t)
    if rule == "mono_forward":
        total = F.cross_entropy(torch_layer(network, p, last, units[-1]).units, t)
        heads = [F.cross_entropy(h @ p[f"head/{k}"].T, t) for k, h in enumerate(units[:-1], 1)]
        return total + sum(heads)
    if rule == "synthetic_gradient":
        slopes = [
            torch.cat([h.detach(), t], 1) @ p[f"head/{k}"].detach().T
            for k, h in enumerate(units, 1)
        ]
        for k, slope in enumerate(slopes, 1):
            total = total + (units[k - 1] * slope).sum() / samples
        return total
    parts = p["feedback"].detach().split([h.shape[1] for h in units])
    for h, part in zip(units, parts, strict=True):
        if rule == "tpsgd":
            total = total + 0.5 * ((h - torch.tanh(t @ part.T)) ** 2).sum() / samples
        else:
            signal = -t if rule == "drtp" else error.sign() if rule == "sign_dfa" else error
            total = total + (h * (signal @ part.T)).sum() / samples
    return total


BOTH = ("backprop", "dfa", "sign_dfa", "drtp", "tpsgd", "mono_forward", "scalable_ff")
LOCAL = [(rule, norm) for rule in (*BOTH, "synthetic_gradient") for norm in ("batch", "layer")]
LOCAL.append(("forward_forward", "batch"))


@pytest.mark.parametrize("weight", [Ideal, TorchMatrix], ids=["numpy", "torch"])
@pytest.mark.parametrize(("rule", "norm"), LOCAL)
def test_rules_descend_their_own_objective_through_norms_and_max_pooling(rule, norm, weight):
    algorithm, network = settled(rule, optimizer=ONE), network_of(norm)
    on = placed(algorithm, network, weight)
    if rule == "synthetic_gradient":
        for name, device in on.devices.items():
            if name.startswith("head"):
                rng = np.random.default_rng(2)
                size = (device.n_out, device.n_in)
                device.program((rng.normal(size=size) / 5).astype(np.float32))
    x, target = batch(network)
    p = leaves(on)
    moved = changes(algorithm, on, x, target)
    loss = objective(rule, algorithm, on, p, x, target)
    assert_descends(moved, p, loss)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_feedback_alignment_and_trained_blocks_follow_the_rules_that_they_borrow(norm):
    network = network_of(norm)
    x, target = batch(network)
    ours = placed(FeedbackAlignment(optimizer=ONE), network)
    for k in range(2, network.depth + 1):
        ours[f"feedback/{k}"].program(ours[f"weight/{k}"].matrix().T)
    cases = [
        (FeedbackAlignment(optimizer=ONE), ours, Backprop(optimizer=ONE)),
        (
            CascadedForward(optimizer=ONE, blocks="dfa"),
            placed(CascadedForward(optimizer=ONE, blocks="dfa"), network),
            DFA(optimizer=ONE),
        ),
    ]
    for algorithm, on, other in cases:
        expected = changes(other, placed(other, network), x, target)
        got = changes(algorithm, on, x, target)
        for k in range(1, network.depth):
            for name in ("weight", "bias", "gain"):
                key = f"{name}/{k}"
                np.testing.assert_allclose(got[key], expected[key], atol=1e-6, err_msg=key)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_pepita_s_differences_stand_after_the_norm(norm):
    algorithm, network = PEPITA(optimizer=ONE, modulation=20.0), network_of(norm)
    on = placed(algorithm, network)
    x, target = batch(network)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    moved = changes(algorithm, on, x, target)
    first = hidden_of(network, p, x)
    top = torch_layer(network, p, network.depth, first[-1].units.detach()).units
    error = (torch.softmax(top, 1) - t).detach().numpy()
    again = hidden_of(network, p, x + 20.0 * error @ p["feedback"].detach().numpy().T)
    late = torch_layer(network, p, network.depth, again[-1].units.detach()).units
    loss = F.cross_entropy(late, t)
    for one, two in zip(first, again, strict=True):
        loss = loss + (two.taken * (one.rows - two.rows).detach()).sum() / len(x)
    assert_descends(moved, p, loss)


SMALL = {
    norm: build((4, 4, 1), 3, [Convolve(2, 2, pool=2, pooling="max", norm=norm)], "tanh")
    for norm in ("batch", "layer")
}


@pytest.mark.parametrize(
    ("algorithm", "norm"),
    [
        (ForwardGradient(optimizer=ONE), "batch"),
        (ForwardGradient(optimizer=ONE), "layer"),
        (ActivityGradient(optimizer=ONE), "layer"),
        (LikelihoodRatio(optimizer=ONE, noise=0.02), "layer"),
        (ZerothOrder(optimizer=ONE, shift=0.003), "batch"),
    ],
    ids=["weights, batch", "weights, layer", "activities", "likelihood", "spsa"],
)
def test_estimates_have_the_gradient_as_their_mean(algorithm, norm):
    draws, network = 1000, SMALL[norm]
    x, target = batch(network)
    expected = changes(Backprop(optimizer=ONE), placed(Backprop(), network), x, target)
    on = placed(algorithm, network)
    state = {name: np.array(value) for name, value in on.state().items()}
    found: dict[str, list[np.ndarray]] = {}
    for step in range(draws):
        on.restore(state | {"steps": np.array([step])})
        on.digital = {n: a for n, a in on.digital.items() if not n.startswith("copy")}
        for name, change in changes(algorithm, on, x, target).items():
            found.setdefault(name, []).append(change)
    for name in ("weight/1", "bias/1", "gain/1", "weight/2", "bias/2"):
        each = np.array(found[name], np.float64)
        error = each.std(0) / np.sqrt(draws) + 2e-4  # and what float32 losses can resolve
        assert (np.abs(each.mean(0) - expected[name]) < 5 * error).all(), name
        assert np.abs(expected[name]).max() > 0.01


# ---- all of them -------------------------------------------------------------------------

REFUSING = {
    ("forward_forward", "layer"): "the length of what a sample says",
    ("activity_gradient", "batch"): "traces each sample by itself",
    ("likelihood_ratio", "batch"): "its own sample's noise",
    ("equilibrium", "batch"): "layer 1 has norm = .* and equilibrium has an energy",
    ("equilibrium", "layer"): "layer 1 has norm = .* and equilibrium has an energy",
    ("quantized_zeroth_order", "batch"): "keeps to whole numbers",
    ("quantized_zeroth_order", "layer"): "keeps to whole numbers",
}


@pytest.mark.parametrize("weight", [Ideal, TorchMatrix, MatrixEngine])
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_runs_through_a_norm_or_refuses_it_in_a_sentence(rule, norm, weight):
    algorithm = settled(rule)
    network = build((9, 7, 2), 4, [Convolve(3, padding=1), Convolve(2, 2), 8], norm=norm)
    if (rule, norm) in REFUSING:
        with pytest.raises(ValueError, match=REFUSING[rule, norm]):
            algorithm.demands(network)
        return
    if rule != "equilibrium":
        network = network_of(norm)
    on = placed(algorithm, network, weight)
    x, target = batch(network)
    moved: dict[str, float] = {}
    for seed in range(4):
        x, target = batch(network, seed=seed)
        for name, change in changes(algorithm, on, x, target).items():
            moved[name] = moved.get(name, 0.0) + abs(change).max()
    for k in range(1, network.depth):
        trained = algorithm.trains(k, network)
        assert bool(moved[f"gain/{k}"]) == bool(moved[f"bias/{k}"]) == trained
        if norm == "batch":
            assert plain(on.digital[f"running_mean/{k}"]).any()
    before = {n: plain(a) for n, a in on.digital.items()}
    with on.ledger.step("evaluate", samples=1):
        said = algorithm.predict(on, on.array(x[:1]))
    assert said.shape == (1, 4)
    assert all((before[n] == np.asarray(a)).all() for n, a in on.digital.items())
