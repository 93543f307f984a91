"""What kernels need to know of number formats and accumulators, as plain tuples."""

from __future__ import annotations

from typing import NamedTuple

NEAREST, TRUNCATED, STOCHASTIC = range(3)


class Layout(NamedTuple):
    """What a kernel needs to know of a format; exponents are fields of float32 (biased by 127)."""

    mantissa: int
    """Bits behind the point of a normal number."""
    low: int
    """Exponent below which steps no longer shrink."""
    high: int
    """Exponent above the largest number's; `low` for fixed point."""
    largest: float
    over: float
    """What stands for numbers beyond the largest."""
    wide: int
    """1 where the exponents are float32's own."""


class Blocks(NamedTuple):
    """What a kernel needs to know of numbers that share a scale."""

    length: int
    emax: int
    """Exponent of the largest element."""
    tensor: float
    """Power of two or not, what all scales are relative to; 1 without one."""


class Adder(NamedTuple):
    """What the kernel needs to know of an accumulator."""

    significand: int
    """W, from 8; W + G at most 28."""
    guard: int
    """G, the bits kept below it while adding."""
    first: int
    """k: the shift where the first k bits are 0; 0 for exact normalisation."""
    second: int
    """lambda: the further shift where the next lambda bits are 0 too."""
    nearest: int
    """1 rounds to nearest even at every step, with a sticky bit; 0 cuts."""


def spread(key: int) -> tuple[int, int]:
    """Return the two words that a key stands for in every draw."""
    whole = 2**64 - 1
    z = (int(key) + 0x9E3779B97F4A7C15) & whole
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & whole
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & whole
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32
