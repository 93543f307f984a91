"""Number formats: what a few bits can say, and the names that files give them.

A name is one of `FORMATS` (fp32, tf32, bf16, fp16, e4m3, e5m2, e3m2, e2m3, e2m1, int8, int4,
mxfp8_e4m3, mxfp8_e5m2, mxfp6_e3m2, mxfp6_e2m3, mxfp4, mxfp4_ue5m3, nvfp4, ...), or is put together:
`eXmY` is a float of X exponent and Y mantissa bits after the pattern of IEEE 754, `eXmYfn` one that
spends a single code on NaN and none on infinity, `eXmYfinite` one without either; a `bN` behind it
sets the bias; `intN` has N bits, one of them the sign. `/N` behind a format with a shared scale
sets how many numbers share it, as in mxfp4/16.

Sources: IEEE 754-2019; OCP 8-bit Floating Point Specification (OFP8) v1.0 for e4m3 and e5m2; OCP
Microscaling Formats (MX) Specification v1.0 for e2m1, e2m3, e3m2, e8m0 and the blocks of 32.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .arrays import Array
from .layouts import Layout
from .words import unknown

Specials = Literal["ieee", "fn", "finite"]


@dataclass(frozen=True)
class Format:
    """A set of numbers of equal width, signed; floats, or fixed point where exponent_bits is 0."""

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int = 0
    specials: Specials = "finite"
    """ieee: the largest exponent means infinity and NaN; fn: all ones mean NaN; finite: neither."""

    def __post_init__(self) -> None:
        e, m = self.exponent_bits, self.mantissa_bits
        if self.fixed:
            if not 2 <= m + 1 <= 16:
                raise ValueError(f"format {self.name}: an integer takes 2 to 16 bits, got {m + 1}")
            return
        if not 1 <= e <= 8 or not 0 <= m <= 23:
            raise ValueError(
                f"format {self.name}: it takes 1 to 8 exponent bits and 0 to 23 mantissa bits, got "
                f"{e} and {m}"
            )
        taken = {"ieee": 1, "fn": 0, "finite": 0}[self.specials]
        if 2**e - 1 - taken < 1:
            raise ValueError(
                f"format {self.name} cannot hold zero: with {e} exponent bits every code means a "
                "number other than it, infinity or NaN"
            )
        if m == 0 and self.specials != "finite":
            raise ValueError(
                f"format {self.name} cannot hold zero beside its special values: without mantissa "
                "bits it takes the pattern finite"
            )
        if not self.wide and not (self.emin - m >= -100 and self.emax < 100):
            raise ValueError(
                f"format {self.name}: bias {self.bias} takes its numbers out of 2^-100 to 2^100, "
                "where float32 emulates them"
            )

    @property
    def fixed(self) -> bool:
        """Whether all steps are equal: an integer, in units of a scale."""
        return self.exponent_bits == 0

    @property
    def wide(self) -> bool:
        """Whether its exponents are those of float32."""
        return self.exponent_bits == 8 and self.bias == 127

    @property
    def bits(self) -> int:
        """Width of a number, its sign included."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 0 if self.fixed else 1 - self.bias

    @property
    def emax(self) -> int:
        """Exponent of the largest number."""
        return math.frexp(self.largest)[1] - 1

    @property
    def largest(self) -> float:
        """The largest finite number."""
        m = self.mantissa_bits
        if self.fixed:
            return 2.0**m - 1
        if self.specials == "ieee":
            return math.ldexp(2 - math.ldexp(1, -m), 2**self.exponent_bits - 2 - self.bias)
        top = 2 ** (m + 1) - (2 if self.specials == "fn" else 1)
        return math.ldexp(top, 2**self.exponent_bits - 1 - self.bias - m)

    @property
    def smallest(self) -> float:
        """The smallest number above 0."""
        return 1.0 if self.fixed else 2.0 ** (self.emin - self.mantissa_bits)

    def layout(self, saturate: bool = True) -> Layout:
        """Return what the kernels need; `saturate` keeps numbers beyond the largest there."""
        if self.fixed:
            m = 127 + self.mantissa_bits
            return Layout(self.mantissa_bits, m, m, self.largest, self.largest, 0)
        over = self.largest
        if not saturate and self.specials != "finite":
            over = math.inf if self.specials == "ieee" else math.nan
        low, high = self.emin + 127, min(self.emax + 1, 127) + 127
        return Layout(self.mantissa_bits, low, high, self.largest, over, int(self.wide))

    def values(self) -> Array:
        """Return all finite numbers from 0, ascending; formats of up to 16 bits."""
        if self.fixed:
            return np.arange(int(self.largest) + 1, dtype=np.float64)
        m = self.mantissa_bits
        codes = np.arange(2 ** (self.exponent_bits + m))
        e, f = codes >> m, (codes & (2**m - 1)) / 2.0**m
        found = np.where(e == 0, np.ldexp(f, self.emin), np.ldexp(1 + f, e - self.bias))
        return np.asarray(found[found <= self.largest])


