"""Recurrent layers: rules against autograd, all others refused; calls counted, waits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hwloop.algorithms import (
    DFA,
    DRTP,
    RULES,
    SGD,
    ActivityGradient,
    Algorithm,
    Backprop,
    CascadedForward,
    FeedbackAlignment,
    ForwardGradient,
    Frozen,
    LikelihoodRatio,
    MeanSquare,
    SignDFA,
    TargetProjection,
    TernaryDFA,
    ZerothOrder,
)
from hwloop.algorithms.through_time import turns
from hwloop.devices import CATALOGUE, OPU, Crossbar, Ideal, PulsedCrossbar, Seed, TorchMatrix
from hwloop.devices.technology import load
from hwloop.mappings import Convolve, Network, Placement, Recur, Recurrent, build, place
from hwloop.mappings.dry import dry_placement, engine
from hwloop.sim.timing import replay

torch = pytest.importorskip("torch")
F = torch.nn.functional
ONE = SGD(rate=1.0)
T, WIDTH, UNITS, CLASSES = 5, 3, 6, 4
LAST = build((T * WIDTH,), CLASSES, [Recur(UNITS, T)])
ALL = build((T * WIDTH,), CLASSES, [Recur(UNITS, T, states="all")])
RELU = build((T * WIDTH,), CLASSES, [Recur(UNITS, T)], "relu")
STACKED = build((T * WIDTH,), CLASSES, [Recur(UNITS, T, WIDTH, "all"), Recur(7, T), 5])
UNEVEN = build((12,), CLASSES, [10, Recur(6, 5, 2, "all"), Recur(5, 3, states="all"), 8])
IMAGE = build((6, 5, 2), CLASSES, [Convolve(3, 3, padding=1), Recur(6, 6)], "sigmoid")
NETWORKS = {
    "last": LAST,
    "all": ALL,
    "relu": RELU,
    "stacked": STACKED,
    "uneven": UNEVEN,
    "image": IMAGE,
}


def placed(algorithm: Algorithm, network: Network = LAST, seed: int = 3, **kinds) -> Placement:
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


def batch(
    network: Network, samples: int = 9, seed: int = 1, dtype: type = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(samples, network.layers[0].width_in)).astype(dtype)
    classes = network.layers[-1].width_out
    return x, np.eye(classes, dtype=dtype)[draw.integers(classes, size=samples)]


def changes(algorithm: Algorithm, on: Placement, x, target) -> dict[str, np.ndarray]:
    """Take one step and return what it took off every matrix and bias."""
    before = {name: device.matrix() for name, device in on.devices.items()}
    biases = numbers(on)
    with on.ledger.step("train", samples=len(x)):
        assert np.isfinite(algorithm.step(on, x, target))
    moved = {name: before[name] - device.matrix() for name, device in on.devices.items()}
    after = numbers(on)
    return moved | {name: b - after[name] for name, b in biases.items()}


def numbers(on: Placement) -> dict[str, np.ndarray]:
    """Return a copy of every bias."""
    state = on.state()
    return {n[8:]: b.copy() for n, b in state.items() if n.startswith("digital:bias")}


def leaves(on: Placement) -> dict[str, torch.Tensor]:
    """Return matrices and biases as float64 tensors that gradients can be had of."""
    arrays = {n: d.matrix() for n, d in on.devices.items()}
    arrays |= {n: b for n, b in on.digital.items() if n.startswith("bias")}
    return {
        n: torch.tensor(np.asarray(a), dtype=torch.float64, requires_grad=True)
        for n, a in arrays.items()
    }


def activated(z: torch.Tensor, name: str) -> torch.Tensor:
    return z if name == "identity" else getattr(torch, name)(z)


def by_torch(layer: Recurrent, w: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Return what torch's own nn.RNN makes of h (batch, width_in), or a loop where it has no f."""
    x = h.reshape(-1, layer.steps, layer.width)
    if layer.activation in ("tanh", "relu"):
        net = torch.nn.RNN(
            layer.width,
            layer.units,
            nonlinearity=layer.activation,
            batch_first=True,
            dtype=torch.float64,
        )
        parts = {
            "weight_ih_l0": w[:, : layer.width],
            "weight_hh_l0": w[:, layer.width :],
            "bias_ih_l0": b,
            "bias_hh_l0": torch.zeros_like(b),
        }
        states, _ = torch.func.functional_call(net, parts, (x,))
    else:
        s, found = torch.zeros(len(x), layer.units, dtype=torch.float64), []
        for t in range(layer.steps):
            s = activated(torch.cat([x[:, t], s], 1) @ w.T + b, layer.activation)
            found.append(s)
        states = torch.stack(found, 1)
    return states[:, -1] if layer.states == "last" else states.flatten(1)


