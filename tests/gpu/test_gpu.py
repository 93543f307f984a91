"""What only a GPU can show: run with `pytest -m gpu tests/gpu`; skipped, with a reason, without."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]


def _other(name: str):
    """Return a test file of the folder above: its checks take a place."""
    path = Path(__file__).parents[1] / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn"])
def test_the_real_engine_does_what_numpy_does(dtype):
    _other("test_torch_matrix").conforms(dtype, "cuda")


@pytest.mark.parametrize("rounding", ["nearest", "truncated", "stochastic"])
@pytest.mark.parametrize("name", ["bf16", "e4m3", "e5m2", "int8", "mxfp4", "nvfp4"])
def test_formats_have_the_bits_of_the_numpy_kernels(name, rounding):
    _other("test_formats_torch").agree(name, rounding, "tensor", "cuda")


@pytest.mark.parametrize("name", ["fp32", "bf16", "e4m3", "mxfp4"])
def test_an_engine_on_the_gpu_agrees_with_one_in_numpy(name):
    from hwloop.devices import MatrixEngine, Seed

    formats = {"inputs": name, "weights": name, "gradients": name}
    here, there = (
        MatrixEngine(n_out=128, n_in=256, seed=Seed(0), place=place, **formats)
        for place in ("", "cuda")
    )
    rng = np.random.default_rng(0)
    w, x = (rng.standard_normal((128, 256)).astype(np.float32) for _ in range(2))
    for device in (here, there):
        device.program(w)
    given = torch.as_tensor(x, device="cuda")
    got = there.multiply(given)
    assert got.is_cuda
    expected = here.multiply(x)
    np.testing.assert_allclose(got.cpu().numpy(), expected, atol=1e-4 * abs(expected).max())


def test_a_crossbar_is_read_on_the_gpu():
    from hwloop.devices import Crossbar, Seed

    rng = np.random.default_rng(0)
    w, x = rng.uniform(-1, 1, (48, 64)), rng.standard_normal((32, 64)).astype(np.float32)
    device = Crossbar(n_out=48, n_in=64, seed=Seed(0), read_noise=0.0)
    device.program(w)
    got = device.multiply(torch.as_tensor(x, device="cuda"))
    assert got.is_cuda
    assert not device.ledger.moved
    expected = device.multiply(x)
    assert (abs(got.cpu().numpy() - expected) <= 2e-5 * abs(expected).max()).mean() > 0.98


def test_structured_projections_run_on_the_gpu():
    from hwloop.devices.medium import make_medium

    medium = make_medium(5000, 3000, 7, "structured")
    x = np.random.default_rng(0).standard_normal((16, 3000)).astype(np.float32)
    there = medium.apply(torch.as_tensor(x, device="cuda"))
    for got, expected in zip(there, medium.apply(x), strict=True):
        assert got.is_cuda
        np.testing.assert_allclose(got.cpu().numpy(), expected, atol=1e-4 * np.abs(expected).max())


def test_what_is_simulated_here_moves_and_counts():
    from hwloop.devices import OPU

    device = OPU(n_out=32, n_in=16, name="light")
    y = device.multiply(torch.ones(8, 16, device="cuda"))
    assert y.is_cuda
    assert device.ledger.moved == {"light": 4 * 8 * (16 + 32)}


def test_seconds_and_joules_of_a_run_are_measured(tmp_path):
    from hwloop.sim.experiment import parse
    from hwloop.sim.metering import readings, total
    from hwloop.sim.run import execute, new_folder, prepare_all

    raw = {
        "name": "gpu",
        "network": {"hidden": [512]},
        "train": {"epochs": 20},
        "algorithm": {"rule": "backprop"},
        "weight": {"device": "torch", "place": "cuda", "dtype": "bfloat16"},
    }
    experiment = parse(raw)
    folder = new_folder(experiment, tmp_path / "run")
    execute(folder, prepare_all(experiment), lambda progress: None)
    found = total(readings(folder))
    assert found is not None
    watts = found["energy_J"] / found["seconds"]
    print(f"{found['devices']}: {watts:.0f} W over {found['seconds']:.1f} s, {found['tag']}")
    assert 20 < watts < 1500