@dataclass(frozen=True)
class BlockFormat:
    """Numbers of a format that share a scale, `block` of them along a row."""

    name: str
    element: Format
    block: int = 32
    scale: Literal["e8m0", "ue5m3", "ue4m3"] = "e8m0"
    """e8m0: powers of two; the others unsigned floats of that shape whose all ones are NaN."""
    tensor_scale: bool = False
    """Whether the scales are relative to one of the whole array, which maps its largest number
    to the largest that scale and element can say."""

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"format {self.name}: a block takes at least 1 number")

    @property
    def bits(self) -> float:
        """Width of a number with its part of the scale's 8 bits."""
        return self.element.bits + 8 / self.block

    @property
    def scales(self) -> Layout:
        """What the kernels need of the scale's format."""
        if self.scale == "e8m0":
            return Layout(0, 0, 0, 0.0, 0.0, 0)
        return parse(self.scale[1:] + "fn").layout()  # type: ignore[union-attr]


AnyFormat = Format | BlockFormat


def _float(name: str, e: int, m: int, specials: Specials = "ieee") -> Format:
    return Format(name, e, m, 2 ** (e - 1) - 1, specials)


FP32 = _float("fp32", 8, 23)
_E4M3, _E5M2 = _float("e4m3", 4, 3, "fn"), _float("e5m2", 5, 2)
_E3M2, _E2M3 = _float("e3m2", 3, 2, "finite"), _float("e2m3", 2, 3, "finite")
_E2M1 = _float("e2m1", 2, 1, "finite")

FORMATS: dict[str, AnyFormat] = {
    f.name: f
    for f in (
        FP32,
        _float("tf32", 8, 10),
        _float("bf16", 8, 7),
        _float("fp16", 5, 10),
        _E4M3,
        _E5M2,
        _E3M2,
        _E2M3,
        _E2M1,
        Format("int8", 0, 7),
        Format("int4", 0, 3),
        BlockFormat("mxfp8_e4m3", _E4M3),
        BlockFormat("mxfp8_e5m2", _E5M2),
        BlockFormat("mxfp6_e3m2", _E3M2),
        BlockFormat("mxfp6_e2m3", _E2M3),
        BlockFormat("mxfp4", _E2M1),
        BlockFormat("mxint8", Format("int8", 0, 7)),
        BlockFormat("mxfp4_ue5m3", _E2M1, scale="ue5m3"),
        BlockFormat("nvfp4", _E2M1, 16, "ue4m3", tensor_scale=True),
    )
}
"""The formats that have a name of their own."""

ALIASES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "fp4": "e2m1"}
_PATTERN = re.compile(r"e(\d+)m(\d+)(ieee|fn|finite)?(?:b(-?\d+))?")


@functools.cache
def parse(name: str) -> AnyFormat:
    """Return the format of a name. Raises ValueError for a name that says none.

    >>> parse("e4m3").largest, parse("e3m4").largest, parse("mxfp4/16").block
    (448.0, 15.5, 16)
    """
    stem, slash, block = name.partition("/")
    stem = ALIASES.get(stem, stem)
    if slash:
        found = parse(stem)
        if not isinstance(found, BlockFormat) or not block.isdigit():
            raise ValueError(
                f'format "{name}": a block length is a whole number behind a format with a shared '
                "scale, as in mxfp4/16"
            )
        return replace(found, name=name, block=int(block))
    if stem in FORMATS:
        return FORMATS[stem]
    if stem.startswith("int") and stem[3:].isdigit():
        return Format(stem, 0, int(stem[3:]) - 1)
    match = _PATTERN.fullmatch(stem)
    if match is None:
        raise ValueError(unknown("format", name, FORMATS) + "; or eXmY[fn|finite][bBIAS], or intN")
    e, m = int(match[1]), int(match[2])
    usual = FORMATS.get(f"e{e}m{m}")
    pattern: Specials = match[3] or (usual.specials if isinstance(usual, Format) else "ieee")  # type: ignore[assignment]
    bias = int(match[4]) if match[4] is not None else 2 ** (e - 1) - 1 if e else 0
    if e == 0:
        raise ValueError(f'format "{name}" has no exponent: an integer is intN')
    return Format(stem, e, m, bias, pattern)
