"""Whether the settings of a matrix engine go together; each refusal is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from .engine_operands import format_of, is_learned
from .formats import BlockFormat, Format
from .layouts import Adder
from .multipliers import Multiplier, named
from .products import Accumulator, Arithmetic
from .rounding import MODES
from .words import unknown

if TYPE_CHECKING:
    from .matrix_engine import MatrixEngine

OPERANDS = ("inputs", "weights", "gradients")
WIDEST = 28
"""Bits of significand and guard together that a step can hold."""


def check(engine: MatrixEngine) -> None:
    """Raise ValueError for what does not go together, naming the engine and the setting."""
    try:
        _check(engine)
    except ValueError as wrong:
        raise ValueError(f"{engine.name}: {wrong}") from wrong


def _check(engine: MatrixEngine) -> None:
    for field in (*OPERANDS, "outputs"):
        name = getattr(engine, field)
        try:
            format_of(name)
        except ValueError as wrong:
            raise ValueError(f"{field}: {wrong}") from wrong
        if name == "any4" and field != "weights":
            raise ValueError(f"{field} takes a format of single numbers; any4 is one of weights")
    for field in ("rounding", "gradient_rounding"):
        if getattr(engine, field) not in MODES:
            raise ValueError(f"{field}: {unknown('rounding', str(getattr(engine, field)), MODES)}")
    if engine.scaling not in (None, "none", "tensor", "row"):
        raise ValueError(f"scaling takes none, tensor or row, got {engine.scaling!r}")
    for field, kind in (("arithmetic", Arithmetic), ("accumulator", Accumulator)):
        if getattr(engine, field) not in get_args(kind):
            raise ValueError(unknown(field, str(getattr(engine, field)), get_args(kind)))
    if engine.arithmetic != "multiply" and engine.accumulator == "narrow":
        raise ValueError(
            "accumulator narrow adds exact products of bfloat16; with arithmetic "
            f"{engine.arithmetic} take blas or fp32"
        )
    if engine.place and (engine.arithmetic, engine.accumulator) != ("multiply", "blas"):
        raise ValueError(
            "place computes in torch, which multiplies and adds as it likes: it takes arithmetic "
            f"multiply and accumulator blas, got {engine.arithmetic} and {engine.accumulator}"
        )
    if engine.arithmetic == "lookup" and not (engine.array_rows or engine.array_columns):
        raise ValueError(
            "arithmetic lookup is priced as an array: it takes array_rows from 1 beside the "
            f"technology {engine.technology}"
        )
    if isinstance(engine.codebooks, bool) or not 0 <= engine.codebooks <= engine.n_in:
        raise ValueError(f"codebooks takes 0 to {engine.n_in}, got {engine.codebooks!r}")
    if not isinstance(engine.column, int) or engine.column < 0:
        raise ValueError(f"column takes a whole number from 0, got {engine.column!r}")


def adder_of(engine: MatrixEngine) -> Adder:
    """Return the accumulator that the settings describe. Raises ValueError where there is none."""
    w, g = engine.significand, engine.guard
    at = engine.name
    if not 8 <= w <= WIDEST:
        raise ValueError(
            f"{at}: significand takes 8 bits, those of a bfloat16 factor, to {WIDEST}, got {w}: "
            "too narrow for the product's leading bits"
            if w < 8
            else f"{at}: significand takes 8 to {WIDEST} bits, got {w}"
        )
    if not 0 <= g <= WIDEST - w:
        raise ValueError(f"{at}: guard takes 0 to {WIDEST - w} bits beside {w}, got {g}")
    if engine.drop not in ("truncated", "nearest"):
        raise ValueError(f"{at}: drop takes truncated or nearest, got {engine.drop!r}")
    if engine.drop == "nearest" and g < 3:
        raise ValueError(f"{at}: drop nearest takes guard from 3 bits, got {g}")
    k, lam = _shifts(engine.normalisation, at)
    if k + lam > w:
        raise ValueError(f"{at}: normalisation {engine.normalisation} shifts beyond {w} bits")
    for field in OPERANDS:
        name = getattr(engine, field)
        if not _within_bfloat16(engine, name):
            raise ValueError(
                f"{at}: {field} takes a format within bfloat16 for accumulator narrow, as bf16, "
                f'e4m3 or mxfp4, got "{name}"'
            )
    return Adder(w, g, k, lam, int(engine.drop == "nearest"))


def _shifts(text: str, at: str) -> tuple[int, int]:
    """Return k and lambda of "k-lambda"; 0, 0 for exact."""
    if text == "exact":
        return 0, 0
    k, dash, lam = text.partition("-")
    if not dash or not k.isdigit() or not lam.isdigit() or int(k) < 1:
        raise ValueError(
            f"{at}: normalisation takes exact, or k-lambda with k from 1 as in 1-2, got {text!r}"
        )
    return int(k), int(lam)


def _within_bfloat16(engine: MatrixEngine, name: str) -> bool:
    if is_learned(name):
        return False
    fmt = format_of(name)
    if isinstance(fmt, BlockFormat):
        return fmt.scale == "e8m0"
    assert isinstance(fmt, Format)
    return not fmt.fixed and fmt.mantissa_bits <= 7


def multiplier_of(engine: MatrixEngine) -> Multiplier:
    """Return the multiplier of arithmetic table. Raises ValueError where operands do not fit it."""
    try:
        found = named(engine.multiplier)
    except ValueError as wrong:
        raise ValueError(f"{engine.name}: {wrong}") from wrong
    for field in OPERANDS:
        fmt = format_of(getattr(engine, field))
        if not isinstance(fmt, Format) or not fmt.fixed or fmt.bits > found.operand_bits:
            raise ValueError(
                f"{engine.name}: {field} takes an integer of up to {found.operand_bits} bits for "
                f'multiplier {found.name}, as int8, got "{getattr(engine, field)}"'
            )
    return found
