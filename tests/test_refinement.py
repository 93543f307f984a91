"""Iterative refinement: exact answers out of inexact products, and where that ends."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from hwloop.devices import Crossbar, Ideal, MatrixEngine, Seed
from hwloop.devices.refinement import refine

N = 120


def spd(cond: float) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((N, N)))
    return (q * np.geomspace(1 / cond, 1, N)) @ q.T


def noisy(a: np.ndarray, share: float) -> LinearOperator:
    rng = np.random.default_rng(1)

    def matvec(v: np.ndarray) -> np.ndarray:
        y = a @ np.ravel(v)
        return y + share * np.linalg.norm(y) / np.sqrt(N) * rng.standard_normal(N)

    return LinearOperator((N, N), matvec=matvec, dtype=np.float64)


B = np.random.default_rng(2).standard_normal(N)


@pytest.mark.parametrize("cond", [1e2, 1e3])
def test_cg_inside_reaches_1e_12_at_five_per_cent_noise_and_gmres_stalls(cond):
    a = spd(cond)
    found = refine(a, B, noisy(a, 0.05), "cg")
    assert found.residual <= 1e-12
    assert np.linalg.norm(found.x - np.linalg.solve(a, B)) <= 1e-9 * np.linalg.norm(found.x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = refine(a, B, noisy(a, 0.05), "gmres")
    assert not other.residual <= 1e-9
    assert found.products < other.products


def test_without_noise_every_inner_solver_arrives():
    a = spd(1e2)
    for inner in ("cg", "gmres", "gcrotmk"):
        assert refine(a, B, noisy(a, 0), inner).residual <= 1e-12


@pytest.mark.parametrize(
    "device",
    [
        Ideal(n_out=N, n_in=N),
        MatrixEngine(n_out=N, n_in=N, inputs="bf16", weights="bf16", outputs="bf16"),
        Crossbar(n_out=N, n_in=N, seed=Seed(1)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_devices_serve_as_the_inner_operator(device):
    """Le Gallo et al. 2018: 8-bit reads of drifting cells, and a solution in double precision."""
    a = spd(10)
    device.program(a)
    found = refine(a, B, device, "cg")
    assert found.residual <= 1e-12
    assert found.products >= len(found.residuals) - 1


def test_a_device_that_is_another_matrix_is_given_up():
    a = spd(10)
    found = refine(a, B, LinearOperator((N, N), matvec=lambda v: -0.05 * np.ravel(v)), most=30)
    assert not found.residual <= 1
    assert len(found.residuals) < 30


def test_bad_sizes_are_one_sentence():
    with pytest.raises(ValueError, match=r"refine takes A and a device of \(120, 120\)"):
        refine(np.eye(3), B, Ideal(n_out=3, n_in=3))
