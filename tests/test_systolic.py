"""The systolic array against SCALE-Sim, and what it moves against counting."""

from __future__ import annotations

import pytest

from hwloop.devices import Can, MatrixEngine
from hwloop.devices.engine_cost import Widths, systolic_cost
from hwloop.devices.systolic import Systolic
from hwloop.devices.technology import load

# SCALE-Sim 2.0.2 on 32 rows x 16 columns, run by hand: cycles and utilisation.
SCALE_SIM = [
    ("output", (32, 16, 40), 85, 0.4706),
    ("weight", (32, 16, 40), 219, 0.1826),
    ("input", (32, 16, 40), 375, 0.1067),
    ("output", (100, 50, 70), 1855, 0.3685),
    ("weight", (100, 50, 70), 2135, 0.3202),
    ("input", (100, 50, 70), 2687, 0.2544),
    ("output", (64, 64, 64), 879, 0.5825),
    ("weight", (64, 64, 64), 1135, 0.4511),
    ("input", (64, 64, 64), 1135, 0.4511),
]


@pytest.mark.parametrize(("dataflow", "gemm", "cycles", "utilisation"), SCALE_SIM)
def test_cycles_and_utilisation_are_those_of_scale_sim(dataflow, gemm, cycles, utilisation):
    folds = Systolic(32, 16, dataflow).folds(*gemm)
    assert folds.cycles == cycles
    assert folds.utilisation == pytest.approx(utilisation, abs=5e-5)


@pytest.mark.parametrize("dataflow", ["output", "weight", "input"])
@pytest.mark.parametrize("gemm", [(3, 5, 7), (16, 32, 32), (33, 17, 65)])
def test_traffic_is_what_every_pass_asks_for(dataflow, gemm):
    """Count, pass by pass, the rows and columns that enter and leave an array of 4 x 3."""
    m, n, k = gemm
    down, across = {"output": (m, n), "weight": (k, n), "input": (k, m)}[dataflow]
    inputs = weights = outputs = 0
    for top in range(0, down, 4):
        for left in range(0, across, 3):
            r, c = min(4, down - top), min(3, across - left)
            if dataflow == "output":
                inputs, weights, outputs = inputs + r * k, weights + c * k, outputs + r * c
            elif dataflow == "weight":
                inputs, weights = inputs + m * r, weights + r * c
                outputs += m * c * (1 if top == 0 else 2)
            else:
                inputs, weights = inputs + r * c, weights + n * r
                outputs += n * c * (1 if top == 0 else 2)
    assert Systolic(4, 3, dataflow).traffic(m, n, k) == (inputs, weights, outputs)


def test_an_operand_that_fits_its_buffer_is_fetched_once():
    array, widths = Systolic(16, 16, "weight"), Widths(2, 2, 4, 2, 4)
    small = systolic_cost(array, "fp16", 1e9, Can.MULTIPLY, 64, (64, 64), widths)
    assert small["dram_byte"].work == 2 * 64 * 64 + 2 * 64 * 64 + 4 * 64 * 64
    large = systolic_cost(array, "fp16", 0, Can.MULTIPLY, 64, (64, 64), widths)
    assert large["dram_byte"].work == large["sram_byte"].work > small["dram_byte"].work
    assert small["mac_fp16"].work == 64**3


def test_an_engine_as_an_array_is_priced_by_cycles_and_operations():
    engine = MatrixEngine(
        n_out=16, n_in=40, inputs="bf16", weights="bf16", array_rows=32, array_columns=16
    )
    assert engine.technology == "systolic_45nm"
    cost = engine.cost(Can.MULTIPLY, 32)
    assert cost["cycle"].work == 219 + 1
    assert cost["mac_fp16"].work == 32 * 16 * 40
    technology = load(engine.technology)
    joules = cost["mac_fp16"].work * technology.event("mac_fp16", 16, 40).energy_J
    # Horowitz, ISSCC 2014: a 16-bit float multiplication 1.1 pJ, a 32-bit addition 0.9 pJ.
    assert joules == pytest.approx(32 * 16 * 40 * 2.0e-12)


def test_approximate_normalisation_draws_what_was_published():
    """Abstract of arXiv:2408.11997: 13 % less power, 16 % less area on average."""
    technology = load("systolic_45nm")
    exact = technology.event("mac_narrow", 1, 1).energy_J
    near = technology.event("mac_narrow_approximate", 1, 1).energy_J
    assert near / exact == pytest.approx(1 - 0.13)
    assert technology.parameter("approximate_normalisation_power") == near / exact
    assert technology.parameter("approximate_normalisation_area") == 1 - 0.16


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="a systolic array takes rows from 1, got 0"):
        Systolic(0, 4)
    with pytest.raises(ValueError, match='unknown dataflow "row"'):
        Systolic(4, 4, "row")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^d: a systolic array takes rows"):
        MatrixEngine(n_out=2, n_in=2, name="d", array_columns=4)