def forward(p: dict[str, torch.Tensor], network: Network, x) -> torch.Tensor:
    h = torch.as_tensor(x, dtype=torch.float64)
    for k, layer in enumerate(network.layers, 1):
        w, b = p[f"weight/{k}"], p[f"bias/{k}"]
        if isinstance(layer, Recurrent):
            h = by_torch(layer, w, b, h)
            continue
        rows = layer.gather(h)
        h = layer.scatter(activated(rows @ w.T + b, layer.activation))
    return h


def assert_descends(moved, p: dict[str, torch.Tensor], loss, atol: float = 3e-6) -> None:
    """Assert that a step at rate 1 took the gradient of `loss` off whatever `loss` depends on."""
    loss.backward()
    for name, tensor in p.items():
        if tensor.grad is not None:
            np.testing.assert_allclose(moved[name], tensor.grad.numpy(), atol=atol, err_msg=name)


# ---- through time -----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-6), (np.float32, 1e-5)])
def test_backpropagation_through_time_is_autograd_through_torch_s_rnn(name, dtype, atol):
    network, algorithm = NETWORKS[name], Backprop(optimizer=ONE)
    on = placed(algorithm, network)
    x, target = batch(network, dtype=dtype)
    p = leaves(on)
    with on.ledger.step("evaluate", samples=9):
        said = algorithm.predict(on, x)
    assert said.dtype == dtype
    output = forward(p, network, x)
    np.testing.assert_allclose(said, output.detach().numpy(), atol=atol)
    moved = changes(algorithm, on, x, target)
    t = torch.tensor(target, dtype=torch.float64)
    assert_descends(moved, p, F.cross_entropy(output, t), atol)
    assert all(tensor.grad is not None for tensor in p.values())


@pytest.mark.parametrize("signs", ["none", "batchwise"])
@pytest.mark.parametrize("name", ["last", "stacked", "uneven"])
def test_feedback_alignment_goes_back_in_time_through_its_own_matrices(name, signs):
    network = NETWORKS[name]
    x, target = batch(network)
    algorithm = FeedbackAlignment(optimizer=ONE, signs=signs)
    expected = changes(Backprop(optimizer=ONE), placed(Backprop(), network), x, target)
    on = placed(algorithm, network)
    carried = [k for k in range(1, network.depth + 1) if f"feedback/{k}" in on.devices]
    first = 1 if isinstance(network.layers[0], Recurrent) else 2
    assert carried == list(range(first, network.depth + 1))
    if signs == "none":
        for k in carried:
            on[f"feedback/{k}"].program(on[f"weight/{k}"].matrix().T)
        got = changes(algorithm, on, x, target)
        for change in expected:
            np.testing.assert_allclose(got[change], expected[change], atol=1e-6)
        return
    before = [np.sign(on[f"weight/{k}"].matrix().T) for k in carried]
    changes(algorithm, on, x, target)
    for k, sign in zip(carried, before, strict=True):
        np.testing.assert_array_equal(np.sign(on[f"feedback/{k}"].matrix()), sign)


