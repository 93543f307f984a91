"""What every device must do. A device that enters the catalogue is tested here by that alone."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import CATALOGUE, Can, Count, Device, Ideal, Ledger, Seed, Unable
from hwloop.devices.base import words
from hwloop.devices.technology import load

N_OUT, N_IN = 6, 4
rng = np.random.default_rng(0)
TERNARY = rng.integers(-1, 2, (5, N_IN)).astype(np.float32)
"""Inputs that every device can show."""

_EXACT = {"read_noise": 0.0, "dac_bits": 0, "adc_bits": 0}
EXACT = {
    "crossbar": _EXACT,
    "pulsed_crossbar": _EXACT,
    "reprogrammed": {"of": {"device": "crossbar", **_EXACT}},
    "paired": {"of": {"device": "pulsed_crossbar", **_EXACT}},
}
"""Settings under which a noisy device reads exactly what it holds."""

FINE = {"random_crossbar": {"adc_bits": 0}}
"""Settings of a device whose noise is too small to dither its converter."""

WRITTEN = {"reprogrammed": {"of": {"device": "crossbar", "programming_noise": 0.0, "drift": 0.0}}}
"""Devices whose update is a write, and the settings under which it is exact."""

_PULSED = {"response": "constant", "train": "stochastic"}
PULSED = {
    "pulsed_crossbar": _PULSED,
    "paired": {"of": {"device": "pulsed_crossbar", **_PULSED}},
}
"""Devices whose update is right on average, and the settings under which it is unbiased."""


def make(kind: str, **more) -> Device:
    device = CATALOGUE[kind](n_out=N_OUT, n_in=N_IN, name="d", seed=Seed(1), **more)
    if Can.PROGRAM in device.can:
        device.program(np.random.default_rng(7).uniform(-0.5, 0.5, (N_OUT, N_IN)))
    return device


@pytest.fixture(params=sorted(CATALOGUE))
def kind(request) -> str:
    return request.param


def test_multiply_is_the_matrix_on_average(kind):
    device = make(kind, **FINE.get(kind, {}))
    for x in ([1, 0, 0, 0], [1, -1, 0, 1], [-1, -1, 1, 1]):
        y = device.multiply(np.repeat(np.array([x], np.float32), 4000, axis=0))
        assert y.shape == (4000, N_OUT)
        five_errors = 5 * y.std(axis=0) / np.sqrt(4000)
        # Noise is unbiased; 8-bit conversion may leave up to half a per cent of an entry's std.
        slack = 5e-3 * device.matrix().std() + 1e-6
        assert (abs(y.mean(axis=0) - x @ device.matrix().T) <= five_errors + slack).all()


def test_noise_never_falls_below_the_promised_floor(kind):
    device = make(kind)
    floor = device.noise_std()
    if floor is None:
        pytest.skip(f"{kind} promises no noise")
    for x in ([0, 0, 0, 0], [1, -1, 0, 1]):
        y = device.multiply(np.repeat(np.array([x], np.float32), 4000, axis=0))
        # The std of a std over 4000 draws is 1 / sqrt(8000) of it.
        assert (y.std(axis=0) >= floor * (1 - 5 / np.sqrt(8000))).all()


def test_transpose_is_the_adjoint_of_multiply(kind):
    device = make(kind, **EXACT.get(kind, {}))
    if Can.TRANSPOSE not in device.can:
        pytest.skip(f"{kind} has no transpose")
    y = np.random.default_rng(3).normal(size=(5, N_OUT)).astype(np.float32)
    ahead = (device.multiply(TERNARY) * y).sum(1)
    back = (TERNARY * device.transpose(y)).sum(1)
    np.testing.assert_allclose(ahead, back, rtol=1e-4, atol=1e-5)


def test_transpose_is_the_matrix_on_average(kind):
    device = make(kind)
    if Can.TRANSPOSE not in device.can:
        pytest.skip(f"{kind} has no transpose")
    y = np.random.default_rng(3).normal(size=(1, N_OUT)).astype(np.float32)
    x = device.transpose(np.repeat(y, 4000, axis=0))
    five_errors = 5 * x.std(axis=0) / np.sqrt(4000)
    # A deterministic converter is off by up to half a step, which no average removes.
    slack = 0.02 * device.matrix().std() + 1e-6
    assert (abs(x.mean(axis=0) - y[0] @ device.matrix()) <= five_errors + slack).all()


def test_update_adds_the_outer_product(kind):
    device = make(kind, **WRITTEN.get(kind, {}))
    if Can.UPDATE not in device.can:
        pytest.skip(f"{kind} has no update")
    before = device.matrix()
    y = np.random.default_rng(3).normal(size=(5, N_OUT)).astype(np.float32)
    if kind in PULSED:
        # Small steps, since a train holds few pulses and cuts what is larger.
        moved = []
        for seed in range(300):
            device = CATALOGUE[kind](
                n_out=N_OUT, n_in=N_IN, name="d", seed=Seed(seed), **PULSED[kind]
            )
            device.update(y, TERNARY, -0.005)
            moved.append(device.matrix())
        five_errors = 5 * np.std(moved, axis=0) / np.sqrt(300)
        assert (abs(np.mean(moved, axis=0) + 0.005 * y.T @ TERNARY) <= five_errors + 1e-6).all()
        return
    device.update(y, TERNARY, -0.25)
    np.testing.assert_allclose(device.matrix(), before - 0.25 * y.T @ TERNARY, rtol=1e-5, atol=1e-6)


def test_same_seed_same_result_whatever_ran_before(kind):
    one, other = make(kind), make(kind)
    make(kind, ledger=Ledger()).multiply(TERNARY)
    np.testing.assert_array_equal(one.multiply(TERNARY), other.multiply(TERNARY))
    np.testing.assert_array_equal(one.multiply(TERNARY), other.multiply(TERNARY))


def test_state_goes_on_bit_for_bit(kind):
    one, other = make(kind), make(kind)
    one.multiply(TERNARY)
    if Can.UPDATE in one.can:
        one.update(np.ones((5, N_OUT), np.float32), TERNARY, 0.1)
    other.restore({k: v.copy() for k, v in one.state().items()})
    np.testing.assert_array_equal(one.multiply(TERNARY), other.multiply(TERNARY))


def test_array_type_and_dtype_come_back(kind):
    torch = pytest.importorskip("torch")
    device = make(kind)
    assert device.multiply(TERNARY).dtype == np.float32
    assert device.multiply(TERNARY.astype(np.float64)).dtype == np.float64
    assert device.multiply(TERNARY.astype(np.int64)).dtype == np.float32
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        y = device.multiply(torch.as_tensor(TERNARY).to(dtype))
        assert isinstance(y, torch.Tensor)
        assert y.dtype == dtype


def test_wrong_shapes_are_named_with_what_is_taken(kind):
    device = make(kind)
    with pytest.raises(ValueError, match=rf"d: x takes \(batch, {N_IN}\), got \(3, {N_IN + 1}\)"):
        device.multiply(np.zeros((3, N_IN + 1), np.float32))
    with pytest.raises(ValueError, match="x takes"):
        device.multiply(np.zeros(N_IN, np.float32))
    for size in (0, -1, 2.0, True, "3"):
        with pytest.raises(ValueError, match="n_in takes a whole number"):
            CATALOGUE[kind](n_out=2, n_in=size)


def test_what_it_cannot_do_it_refuses_and_does_not_count(kind):
    device = make(kind)
    y = np.ones((1, N_OUT), np.float32)
    verbs = {
        Can.TRANSPOSE: lambda: device.transpose(y),
        Can.PROGRAM: lambda: device.program(np.ones((N_OUT, N_IN), np.float32)),
        Can.UPDATE: lambda: device.update(y, TERNARY[:1], 0.1),
    }
    before = dict(device.ledger.steps)
    for verb, call in verbs.items():
        if verb not in device.can:
            with pytest.raises(Unable, match="^d: "):
                call()
    assert device.ledger.steps == before


def test_every_verb_is_counted_and_priced(kind):
    device = make(kind)
    technology = load(device.technology)
    for verb in device.can:
        for batch in (1, 3):
            for event, count in device.cost(verb, batch).items():
                price = technology.event(event, N_OUT, N_IN)
                assert price.source
                assert count.work >= count.depth >= 0
    steps = len(device.ledger.steps)
    device.multiply(TERNARY)
    assert len(device.ledger.steps) == steps + 1


def test_work_grows_with_the_batch(kind):
    device = make(kind)
    for verb in device.can & ~Can.PROGRAM:
        small, large = device.cost(verb, 2), device.cost(verb, 20)
        assert set(small) == set(large)
        assert all(large[e].work >= small[e].work for e in small)


def test_a_scipy_solver_takes_the_device(kind):
    device = make(kind, **EXACT.get(kind, {}))
    operator = device.to_scipy()
    assert operator.shape == (N_OUT, N_IN)
    x = np.array([1.0, 0, -1, 0])
    assert operator.matvec(x).shape == (N_OUT,)
    if Can.TRANSPOSE in device.can:
        from scipy.sparse.linalg import lsqr

        solved = lsqr(operator, device.matrix() @ x, atol=1e-10, btol=1e-10)[0]
        np.testing.assert_allclose(solved, x, atol=1e-3)


def test_can_is_read_off_the_hooks():
    assert CATALOGUE["opu"].can == Can.MULTIPLY
    assert CATALOGUE["ideal"].can == Can.MULTIPLY | Can.TRANSPOSE | Can.PROGRAM | Can.UPDATE
    assert words(Can.MULTIPLY | Can.PROGRAM | Can.UPDATE) == "MULTIPLY, PROGRAM and UPDATE"
    assert words(Can.MULTIPLY) == "MULTIPLY"


def test_two_devices_of_one_name_in_one_ledger_are_refused():
    ledger = Ledger()
    Ideal(n_out=2, n_in=2, name="w", ledger=ledger)
    with pytest.raises(ValueError, match='two different devices are called "w"'):
        Ideal(n_out=3, n_in=2, name="w", ledger=ledger)


def test_the_interface_is_enough_for_a_device_of_ones_own():
    class Negative(Ideal):
        def _cost(self, verb, batch):
            return {"flip": Count(batch, 1)}

    device = Negative(n_out=2, n_in=2)
    device.multiply(np.ones((4, 2)))
    [(step, tally)] = device.ledger.steps.items()
    assert step.ops[0].depths == (("flip", 1),)
    assert tally.work == [[4]]
