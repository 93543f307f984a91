"""A crossbar of random breakdown: its cells, its noise, and that only driven lines are read."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import RandomCrossbar, Seed
from hwloop.devices.converters import expected_adc
from hwloop.devices.technology import load

EXACT = {"read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}


def crossbar(n_out: int = 64, n_in: int = 48, seed: int = 0, **more) -> RandomCrossbar:
    return RandomCrossbar(n_out=n_out, n_in=n_in, seed=Seed(seed), **more)


def test_cells_break_down_at_their_share_and_spread():
    """A weight is 0 where both cells are pristine, and has the std that was asked for."""
    p, n = 0.2, 300
    w = crossbar(n, n, breakdown=p, spread=0.0, scale=2.0).matrix()
    share = (w == 0).mean()
    both = (1 - p) ** 2 + p**2
    assert abs(share - both) < 5 * np.sqrt(both * (1 - both)) / n
    # The std of a std: kurtosis of a sum of two sparse cells is 1 / (2 p (1 - p)) - 6 / 2 + 3.
    fourth = 1 / (2 * p * (1 - p))
    for spread in (0.0, 0.3):
        w = crossbar(n, n, breakdown=p, spread=spread, scale=2.0).matrix()
        assert abs(w.std() / 2 - 1) < 5 * np.sqrt((fourth - 1) / 4) / n + 0.01
        assert abs(w.mean()) < 5 * 2 / n


def test_exact_reads_are_the_matrix():
    device = crossbar(**EXACT)
    x = np.random.default_rng(1).standard_normal((9, 48)).astype(np.float32)
    np.testing.assert_allclose(device.multiply(x), x @ device.matrix().T, rtol=1e-4, atol=1e-5)
    cut = crossbar(**EXACT, input_range=0.5)
    expected = np.clip(x, -0.5, 0.5) @ cut.matrix().T
    np.testing.assert_allclose(cut.multiply(x), expected, rtol=1e-4, atol=1e-5)


def test_row_blocks_sum_to_the_same_matrix():
    x = np.random.default_rng(1).standard_normal((9, 48)).astype(np.float32)
    one, cut = crossbar(**EXACT), crossbar(**EXACT, tile_rows=7)
    np.testing.assert_array_equal(one.matrix(), cut.matrix())
    np.testing.assert_allclose(one.multiply(x), cut.multiply(x), rtol=1e-4, atol=1e-5)


def test_read_noise_is_that_of_every_driven_cell():
    """The variance of an output is the sum over driven cells of (1 % of g)^2, drawn cell by cell.

    The cells are read off two devices that differ in nothing but their noise.
    """
    rows, technology = 20_000, load("rram_breakdown")
    device = crossbar(4, 48, breakdown=0.5, dac_bits=0, adc_bits=0, scale=1.0, input_range=1.0)
    pristine = technology.parameter("g_pristine") / technology.parameter("g_broken")
    cells = device._cells(pristine)
    x = np.where(np.arange(48) < 20, np.float32(0.8), np.float32(0))
    y = device.multiply(np.repeat(x[None], rows, axis=0))
    drawn = cells[:, :, None, :] * (
        1 + 0.01 * np.random.default_rng(2).standard_normal((2, 4, 4000, 48))
    )
    sampled = ((drawn[0] - drawn[1]) @ x).std(axis=1) * float(device._gain)
    std = y.std(axis=0)
    assert (abs(std / sampled - 1) < 5 * np.sqrt(1 / (2 * rows) + 1 / 8000)).all()
    mean = device.matrix() @ x
    assert (abs(y.mean(axis=0) - mean) < 5 * std / np.sqrt(rows) + 1e-5).all()
    correlation = np.corrcoef(y.T) - np.eye(4)
    assert abs(correlation).max() < 5 / np.sqrt(rows)


def test_only_lines_with_a_spike_are_read():
    device = crossbar(dac_bits=0, input_range=1.0, tile_rows=16)
    x = np.zeros((3, 48), np.float32)
    x[0, [1, 3]] = 1  # one block of three
    x[1, [1, 20]] = 1  # two blocks; row 2 has no spike
    x[1, 20] = 0.5
    device.multiply(x)
    [(step, tally)] = device.ledger.steps.items()
    work = dict(zip([e for e, _ in step.ops[0].depths], tally.work[0], strict=True))
    cells = device._cells(0.002).sum(axis=(0, 1))
    assert work["dac"] == 4
    assert work["adc"] == work["shift_add"] == 3 * 64
    assert work["cell_read"] == pytest.approx(2 * cells[1] + cells[3] + 0.25 * cells[20], rel=1e-5)
    assert work["cell_read"] <= device.cost(device.can, 3)["cell_read"].work


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    assert np.array_equal(crossbar().matrix(), crossbar().matrix())
    assert not np.array_equal(crossbar().matrix(), crossbar(seed=1).matrix())


def test_errors_travel_through_it_as_through_light():
    """DFA whose feedback is random cells trains; the rule and the file say nothing new."""
    from hwloop.sim.experiment import read
    from hwloop.sim.run import prepare_all

    settings = ["compare={}", "train.epochs=5", "feedback={device='random_crossbar'}"]
    [arm] = prepare_all(read(None, settings)).values()
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert arm.curve[-1]["accuracy"] > 0.93


def test_prices_are_derived_as_the_file_says():
    technology = load("rram_breakdown")
    adc = technology.event("adc", 1, 1).energy_J
    assert adc == pytest.approx(expected_adc(8, 1e8, 40e-9).energy_J, rel=1e-4)
    read = technology.event("cell_read", 1, 1).energy_J
    assert read == pytest.approx(0.5**2 * technology.parameter("g_broken") * 1e-8)
    assert technology.parameter("g_pristine") == pytest.approx(1 / 10e6)
    assert technology.parameter("g_broken") == pytest.approx(1 / 20e3)
    assert technology.parameter("rows") * technology.parameter("columns") == 256 * 1024


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"breakdown": 0.0}, "breakdown takes a number from 1e-09 to 1, got 0.0"),
        ({"breakdown": None}, "breakdown takes a number"),
        ({"spread": -0.1}, "spread takes a number from 0 to 1, got -0.1"),
        ({"adc_bits": 1}, "one bit is the sign"),
        ({"dac_bits": 8.0}, "dac_bits takes a whole number"),
        ({"scale": 0}, "scale takes a number"),
        ({"tile_columns": 1}, "one weight takes 2 columns, and an array has 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, says):
    with pytest.raises(ValueError, match=f"device: {says}"):
        crossbar(**settings)