# ---- straight to every step -------------------------------------------------------------


def local_states(p, network: Network, x) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return every hidden layer's states or units, each of which feels its own weights alone.

    A recurrent layer's are (batch, steps, units), with the states before each step as given.
    """
    h, found = torch.as_tensor(x, dtype=torch.float64), []
    for k, layer in enumerate(network.hidden, 1):
        w, b = p[f"weight/{k}"], p[f"bias/{k}"]
        h = h.detach()
        if isinstance(layer, Recurrent):
            sequence = h.reshape(-1, layer.steps, layer.width)
            s, steps = torch.zeros(len(h), layer.units, dtype=torch.float64), []
            for t in range(layer.steps):
                z = torch.cat([sequence[:, t], s.detach()], 1) @ w.T + b
                s = activated(z, layer.activation)
                steps.append(s)
            found.append(torch.stack(steps, 1))
            h = s if layer.states == "last" else found[-1].flatten(1)
        else:
            h = activated(h @ w.T + b, layer.activation)
            found.append(h[:, None])
    k = network.depth
    return found, h.detach() @ p[f"weight/{k}"].T + p[f"bias/{k}"]


@pytest.mark.parametrize("name", ["last", "all", "relu", "stacked", "uneven"])
@pytest.mark.parametrize("rule", ["dfa", "sign_dfa", "ternary_dfa", "drtp", "square", "absolute"])
def test_rules_of_one_signal_descend_the_mean_of_a_loss_at_every_step(rule, name):
    network = NETWORKS[name]
    algorithm = {
        "dfa": DFA(optimizer=ONE),
        "sign_dfa": SignDFA(optimizer=ONE),
        "ternary_dfa": TernaryDFA(optimizer=ONE),
        "drtp": DRTP(optimizer=ONE),
        "square": TargetProjection(optimizer=ONE),
        "absolute": TargetProjection(optimizer=ONE, local_loss="absolute"),
    }[rule]
    on = placed(algorithm, network)
    x, target = batch(network)
    p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
    b = torch.tensor(on["feedback"].matrix(), dtype=torch.float64)
    widths = [a.units if isinstance(a, Recurrent) else a.width_out for a in network.hidden]
    assert b.shape == (sum(widths), CLASSES)  # one projection a layer, however many its steps
    states, output = local_states(p, network, x)
    error = (torch.softmax(output, 1) - t).detach()
    if isinstance(algorithm, DFA):
        with on.ledger.step("free", samples=9):
            signal = algorithm.project(on, error.numpy().astype(np.float32))
        signal = torch.tensor(signal, dtype=torch.float64)
        if rule == "dfa":
            np.testing.assert_allclose(signal, error @ b.T, atol=1e-5)
    else:
        signal = t @ b.T
    moved = changes(algorithm, on, x, target)
    loss = F.cross_entropy(output, t, reduction="sum")
    for layer, h, part in zip(network.hidden, states, signal.split(widths, 1), strict=True):
        apart = h - activated(part, layer.activation)[:, None]
        if rule == "square":
            local = 0.5 * apart**2
        elif rule == "absolute":
            local = apart.abs()
        else:
            local = (-1 if rule == "drtp" else 1) * h * part[:, None]
        loss = loss + local.mean(1).sum()
    assert_descends(moved, p, loss / 9, atol=1e-5)


def test_dfa_is_backpropagation_where_states_are_not_fed_back_and_all_are_read_alike():
    theirs, ours = placed(Backprop(), ALL), placed(DFA(), ALL)
    draw = np.random.default_rng(5)
    read = draw.normal(size=(CLASSES, UNITS)).astype(np.float32)
    for on in (theirs, ours):
        w = on["weight/1"].matrix()
        w[:, WIDTH:] = 0
        on["weight/1"].program(w)
        on["weight/2"].program(np.tile(read, (1, T)))
    ours["feedback"].program(T * read.T)
    x, target = batch(ALL)
    expected = changes(Backprop(optimizer=ONE), theirs, x, target)
    got = changes(DFA(optimizer=ONE), ours, x, target)
    assert np.abs(expected["weight/1"][:, WIDTH:]).max() > 0.01  # they learn to be fed back
    for name in ("weight/1", "weight/2", "bias/1", "bias/2"):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)


def test_the_frozen_control_and_random_blocks_train_what_reads_the_states_alone():
    x, target = batch(STACKED)
    for algorithm in (Frozen(optimizer=ONE), CascadedForward(optimizer=ONE)):
        on = placed(algorithm, STACKED)
        p, t = leaves(on), torch.tensor(target, dtype=torch.float64)
        moved = changes(algorithm, on, x, target)
        assert not any(moved[f"weight/{k}"].any() for k in (1, 2, 3))
        states, output = local_states(p, STACKED, x)
        loss = F.cross_entropy(output, t)
        if isinstance(algorithm, CascadedForward):
            heads = [states[0].flatten(1), states[1][:, -1]]
            for k, h in enumerate(heads, 1):
                loss = loss + F.cross_entropy(h.detach() @ p[f"head/{k}"].T, t)
        for k in (1, 2, 3):
            p[f"weight/{k}"] = p[f"weight/{k}"].detach()
            p[f"bias/{k}"] = p[f"bias/{k}"].detach()
        assert_descends(moved, p, loss)


SMALL = build((6,), 3, [Recur(4, 3)])
SMALL_STACKED = build((6,), 3, [Recur(3, 3, states="all"), Recur(3, 3)])


@pytest.mark.parametrize(
    ("algorithm", "network", "draws"),
    [
        (ForwardGradient(optimizer=ONE), SMALL, 1500),
        (ForwardGradient(optimizer=ONE), SMALL_STACKED, 1500),
        (ActivityGradient(optimizer=ONE), SMALL, 1000),
        (ActivityGradient(optimizer=ONE), SMALL_STACKED, 1000),
        (LikelihoodRatio(optimizer=ONE, noise=0.02), SMALL, 1000),
        (LikelihoodRatio(optimizer=ONE, noise=0.02), SMALL_STACKED, 600),
        (ZerothOrder(optimizer=ONE, shift=0.003), SMALL, 1500),
    ],
    ids=["weights", "weights2", "activities", "activities2", "likelihood", "likelihood2", "spsa"],
)
def test_estimates_have_the_gradient_through_time_as_their_mean(algorithm, network, draws):
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
    for k in range(1, network.depth + 1):
        for name in (f"weight/{k}", f"bias/{k}"):
            each = np.array(found[name], np.float64)
            error = each.std(0) / np.sqrt(draws) + 2e-4  # and what float32 losses can resolve
            assert (np.abs(each.mean(0) - expected[name]) < 5 * error).all(), name


# ---- all rules: trained and counted, or refused -----------------------------------------

TRAINING = {
    "backprop",
    "feedback_alignment",
    "dfa",
    "sign_dfa",
    "ternary_dfa",
    "drtp",
    "tpsgd",
    "cascaded_forward",
    "activity_gradient",
    "forward_gradient",
    "likelihood_ratio",
    "zeroth_order",
    "frozen",
}


def settled(rule: str) -> Algorithm:
    more = {"forward_forward": {"threshold": 0.4}, "equilibrium": {"loss": MeanSquare()}}
    return RULES[rule](**more.get(rule, {}))


def calls(algorithm: Algorithm, network: Network) -> Counter[str]:
    """Return what the formulas say that a step calls."""
    counted = Counter(algorithm.calls(network.depth))
    more = algorithm.repeats(turns(network))
    assert more is not None
    counted.update(more)
    return +counted


def recorded(on: Placement) -> Counter[str]:
    """Return what the one kind of training step called."""
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    return Counter(f"{op.device.split('/')[0]} {op.verb}" for op in step.ops if op.device != "host")


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("name", ["last", "stacked", "uneven"])
def test_every_rule_trains_recurrent_layers_and_counts_its_calls_or_refuses(rule, name):
    network, algorithm = NETWORKS[name], settled(rule)
    layer = 2 if name == "uneven" else 1
    if rule not in TRAINING:
        says = f"layer {layer} is recurrent, and {type(algorithm).__name__} has no rule for it"
        with pytest.raises(ValueError, match=says):
            algorithm.demands(network)
        return
    on = placed(algorithm, network)
    moved = {f"weight/{k}": 0.0 for k in range(1, network.depth + 1)}
    for seed in range(3):
        for n, change in changes(algorithm, on, *batch(network, seed=seed)).items():
            if n in moved:
                moved[n] += np.abs(change).max()
    still = {n for n, size in moved.items() if size == 0}
    fixed = rule in ("frozen", "cascaded_forward")
    assert still == {f"weight/{k}" for k in range(1, network.depth) if fixed}
    assert recorded(on) == calls(algorithm, network)


def test_the_formulas_of_backpropagation_and_dfa_count_every_step():
    assert calls(Backprop(), LAST) == {
        "weight MULTIPLY": T + 1,
        "weight TRANSPOSE": (T - 1) + 1,
        "weight UPDATE": 2,
    }
    assert calls(DFA(), STACKED) == {
        "weight MULTIPLY": 2 * T + 2,
        "feedback MULTIPLY": 1,
        "weight UPDATE": 4,
    }


@pytest.mark.parametrize("device", [n for n, d in CATALOGUE.items() if not d.written_once])
def test_every_device_that_can_be_taught_carries_every_step(device):
    algorithm, cls = DFA(), CATALOGUE[device]
    if algorithm.demands(LAST)[0].needs & ~cls.can:
        algorithm = DFA(optimizer=SGD(momentum=0.9))
    if algorithm.demands(LAST)[0].needs & ~cls.can:
        assert device in ("opu", "random_crossbar")
        return
    on = placed(algorithm, LAST, weight=cls)
    x, target = batch(LAST)
    x = np.abs(x) / np.abs(x).max()
    for _ in range(2):
        with on.ledger.step("train", samples=9):
            assert np.isfinite(algorithm.step(on, on.array(x), on.array(target)))
    found = recorded(on)
    assert found["weight MULTIPLY"] == T + 1
    assert found["feedback MULTIPLY"] == 1


def test_torch_and_numpy_learn_alike():
    for rule in sorted(TRAINING):
        moved = []
        for cls in (Ideal, TorchMatrix):
            algorithm = settled(rule)
            on = placed(algorithm, STACKED, weight=cls)
            x, target = batch(STACKED)
            moved.append(changes(algorithm, on, on.array(x), on.array(target)))
        for name, change in moved[0].items():
            np.testing.assert_allclose(moved[1][name], change, atol=1e-4, err_msg=f"{rule} {name}")


def test_light_projects_the_error_once_for_all_steps():
    algorithm = TernaryDFA()
    on = placed(algorithm, LAST, feedback=OPU)
    changes(algorithm, on, *batch(LAST))
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    [light] = [op for op in step.ops if op.device == "feedback"]
    assert light.batch == 2 * 9  # a mask of positive and one of negative errors a sample


# ---- noise, time ------------------------------------------------------------------------


def test_noise_enters_at_every_step_anew():
    algorithm = Frozen(optimizer=SGD(momentum=0.9))
    noisy, exact = (placed(algorithm, LAST, weight=cls) for cls in (Crossbar, Ideal))
    x = np.tile(np.random.default_rng(0).random((40, WIDTH)).astype(np.float32), (1, T))
    for on in (noisy, exact):
        w = on["weight/1"].matrix()
        w[:, WIDTH:] = 0  # nothing is fed back: without noise all steps are alike
        on["weight/1"].program(w)
        with on.ledger.step("evaluate", samples=40):
            states = algorithm.forward(on, x).outputs[0].reshape(40, T, UNITS)
        spread = np.abs(np.diff(states, axis=1)).max((0, 2))
        assert (spread > 1e-3).all() if on is noisy else (spread == 0).all()


def timeline(network: Network, algorithm: Algorithm):
    """Return when the operations of a step on crossbars of their own start and stop."""
    on = placed(algorithm, network, weight=PulsedCrossbar)
    changes(algorithm, on, *batch(network))
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    chosen = {name: load(device.technology) for name, device in on.ledger.devices.items()}
    return replay(step, on.ledger, chosen)


@pytest.mark.parametrize("verb", ["MULTIPLY", "TRANSPOSE"])
def test_a_layer_s_steps_wait_for_one_another(verb):
    line = timeline(STACKED, Backprop())
    for k in (1, 2):
        mine = [s for s in line.slices if s.device == f"weight/{k}" and s.verb == verb]
        assert len(mine) == (T - 1 if (k, verb) == (1, "TRANSPOSE") else T)
        ends = [s.stop_s for s in mine]
        assert all(s.start_s >= end for s, end in zip(mine[1:], ends, strict=False))


def test_layers_that_hand_on_all_states_work_one_behind_the_other():
    line = timeline(STACKED, Backprop())
    first, second = (
        [s for s in line.slices if s.device == f"weight/{k}" and s.verb == "MULTIPLY"]
        for k in (1, 2)
    )
    for t in range(T):
        assert second[t].start_s >= first[t].stop_s
    assert second[0].start_s < first[1].stop_s
    back = [
        [s for s in line.slices if s.device == f"weight/{k}" and s.verb == "TRANSPOSE"]
        for k in (2, 1)
    ]
    for t in range(T - 1):
        assert back[1][t].start_s >= back[0][t].stop_s
    assert back[1][0].start_s < back[0][1].stop_s
    apart = timeline(UNEVEN, Backprop())  # sequences of other lengths: one after the other
    first, second = (
        [s for s in apart.slices if s.device == f"weight/{k}" and s.verb == "MULTIPLY"]
        for k in (2, 3)
    )
    assert second[0].start_s >= first[-1].stop_s


def test_dfa_teaches_all_steps_at_once_and_the_last_layer_s_error_is_all_it_waits_for():
    on = placed(DFA(), STACKED)
    changes(DFA(), on, *batch(STACKED))
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    after = dict(step.after)
    assert after["update/1"] == after["update/2"] == ("feedback",)
    updates = [op for op in step.ops if op.verb == "UPDATE"]
    assert {op.device: op.batch for op in updates} == {
        "weight/1": 9 * T,
        "weight/2": 9 * T,
        "weight/3": 9,
        "weight/4": 9,
    }


def test_a_step_without_numbers_records_what_a_step_with_numbers_does():
    network = build((T * WIDTH,), CLASSES, [Recur(UNITS, T, states="all"), Recur(7, T)])
    for algorithm in (Backprop(), DFA()):
        demands = algorithm.demands(network)
        dry = dry_placement(network, demands, {"weight": engine(), "feedback": engine()}, "ideal")
        wet = placed(algorithm, network)
        for on in (dry, wet):
            x = np.broadcast_to(np.float32(0), (9, T * WIDTH)) if on is dry else batch(network)[0]
            with on.ledger.step("train", samples=9):
                algorithm.step(on, x, batch(network)[1])
        steps = [next(s for s in on.ledger.steps if s.kind == "train") for on in (dry, wet)]
        assert steps[0].after == steps[1].after
        assert [(o.device, o.verb, o.batch, o.stage) for o in steps[0].ops] == [
            (o.device, o.verb, o.batch, o.stage) for o in steps[1].ops
        ]
