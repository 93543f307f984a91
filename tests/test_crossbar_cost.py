"""What a crossbar counts, and its technology files against figures of published chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from hwloop.devices import Can, Count, Seed
from hwloop.devices.converters import expected_adc
from hwloop.devices.crossbar import Crossbar
from hwloop.devices.technology import load

CORE = 256
NEURRAM = [
    # (output bits, input bits), phases, TOPS, TOPS/W; digitised in CiMLoop from Wan et al. 2022.
    (3, 1, 1, 2.12, 43.1),
    (4, 2, 1, 1.79, 40.3),
    (5, 3, 1, 1.17, 23.1),
    (6, 4, 1, 0.744, 16.0),
    (7, 5, 2, 0.525, 11.0),
    (8, 6, 2, 0.418, 8.26),
    (9, 7, 2, 0.344, 7.75),
    (10, 8, 2, 0.264, 6.44),
]


def make(n_out: int = CORE, n_in: int = CORE, **settings: Any) -> Crossbar:
    return Crossbar(n_out=n_out, n_in=n_in, name="c", seed=Seed(0), **settings)


def price(
    stem: str, events: Mapping[str, Count], settings: Sequence[tuple[str, Any]] = ()
) -> tuple[float, float]:
    """Return joules and seconds of one operation."""
    joules, seconds, longest = 0.0, 0.0, 0.0
    for name, count in events.items():
        event = load(stem).event(name, CORE, CORE, settings)
        assert event.energy_J is not None
        assert event.latency_s is not None
        joules += count.work * event.energy_J
        if event.overlaps:
            longest = max(longest, count.depth * event.latency_s)
        else:
            seconds += count.depth * event.latency_s
    return joules, seconds + longest


def test_hermes_reaches_its_published_rate_and_efficiency() -> None:
    """63.1 TOPS and 9.76 TOPS/W in one phase: the totals that its prices are derived from."""
    joules, seconds = price("pcm_hermes", make().cost(Can.MULTIPLY, 10))
    operations = 10 * 2 * CORE**2
    tops, tops_W = 64 * operations / seconds / 1e12, operations / joules / 1e12
    print(f"HERMES: {tops:.1f} TOPS ({tops / 63.1 - 1:+.1%}), {tops_W:.2f} TOPS/W")
    assert tops == pytest.approx(63.1, rel=1e-3)
    assert tops_W == pytest.approx(9.76, rel=1e-3)
    assert joules / 10 == pytest.approx(13.4e-9, rel=5e-3)
    assert seconds / 10 == pytest.approx(133e-9, rel=5e-3)


@pytest.mark.parametrize(("out", "bits", "phases", "tops", "tops_W"), NEURRAM)
def test_neurram_is_near_its_published_rates_and_efficiencies(
    out: int, bits: int, phases: int, tops: float, tops_W: float
) -> None:
    """Prices a pulse come from two of the eight points; the others are predicted within 17 %.

    An operation is one multiply-accumulate here, as the published energies add up; from 5 input
    bits on, the points are those of the chip's two-phase mode.
    """
    device = make(technology="rram_neurram", dac_bits=max(bits, 2), adc_bits=out)
    joules, seconds = price("rram_neurram", device.cost(Can.MULTIPLY, 1))
    got, got_W = 48 * CORE**2 / seconds / 1e12, CORE**2 / joules / 1e12
    print(
        f"NeuRRAM ({out}, {bits}), {phases} phases: {got:.3f} TOPS ({got / tops - 1:+.1%}), "
        f"{got_W:.2f} TOPS/W ({got_W / tops_W - 1:+.1%})"
    )
    assert got == pytest.approx(tops, rel=0.17)
    assert got_W == pytest.approx(tops_W, rel=0.17)


@pytest.mark.parametrize("stem", ["pcm_nandakumar", "rram_milo"])
def test_converters_at_65_nm_cost_what_the_survey_expects(stem: str) -> None:
    expected = expected_adc(8, 1e8, 65e-9)
    event = load(stem).event("adc", CORE, CORE)
    assert event.energy_J == pytest.approx(expected.energy_J, rel=1e-4)
    assert event.latency_s == 1 / 1e8


def test_conversions_take_turns_where_columns_share_an_adc() -> None:
    alone, shared = (make(columns_per_adc=k).cost(Can.MULTIPLY, 5)["adc"] for k in (1, 8))
    assert alone == Count(5 * CORE, 5)
    assert shared == Count(5 * CORE, 5 * 8)
    two = make(n_out=2, columns_per_adc=8).cost(Can.MULTIPLY, 5)["adc"]
    assert two == Count(10, 10)


def test_every_array_converts_its_part_and_every_bit_plane_is_converted() -> None:
    cost = make(n_out=300, n_in=600, encoding="serial").cost(Can.MULTIPLY, 1)
    assert cost["dac"] == Count(7 * 600 * 2, 7)
    assert cost["adc"] == Count(7 * 300 * 3, 7)
    assert cost["shift_add"].work == cost["adc"].work
    assert cost["cell_read"].work == 7 * 2 * 300 * 600
    back = make(n_out=300, n_in=600, encoding="serial").cost(Can.TRANSPOSE, 1)
    assert back["dac"].work == 7 * 2 * 300 * 3
    assert back["adc"].work == 7 * 600 * 2


def test_slices_and_reference_columns_are_counted() -> None:
    cost = make(n_out=100, n_in=50, mapping="offset", levels=4, slices=4, tile_columns=204)
    # 50 weights of 4 columns and 4 reference columns an array: two arrays across.
    assert cost.cost(Can.MULTIPLY, 1)["adc"].work == (100 + 2) * 4
    assert cost.cost(Can.PROGRAM, 100) == {"cell_write": Count((100 + 2) * 4 * 50, 50)}
    assert cost.cost(Can.TRANSPOSE, 1)["adc"] == Count(50 * 2 * 4, 4)


def test_settings_do_what_their_costs_say() -> None:
    """As many passes are read as conversions are counted."""
    device = make(n_out=30, n_in=40, levels=4, slices=3, tile_rows=16, tile_columns=64)
    device.program(np.ones((30, 40), np.float32))
    passes = device._of(Can.MULTIPLY)
    assert device.cost(Can.MULTIPLY, 1)["adc"].work == sum(len(p.gain) for p in passes)
    assert device.cost(Can.MULTIPLY, 1)["cell_read"].work == sum(2 * p[0].w.size for p in passes)
    back = device._of(Can.TRANSPOSE)
    assert device.cost(Can.TRANSPOSE, 1)["adc"].work == sum(len(p.gain) for p in back)


@pytest.mark.parametrize("stem", ["pcm_hermes", "pcm_nandakumar", "rram_milo", "rram_neurram"])
def test_every_preset_is_a_device_that_reads_its_matrix_and_prices_what_it_does(stem: str) -> None:
    device = make(6, 20, technology=stem)
    device.program(np.random.default_rng(0).uniform(-1, 1, (6, 20)))
    for verb in device.can:
        for event, count in device.cost(verb, 3).items():
            assert load(stem).event(event, 6, 20).source
            assert count.work >= count.depth >= 0
    x = np.random.default_rng(1).uniform(-1, 1, (1, 20)).astype(np.float32)
    y = device.multiply(np.repeat(x, 1000, axis=0))
    # Drives are rounded to 1 / 127, and codes are coarse where no read noise blurs them.
    slack = abs(device.matrix()).sum(1) * (0.5 / 127 + 0.5 / 127)
    assert (abs(y.mean(0) - x[0] @ device.matrix().T) <= 5 * y.std(0) / 1000**0.5 + slack).all()
