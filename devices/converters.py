"""Analog-to-digital converters: their range, errors and time, and what one is expected to cost."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .arrays import Array

Rng = np.random.Generator

CREST = 4.0
"""A range holds this many times the rms sum of a column under inputs of rms 1: it clips a
Gaussian sum once in 16,000 there, and far less often below."""


def range_of(w: Array, per_column: bool) -> Array:
    """Return the largest current (n,) that converters of the columns w (n, n_in) should resolve.

    Nothing a column can carry under inputs from -1 to 1, but no more than `CREST` times its norm.
    """
    most = np.abs(w).sum(axis=1)
    found = np.minimum(most, np.float32(CREST) * np.sqrt((w * w).sum(axis=1)))
    return shared(found, per_column)


def shared(found: Array, per_column: bool) -> Array:
    """Return the ranges (n,), or the largest of them for all; at least a thousandth of a cell."""
    if not per_column:
        found = np.broadcast_to(found.max(), found.shape)
    return np.maximum(found, np.float32(1e-3)).astype(np.float32)


class Adc(NamedTuple):
    """The price that the survey expects of one converter."""

    energy_J: float
    """Of one conversion."""
    area_m2: float


def conversion_steps(kind: str, bits: float) -> float:
    """Return the clock steps of one conversion: a bit each and one to sample, or a code each.

    A "sar" decides bit by bit; a "ramp" passes all 2^bits codes, for all its columns at once.
    """
    return 2.0**bits if kind == "ramp" else bits + 1


def edges_of(kind: str, bits: int, mismatch: float, converters: int, rng: Rng) -> Array:
    """Return where the codes of imperfect converters begin, (converters, 2^bits), in codes.

    Each is built of 2^bits - 1 equal elements (capacitors, or steps of a ramp), whose relative
    std is `mismatch`. A "sar" weighs a bit by as many elements as it counts, so that the codes
    where many bits change are most off; a "ramp" adds them one by one, a random walk. The ends
    are fitted: offset and gain are errors of their own.
    """
    top, half = 2**bits - 1, 2 ** (bits - 1)
    if kind == "ramp":
        width = 1 + mismatch * rng.standard_normal((converters, top))
        level = np.cumsum(np.maximum(width, 0), axis=1)
    else:
        count = 2.0 ** np.arange(bits)
        weight = count + mismatch * np.sqrt(count) * rng.standard_normal((converters, bits))
        code = np.arange(1, top + 1)[:, None] >> np.arange(bits) & 1
        level = weight @ code.T
    level *= top / level[:, -1:]
    level = np.concatenate([np.zeros((converters, 1)), level], axis=1)
    return np.asarray(level - half - 0.5, np.float32)


def expected_adc(bits: float, rate_Hz: float, node_m: float) -> Adc:
    """Return energy and area of an ADC of `bits` effective bits at `rate_Hz`, made at `node_m`.

    The regression over published converters of Andrulis et al., arXiv:2404.06553, with the
    coefficients of the package hwcomponents-adc. The energy holds what leaks at that rate.
    """
    if bits <= 0 or rate_Hz <= 0 or node_m <= 0:
        raise ValueError(
            f"an ADC takes bits, rate_Hz and node_m above 0, got {bits}, {rate_Hz}, {node_m}"
        )
    node_nm = node_m * 1e9
    by_rate = 213.78067 - 2.87190 * math.log(rate_Hz)
    by_bits = 128.30683 + 3.22051 * math.ceil(bits)
    sndr_dB = 6.0206 * bits + 1.7609
    process = 26.04962 + 1.880037 * math.log(node_nm) - 2.829126 * math.log(bits) - 1.470202
    energy_pJ = 0.5 * 10 ** ((sndr_dB - min(by_rate, by_bits)) / 10) * math.exp(process)
    area_um2 = math.exp(
        1.346192
        + 0.993279 * math.log(node_nm)
        + 0.180715 * math.log(rate_Hz)
        + 0.299124 * math.log(energy_pJ)
    )
    return Adc(energy_pJ * 1e-12, area_um2 * 1e-12)
