"""A device that can only be written learns by a digital copy: writes, counts, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwloop.devices import Can, Crossbar, Ledger, Reprogrammed, Seed, Unable
from hwloop.devices.host import Host
from hwloop.sim.experiment import BadInput, read
from hwloop.sim.prepare import prepare_all

EXACT = {"device": "crossbar", "programming_noise": 0.0, "drift": 0.0, "read_noise": 0.0}
rng = np.random.default_rng(0)
X, Y = (rng.standard_normal((5, n)).astype(np.float32) for n in (4, 6))


def make(**more) -> Reprogrammed:
    return Reprogrammed(n_out=6, n_in=4, name="d", seed=Seed(1), **more)


def test_it_is_written_at_every_k_th_update_and_its_copy_learns_at_each():
    device = make(of=EXACT, every=3)
    w = rng.uniform(-1, 1, (6, 4)).astype(np.float32)
    device.program(w)
    for k in range(1, 8):
        device.update(Y, X, 0.1)
        written = w + 0.1 * (k // 3 * 3) * Y.T @ X
        np.testing.assert_allclose(device.matrix(), written, atol=1e-5)
    assert (device.wear() == 3).all()


def test_errors_of_writes_do_not_add_up():
    """Each write aims at the copy, so the error after a hundred writes is that of one."""
    noisy = {**EXACT, "programming_noise": 1.0}
    device = make(of=noisy)
    device.program(np.zeros((6, 4)))
    for _ in range(100):
        device.update(Y, X, 0.01)
    once = make(of=noisy)
    once.program(Y.T @ X)
    error = [np.sqrt(np.mean((d.matrix() - Y.T @ X) ** 2)) for d in (device, once)]
    assert 0 < error[0] < 2 * error[1]


def test_the_ledger_holds_the_writes_the_host_s_gradient_and_the_prices_of_the_inside():
    ledger = Ledger()
    Host(ledger, "cpu_host")
    device = Reprogrammed(
        n_out=6, n_in=4, name="d", ledger=ledger, every=2,
        of={"device": "crossbar", "technology": "rram_milo", "verify": 2, "tolerance": 1e-4},
    )  # fmt: skip
    bare = Crossbar(n_out=6, n_in=4, name="d", technology="rram_milo")
    assert (device.technology, device.part) == ("rram_milo", "d")
    for verb in (Can.MULTIPLY, Can.TRANSPOSE, Can.PROGRAM):
        assert device.cost(verb, 3) == bare.cost(verb, 3)
    write = bare.cost(Can.PROGRAM, 6)["cell_write"]
    assert device.cost(Can.UPDATE, 5)["cell_write"] == (write.work / 2, write.depth / 2)
    for _ in range(4):
        device.update(Y, X, 0.1)
    ops = {(op.device, op.verb): (op, t) for s, t in ledger.steps.items() for op in s.ops}
    assert ledger.devices["d"].technology == "rram_milo"
    assert dict(ledger.devices["d"].settings)["verify"] == 2  # prices may follow the inside
    assert ledger.units["d"] == bare.ledger.units["d"]
    assert ops["host", "GRADIENT"][1].work[0][1] == 4 * 5 * 6 * 4
    assert ops["d", "UPDATE"][1].work == [[2 * write.work]]
    verified = sum(t.work[0][0] for s, t in ledger.steps.items() if s.ops[0].verb == "VERIFY")
    assert verified > 0
    assert device.wear().sum() == 2 * write.work + verified


def test_state_goes_on_between_two_writes():
    one, other = make(every=3), make(every=3)
    for device in (one, other):
        device.program(np.full((6, 4), 0.2))
    for _ in range(4):
        one.update(Y, X, 0.01)
    other.restore({k: v.copy() for k, v in one.state().items()})
    for _ in range(2):
        for device in (one, other):
            device.update(Y, X, 0.01)
    np.testing.assert_array_equal(one.matrix(), other.matrix())
    np.testing.assert_array_equal(one.multiply(X), other.multiply(X))


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"every": 0}, ValueError, "d: every takes a whole number from 1, got 0"),
        ({"of": {"device": "opu"}}, Unable, "d: of takes a device that can PROGRAM; OPU can MULT"),
        ({"of": {"device": "reprogrammed"}}, Unable, "d: of takes a device that can PROGRAM"),
        ({"of": {"device": "crosbar"}}, ValueError, 'unknown device "crosbar"; did you mean'),
        ({"of": {"device": "crossbar", "slice": 2}}, ValueError, 'd: of: unknown key "slice"'),
    ],
)
def test_what_it_cannot_wrap_is_named(settings, error, says):
    with pytest.raises(error, match=says):
        make(**settings)


def test_it_wraps_whatever_can_be_programmed():
    device = make(of={"device": "ideal"}, every=2)
    assert (device.technology, device.usual_technology) == ("ideal", "ideal")
    device.program(np.zeros((6, 4)))
    for _ in range(2):
        device.update(Y, X, 0.5)
    np.testing.assert_allclose(device.matrix(), Y.T @ X, atol=1e-5)


FILE = """
[network]
hidden = [8]
[data]
limit_train = 200
[algorithm]
rule = "backprop"
[train]
epochs = 1
[weight]
device = "reprogrammed"
every = 2
[weight.of]
device = "crossbar"
technology = "rram_milo"
{}
"""


def test_an_experiment_trains_a_crossbar_by_plain_descent(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text(FILE.format("verify = 2"))
    arm = prepare_all(read(path))["main"]
    device = arm.placement["weight/1"]
    assert isinstance(device, Reprogrammed)
    assert isinstance(device.inner, Crossbar)
    assert device.inner.verify == 2
    assert arm.placement.ledger.devices["weight/1"].technology == "rram_milo"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("verifi = 2", r'line 16: \[weight\] unknown key "verifi" for device "crossbar"'),
        ("verify = true", r"line 16: \[weight\] verify takes a whole number"),
        ('technology = "rram"', r'unknown technology "rram"'),
    ],
)
def test_a_wrong_key_of_the_inside_is_named_with_its_line(tmp_path: Path, more, says):
    path = tmp_path / "own.toml"
    text = FILE.replace('technology = "rram_milo"\n', "") if "tech" in more else FILE
    path.write_text(text.format(more))
    with pytest.raises(BadInput, match=says):
        read(path)
