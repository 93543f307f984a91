"""Number formats against two libraries, bit for bit, and against the definitions."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import gfloat
import ml_dtypes
import numpy as np
import pytest
from gfloat import formats as g

from hwloop.devices.formats import FORMATS, BlockFormat, Format, parse
from hwloop.devices.kernels import rounding as kernels
from hwloop.devices.layouts import NEAREST, STOCHASTIC, TRUNCATED, Blocks
from hwloop.devices.rounding import quantise

MILLION = 1_000_000
GFLOAT = {
    "bf16": g.format_info_bfloat16,
    "fp16": g.format_info_binary16,
    "e4m3": g.format_info_ocp_e4m3,
    "e5m2": g.format_info_ocp_e5m2,
    "e2m3": g.format_info_ocp_e2m3,
    "e3m2": g.format_info_ocp_e3m2,
    "e2m1": g.format_info_ocp_e2m1,
}
ML_DTYPES = {
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m4": ml_dtypes.float8_e3m4,
    "e4m3ieee": ml_dtypes.float8_e4m3,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}
FLOATS = sorted({*GFLOAT, *ML_DTYPES})


def numbers(fmt: Format, kind: str, count: int = MILLION) -> np.ndarray:
    """Return numbers of one kind that a format must round."""
    rng = np.random.default_rng(len(kind))
    sign = rng.choice(np.array([-1, 1], np.float32), count)
    if kind == "random bits":
        x = rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    elif kind == "ties":
        m = fmt.mantissa_bits
        e = rng.integers(fmt.emin, fmt.emax + 1, count)
        x = np.ldexp(2.0**m + rng.integers(0, 2**m, count) + 0.5, e - m).astype(np.float32) * sign
        aside = rng.integers(0, 3, count)  # the tie itself, or the number above or below it
        towards = np.choose(aside, [x, np.float32(math.inf), np.float32(-math.inf)])
        x = np.nextafter(x, towards.astype(np.float32))
    elif kind == "subnormals":
        x = (rng.uniform(0, 4, count) * 2.0**fmt.emin).astype(np.float32) * sign
        steps = rng.integers(0, 2 ** (fmt.mantissa_bits + 2), count) * (0.5 * fmt.smallest)
        x = np.where(rng.random(count) < 0.5, x, steps.astype(np.float32) * sign)
    elif kind == "around the largest":
        with np.errstate(over="ignore"):
            x = (fmt.largest * rng.uniform(0.9, 1.3, count)).astype(np.float32) * sign
    else:
        x = rng.standard_normal(count).astype(np.float32) * np.float32(fmt.largest**0.5)
        x[::7], x[1::7], x[2::7], x[3::7] = math.inf, -math.inf, 0.0, -0.0
        x[4::7] = math.nan
    return np.ascontiguousarray(x, np.float32)


KINDS = ["random bits", "ties", "subnormals", "around the largest", "infinities, zeros, NaN"]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))
    return bool(same.all())


def fit_for(fmt: Format, x: np.ndarray) -> np.ndarray:
    return x if fmt.specials != "finite" else x[np.isfinite(x)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ML_DTYPES)
def test_nearest_is_ml_dtypes_on_a_million_of_every_kind(name, kind):
    fmt = parse(name)
    x = fit_for(fmt, numbers(fmt, kind))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(ML_DTYPES[name]).astype(np.float32)
    assert equal(quantise(x, fmt, saturate=False), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GFLOAT)
def test_nearest_and_truncated_are_gfloat(name, kind):
    """A tenth of the numbers: gfloat takes a second for a million; all of them are marked slow."""
    against_gfloat(name, kind, MILLION // 20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GFLOAT)
def test_nearest_and_truncated_are_gfloat_on_a_million_of_every_kind(name, kind):
    against_gfloat(name, kind, MILLION)


def against_gfloat(name: str, kind: str, count: int) -> None:
    fmt, info = parse(name), GFLOAT[name]
    x = fit_for(fmt, numbers(fmt, kind, count))
    with np.errstate(invalid="ignore"):
        wide = x.astype(np.float64)
    for rounding, mode in (
        ("nearest", gfloat.RoundMode.TiesToEven),
        ("truncated", gfloat.RoundMode.TowardZero),
    ):
        for saturate in (True, False) if fmt.specials != "finite" else (True,):
            with np.errstate(all="ignore"):
                expected = gfloat.round_ndarray(info, wide, mode, sat=saturate)
                expected = expected.astype(np.float32)
            assert equal(quantise(x, fmt, rounding, saturate=saturate), expected)


@pytest.mark.parametrize("mode", [NEAREST, TRUNCATED, STOCHASTIC])
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("name", [*FLOATS, "tf32", "e3m4b5", "e5m10", "e2m0finite", "int8", "int4"])
def test_rounded_is_its_reference(name, mode, saturate):
    fmt = parse(name)
    for kind in KINDS:
        x = fit_for(fmt, numbers(fmt, kind, 20_000))
        got, expected = np.empty_like(x), np.empty_like(x)
        with np.errstate(over="ignore", invalid="ignore"):
            for f, out in ((kernels.rounded, got), (kernels.rounded_reference, expected)):
                f(x, out, fmt.layout(saturate), mode, 0x1234567812345678, 99)
        assert equal(got, expected), kind


@pytest.mark.parametrize("mode", [NEAREST, TRUNCATED, STOCHASTIC])
@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if isinstance(f, BlockFormat)])
def test_blocks_is_its_reference(name, mode):
    fmt = parse(name)
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((200, 64)) * 2.0 ** rng.integers(-130, 120, (200, 64))).astype("f4")
    x[:3] = 0
    for tensor in (1.0, 0.37):
        block = Blocks(fmt.block, fmt.element.emax, tensor)
        got, expected = np.empty_like(x.reshape(-1)), np.empty_like(x.reshape(-1))
        with np.errstate(over="ignore", under="ignore"):
            for f, out in ((kernels.blocks, got), (kernels.blocks_reference, expected)):
                args = fmt.element.layout(), fmt.scales, block, mode, 7 << 40, 3
                top = f(x.reshape(-1), out, *args)
                assert top == np.abs(x).max().view(np.int32)
        assert equal(got, expected)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp8_e4m3", "mxfp8_e5m2"])
def test_blocks_are_gfloat(name):
    """OCP MX v1.0: 2**(floor(log2 amax) - emax), elements to nearest even, saturated."""
    info = getattr(g, f"format_info_{name if name != 'mxfp4' else 'mxfp4_e2m1'}")
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((300, 32)) * 2.0 ** rng.integers(-20, 20, (300, 1))).astype("f4")
    got = quantise(x, name)
    for row, said in zip(x.astype(np.float64), got, strict=True):
        scale = gfloat.compute_scale_amax(info.etype.emax, row)
        encoded = gfloat.quantize_block(info, row, lambda _, v, s=scale: s)
        assert equal(said, encoded.astype(np.float32))


@pytest.mark.parametrize("name", ["bf16", "fp16", "e4m3", "e5m2", "e2m1", "e3m4", "int8"])
def test_stochastic_rounding_is_unbiased_and_takes_a_neighbour(name):
    fmt, n = parse(name), 400_000
    for value in (1.37, 0.01, 2.9, fmt.smallest / 3):
        x = np.full(n, value, np.float32)
        q = quantise(x, fmt, "stochastic", key=5 << 33)
        found = np.unique(q)
        assert len(found) <= 2
        down, up = quantise(x[:1], fmt, "truncated")[0], found.max()
        assert found.min() >= down
        error = 5 * (up - down) / 2 / np.sqrt(n) + (up - down) * 2.0**-20
        assert abs(q.mean(dtype=np.float64) - x[0]) <= error


def test_stochastic_rounding_does_not_depend_on_threads_or_cuts():
    x = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    whole = quantise(x, "e4m3", "stochastic", key=123456789 << 20)
    cuts = [0, 7, 1000, 33_333, 99_999, 100_000]

    def part(k: int) -> np.ndarray:
        a, b = cuts[k], cuts[k + 1]
        return quantise(x[a:b], "e4m3", "stochastic", key=123456789 << 20, first=a)

    for threads in (1, 2, 4):
        with ThreadPoolExecutor(threads) as pool:
            assert equal(np.concatenate(list(pool.map(part, range(5)))), whole)
    assert not equal(quantise(x, "e4m3", "stochastic", key=123456789 << 21), whole)
    assert equal(
        whole, quantise(x.reshape(100, 1000), "e4m3", "stochastic", 123456789 << 20).ravel()
    )


def test_draws_of_neighbouring_keys_and_positions_are_uncorrelated():
    x = np.full(1 << 18, 0.5, np.float32)
    draws = [quantise(x, "int8", "stochastic", key=k) - 0.5 for k in (0, 1, 2, 1 << 32, 2 << 32)]
    limit = 5 / np.sqrt(len(x))
    for k, a in enumerate(draws):
        assert abs(2 * a.mean()) < limit
        for lag in (1, 2, 32, 1024):
            assert abs(4 * (a[:-lag] * a[lag:]).mean()) < limit
        for b in draws[k + 1 :]:
            assert abs(4 * (a * b).mean()) < limit


@pytest.mark.parametrize("name", [n for n in FLOATS if parse(n).bits <= 8] + ["e2m0finite"])
def test_values_are_kept_and_all_others_go_to_the_nearest(name):
    fmt = parse(name)
    values = fmt.values()
    assert values[0] == 0
    assert len(values) == 2 ** (fmt.bits - 1) - {"ieee": 2**fmt.mantissa_bits, "fn": 1}.get(
        fmt.specials, 0
    )
    assert equal(quantise(-values, fmt), -values)
    x = np.random.default_rng(2).uniform(0, fmt.largest, 5000).astype(np.float32)
    nearest = np.abs(values[:, None] - x).min(axis=0)
    np.testing.assert_array_equal(np.abs(quantise(x, fmt) - x), nearest.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "largest", "smallest"),
    [
        ("bf16", 3.3895313892515355e38, 2.0**-133),
        ("fp16", 65504, 2.0**-24),
        ("e4m3", 448, 2.0**-9),
        ("e5m2", 57344, 2.0**-16),
        ("e3m2", 28, 2.0**-4),
        ("e2m3", 7.5, 2.0**-3),
        ("e2m1", 6, 0.5),
        ("e5m3fn", 114688, 2.0**-17),
    ],
)
def test_largest_and_smallest_are_those_of_the_standards(name, largest, smallest):
    fmt = parse(name)
    assert (fmt.largest, fmt.smallest) == (largest, smallest)


def test_overflow_is_as_each_standard_says():
    x = np.array([1e9, -1e9], np.float32)
    assert np.isnan(quantise(x, "e4m3", saturate=False)).all()
    assert equal(quantise(x, "e5m2", saturate=False), np.array([math.inf, -math.inf]))
    assert equal(quantise(x, "e2m1", saturate=False), np.array([6.0, -6.0]))
    assert equal(quantise(x, "e5m2"), np.array([57344.0, -57344.0]))
    # 464 lies half way from 448 to 480, and 448 is even.
    assert equal(quantise(np.array([464.0, 479.0]), "e4m3", saturate=False), [448.0, math.nan])


def test_scales_fit_the_largest_number():
    x = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32) * 1e-4
    assert (quantise(x, "e4m3") == 0).mean() > 0.9  # too small without a scale
    for name in ("e4m3", "e5m2", "e2m1", "int8", "int4"):
        for scaling in ("tensor", "row"):
            q = quantise(x, name, scaling=scaling)
            axis = -1 if scaling == "row" else None
            step = 2.0 ** -(parse(name).mantissa_bits + (0 if parse(name).fixed else 1))
            top, kept = np.abs(x).max(axis), np.abs(q).max(axis)
            assert (np.abs(kept - top) <= step * top).all()
    assert np.abs(quantise(x, "int8", scaling="row") - x).max() <= 0.51 * np.abs(x).max() / 127


def test_ue5m3_scales_serve_an_array_of_large_and_small_rows_better_than_powers_of_two():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((256, 64)) * 2.0 ** rng.integers(-8, 8, (256, 1))).astype(np.float32)

    def error(name: str) -> float:
        return float((((quantise(x, name) - x) / np.abs(x).max(axis=1, keepdims=True)) ** 2).mean())

    assert error("mxfp4_ue5m3") < 0.95 * error("mxfp4")
    assert error("nvfp4") < 0.8 * error("mxfp4")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: parse("e1m0"), "cannot hold zero"),
        (lambda: parse("e4m0"), "cannot hold zero"),
        (lambda: parse("e9m2"), "1 to 8 exponent bits"),
        (lambda: parse("e4m3b120"), "bias 120"),
        (lambda: parse("int1"), "2 to 16 bits"),
        (lambda: parse("e4m4m"), 'unknown format "e4m4m"; did you mean'),
        (lambda: parse("e4m3/16"), "a block length is a whole number behind"),
        (lambda: parse("mxfp4/0"), "at least 1"),
        (lambda: quantise(np.ones((2, 33)), "mxfp4"), "a block of 32 does not divide rows of 33"),
        (lambda: quantise([math.nan], "e2m1"), "format e2m1 has no NaN"),
        (lambda: quantise([math.inf], "int8"), "format int8 has no infinity"),
        (lambda: quantise(np.full(32, math.inf), "mxfp4"), "format mxfp4 has no infinity"),
        (lambda: quantise(np.full(32, math.nan), "nvfp4"), "format nvfp4 has no NaN"),
        (lambda: quantise([1.0], "bf16", "up"), 'unknown rounding "up"'),
    ],
)
def test_bad_input_is_one_sentence(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_result_goes_where_it_is_wanted():
    x = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32)
    for name in ("e4m3", "mxfp4", "int8", "fp32"):
        expected, out = quantise(x, name, scaling="tensor"), x.copy()
        assert quantise(out, name, scaling="tensor", out=out) is out
        assert equal(out, expected)
    with pytest.raises(ValueError, match=r"out takes C-contiguous float32 \(40, 64\), got float64"):
        quantise(x, "e4m3", out=np.empty((40, 64)))
