"""Every kernel stands beside its reference, and does what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

from hwloop.devices import kernels
from hwloop.devices.kernels import elementwise

FILES = [m.name for m in pkgutil.iter_modules(kernels.__path__, kernels.__name__ + ".")]


@pytest.mark.parametrize("file", FILES)
def test_every_kernel_has_a_reference_of_the_same_signature(file):
    from numba.core.registry import CPUDispatcher

    module = importlib.import_module(file)
    public = {n: f for n, f in vars(module).items() if isinstance(f, CPUDispatcher) and n[0] != "_"}
    assert public
    for name, kernel in public.items():
        assert kernel.__module__ == file, f"{name} is another file's kernel"
        reference = getattr(module, f"{name}_reference")
        assert list(inspect.signature(kernel.py_func).parameters) == list(
            inspect.signature(reference).parameters
        )


def matrices(count: int, scale: float = 1.0) -> list[np.ndarray]:
    draw = np.random.default_rng(3)
    return [(scale * draw.normal(size=(37, 65))).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_activate(kind, scale):
    [z] = matrices(1, scale)
    bias = np.linspace(-1, 1, 65, dtype=np.float32)
    got, expected = z.copy(), z.copy()
    elementwise.activate(got, bias, kind)
    elementwise.activate_reference(expected, bias, kind)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_tanh_is_exact_to_a_millionth_on_the_whole_line():
    z = np.linspace(-20, 20, 400_001, dtype=np.float32)[None]
    got = z.copy()
    elementwise.activate(got, np.zeros(z.size, np.float32), elementwise.TANH)
    assert abs(got - np.tanh(z.astype(np.float64))).max() < 1e-6
    assert abs(got).max() <= 1


@pytest.mark.parametrize("kind", range(5))
def test_slope(kind):
    delta, h = matrices(2)
    got, expected = delta.copy(), delta.copy()
    elementwise.slope(got, h, kind)
    elementwise.slope_reference(expected, h, kind)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_slope_is_the_derivative_of_activate():
    z = np.linspace(-2.05, 2.05, 42, dtype=np.float32)[None]
    none, step = np.zeros(z.size, np.float32), 1e-2
    for kind in (elementwise.TANH, elementwise.SIGMOID, elementwise.RELU, elementwise.IDENTITY):
        up, down, h, delta = z + step, z - step, z.copy(), np.ones_like(z)
        for a in (up, down, h):
            elementwise.activate(a, none, kind)
        elementwise.slope(delta, h, kind)
        np.testing.assert_allclose(delta, (up - down) / (2 * step), atol=2e-4)


def test_adam():
    w, g = (a.reshape(-1) for a in matrices(2))
    state = [np.zeros_like(w) for _ in range(4)]
    got, expected = w.copy(), w.copy()
    for time in range(1, 6):
        elementwise.adam(got, g * time, state[0], state[1], 1e-2, 0.9, 0.999, 1e-8, time)
        elementwise.adam_reference(
            expected, g * time, state[2], state[3], 1e-2, 0.9, 0.999, 1e-8, time
        )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
