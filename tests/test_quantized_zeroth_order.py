"""Learning in fixed point: integers that stay integers, signs that follow the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import (
    SGD,
    Adam,
    Algorithm,
    Backprop,
    MeanSquare,
    QuantizedZerothOrder,
    ZerothOrder,
)
from hwloop.algorithms.zeroth_order import directions
from hwloop.devices import CATALOGUE, Can, Seed
from hwloop.mappings import Convolve, Network, Placement, build, place
from hwloop.sim.experiment import BadInput, parse

NETWORK = build((6,), 3, [5])
WIDE: dict[str, Any] = {"weight_bits": 24, "activation_bits": 24}


def placed(algorithm: Algorithm, network: Network = NETWORK, device: str = "ideal") -> Placement:
    def make(d, ledger, seed):
        return CATALOGUE[device](n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

    return place(network, algorithm.demands(network), {"weight": make}, "ideal", Seed(3))


def batch(network: Network = NETWORK, samples: int = 12) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(samples, network.layers[0].width_in)).astype(np.float32)
    return x, np.eye(network.layers[-1].width_out, dtype=np.float32)[draw.integers(3, size=samples)]


def trained(algorithm: Algorithm, on: Placement, steps: int = 1) -> list[float]:
    x, target = (on.array(a) for a in batch(on.network))
    losses = []
    for _ in range(steps):
        with on.ledger.step("train", samples=len(x)):
            losses.append(algorithm.step(on, x, target))
    return losses


def parameters(on: Placement) -> np.ndarray:
    parts = [on[f"weight/{k}"].matrix() for k in range(1, on.network.depth + 1)]
    parts += [np.asarray(on.digital[f"bias/{k}"]) for k in range(1, on.network.depth + 1)]
    return np.concatenate([np.ravel(p) for p in parts]).astype(np.float64)


@pytest.mark.parametrize("device", ["ideal", "torch"])
@pytest.mark.parametrize("network", [NETWORK, build((5, 5, 2), 3, [Convolve(3, 2), 4])])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("neighbourhood", [0.0, 0.02])
def test_integers_stay_integers_within_their_bits(device, network, bits, neighbourhood):
    if device == "torch":
        pytest.importorskip("torch")
    algorithm = QuantizedZerothOrder(
        weight_bits=bits, neighbourhood=neighbourhood, directions=3, optimizer=SGD(rate=2.0)
    )
    on = placed(algorithm, network, device)
    seen: list[tuple[str, np.ndarray]] = []
    for name, one in on.devices.items():
        write = one._program
        one._program = lambda w, draw, name=name, write=write: (  # type: ignore[method-assign]
            seen.append((name, np.asarray(w).astype(np.float64))),
            write(w, draw),
        )[-1]
    trained(algorithm, on, 8)
    top = 2 ** (bits - 1) - 1
    for k, demand in enumerate(algorithm.weights(network), 1):
        grid = 2.0 ** np.ceil(np.log2(4 * demand.spread / top))
        written = [w / grid for name, w in seen if name == f"weight/{k}"]
        assert len(written) == 8 * (2 * (3 + bool(neighbourhood)) + 1)
        for w in written:
            np.testing.assert_array_equal(w, np.rint(w))
        assert max(np.abs(w).max() for w in written) <= top
        code = np.asarray(on.digital[f"code/weight/{k}"])
        assert code.dtype == np.int32
        np.testing.assert_array_equal(on[f"weight/{k}"].matrix(), code * np.float32(grid))
        bias = np.asarray(on.digital[f"code/bias/{k}"])
        np.testing.assert_array_equal(np.asarray(on.digital[f"bias/{k}"]), bias * np.float32(grid))
    if bits == 8:  # long steps reach the ends of the grid, and stop there
        assert any(np.abs(np.asarray(c)).max() == top for n, c in on.digital.items() if "code" in n)


def test_on_a_fine_grid_it_is_zeroth_order_in_floats():
    theirs = ZerothOrder(optimizer=SGD(rate=0.05), shift=2**-7)
    ours = QuantizedZerothOrder(
        optimizer=SGD(rate=0.05), shift=2**-7, direction="signs", differences="slopes", **WIDE
    )
    a, b = placed(theirs), placed(ours)
    before = parameters(a)
    expected, got = trained(theirs, a, 5), trained(ours, b, 5)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    assert np.abs(parameters(a) - before).max() > 0.02
    np.testing.assert_allclose(parameters(b), parameters(a), atol=2e-5)


def gradient() -> np.ndarray:
    algorithm = Backprop(optimizer=SGD(rate=1.0))
    on = placed(algorithm)
    before = parameters(on)
    trained(algorithm, on)
    return before - parameters(on)


def estimates(algorithm: QuantizedZerothOrder, draws: int) -> np.ndarray:
    on = placed(algorithm)
    state = {name: np.array(value) for name, value in on.state().items()}
    before, found = parameters(on), []
    for step in range(draws):
        on.restore(state | {"steps": np.array([step])})
        trained(algorithm, on)
        found.append(before - parameters(on))
    return np.array(found)


def test_signs_of_differences_have_the_unit_gradient_as_their_mean():
    """E[sign(g z) z] = sqrt(2 / pi) g / |g| for a Gaussian z; three directions vary less."""
    g = gradient()
    expected = np.sqrt(2 / np.pi) * g / np.linalg.norm(g)
    spreads = []
    for m in (1, 3):
        each = estimates(
            QuantizedZerothOrder(optimizer=SGD(rate=1.0), shift=2**-9, directions=m, **WIDE), 1500
        )
        error = each.std(0) / np.sqrt(len(each)) + 2e-3
        assert (np.abs(each.mean(0) - expected) < 5 * error).all()
        spreads.append(each.var(0).mean())
    assert spreads[1] == pytest.approx(spreads[0] / 3, rel=0.1)


def test_a_step_has_the_gradient_s_sign_as_often_as_two_correlated_gaussians_agree():
    """z_j and g z correlate by r = g_j / |g|: their signs agree in 1/2 + asin |r| / pi of cases."""
    g = gradient()
    each = estimates(QuantizedZerothOrder(optimizer=SGD(rate=1.0), shift=2**-9, **WIDE), 1500)
    moved = each != 0  # a z below 1/64 is rounded to 0
    agree = (np.sign(each) == np.sign(g)).sum(0) / moved.sum(0)
    expected = 0.5 + np.arcsin(np.abs(g) / np.linalg.norm(g)) / np.pi
    error = np.sqrt(expected * (1 - expected) / moved.sum(0))
    assert (np.abs(agree - expected) < 5 * error + 0.01).all()
    assert agree[expected.argmax()] > 0.58


def test_the_point_nearby_lies_up_the_slope():
    """Of a step's two directions the first says where up is, the second is taken from there."""
    network = build((6,), 3, [])
    algorithm = QuantizedZerothOrder(
        loss=MeanSquare(),
        optimizer=SGD(rate=1.0),
        differences="slopes",
        direction="signs",
        neighbourhood=0.1,
        **WIDE,
    )
    on = placed(algorithm, network)
    x, target = batch(network)
    start = on["weight/1"].matrix()
    (up,), (along,) = (list(directions(on, "signs", number)) for number in (2, 3))

    def slope(w, bias, z):
        error = x @ w.T + bias - target
        return float((error.T @ x / len(x) * z[0]).sum() + (error.mean(0) * z[1]["bias/1"]).sum())

    sign = np.sign(slope(start, np.zeros(3), up))
    expected = slope(start + 0.1 * sign * up[0], 0.1 * sign * up[1]["bias/1"], along)
    assert abs(expected - slope(start, np.zeros(3), along)) > 0.05
    trained(algorithm, on)
    np.testing.assert_allclose(start - on["weight/1"].matrix(), expected * along[0], atol=2e-3)


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("neighbourhood", [0.0, 0.01])
def test_calls_are_two_passes_a_pair_and_one_write_more(m, neighbourhood):
    algorithm = QuantizedZerothOrder(directions=m, neighbourhood=neighbourhood)
    on = placed(algorithm)
    trained(algorithm, on)
    [step] = [s for s in on.ledger.steps if s.kind == "train"]
    verbs = [op.verb for op in step.ops if op.device.startswith("weight")]
    pairs = m + bool(neighbourhood)
    assert verbs.count("MULTIPLY") == 2 * pairs * 2 == algorithm.calls(2)["weight MULTIPLY"]
    assert verbs.count("PROGRAM") == (2 * pairs + 1) * 2 == algorithm.calls(2)["weight PROGRAM"]
    assert {d.needs for d in algorithm.demands(NETWORK)} == {Can.MULTIPLY | Can.PROGRAM}


