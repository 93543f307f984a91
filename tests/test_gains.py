"""Blind gain calibration: how often it succeeds, how noise comes through, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hwloop.devices.gains import Gains, calibrate_gains, gains_of_known

Doubles = npt.NDArray[np.float64]
N = 32


def case(m: int, p: int, seed: int, n: int = N, spread: float = 0.5) -> tuple[Doubles, ...]:
    """Return patterns (p, m, n), signal (n,) and gains (m,) of mean 1, within +-50 %."""
    draw = np.random.default_rng(seed)
    gains = 1 + spread * draw.uniform(-1, 1, m)
    return draw.standard_normal((p, m, n)), draw.standard_normal(n), gains / gains.mean()


def error(found: Gains, signal: Doubles, gains: Doubles) -> float:
    """Return the larger relative error of signal and gains."""
    return max(
        float(np.linalg.norm(found.signal - signal) / np.linalg.norm(signal)),
        float(np.linalg.norm(found.gains - gains) / np.linalg.norm(gains)),
    )


def success(m: int, p: int, trials: int, n: int = N) -> float:
    found = 0
    for seed in range(trials):
        a, signal, gains = case(m, p, seed, n)
        found += error(calibrate_gains(gains * (a @ signal), a), signal, gains) < 1e-3
    return found / trials


@pytest.mark.parametrize("m", [16, 32, 64])
def test_six_patterns_are_enough_for_twice_as_many_numbers_as_unknowns(m: int) -> None:
    assert m * 6 >= 2 * (N + m)
    assert success(m, 6, 40) >= 0.95


def test_fewer_numbers_than_unknowns_are_not_enough() -> None:
    assert success(16, 2, 10) == 0


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 16, 32, 64])
@pytest.mark.parametrize("m", [16, 32, 64, 128, 256])
def test_six_patterns_are_enough_over_a_sweep(n: int, m: int) -> None:
    if m * 6 >= 2 * (n + m):
        assert success(m, 6, 100, n) >= 0.95


def test_what_it_found_explains_the_measurements() -> None:
    a, signal, gains = case(32, 6, 0)
    y = gains * (a @ signal)
    found = calibrate_gains(y, a)
    assert found.residual < 1e-7
    assert found.gains.mean() == pytest.approx(1, rel=1e-12)
    again = np.linalg.norm(found.gains * (a @ found.signal) - y) / np.linalg.norm(y)
    assert again == pytest.approx(found.residual, abs=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_units_do_not_matter(factor: float) -> None:
    a, signal, gains = case(32, 6, 1)
    y = gains * (a @ signal)
    one, other = calibrate_gains(y, a), calibrate_gains(factor * y, factor * a)
    assert other.iterations == pytest.approx(one.iterations, abs=2)
    assert error(other, signal, gains) < 1e-5
    # A common factor of the gains cannot be told from one of the signal.
    assert error(calibrate_gains(factor * y, a), factor * signal, gains) < 1e-5


def test_noise_comes_through_in_proportion() -> None:
    a, signal, gains = case(64, 8, 2)
    y = gains * (a @ signal)
    draw = np.random.default_rng(3).standard_normal(y.shape)
    size = np.linalg.norm(y) / np.linalg.norm(draw)
    errors = []
    for level in (1e-3, 1e-2, 1e-1):
        found = calibrate_gains(y + level * size * draw, a)
        errors.append(error(found, signal, gains) / level)
        # Of m p numbers, n + m - 1 are spent on the unknowns.
        left = np.sqrt(1 - (N + 64 - 1) / y.size)
        assert found.residual == pytest.approx(left * level, rel=0.2)
    assert max(errors) < 1.5 * min(errors)
    assert max(errors) < 1


def test_a_signal_in_a_known_subspace_needs_fewer_patterns() -> None:
    a, _, gains = case(32, 3, 4)
    draw = np.random.default_rng(5)
    basis, inside = draw.standard_normal((N, 4)), draw.standard_normal(4)
    y = gains * (a @ (basis @ inside))
    assert error(calibrate_gains(y, a @ basis), inside, gains) < 1e-3


def test_known_signals_are_the_simple_case() -> None:
    a, signal, gains = case(20, 4, 6)
    clean = a @ signal
    found = gains_of_known(3 * gains * clean, clean)
    np.testing.assert_allclose(found.gains, gains, rtol=1e-12)
    np.testing.assert_allclose(found.signal, [3])
    assert found.residual < 1e-12


def test_a_stop_before_the_end_says_so() -> None:
    a, signal, gains = case(32, 6, 7)
    found = calibrate_gains(gains * (a @ signal), a, max_iterations=3)
    assert found.iterations == 3
    assert found.residual > 1e-4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: calibrate_gains(np.ones(3), np.ones((1, 3, 2))), "y takes 2 dimensions"),
        (lambda: calibrate_gains(np.ones((2, 3)), np.ones((2, 4, 5))), r"= \(2, 3\) of y"),
        (lambda: calibrate_gains(np.full((1, 1), np.nan), np.ones((1, 1, 1))), "y takes finite"),
        (lambda: calibrate_gains(np.zeros((1, 2)), np.ones((1, 2, 1))), "y is 0"),
        (lambda: gains_of_known(np.ones((1, 2)), np.ones((1, 3))), "takes the shape"),
        (lambda: gains_of_known(np.ones((1, 2)), np.array([[1.0, 0.0]])), "pixel 1 shows 0"),
    ],
)
def test_misfits_are_refused(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
