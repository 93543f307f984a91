"""Drift compensation: what a calibration read restores, how well, and what it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwloop.devices import Crossbar, Seed
from hwloop.devices.ageing import Ageing
from hwloop.devices.drift_compensation import column_sums, drift_factors

EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
rng = np.random.default_rng(3)
W = rng.normal(size=(12, 40)).astype(np.float32)
X = rng.normal(size=(20, 40)).astype(np.float32)
YEAR_S = 365.25 * 86400.0


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a technology whose cells all drift with one exponent, 0.06."""
    from importlib import resources

    text = resources.files("hwloop.devices.technology").joinpath("pcm_nandakumar.toml").read_text()
    kept = [part for part in text.split("\n\n") if "parameter.drift_" not in part]
    for name, value in (("reference", 20.0), ("mean_constant", 0.06)):
        unit = "s" if name == "reference" else "1"
        kept.append(
            f'[parameter.drift_{name}]\nvalue = {value}\nunit = "{unit}"\nsource = "a test"'
        )
    path: Path = tmp_path_factory.mktemp("technology") / "equal.toml"
    path.write_text("\n\n".join(kept) + "\n")
    return str(path)


def make(w: np.ndarray = W, **settings) -> Crossbar:
    made = {"name": "c", "seed": Seed(1), "technology": "pcm_nandakumar"} | settings
    device = Crossbar(n_out=w.shape[0], n_in=w.shape[1], **made)
    device.program(w)
    return device


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("mapping", ["differential", "balanced", "offset"])
def test_drift_of_one_exponent_is_taken_back_whole(mapping, per_column, equal) -> None:
    device = make(mapping=mapping, technology=equal, **EXACT)
    before, back = device.multiply(X), device.transpose(X[:, :12])
    device.wait(YEAR_S)
    lost = (1 + YEAR_S / 20) ** -0.06
    np.testing.assert_allclose(device.multiply(X), before * lost, rtol=1e-4, atol=1e-5)
    device.compensate(per_column)
    np.testing.assert_allclose(device.multiply(X), before, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(device.transpose(X[:, :12]), back, rtol=1e-4, atol=2e-5)


def test_behind_wires_the_read_sees_what_the_outputs_lost(equal) -> None:
    device = make(technology=equal, word_ohm=2.0, bit_ohm=2.0, **EXACT)
    before = device.multiply(X)
    device.wait(YEAR_S)
    device.compensate(per_column=True)
    found = device.multiply(X)
    assert abs(found - before).max() < 0.002 * abs(before).max()


def test_one_factor_leaves_small_columns_small_and_a_factor_a_column_does_not() -> None:
    """Cells of small conductance drift faster, so rows of small weights lose more."""
    w = rng.normal(size=(12, 400)).astype(np.float32)
    w *= np.geomspace(0.02, 1, 12, dtype=np.float32)[:, None]
    device = make(w, **EXACT)
    device.wait(YEAR_S)
    slopes = []
    for per_column in (False, True):
        device.compensate(per_column)
        slopes.append(((device.matrix() * w).sum(1) / (w * w).sum(1))[:4].mean())
    assert slopes[0] < 0.8
    assert slopes[1] == pytest.approx(1.0, abs=0.1)


def test_the_noise_of_a_calibration_read_is_that_of_its_cells_and_converters() -> None:
    seen = rng.random((1, 2, 30, 50)).astype(np.float32)
    std = 0.02 * rng.random(seen.shape).astype(np.float32)
    exact, times = seen.sum(-1, dtype=np.float64), 2000
    draws = [column_sums(seen, std**2, 0.03, 0.0, Seed(2).at(k)) - exact for k in range(times)]
    z = np.array(draws) / np.sqrt((std.astype(np.float64) ** 2).sum(-1) + 0.03**2)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, rel=5 / np.sqrt(2 * z.size))
    rounded = column_sums(seen, None, 0.0, 127.0, Seed(2).at(0))
    lsb = exact.max() / 127
    assert 0.4 * lsb < abs(rounded - exact).max() <= 0.5 * lsb * (1 + 1e-6)


def test_factors_are_the_ratios_of_summed_currents() -> None:
    before = np.array([[[4.0, 2.0, 0.0]], [[4.0, 2.0, 0.0]]])
    after = np.array([[[2.0, 2.0, 0.0]], [[2.0, 1.0, 0.0]]])
    np.testing.assert_allclose(drift_factors(before, after, True), [2.0, 4 / 3, 1.0])
    np.testing.assert_allclose(drift_factors(before, after, False), [12 / 7] * 3)


def test_noise_hides_a_little_of_the_loss_and_no_more() -> None:
    """8-bit converters and read noise: the factor is right to a part in a hundred."""
    noisy, exact = make(), make(read_noise=0.0, adc_bits=0)
    for device in (noisy, exact):
        device.wait(86400.0)
        device.compensate()
    assert noisy._rescale[0] != exact._rescale[0]
    assert noisy._rescale[0] == pytest.approx(exact._rescale[0], rel=0.01)
    assert exact._rescale[0] > 1.2


def test_the_first_calibration_counts_the_fresh_read_too() -> None:
    device = make(dac_bits=5, encoding="serial")
    for _ in range(2):
        device.wait(10.0)
        device.compensate()
    first, second = (
        dict(zip([event for event, _ in step.ops[0].depths], tally.work[0], strict=True))
        for step, tally in device.ledger.steps.items()
        if step.ops[0].verb == "COMPENSATE"
    )
    planes, columns = 4, 2 * 12
    assert second == {
        "dac": planes * 2 * 40,
        "cell_read": planes * columns * 40,
        "wire": planes * 2 * columns * 40,
        "sample_hold": planes * columns,
        "mux": planes * 2 * 8 * 12 * 2,
        "adc": planes * columns,
        "shift_add": planes * columns,
    }
    assert first == {event: 2 * work for event, work in second.items()}


def test_a_restored_crossbar_compensates_by_the_same_fresh_read() -> None:
    one, other = make(), make(W * 0)
    one.compensate()
    one.wait(1e5)
    other.restore({k: v.copy() for k, v in one.state().items()})
    for device in (one, other):
        device.compensate(per_column=True)
    np.testing.assert_array_equal(one._rescale, other._rescale)


def test_what_drifts_says_so() -> None:
    assert isinstance(make(), Ageing)
    assert make().drifts
    assert not make(drift=0.0).drifts
    assert not make(technology="rram_milo").drifts