def test_activations_keep_so_many_levels_of_each_sample_s_largest():
    algorithm = QuantizedZerothOrder(activation_bits=4)
    on = placed(algorithm)
    x = batch()[0] * np.logspace(-3, 3, 12, dtype=np.float32)[:, None]
    x[4] = 0
    with on.ledger.step("evaluate", samples=12):
        seen = algorithm.enter(on, x)
    assert not seen[4].any()
    levels = np.delete(seen / np.abs(x).max(1, keepdims=True, initial=1e-30) * 7, 4, 0)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-5)
    assert np.abs(levels).max() == pytest.approx(7)
    assert (np.abs(seen - x).max(1) <= np.abs(x).max(1) / 14 * (1 + 1e-5)).all()


def test_a_checkpoint_holds_the_integers_and_goes_on_exactly():
    algorithm = QuantizedZerothOrder(directions=3, neighbourhood=0.01)
    whole, parts = placed(algorithm), placed(algorithm)
    trained(algorithm, whole, 6)
    trained(algorithm, parts, 3)
    state = {name: np.array(value) for name, value in parts.state().items()}
    assert state["digital:code/weight/1"].dtype == np.int32
    again = placed(algorithm)
    again.restore(state)
    trained(algorithm, again, 3)
    for name, value in whole.state().items():
        np.testing.assert_array_equal(again.state()[name], value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weight_bits": 1}, "weight_bits takes a whole number from 2 to 24, got 1"),
        ({"activation_bits": 32}, "activation_bits takes a whole number from 2 to 24, got 32"),
        ({"directions": 0}, "directions takes a whole number from 1 to 1000, got 0"),
        ({"direction": "up"}, 'direction takes "signs" or "gaussian"'),
        ({"differences": "all"}, 'differences takes "signs" or "slopes"'),
        ({"shift": 0.0}, "shift takes a number above 0"),
        ({"neighbourhood": -1.0}, "neighbourhood takes a number from 0, got -1.0"),
    ],
)
def test_what_is_no_setting_is_refused_where_it_stands(settings, says):
    with pytest.raises(ValueError, match=says):
        QuantizedZerothOrder(**settings)
    with pytest.raises(BadInput, match=next(iter(settings))):
        parse({"algorithm": {"rule": "quantized_zeroth_order", **settings}})


@pytest.mark.parametrize("optimizer", [Adam(), SGD(momentum=0.9)])
def test_steps_that_are_not_whole_are_refused(optimizer):
    with pytest.raises(ValueError, match=r'\[optimizer\] kind takes "sgd" without momentum'):
        QuantizedZerothOrder(optimizer=optimizer).demands(NETWORK)


def test_it_learns_in_16_bits():
    algorithm = QuantizedZerothOrder(optimizer=SGD(rate=0.01), directions=3)
    losses = trained(algorithm, placed(algorithm), 400)
    assert np.mean(losses[-10:]) < 0.6 * losses[0]
