"""What a matrix engine does to an operand before it multiplies: scale, rotate, pad, round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array, namespace
from .formats import AnyFormat, BlockFormat, Format, parse
from .learned_formats import any4, fit_float
from .multipliers import Multiplier
from .rounding import Rounding, Scaling, quantise, scale_of
from .seeds import Draw

HADAMARD = 32
"""Neighbours that the random Hadamard transform mixes; the block of the MX formats."""
ANY4_GROUP = 32


class Codes(NamedTuple):
    """Whole numbers as a multiplier's codes, and what one unit stands for."""

    codes: Array
    unit: Array
    """(rows, 1) or (1, 1)."""


def is_learned(name: str) -> bool:
    """Whether a format is fitted to the numbers that come: any4, or fitted3 to fitted8."""
    return name == "any4" or (name[:6] == "fitted" and name[6:] in tuple("345678"))


def format_of(name: str) -> AnyFormat | None:
    """Return the format of a name, None for a learned one. Raises ValueError for an unknown one."""
    return None if is_learned(name) else parse(name)


def bits_of(name: str) -> float:
    """Return the width of a number, its part of a shared scale included."""
    if name == "any4":
        return 4 + 32 / ANY4_GROUP  # a group's scale and offset, bfloat16 each
    found = format_of(name)
    return float(name[6:]) if found is None else float(found.bits)


@dataclass(frozen=True)
class Shaping:
    """How all operands of an engine are treated."""

    scaling: Scaling | None
    """None: integers and floats of 8 bits and fewer by tensor, the others as they are."""
    saturate: bool
    pad: bool
    hadamard: bool

    def scaling_of(self, fmt: AnyFormat) -> Scaling:
        """Return how an operand of this format is scaled."""
        if isinstance(fmt, BlockFormat):
            return "none"
        if self.scaling is None:
            return "tensor" if fmt.bits <= 8 or fmt.fixed else "none"
        return self.scaling

    def length(self, fmt: AnyFormat | None) -> int:
        """Return what the length of a sum must be a multiple of."""
        block = fmt.block if isinstance(fmt, BlockFormat) else 1
        return int(np.lcm(block, HADAMARD)) if self.hadamard else block

    def fit(self, x: Any, length: int, what: str) -> Any:
        """Return x (rows, n), filled with zeros to a multiple of `length`.

        Raises ValueError where it is none and `pad` is off.
        """
        n = x.shape[1]
        if n % length == 0:
            return x
        if not self.pad:
            raise ValueError(
                f"{what}: a block of {length} does not divide sums of {n} terms; pad = true fills "
                "the last block with zeros"
            )
        wide = -(-n // length) * length
        if namespace(x) is np:
            return np.pad(x, ((0, 0), (0, wide - n)))
        return namespace(x).nn.functional.pad(x, (0, wide - n))

    def rotate(self, x: Any, signs: Array) -> Any:
        """Return x (rows, n) with random signs and each `HADAMARD` neighbours mixed.

        The transform is orthogonal, so that the product of two operands is as before.
        """
        xp = namespace(x)
        mix = _hadamard()
        if xp is not np:
            mix = xp.as_tensor(mix, device=x.device)
            signs = xp.as_tensor(signs, device=x.device)
        turned = (x * signs).reshape(-1, HADAMARD) @ mix
        return turned.reshape(x.shape)

    def rounded(self, x: Any, name: str, rounding: Rounding, draw: Draw, part: int) -> Any:
        """Return x (rows, n) in a format. `part` tells an operation's operands apart."""
        fmt = format_of(name)
        key = 0 if rounding != "stochastic" else (int(draw.key()) + part * _STRIDE) % 2**64
        if fmt is None:
            return _learned(x, name, rounding, key)
        return quantise(x, fmt, rounding, key, self.saturate, self.scaling_of(fmt))

    def codes(self, x: Array, fmt: Format, multiplier: Multiplier, rounding: Rounding) -> Codes:
        """Return x (rows, n) as a multiplier's codes."""
        scale = scale_of(x, fmt, self.scaling_of(fmt))
        unit = np.ones((1, 1), np.float32) if scale is None else scale
        return Codes(multiplier.codes(quantise(x / unit, fmt, rounding)), unit)


def table_product(
    at: str,
    multiplier: Multiplier,
    shaping: Shaping,
    operands: tuple[Array, Array],
    names: list[str],
    roundings: list[Rounding],
) -> Array:
    """Return a b^T of a (rows, k) and b (columns, k) by a multiplier's table, added in int32.

    Raises ValueError where a sum may leave int32, and for NaN and infinity.
    """
    from .kernels.products import looked_up

    terms, largest = operands[0].shape[1], int(np.abs(multiplier.table).max())
    if terms * largest >= 2**31:
        raise ValueError(f"{at}: sums of {terms:,} products up to {largest:,} leave int32")
    coded = []
    for x, name, rounding in zip(operands, names, roundings, strict=True):
        fmt = format_of(name)
        assert isinstance(fmt, Format)
        if not np.isfinite(x).all():
            raise ValueError(f"{at}: format {name} has no NaN and no infinity")
        coded.append(shaping.codes(x, fmt, multiplier, rounding))
    one, two = coded
    out = np.empty((len(one.codes), len(two.codes)), np.int32)
    looked_up(one.codes, np.ascontiguousarray(two.codes.T), multiplier.lookup, out)
    return np.asarray(out * one.unit * two.unit.T, np.float32)


_STRIDE = 0x9E3779B97F4A7C15


def _learned(x: Any, name: str, rounding: Rounding, key: int) -> Any:
    xp = namespace(x)
    plain = x if xp is np else x.cpu().numpy()
    plain = np.ascontiguousarray(plain, np.float32)
    if name == "any4":
        found = any4(plain, ANY4_GROUP if plain.shape[1] % ANY4_GROUP == 0 else plain.shape[1])
        result = found.matrix()
    else:
        result = fit_float(plain, int(name[6:]))(plain, rounding, key)
    return result if xp is np else xp.as_tensor(result, device=x.device)


def _hadamard() -> Array:
    h = np.ones((1, 1), np.float32)
    while len(h) < HADAMARD:
        h = np.block([[h, h], [h, -h]])
    return h / np.float32(HADAMARD**0.5)
