"""PyTorch modules on devices: the training loop they had, their state, and what they wrote down."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

import hwloop
from hwloop.devices import OPU, Crossbar, Ideal, MatrixEngine, PulsedCrossbar, Unable
from hwloop.sim.pricing import bill, technologies, total_J

torch = pytest.importorskip("torch")
nn = torch.nn


def network(bias: bool = True) -> torch.nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=bias),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3 * 4 * 6, 11, bias=bias),
        nn.ReLU(),
        nn.Linear(11, 4, bias=bias),
    )


def batches(steps: int) -> list:
    torch.manual_seed(1)
    return [(torch.randn(7, 1, 8, 8), torch.randint(4, (7,))) for _ in range(steps)]


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.003),
}


def train(module, optimizer, data) -> list[float]:
    """Train by a loop that knows nothing of devices."""
    losses = []
    for x, y in data:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
@pytest.mark.parametrize("bias", [True, False])
def test_on_exact_devices_a_loop_trains_as_it_did(name, bias):
    plain = network(bias)
    on = hwloop.torch.convert(copy.deepcopy(plain), {"*": Ideal})
    expected = train(plain, OPTIMIZERS[name](plain.parameters()), batches(6))
    got = train(on, OPTIMIZERS[name](on.parameters()), batches(6))
    np.testing.assert_allclose(got, expected, rtol=2e-4)
    hwloop.torch.sync(on)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(on.state_dict()[key], value, rtol=2e-3, atol=2e-5)
    for layer, w in hwloop.torch.weights(on).items():
        held = on.state_dict()[f"{layer}.weight"].reshape(w.shape)
        np.testing.assert_allclose(w, held, atol=1e-6)


def verbs(module) -> dict[str, int]:
    found: dict[str, int] = {}
    for step, tally in hwloop.torch.ledger(module).steps.items():
        for op in step.ops:
            found[op.verb] = found.get(op.verb, 0) + tally.times
    return found


def test_plain_descent_updates_in_place_and_what_has_a_memory_writes():
    for name, verb, other in (("sgd", "UPDATE", "PROGRAM"), ("adam", "PROGRAM", "UPDATE")):
        on = hwloop.torch.convert(network(), {"*": MatrixEngine})
        train(on, OPTIMIZERS[name](on.parameters()), batches(5))
        hwloop.torch.sync(on)
        counted = verbs(on)
        assert counted["MULTIPLY"] == 3 * 5
        assert counted["TRANSPOSE"] == 2 * 5  # the first layer's input needs no slope
        assert counted[verb] == 3 * 5 + (3 if verb == "PROGRAM" else 0)
        assert counted.get(other, 0) == (3 if other == "PROGRAM" else 0)  # the first weights


def test_gradients_of_several_passes_go_as_one_update():
    plain = nn.Linear(6, 3)
    on = hwloop.torch.convert(copy.deepcopy(plain), {"": MatrixEngine})
    x = torch.randn(5, 6)
    for module in (plain, on):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
        for part in (x[:2], x[2:]):
            module(part).square().sum().backward()
        optimizer.step()
    hwloop.torch.sync(on)
    torch.testing.assert_close(on.weight, plain.weight)
    assert verbs(on)["UPDATE"] == 1


def test_a_state_dict_and_safetensors_pass_through(tmp_path):
    from safetensors.torch import load_file, save_file

    plain = network()
    on = hwloop.torch.convert(network(), {"5": Ideal, "3": Ideal})
    assert list(on.state_dict()) == list(plain.state_dict())
    train(on, torch.optim.SGD(on.parameters(), lr=0.1), batches(3))
    hwloop.torch.sync(on)
    save_file(on.state_dict(), tmp_path / "weights.safetensors")
    plain.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x, _ = batches(1)[0]
    torch.testing.assert_close(plain(x), on(x))
    other = hwloop.torch.convert(network(), {"5": Ideal, "3": Ideal})
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(other(x), plain(x))


def test_noisy_devices_train_and_leave_a_bill():
    kinds = {"0": partial(Crossbar, technology="rram_milo"), "*": PulsedCrossbar}
    on = hwloop.torch.convert(network(), kinds, seed=3)
    data = batches(1) * 40
    losses = train(on, torch.optim.SGD(on.parameters(), lr=0.05), data)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    record = hwloop.torch.ledger(on)
    prices = technologies(record)
    rows = bill(record, prices, dict.fromkeys(record.steps, 0.0))
    assert {row.device.split("/")[0] for row in rows if row.energy_J} >= {"0", "3", "5"}
    assert total_J(rows) > 0
    again = hwloop.torch.convert(network(), kinds, seed=3)
    assert train(again, torch.optim.SGD(again.parameters(), lr=0.05), data) == losses


def test_inputs_of_more_dimensions_keep_them():
    plain = nn.Linear(6, 3)
    on = hwloop.torch.convert(copy.deepcopy(plain), {"": Ideal})
    x = torch.randn(2, 5, 6, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    on(x).square().sum().backward()
    plain(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(on.weight.grad, plain.weight.grad)


@pytest.mark.parametrize(
    ("module", "place", "wrong", "says"),
    [
        (lambda: nn.Linear(4, 2), {"": OPU}, Unable, "layer needs TRANSPOSE and PROGRAM; OPU can"),
        (
            network,
            {"fc.*": Ideal},
            ValueError,
            '"fc.*" fits no Linear or Conv2d layer; there is: 0',
        ),
        (network, {"*": "crossbar"}, ValueError, 'pattern "*" takes a device class, got '),
        (nn.Tanh, {"*": Ideal}, ValueError, "no Linear or Conv2d layer; there is: none"),
        (
            lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)),
            {"*": Ideal},
            ValueError,
            "0: a convolution on a device has one group, this has 2",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding="same")),
            {"*": Ideal},
            ValueError,
            '0: padding takes whole numbers, got "same"',
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
            {"*": Ideal},
            ValueError,
            '0: padding_mode takes "zeros", got "reflect"',
        ),
    ],
)
def test_what_no_device_can_do_is_refused(module, place, wrong, says):
    with pytest.raises(wrong) as said:
        hwloop.torch.convert(module(), place)
    assert says in str(said.value)


def test_a_module_without_devices_has_no_ledger():
    with pytest.raises(ValueError, match="convert it first"):
        hwloop.torch.ledger(network())
    with pytest.raises(AttributeError, match="no attribute"):
        _ = hwloop.nothing
