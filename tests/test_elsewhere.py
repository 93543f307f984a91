"""Tensors of another memory: the crossbar reads them there, others move them and count bytes.

No GPU is needed: tensors of this processor are taken for a GPU's, and go the same way in torch.
"""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import CATALOGUE, Crossbar, Ledger, Seed
from hwloop.devices import base as base_file
from hwloop.devices import crossbar as crossbar_file
from hwloop.devices import medium as medium_file
from hwloop.devices.arrays import namespace
from hwloop.devices.medium import make_medium

torch = pytest.importorskip("torch")

N_OUT, N_IN = 24, 40
rng = np.random.default_rng(0)
W = rng.uniform(-1, 1, (N_OUT, N_IN)).astype(np.float32)
X = rng.standard_normal((64, N_IN)).astype(np.float32)
Y = rng.standard_normal((64, N_OUT)).astype(np.float32)
NOISELESS = {"read_noise": 0.0, "output_noise": 0.0}
SETTINGS = [
    {},
    {"mapping": "offset"},
    {"mapping": "balanced", "slices": 2, "levels": 16},
    {"encoding": "serial"},
    {"encoding": "pulses"},
    {"encoding": "pulses", "mapping": "offset", "tile_columns": 32},
    {"technology": "rram_milo", "curvature": 1.0},
    {"tile_rows": 16, "tile_columns": 64},
    {"scaling": "column", "adc_per_column": True, "adc_gain_std": 0.02, "adc_offset_lsb": 0.5},
    {"input_range": 2.0, "adc_bits": 0},
    {"dac_bits": 0, "adc_bits": 0, "technology": "pcm_nandakumar", "mapping": "offset"},
]


@pytest.fixture
def taken_for_a_gpus(monkeypatch):
    def elsewhere(x: object) -> bool:
        return namespace(x) is not np

    for module in (base_file, crossbar_file):
        monkeypatch.setattr(module, "elsewhere", elsewhere)


def crossbar(**settings) -> Crossbar:
    device = Crossbar(n_out=N_OUT, n_in=N_IN, name="d", seed=Seed(1), ledger=Ledger(), **settings)
    device.program(W)
    return device


@pytest.mark.usefixtures("taken_for_a_gpus")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_crossbar_read_in_torch_is_the_one_read_in_numpy(settings):
    """Without noise they agree but for conversions that fall on the other side of a rounding."""
    here, there = (crossbar(**NOISELESS, **settings) for _ in range(2))
    for verb, given in (("multiply", X), ("transpose", Y)):
        expected = getattr(here, verb)(given)
        got = getattr(there, verb)(torch.as_tensor(given))
        assert isinstance(got, torch.Tensor)
        off = np.abs(got.numpy() - expected)
        close = off <= 2e-5 * np.abs(expected).max()
        assert close.mean() > 0.98
        assert off.max() <= 0.05 * np.abs(expected).max()  # a step of a converter or two
    assert not there.ledger.moved
    steps = zip(here.ledger.steps.values(), there.ledger.steps.values(), strict=True)
    for one, other in steps:  # what was read is priced alike
        np.testing.assert_allclose(other.work, one.work, rtol=1e-4)


@pytest.mark.usefixtures("taken_for_a_gpus")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"read_noise": 0.0, "output_noise": 0.1},
        {"technology": "pcm_joshi", "read_noise": 0.0, "temperature_K": 2000.0, "adc_bits": 0},
    ],
    ids=str,
)
def test_its_noise_has_the_same_law(settings):
    x = np.repeat(X[:1], 4000, axis=0)
    here, there = crossbar(**settings), crossbar(**settings)
    one, other = here.multiply(x), there.multiply(torch.as_tensor(x)).numpy()
    error = np.sqrt((one.var(0) + other.var(0)) / 4000)
    assert (np.abs(one.mean(0) - other.mean(0)) <= 5 * error).all()
    assert other.std(0) == pytest.approx(one.std(0), rel=5 * np.sqrt(2 / 8000) + 0.02)
    again = crossbar(**settings).multiply(torch.as_tensor(x)).numpy()
    np.testing.assert_array_equal(again, other)  # the same seed, the same draws


@pytest.mark.usefixtures("taken_for_a_gpus")
def test_a_crossbar_in_torch_follows_what_is_written_and_calibrated():
    device = crossbar(**NOISELESS)
    before = device.multiply(torch.as_tensor(X))
    device.program(-W)
    after = device.multiply(torch.as_tensor(X))
    assert torch.corrcoef(torch.stack([before.ravel(), after.ravel()]))[0, 1] < -0.99
    with pytest.raises(ValueError, match=r"d: x takes \(batch, 40\), got \(2, 3\)"):
        device.multiply(torch.ones(2, 3))


@pytest.mark.usefixtures("taken_for_a_gpus")
def test_converters_of_unequal_steps_are_simulated_here_and_move_the_numbers():
    device = crossbar(**NOISELESS, adc_mismatch=0.05)
    y = device.multiply(torch.as_tensor(X))
    np.testing.assert_array_equal(y.numpy(), crossbar(**NOISELESS, adc_mismatch=0.05).multiply(X))
    assert device.ledger.moved == {"d": 4 * 64 * (N_IN + N_OUT)}


@pytest.mark.usefixtures("taken_for_a_gpus")
@pytest.mark.parametrize("kind", ["ideal", "matrix_engine", "opu", "pulsed_crossbar"])
def test_what_is_simulated_here_counts_the_bytes_that_move(kind):
    device = CATALOGUE[kind](n_out=N_OUT, n_in=N_IN, name="d", seed=Seed(1), ledger=Ledger())
    x = torch.as_tensor((X > 0).astype(np.float32))
    y = device.multiply(x)
    assert isinstance(y, torch.Tensor)
    assert device.ledger.moved == {"d": 4 * 64 * (N_IN + N_OUT)}
    assert Ledger.from_json(device.ledger.to_json()).moved == device.ledger.moved
    device.multiply(x.numpy())
    assert device.ledger.moved == {"d": 4 * 64 * (N_IN + N_OUT)}


@pytest.mark.parametrize(("n_out", "n_in"), [(5000, 700), (100, 3000)])
def test_structured_projections_stay_where_the_tensor_is(n_out, n_in, monkeypatch):
    monkeypatch.setattr(medium_file, "elsewhere", lambda x: namespace(x) is not np)
    medium = make_medium(n_out, n_in, 7 << 40, "structured")
    x = np.random.default_rng(0).standard_normal((5, n_in)).astype(np.float32)
    for got, expected in zip(medium.apply(torch.as_tensor(x)), medium.apply(x), strict=True):
        assert isinstance(got, torch.Tensor)
        np.testing.assert_allclose(got.numpy(), expected, atol=2e-5 * np.abs(expected).max())
    with pytest.raises(ValueError, match="takes finite x"):
        medium.apply(torch.full((1, n_in), float("nan")))
    with pytest.raises(ValueError, match="takes"):
        medium.apply(torch.ones(1, n_in + 1))
