"""Numbers for people: the digits agree with the value, and nothing is rounded into a lie."""

from __future__ import annotations

import doctest
import importlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.sim.units import count, epsilon, listed, percent, points, ratio, si

PREFIX = {"a": -18, "f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "years": 365.25 * 86400.0}
AREA = {"m²": 1.0, "cm²": 1e-4, "mm²": 1e-6, "µm²": 1e-12}


def joules(text: str) -> float:
    digits, unit = text.split(" ")
    return float(digits.replace(",", "")) * 10.0 ** {**PREFIX, "T": 12}[unit[:-1]]


@given(st.floats(1e-18, 9.99e14))
def test_joules_read_back_to_three_digits(value: float):
    assert joules(si(value, "J")) == pytest.approx(value, rel=5.1e-3)
    assert joules(si(-value, "J")) == -joules(si(value, "J"))


@given(st.floats(1e-18, 9.99e14))
def test_one_to_three_digits_stand_before_the_point(value: float):
    digits, _ = si(value, "J").split(" ")
    assert 1.0 <= float(digits) < 1000.0


@given(st.floats(1e-15, 1e12))
def test_seconds_read_back(value: float):
    digits, unit = si(value, "s").split(" ")
    in_s = SECONDS[unit] if unit in SECONDS else 10.0 ** PREFIX[unit[:-1]]
    assert float(digits.replace(",", "")) * in_s == pytest.approx(value, rel=5.1e-3)


@given(st.floats(1e-14, 1e4))
def test_areas_read_back(value: float):
    digits, unit = si(value, "m2").split(" ")
    assert float(digits.replace(",", "")) * AREA[unit] == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0, "J", "0 J"),
        (999.6, "J", "1 kJ"),
        (9.9996e-7, "J", "1 µJ"),
        (3e-20, "J", "3.00e-20 J"),
        (2e17, "J", "2.00e17 J"),
        (119.0, "s", "119 s"),
        (191.46, "s", "3.19 min"),
        (7300.0, "s", "2.03 h"),
        (2e5, "s", "2.31 d"),
        (1e15, "s", "3.2e+07 years"),
        (60.0, "W", "60 W"),
        (0.0, "m2", "0 m²"),
        (1e-4, "m2", "1 cm²"),
        (5e-9, "m2", "5,000 µm²"),
        (None, "J", "unknown"),
        (math.nan, "s", "unknown"),
        ("inf", "s", "infinite"),
        (-math.inf, "J", "-infinite"),
    ],
)
def test_units_said(value: float | None, unit: str, said: str):
    assert si(value, unit) == said


@given(st.floats(1e-12, 1.0, exclude_max=True))
def test_a_share_is_never_rounded_to_nothing_or_to_all(share: float):
    assert percent(share) not in ("0 %", "0.0 %", "0.00 %", "0.000 %", "100.0 %", "100 %")
    assert (percent(0.0), percent(1.0), percent(None)) == ("0 %", "100 %", "unknown")


@given(st.integers(0, 99_999))
def test_small_counts_are_exact(n: int):
    assert int(count(n).replace(",", "")) == n


@given(st.floats(1e-3, 1e9), st.floats(1e-3, 1e9))
def test_ratio_reads_back(a: float, b: float):
    times = float(ratio(a, b).removesuffix(" x").replace(",", ""))
    assert times == pytest.approx(a / b, rel=5.1e-2)


def test_ratio_epsilon_points_and_lists():
    assert ratio(17231.8, 1.5326) == "11,200 x"
    assert ratio(1.0, 0.0) == ratio(1e308, 1e-308) == ratio(math.inf, 1.0) == "unknown"
    assert [epsilon(e) for e in (math.inf, "inf", None, 5.94, 12345.0, 2e7)] == [
        "infinite",
        "infinite",
        "unknown",
        "5.94",
        "12,345",
        "2.0e7",
    ]
    assert points(-0.0133) == "1.3 points"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_the_examples_in_the_docstrings_hold():
    for name in ("units", "markup"):
        found = doctest.testmod(importlib.import_module(f"hwloop.sim.{name}"))
        assert found.attempted
        assert not found.failed
