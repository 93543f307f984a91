"""Numbers from a counter and Hadamard transforms: the right ones, however they are cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, stats

from hwloop.devices.kernels import hadamard, normal
from hwloop.devices.seeds import Seed

KEY = Seed(5).key()
N = 2**20


def numbers(n: int, start: int = 0, key: Any = KEY) -> np.ndarray[Any, Any]:
    out = np.empty(n, np.float32)
    normal.normals(key, start, out)
    return out


# Known answers of Random123 (tests/kat_vectors): counter, key, the four words.
ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), ANSWERS)
def test_bits_are_philox(counter: Any, key: Any, words: Any) -> None:
    position, whole_key = counter[0] | counter[1] << 32, np.uint64(key[0] | key[1] << 32)
    row, tag = np.uint32(counter[2]), np.uint32(counter[3])
    got = normal._philox_reference(int(whole_key), np.array([position], np.uint64), int(row), tag)
    assert got[:, 0].tolist() == list(words)
    block = np.empty(4 * normal.BLOCK, np.uint32)
    normal._philox(whole_key, np.uint64(position // normal.BLOCK), row, tag, block)
    assert block[position % normal.BLOCK :: normal.BLOCK].tolist() == list(words)


@pytest.mark.parametrize("start", [0, 1, 511, 2**40 + 77])
@pytest.mark.parametrize("key", [0, 2**64 - 1])
def test_kernels_agree_with_their_references(key: int, start: int) -> None:
    n = 1500
    bits, expected_bits = np.empty((2, n), np.uint32)
    normal.words(np.uint64(key), start, bits)
    normal.words_reference(key, start, expected_bits)
    np.testing.assert_array_equal(bits, expected_bits)

    expected = np.empty(n, np.float32)
    normal.normals_reference(key, start, expected)
    np.testing.assert_allclose(numbers(n, start, np.uint64(key)), expected, atol=2e-6)

    got, wanted = np.empty((2, 2, n), np.float32)
    normal.phases(np.uint64(key), start, *got)
    normal.phases_reference(key, start, *wanted)
    np.testing.assert_allclose(got, wanted, atol=2e-7)

    got, wanted = np.empty((2, 2, 3, n), np.float32)
    row, column = start % 2**31, start // 3 % 2**31
    normal.entries(np.uint64(key), row, column, *got)
    normal.entries_reference(key, row, column, *wanted)
    np.testing.assert_allclose(got, wanted, atol=2e-6)


@given(start=st.integers(0, 5000), n=st.integers(0, 2000))
def test_a_slice_has_the_bits_of_the_whole(start: int, n: int) -> None:
    np.testing.assert_array_equal(numbers(n, start), WHOLE[start : start + n])


WHOLE = numbers(7000)


def test_numbers_are_standard_normal() -> None:
    """Mean, variance, skewness, kurtosis within five standard errors; KS at the same level."""
    z = numbers(N).astype(float)
    assert abs(z.mean()) < 5 / math.sqrt(N)
    assert abs(z.var() - 1) < 5 * math.sqrt(2 / N)
    assert abs(stats.skew(z)) < 5 * math.sqrt(6 / N)
    assert abs(stats.kurtosis(z)) < 5 * math.sqrt(24 / N)
    assert stats.kstest(z, "norm").pvalue > 6e-7
    beyond = (abs(z) > 4).sum()
    expected = 2 * N * stats.norm.sf(4)
    assert abs(beyond - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("lag", [1, 2, 127, 128, 256, 384, 512, 1024])
def test_numbers_and_their_squares_do_not_correlate(lag: int) -> None:
    """Within five standard errors, also across the halves of one Box-Muller pair."""
    z = numbers(N).astype(float)
    a, b = z[:-lag], z[lag:]
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(len(a))
    assert abs(np.corrcoef(a**2, b**2)[0, 1]) < 5 / math.sqrt(len(a))


@pytest.mark.parametrize("other", [KEY + np.uint64(1), KEY ^ np.uint64(2**63), np.uint64(0)])
def test_streams_of_two_keys_do_not_correlate(other: np.uint64) -> None:
    """Five standard errors."""
    a, b = numbers(N), numbers(N, key=other)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(N)


def test_phases_are_uniform() -> None:
    c, s = np.empty((2, N), np.float32)
    normal.phases(KEY, 0, c, s)
    np.testing.assert_allclose(c.astype(float) ** 2 + s.astype(float) ** 2, 1, atol=4e-7)
    turns = np.arctan2(s.astype(float), c) / (2 * math.pi) + 0.5
    assert stats.kstest(turns, "uniform").pvalue > 6e-7


@pytest.mark.parametrize("n", [2**m for m in range(13)])
def test_transform_is_the_hadamard_matrix(n: int) -> None:
    x = np.random.default_rng(n).integers(-9, 10, (3, n)).astype(np.float32)
    y = x.copy()
    hadamard.fwht(y)
    np.testing.assert_array_equal(y, x @ linalg.hadamard(n))
    hadamard.fwht(y)
    np.testing.assert_array_equal(y, n * x)


@pytest.mark.parametrize("n", [2, 512, 4096, 2**15, 2**16])
def test_transform_agrees_with_its_reference(n: int) -> None:
    x = np.random.default_rng(n).standard_normal((2, n)).astype(np.float32)
    expected = x.astype(float)
    hadamard.fwht(x)
    hadamard.fwht_reference(expected)
    np.testing.assert_allclose(x, expected, atol=2e-6 * math.sqrt(n))


def test_flip_agrees_with_its_reference() -> None:
    x = np.random.default_rng(0).standard_normal((2, 2048)).astype(np.float32)
    y, bits = x.copy(), np.empty(64, np.uint32)
    normal.words(KEY, 0, bits)
    hadamard.flip(x, bits)
    hadamard.flip_reference(y, bits)
    np.testing.assert_array_equal(x, y)
    assert 900 < (x[0] * np.random.default_rng(0).standard_normal(2048) < 0).sum() < 1148
