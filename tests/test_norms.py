"""Norms and max pooling: PyTorch's numbers forwards and backwards, their counts, their privacy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.algorithms import (
    DFA,
    SGD,
    Adam,
    Algorithm,
    Apollo,
    Backprop,
)
from hwloop.algorithms.private import Private
from hwloop.devices import Ideal, Seed, TorchMatrix
from hwloop.devices.kernels import norms as kernels
from hwloop.devices.norms import adjoint, normalise
from hwloop.mappings import Convolution, Convolve, Network, Placement, build, place
from hwloop.mappings.dry import dry_placement, engine

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


# ---- the parts ---------------------------------------------------------------------------

KERNELS = {
    "columns": (kernels.normalise_columns, kernels.normalise_columns_reference),
    "samples": (kernels.normalise_samples, kernels.normalise_samples_reference),
}


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_kernels_do_what_their_references_do(offset):
    draw = np.random.default_rng(0)
    z = (draw.normal(size=(36, 7)) + offset).astype(np.float32)
    gain, delta = draw.normal(size=7).astype(np.float32), draw.normal(size=(36, 7))
    delta = delta.astype(np.float32)
    for columns in (True, False):
        found = []
        for which in (0, 1):
            rows, extra = z.copy(), [np.zeros(7, np.float32), np.zeros(7, np.float32)]
            if columns:
                out = KERNELS["columns"][which](rows, gain, 1e-5, *extra)
                back = (kernels.adjoint_columns, kernels.adjoint_columns_reference)[which]
                found.append([rows, out, *extra, back(delta, gain, rows, extra[1])])
            else:
                inverse = np.zeros(9, np.float32)
                out = KERNELS["samples"][which](rows, gain, 1e-5, 4, inverse)
                back = (kernels.adjoint_samples, kernels.adjoint_samples_reference)[which]
                found.append([rows, out, inverse, back(delta, gain, rows, inverse, 4)])
        for ours, reference in zip(*found, strict=True):
            np.testing.assert_allclose(ours, reference, rtol=2e-4, atol=1e-4 if offset else 1e-6)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(("dtype", "near"), [("float64", 1e-6), ("float32", 1e-5)])
@pytest.mark.parametrize("each", [0, 1, 6], ids=["batch", "layer, dense", "layer, image"])
def test_a_norm_and_its_adjoint_are_torchs(kind, dtype, near, each):
    draw = np.random.default_rng(1)
    z, delta = draw.normal(size=(2, 24, 5)).astype(dtype) * 2 + 1
    gain = draw.normal(size=5).astype(dtype)
    made = np.array if kind == "numpy" else torch.tensor
    scaled, normed = normalise(made(z), made(gain), each)
    back = adjoint(made(delta), made(gain), normed)
    x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    g = torch.tensor(gain, dtype=torch.float64)
    if each:
        images = x.reshape(24 // each, each, 5).permute(0, 2, 1)
        theirs = F.group_norm(images, 1, g).permute(0, 2, 1).reshape(24, 5)
    else:
        theirs = F.batch_norm(x, None, None, g, training=True)
    theirs.backward(torch.tensor(delta, dtype=torch.float64))
    assert str(scaled.dtype).removeprefix("torch.") == dtype
    np.testing.assert_allclose(np.asarray(scaled), theirs.detach().numpy(), atol=near)
    np.testing.assert_allclose(np.asarray(back), x.grad.numpy(), atol=near)
    assert abs(np.asarray(back)).max() > 0.1


pools = st.builds(
    Convolution,
    height=st.integers(3, 8),
    width=st.integers(3, 8),
    channels_in=st.just(1),
    channels_out=st.integers(1, 3),
    kernel=st.just(1),
    pool=st.integers(2, 3),
    pooling=st.just("max"),
)


@settings(max_examples=60, deadline=None)
@given(pools, st.integers(0, 2**31))
def test_max_pooling_is_torchs_with_ties_and_what_is_left_over(layer, seed):
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, 3, (2 * layer.rows_per_sample, layer.n_out)).astype(np.float64)
    h = draw.normal(size=(2, layer.width_out))
    x = torch.tensor(rows.reshape(2, layer.height, layer.width, -1), requires_grad=True)
    theirs = F.max_pool2d(x.permute(0, 3, 1, 2), layer.pool).permute(0, 2, 3, 1).reshape(2, -1)
    theirs.backward(torch.tensor(h))
    for made in (np.array, torch.tensor):
        units = layer.scatter(made(rows))
        np.testing.assert_array_equal(units, theirs.detach().numpy())
        back = layer.scatter_adjoint(made(h), made(rows), units)
        np.testing.assert_array_equal(back, x.grad.numpy().reshape(rows.shape))
        tangent = draw.normal(size=rows.shape)
        along = layer.scatter_tangent(made(tangent), made(rows), units)
        assert float((along * made(h)).sum()) == pytest.approx(float((made(tangent) * back).sum()))


# ---- whole networks ----------------------------------------------------------------------


def modules_of(on: Placement) -> torch.nn.Sequential:
    """Return the network of `network_of` as torch's own modules, with the placement's numbers."""
    made: list[torch.nn.Module] = []
    for k, layer in enumerate(on.network.layers, 1):
        w = torch.tensor(on[f"weight/{k}"].matrix())
        image = isinstance(layer, Convolution)
        biased = layer.norm == "none"
        if image:
            size = layer.channels_out, layer.kernel, layer.kernel, layer.channels_in
            linear = torch.nn.Conv2d(
                layer.channels_in,
                layer.n_out,
                layer.kernel,
                layer.stride,
                layer.padding,
                bias=biased,
            )
            linear.weight.data = w.reshape(size).permute(0, 3, 1, 2).contiguous()
        else:
            if k > 1 and isinstance(on.network.layers[k - 2], Convolution):
                down, across, channels = on.network.layers[k - 2].image_out
                w = w.reshape(-1, down, across, channels).permute(0, 3, 1, 2).reshape(len(w), -1)
                made.append(torch.nn.Flatten())
            linear = torch.nn.Linear(layer.n_in, layer.n_out, bias=biased)
            linear.weight.data = w.contiguous()
        made.append(linear)
        shifted = linear
        if layer.norm == "batch":
            shifted = (torch.nn.BatchNorm2d if image else torch.nn.BatchNorm1d)(layer.n_out)
        elif layer.norm == "layer":
            n = layer.n_out
            shifted = torch.nn.GroupNorm(1, n) if image else torch.nn.LayerNorm(n)
        shifted.bias.data = torch.tensor(plain(on.digital[f"bias/{k}"]))
        if not biased:
            shifted.weight.data = torch.tensor(plain(on.digital[f"gain/{k}"]))
            made.append(shifted)
        made += [torch.nn.Tanh()] * (layer.activation == "tanh")
        made += [torch.nn.ReLU()] * (layer.activation == "relu")
        if layer.pools:
            pool = torch.nn.MaxPool2d if layer.pooling == "max" else torch.nn.AvgPool2d
            made.append(pool(layer.pool))
    return torch.nn.Sequential(*made)


@pytest.mark.parametrize("weight", [Ideal, TorchMatrix], ids=["numpy", "torch"])
@pytest.mark.parametrize(("activation", "optimizer"), [("tanh", "sgd"), ("relu", "momentum")])
@pytest.mark.parametrize(
    ("norm", "pooling"), [("batch", "max"), ("layer", "max"), ("batch", "average"), ("none", "max")]
)
def test_networks_learn_step_by_step_as_torchs_modules_do(
    norm, pooling, activation, optimizer, weight
):
    momentum = 0.9 if optimizer == "momentum" else 0.0
    algorithm = Backprop(optimizer=SGD(rate=0.1, momentum=momentum))
    network = network_of(norm, pooling, activation)
    on = placed(algorithm, network, weight)
    theirs = modules_of(on)
    descent = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=momentum)

    def images(x):
        return torch.tensor(x.reshape(-1, 9, 7, 2)).permute(0, 3, 1, 2)

    for step in range(4):
        x, target = batch(network, 12, seed=step)
        with on.ledger.step("train", samples=12):
            loss = algorithm.step(on, on.array(x), on.array(target))
        descent.zero_grad()
        expected = F.cross_entropy(theirs(images(x)), torch.tensor(target))
        expected.backward()
        descent.step()
        assert loss == pytest.approx(expected.item(), rel=1e-4)
    modules = [m for m in theirs if hasattr(m, "running_mean")]
    assert len(modules) == (3 if norm == "batch" else 0)
    for k, module in enumerate(modules, 1):
        for name, value in (("mean", module.running_mean), ("variance", module.running_var)):
            ours = plain(on.digital[f"running_{name}/{k}"])
            np.testing.assert_allclose(ours, value.numpy(), atol=1e-5)
    shifted = [m for m in theirs if getattr(m, "bias", None) is not None]
    for k, module in enumerate(shifted, 1):
        ours = plain(on.digital[f"bias/{k}"])
        np.testing.assert_allclose(ours, module.bias.detach().numpy(), atol=2e-5)
        if f"gain/{k}" in on.digital:
            ours = plain(on.digital[f"gain/{k}"])
            np.testing.assert_allclose(ours, module.weight.detach().numpy(), atol=2e-5)
    theirs.eval()
    x, _ = batch(network, 5, seed=9)
    with on.ledger.step("evaluate", samples=5):
        said = np.asarray(algorithm.predict(on, on.array(x)))
        alone = np.asarray(algorithm.predict(on, on.array(x[:1])))
    np.testing.assert_allclose(said, theirs(images(x)).detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(alone, said[:1], atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_gains_are_trained_as_biases_are_by_adam_and_apollo(norm):
    network = network_of(norm)
    x, target = batch(network)
    for optimizer, rate in ((Adam(rate=0.01), 0.01), (Apollo(rate=0.02), 0.02)):
        on = placed(Backprop(optimizer=optimizer), network)
        moved = changes(Backprop(optimizer=optimizer), on, x, target)
        for k in (1, 2, 3):
            # Adam's first step is the sign of the gradient times the rate
            np.testing.assert_allclose(abs(moved[f"gain/{k}"]), rate, rtol=1e-2)
            np.testing.assert_allclose(abs(moved[f"bias/{k}"]), rate, rtol=1e-2)


def test_batch_norm_refuses_a_single_sample_and_private_training():
    network = network_of("batch")
    on = placed(Backprop(), network)
    x, target = batch(network, 1)
    with (
        pytest.raises(ValueError, match="layer 1: norm = .* takes 2 samples or more .* got 1"),
        on.ledger.step("train", samples=1),
    ):
        Backprop().step(on, x, target)
    with pytest.raises(ValueError, match='layer 1 has norm = "batch", which mixes samples'):
        DFA(private=Private(1.0)).demands(network)


def test_pooling_by_maximum_takes_windows():
    with pytest.raises(ValueError, match='layer 1: pooling = "max" takes a pool from 2, got 1'):
        build((6, 6, 1), 2, [Convolve(2, pooling="max")])


# ---- privacy -----------------------------------------------------------------------------


def test_the_sums_of_gains_and_biases_are_clipped_by_sample_and_noised():
    private = Private(noise_multiplier=2.0, clip_error=0.5)
    draw = np.random.default_rng(0)
    u, normal = draw.normal(size=(2, 12, 30)).astype(np.float32)
    quiet = Private(noise_multiplier=1e-9, clip_error=0.5)
    total = np.concatenate(quiet.norm_sums("norm/1", u, normal, Seed(0).at(0), 4))
    expected = np.zeros(60)
    for s in range(3):
        mine = slice(4 * s, 4 * s + 4)
        both = np.concatenate([(u[mine] * normal[mine]).sum(0), u[mine].sum(0)])
        expected += both * min(1, 0.5 / np.linalg.norm(both))
    np.testing.assert_allclose(total, expected, atol=1e-5)
    noise = np.concatenate(
        [
            np.concatenate(private.norm_sums("norm/1", u, normal, Seed(0).at(k), 4)) - total
            for k in range(200)
        ]
    )
    assert abs(noise.mean()) < 5 / np.sqrt(len(noise))
    assert noise.std() == pytest.approx(2.0 * 0.5, abs=5 / np.sqrt(2 * len(noise)))


def test_private_training_releases_what_norms_learn():
    algorithm = DFA(optimizer=ONE, private=Private(1.5, clip_error=0.01))
    on = placed(algorithm, network_of("layer"))
    [release] = algorithm.releases(on, "poisson", 0.1)
    assert release.parts == ("weight/1", "weight/2", "weight/3", "weight/4") + tuple(
        f"norm/{k}" for k in (1, 2, 3)
    )
    moved = changes(algorithm, on, *batch(on.network))
    gains = np.concatenate([moved[f"gain/{k}"] for k in (1, 2, 3)])
    # ten samples of length 0.01 at most, and noise of 0.015, over ten
    assert 0 < np.abs(gains).max() < 0.01 + 5 * 0.0015


# ---- what is counted ---------------------------------------------------------------------


def counted(on: Placement, kind: str) -> dict[str, float]:
    [(step, tally)] = [(s, t) for s, t in on.ledger.steps.items() if s.kind == kind]
    found: dict[str, float] = {}
    for op, work in zip(step.ops, tally.work, strict=True):
        events = [event for event, _ in op.depths]
        if op.device == "host" and "element" in events:
            found[op.verb] = found.get(op.verb, 0) + work[events.index("element")]
    return found


def test_the_record_holds_the_digital_work_of_norms_and_pooling():
    numbers = [10 * 9 * 7 * 3, 10 * 3 * 2 * 2, 10 * 8]  # of what the matrices left
    records = {}
    for norm in ("none", "batch", "layer"):
        network = network_of(norm)
        on = placed(Backprop(), network)
        x, target = batch(network)
        changes(Backprop(), on, x, target)
        with on.ledger.step("evaluate", samples=10):
            Backprop().predict(on, x)
        records[norm] = counted(on, "train"), counted(on, "evaluate")
    for norm, (train, evaluate) in records.items():
        assert train["POOL"] == train["POOL_ADJOINT"] == evaluate["POOL"] == numbers[0]
        normed = norm != "none"
        assert train.get("NORMALISE", 0) == normed * 3 * sum(numbers)
        assert train.get("NORMALISE_ADJOINT", 0) == normed * 3 * sum(numbers)
        assert train["SUM"] == (1 + normed) * sum(numbers) + 10 * 4
        passes = {"none": 0, "batch": 1, "layer": 3}[norm]
        assert evaluate.get("NORMALISE", 0) == passes * sum(numbers)
        assert train["ACTIVATE"] == records["none"][0]["ACTIVATE"]


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_dry_step_counts_what_a_real_one_does(norm):
    network, algorithm = network_of(norm), Backprop()
    on = placed(algorithm, network)
    x, target = batch(network)
    changes(algorithm, on, x, target)
    stand = {"weight": engine()}
    dry = dry_placement(network, algorithm.demands(network), stand, "ideal")
    with dry.ledger.step("train", samples=10):
        algorithm.step(dry, x, target)
    assert counted(dry, "train") == counted(on, "train")
