"""How fast number formats and inexact arithmetic are emulated, on one core, and how exactly.

Formats are rounded into an array that is there; the peers have no way to be given one. They
(ml_dtypes, qtorch, torchao) come with `pip install -e '.[bench]'`; qtorch compiles
itself the first time that it is imported.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import _report  # before numpy: one thread
import numpy as np
from _report import Figure, best

from hwloop.devices.formats import Format, parse
from hwloop.devices.kernels import narrow as narrow_kernels
from hwloop.devices.kernels import products as product_kernels
from hwloop.devices.layouts import Adder
from hwloop.devices.multipliers import truncated
from hwloop.devices.products import ONE
from hwloop.devices.rounding import quantise

NUMBERS = 10_000_000
MILLION = 1_000_000
SIDE = 256
SETTINGS = (
    Adder(8, 0, 0, 0, 0),
    Adder(8, 0, 1, 1, 0),
    Adder(12, 0, 1, 2, 0),
    Adder(12, 3, 2, 2, 1),
    Adder(16, 0, 0, 0, 0),
    Adder(16, 0, 2, 2, 0),
    Adder(16, 3, 1, 2, 0),
    Adder(24, 0, 4, 4, 0),
    Adder(24, 3, 1, 1, 1),
)


def numbers() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(NUMBERS).astype(np.float32)


def against(
    name: str, goal: float, own: Callable[[], object], peer: Callable[[], object] | None, what: str
) -> Figure:
    """Return how many times as fast `own` is as `peer`, the least of rounds taken in turn."""
    if peer is None:
        said = f"{what}: the peer is not installed (pip install -e '.[bench]')"
        return Figure(name, None, goal, "higher", "ratio", said)
    rounds = [(best(own, 3), best(peer, 1)) for _ in range(3)]
    mine, its = (min(seconds) for seconds in zip(*rounds, strict=True))
    said = f"{what}: {1e3 * mine:.1f} ms against {1e3 * its:.0f} ms for 1e7 numbers"
    return Figure(name, its / mine, goal, "higher", "ratio", said)


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def formats(long: bool) -> Iterator[Figure]:
    x = numbers()
    out = np.empty_like(x)
    peer = None
    if installed("ml_dtypes"):
        import ml_dtypes

        def peer() -> object:
            return x.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)

    what = "float32 to e4m3 and back, nearest even, against ml_dtypes"
    yield against("e4m3_vs_ml_dtypes", 20, lambda: quantise(x, "e4m3", out=out), peer, what)
    nearest = drawn = None
    if installed("qtorch"):
        import torch

        torch.set_num_threads(1)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            from qtorch.quant import float_quantize
        given = torch.as_tensor(x)

        def nearest() -> object:
            return float_quantize(given, 4, 3, "nearest")

        def drawn() -> object:
            return float_quantize(given, 4, 3, "stochastic")

    what = "float32 to e4m3 and back, nearest even, against qtorch"
    yield against("e4m3_vs_qtorch", 40, lambda: quantise(x, "e4m3", out=out), nearest, what)
    what = "float32 to e4m3 and back, stochastic, against qtorch"
    own = lambda: quantise(x, "e4m3", "stochastic", key=1, out=out)  # noqa: E731
    yield against("stochastic_vs_qtorch", 50, own, drawn, what)
    blocks = None
    if installed("torchao"):
        import torch

        torch.set_num_threads(1)
        logging.disable(logging.WARNING)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            from torchao.prototype.mx_formats.mx_tensor import MXTensor
        rows = torch.as_tensor(x.reshape(-1, 3200))

        def blocks() -> object:
            held = MXTensor.to_mx(rows, torch.float4_e2m1fn_x2, 32)
            return held.dequantize(torch.float32)

    what = "float32 to MXFP4 and back, blocks of 32, against torchao"
    yield against("mxfp4_vs_torchao", 30, lambda: quantise(x, "mxfp4", out=out), blocks, what)


def kinds(fmt: Format, rng: np.random.Generator) -> Iterator[np.ndarray[Any, Any]]:
    """Yield a million numbers of every kind: random bits, ties, subnormals, infinities."""
    yield rng.integers(0, 2**32, MILLION, dtype=np.uint32).view(np.float32)
    m = fmt.mantissa_bits
    e = rng.integers(fmt.emin, fmt.emax + 1, MILLION)
    yield np.ldexp(2.0**m + rng.integers(0, 2**m, MILLION) + 0.5, e - m).astype(np.float32)
    yield (rng.uniform(-4, 4, MILLION) * 2.0**fmt.emin).astype(np.float32)
    special = rng.standard_normal(MILLION).astype(np.float32)
    special[::5], special[1::5], special[2::5], special[3::5] = np.inf, -np.inf, 0.0, -0.0
    yield special


def mismatches(long: bool) -> Iterator[Figure]:
    name, goal = "format_mismatches", 0
    if not (installed("ml_dtypes") and installed("gfloat")):
        yield Figure(name, None, goal, "lower", "numbers", "ml_dtypes or gfloat is not installed")
        return
    import gfloat
    import ml_dtypes
    from gfloat import formats as known

    peers = {
        "bf16": (ml_dtypes.bfloat16, known.format_info_bfloat16),
        "fp16": (np.float16, known.format_info_binary16),
        "e4m3": (ml_dtypes.float8_e4m3fn, known.format_info_ocp_e4m3),
        "e5m2": (ml_dtypes.float8_e5m2, known.format_info_ocp_e5m2),
        "e3m2": (ml_dtypes.float6_e3m2fn, known.format_info_ocp_e3m2),
        "e2m3": (ml_dtypes.float6_e2m3fn, known.format_info_ocp_e2m3),
        "e2m1": (ml_dtypes.float4_e2m1fn, known.format_info_ocp_e2m1),
    }
    wrong = seen = 0
    rng = np.random.default_rng(0)
    some = slice(None) if long else slice(None, None, 4)
    for label, (dtype, info) in peers.items():
        fmt = parse(label)
        assert isinstance(fmt, Format)
        for x in kinds(fmt, rng):
            if fmt.specials == "finite":
                x = x[np.isfinite(x)]
            with np.errstate(all="ignore"):
                one = quantise(x, fmt, saturate=False)
                expected = x.astype(dtype).astype(np.float32)
                few = x[some].astype(np.float64)
                theirs = gfloat.round_ndarray(info, few, sat=True).astype(np.float32)
                two = quantise(x[some], fmt)
            for got, right in ((one, expected), (two, theirs)):
                same = (got == right) & (np.signbit(got) == np.signbit(right))
                wrong += int((~(same | np.isnan(got) & np.isnan(right))).sum())
                seen += len(got)
    share = "all" if long else "a fourth"
    said = (
        f"{seen:,} roundings of 7 formats, a million of each kind (random bits, ties, subnormals, "
        f"infinities) against ml_dtypes, {share} of them against gfloat"
    )
    yield Figure(name, wrong, goal, "lower", "numbers", said)


def speed(name: str, goal: float, call: Callable[[], object], what: str, repeats: int) -> Figure:
    rate = SIDE**3 / best(call, repeats) * 1e-9
    return Figure(name, rate, goal, "higher", "GMAC/s", f"{what}, {SIDE}^3")


def products(long: bool) -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    a, b = (quantise(rng.standard_normal((SIDE, SIDE)), "bf16") for _ in range(2))
    out, repeats = np.empty((SIDE, SIDE), np.float32), 41 if long else 15

    def sequential() -> None:
        product_kernels.sequential(a, b, out)

    yield speed("fp32_gmac_s", 15, sequential, "float32 sums in their order", repeats)
    adder = Adder(16, 0, 1, 2, 0)

    def near() -> None:
        narrow_kernels.narrow(a, b, adder, out)

    what = "16-bit accumulator, approximate normalisation 1-2"
    yield speed("approx_gmac_s", 1.2, near, what, repeats)

    def affine() -> None:
        product_kernels.added_bits(a, b, ONE, out)

    what = "piecewise-affine and L-Mul products, float32 sums"
    yield speed("pam_gmac_s", 8, affine, what, repeats)
    multiplier = truncated(4)
    one, two = (multiplier.codes(rng.integers(-255, 256, a.shape)) for _ in range(2))
    lookup, sums = multiplier.lookup, np.empty((SIDE, SIDE), np.int32)

    def table() -> None:
        product_kernels.looked_up(one, two, lookup, sums)

    what = "8-bit magnitudes with signs, products from a table"
    yield speed("table_gmac_s", 2.5, table, what, repeats)


def adders(long: bool) -> Iterator[Figure]:
    rng, wrong, seen = np.random.default_rng(0), 0, 0
    for adder in SETTINGS:
        for kind in range(3):
            a, b = rng.standard_normal((6, 48)), rng.standard_normal((48, 7))
            if kind == 1:
                a, b = (x * 2.0 ** rng.integers(-20, 20, x.shape) for x in (a, b))
            elif kind == 2:  # sums that cancel, and zeros
                a[:, 1::2], b[1::2] = a[:, ::2], -b[::2]
                a[:, ::5] = 0
            a, b = (quantise(x, "bf16") for x in (a, b))
            got, right = np.empty((6, 7), np.float32), np.empty((6, 7), np.float32)
            narrow_kernels.narrow(a, b, adder, got)
            narrow_kernels.narrow_reference(a, b, adder, right)
            wrong += int((got != right).sum())
            seen += got.size
    said = f"{seen} sums of 48 products over {len(SETTINGS)} adders against whole numbers in Python"
    yield Figure("fma_mismatches", wrong, 0, "lower", "sums", said)


def measure(long: bool) -> Iterator[Figure]:
    """Yield the figures."""
    for part in (formats, mismatches, products, adders):
        yield from part(long)


if __name__ == "__main__":
    _report.run(measure, __doc__)
