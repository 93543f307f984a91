"""What a verb of a matrix engine counts: a GPU by its roofline, a systolic array by cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .base import Can
from .engine_operands import format_of
from .formats import BlockFormat
from .ledger import Count
from .systolic import Systolic

if TYPE_CHECKING:
    from .matrix_engine import MatrixEngine

FLOAT_BYTES = 4
ARRAY_ROWS = 128
"""Rows and columns of the array that stands for arithmetic that no GPU here has."""
GPUS = {
    "fp32": "nvidia_a100_fp32",
    "tf32": "nvidia_a100_tf32",
    "fp16": "nvidia_a100_bf16",
    "int8": "nvidia_a100_int8",
    "fp8": "nvidia_h100_fp8",
}
"""The technology that prices a kind of multiply-accumulate where a file names none."""


class Widths(NamedTuple):
    """Bytes a number of each operand."""

    inputs: float = FLOAT_BYTES
    weights: float = FLOAT_BYTES
    outputs: float = FLOAT_BYTES
    gradients: float = FLOAT_BYTES
    learning: float = FLOAT_BYTES
    """Of the weights that updates change."""


FLOAT32 = Widths()


def gemm_cost(
    verb: Can, batch: int, n_out: int, n_in: int, widths: Widths = FLOAT32
) -> dict[str, Count]:
    """Return launches, multiply-accumulates and bytes of one verb.

    `program` only moves bytes. `update` reads the weights and writes them back.
    """
    weights, macs = n_out * n_in, batch * n_out * n_in
    if verb is Can.PROGRAM:
        macs, moved = 0, weights * (FLOAT_BYTES + widths.learning)
    elif verb is Can.UPDATE:
        moved = 2 * weights * widths.learning
        moved += batch * (n_out * widths.gradients + n_in * widths.inputs)
    elif verb is Can.TRANSPOSE:
        moved = weights * widths.weights
        moved += batch * (n_out * widths.gradients + n_in * widths.outputs)
    else:
        moved = weights * widths.weights
        moved += batch * (n_in * widths.inputs + n_out * widths.outputs)
    whole = int(moved) if moved == int(moved) else moved
    return {
        "launch": Count(work=1, depth=1),
        "mac": Count(work=macs, depth=macs),
        "byte": Count(work=whole, depth=whole),
    }


def systolic_cost(
    array: Systolic,
    kind: str,
    buffer_B: float,
    verb: Can,
    batch: int,
    size: tuple[int, int],
    widths: Widths = FLOAT32,
) -> dict[str, Count]:
    """Return cycles, multiply-accumulates and bytes of one verb on W of `size` (n_out, n_in).

    Each operand has a buffer of `buffer_B` bytes: one that fits crosses the outer memory once, a
    larger one as often as the array asks for it. Arithmetic and buffers keep pace with the cycles.
    """
    n_out, n_in = size
    if verb is Can.PROGRAM:
        moved = n_out * n_in * (FLOAT_BYTES + widths.learning)
        return {"cycle": Count(0, 0), "dram_byte": Count(moved, moved)}
    if verb is Can.MULTIPLY:
        m, n, k = batch, n_out, n_in
        each = widths.inputs, widths.weights, widths.outputs
    elif verb is Can.TRANSPOSE:
        m, n, k = batch, n_in, n_out
        each = widths.gradients, widths.weights, widths.outputs
    else:
        m, n, k = n_out, n_in, batch
        each = widths.gradients, widths.inputs, FLOAT_BYTES
    cycles = array.folds(m, n, k).cycles + 1  # a report counts from 0
    traffic = [count * width for count, width in zip(array.traffic(m, n, k), each, strict=True)]
    once = [count * width for count, width in zip((m * k, n * k, m * n), each, strict=True)]
    outside = sum(o if o <= buffer_B else t for t, o in zip(traffic, once, strict=True))
    if verb is Can.UPDATE:
        outside += 2 * n_out * n_in * widths.learning
    macs = m * n * k
    return {
        "cycle": Count(cycles, cycles),
        f"mac_{kind}": Count(macs, 0),
        "sram_byte": Count(sum(traffic), 0),
        "dram_byte": Count(outside, outside),
    }


def lookup_cost(
    array: Systolic, batch: int, n_out: int, n_in: int, codes: int, widths: Widths = FLOAT32
) -> dict[str, Count]:
    """Return what `multiply` counts where products are looked up.

    Each code takes four comparisons and adds one row of its table; every cell of the array adds
    one number a cycle. Tables of sixteen rows a code are read from outside once.
    """
    sums, tables = batch * codes * n_out, 16 * codes * n_out * FLOAT_BYTES
    cycles = -(-sums // (array.rows * array.columns))
    outside = tables + batch * (n_in * widths.inputs + n_out * widths.outputs)
    return {
        "cycle": Count(cycles, cycles),
        "compare": Count(4 * batch * codes, 0),
        "add_fp32": Count(sums, 0),
        "sram_byte": Count(FLOAT_BYTES * sums, 0),
        "dram_byte": Count(outside, outside),
    }


def kind_of(engine: MatrixEngine) -> str:
    """Return what a technology calls the engine's multiply-accumulate, behind "mac_"."""
    if engine.arithmetic not in ("multiply", "lookup"):
        return str(engine.arithmetic)
    if engine.accumulator == "narrow":
        return "narrow" if engine.normalisation == "exact" else "narrow_approximate"
    widest, integer = 0, True
    for name in (engine.inputs, engine.weights):
        fmt = format_of(name)
        fmt = fmt.element if isinstance(fmt, BlockFormat) else fmt
        if fmt is not None and fmt.name == "tf32":
            return "tf32"
        bits = fmt.bits if fmt is not None else 4 if name == "any4" else int(name[6:])
        widest = max(widest, bits)
        integer &= fmt is not None and fmt.fixed
    kind, sizes = ("int", (4, 9, 16, 32)) if integer else ("fp", (4, 6, 8, 16, 32))
    if integer and widest in (8, 9):
        return "int8"
    return kind + next(str(n) for n in sizes if widest <= n)


def settle_cost(engine: MatrixEngine) -> None:
    """Choose what prices the engine where its settings leave it open.

    The GPU that has its arithmetic; or, for what none here has, an array of 128 x 128 in 45 nm.
    """
    if engine.technology:
        return
    try:
        own = engine.array_rows or engine.arithmetic == "lookup"
        stem = None if own else GPUS.get(kind_of(engine))
    except ValueError:  # settings that are refused later, in words
        return
    if stem is None:
        engine.array_rows = engine.array_rows or ARRAY_ROWS
    engine.technology = stem or "systolic_45nm"
