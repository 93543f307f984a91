"""A digital matrix engine: number formats, multipliers and adders, emulated bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from . import products
from .arrays import Array, namespace
from .base import Can, Device
from .blas import add_outer, product, product_back
from .engine_cost import (
    FLOAT_BYTES,
    Widths,
    gemm_cost,
    kind_of,
    lookup_cost,
    settle_cost,
    systolic_cost,
)
from .engine_operands import Shaping, bits_of, format_of, table_product
from .engine_settings import adder_of, check, multiplier_of
from .formats import Format
from .ledger import Count
from .lookup_products import HashTrees, grow, looked_up
from .products import ONE, Accumulator, Arithmetic, lmul_offset
from .rounding import Rounding
from .seeds import Draw
from .systolic import Dataflow, Systolic

FORWARD = ("inputs", "weights")
BACKWARD, LEARNING = ("gradients", "weights"), ("gradients", "inputs")
"""What the two operands of a product are, by verb."""
INPUTS_A_CODE = 8


@dataclass(kw_only=True, eq=False)
class MatrixEngine(Device):
    """The conventional accelerator that every other device is compared with.

    Operands are rounded to their formats, multiplied and added as the settings say; the weights
    that learn are kept in float32 beside them. As it comes it is float32 throughout.

    A verb is one kernel launch, its multiply-accumulates, and the bytes that cross the memory
    interface when each operand is read and each result written once; in the technology file
    the two last overlap, which makes the price a roofline [Williams, Waterman, Patterson,
    "Roofline", CACM 52(4), 2009]. With `array_rows` it is a systolic array instead, in cycles.
    """

    inputs: str = "fp32"
    """Number format of what is multiplied: see `formats.py`; fitted8 and its like adapt."""
    weights: str = "fp32"
    """Number format of the matrix; any4 gives each row sixteen values of its own."""
    outputs: str = "fp32"
    """Number format of results."""
    gradients: str = "fp32"
    """Number format of errors, in `transpose` and `update`."""
    rounding: Rounding = "nearest"
    """How inputs, weights and outputs are rounded."""
    gradient_rounding: Rounding = "nearest"
    """How errors are rounded."""
    saturate: bool = True
    """Whether numbers beyond a format stay at its largest; else as the format has it."""
    scaling: Literal["none", "tensor", "row"] | None = None
    """What fits an operand to its format; None: tensor for up to 8 bits, none for wider ones."""
    pad: bool = False
    """Whether a sum is filled up to whole blocks; else a block that does not divide is refused."""
    hadamard: bool = False
    """Whether both operands are mixed by one random Hadamard transform before they are rounded."""
    master: bool = True
    """Whether float32 weights are kept for learning; else the matrix learns in its own format."""
    arithmetic: Arithmetic = "multiply"
    """What a product of two numbers is: see `products.py`."""
    multiplier: str = "exact"
    """Products of arithmetic table: exact, truncatedN, or a file; see `multipliers.py`."""
    codebooks: int = 0
    """Pieces of a row that arithmetic lookup codes in 4 bits each; 0: one for every 8 inputs."""
    accumulator: Accumulator = "blas"
    """float32 in any order, float32 in the order of the sum, or narrow: see `kernels/narrow.py`."""
    significand: int = 16
    """Bits W of a narrow accumulator."""
    guard: int = 0
    """Bits kept below it while adding."""
    normalisation: str = "exact"
    """exact, or k-lambda: shift by k where k leading bits are 0, by lambda more where they are."""
    drop: Literal["truncated", "nearest"] = "truncated"
    """What becomes of the guard bits."""
    column: int = 0
    """Terms that a narrow column adds before float32 takes over; 0: all."""
    array_rows: int = 0
    """Rows of a systolic array that prices and times it; 0: a GPU's roofline."""
    array_columns: int = 0
    """Its columns; 0: as many as rows."""
    dataflow: Dataflow = "weight"
    """What stays in its cells."""
    buffer_kB: float = 256.0
    """Each of its three buffers, in kilobytes of 1024: an operand that fits is fetched once."""
    place: str = ""
    """A torch device that holds and computes it, "cuda"; empty: numpy."""

    usual_technology = "nvidia_a100_fp32"
    digital = True

    def __post_init__(self) -> None:
        settle_cost(self)
        if self.place:
            from .torch_matrix import place_of

            self.place = place_of(self.name, self.place)
        super().__post_init__()
        check(self)
        self._shaping = Shaping(self.scaling, self.saturate, self.pad, self.hadamard)
        self._adder = adder_of(self) if self.accumulator == "narrow" else None
        self._multiplier = multiplier_of(self) if self.arithmetic == "table" else None
        self._array = None
        if self.array_rows or self.array_columns:
            across = self.array_columns or self.array_rows
            try:
                self._array = Systolic(self.array_rows, across, self.dataflow)
            except ValueError as wrong:
                raise ValueError(f"{self.name}: {wrong}") from wrong
        offset = ONE
        if self.arithmetic == "lmul":
            fmt = format_of(self.inputs)
            offset = lmul_offset(fmt.mantissa_bits if isinstance(fmt, Format) else 7)
        self._offset = offset
        self._w: Any = np.zeros((self.n_out, self.n_in), np.float32)
        if self.place:
            from .torch_matrix import import_torch

            self._w = import_torch().as_tensor(self._w, device=self.place)
        self._held: dict[str, Any] = {}
        self._trees: HashTrees | None = None
        self._shaping.fit(self._w[:1], self._length(FORWARD), self.name)

    # ---- operands --------------------------------------------------------------------

    def _length(self, fields: tuple[str, ...]) -> int:
        lengths = [self._shaping.length(format_of(getattr(self, f))) for f in fields]
        return int(np.lcm.reduce(lengths))

    def _enter(self, x: Any, width: int, what: str) -> Any:
        if not self.place:
            return super()._enter(x, width, what)
        from .torch_matrix import entered

        return entered(self.name, x, width, what, self._w.dtype, self.place)

    def _signs(self, n: int, draw: Draw) -> Array:
        rng = self._stream.child("hadamard").rng(draw.step)
        return rng.choice(np.array([-1.0, 1.0], np.float32), n)

    def _product(self, a: Any, b: Any, fields: tuple[str, str], draw: Draw) -> Any:
        """Return a b^T of a (rows, k) and b (columns, k), each first rounded to its format.

        The matrix, as b, is rounded once until it changes, unless that is done at random.
        """
        shaping, length = self._shaping, self._length(fields)
        names = [getattr(self, field) for field in fields]
        roundings = [
            self.gradient_rounding if field == "gradients" else self.rounding for field in fields
        ]
        a = shaping.fit(a, length, self.name)
        if self._multiplier is not None:
            b = shaping.fit(b, length, self.name)
            return table_product(self.name, self._multiplier, shaping, (a, b), names, roundings)
        if self.hadamard:
            b = shaping.fit(b, length, self.name)
            signs = self._signs(a.shape[1], draw)
            a, b = shaping.rotate(a, signs), shaping.rotate(b, signs)
        kept = fields[1] == "weights" and not self.hadamard and roundings[1] != "stochastic"
        if kept and fields[0] in self._held:
            b = self._held[fields[0]]
        else:
            b = shaping.fit(b, length, self.name)
            b = shaping.rounded(b, names[1], roundings[1], draw, 1)
            if kept:
                self._held[fields[0]] = b
        a = shaping.rounded(a, names[0], roundings[0], draw, 0)
        if self.arithmetic != "multiply":
            return products.added_bits(a, b, self._offset)
        if self._adder is not None:
            return products.narrow(a, b, self._adder, self.column)
        if self.accumulator == "fp32":
            return products.sequential(a, b)
        return product(a, b)

    def _given(self, y: Any, draw: Draw) -> Any:
        """Return results in their format."""
        if self.outputs == "fp32":
            return y
        return self._shaping.rounded(y, self.outputs, self.rounding, draw, 2)

    # ---- the verbs -------------------------------------------------------------------

    def calibrate(self, x: Any) -> None:
        """Fit the look-ups to rows x (rows, n_in); else the first rows multiplied serve for it.

        Raises ValueError where the arithmetic is another, or there are fewer than 16 rows.
        """
        if self.arithmetic != "lookup":
            raise ValueError(f"{self.name}: calibrate fits look-ups; arithmetic is not lookup")
        rows = self._enter(x, self.n_in, "calibration data")
        try:
            self._trees = grow(rows, self.codebooks or -(-self.n_in // INPUTS_A_CODE))
        except ValueError as wrong:
            raise ValueError(f"{self.name}: {wrong}") from wrong
        self._held.clear()

    def _selected(self, x: Array) -> Array:
        """Return what the tables say of x (batch, n_in)."""
        if self._trees is None:
            self.calibrate(x)
        assert self._trees is not None
        if "tables" not in self._held:
            self._held["tables"] = self._trees.tables(self.matrix())
        return looked_up(self._trees.encode(x), self._held["tables"])

    def matrix(self) -> Array:
        if self.weights == "fp32":
            w = self._w
        elif "inputs" in self._held:
            w = self._held["inputs"][:, : self.n_in]
        else:
            # Rounding that is drawn anew each time stands for the weights themselves.
            exact: Rounding = "nearest" if self.rounding == "stochastic" else self.rounding
            w = self._shaping.fit(self._w, self._length(FORWARD), self.name)
            w = self._shaping.rounded(w, self.weights, exact, self._stream.at(0), 1)
            w = w[:, : self.n_in]
        return np.array(w if namespace(w) is np else w.cpu().numpy(), np.float32)

    def _multiply(self, x: Any, draw: Draw) -> Any:
        if self.arithmetic == "lookup":
            return self._given(self._selected(_float32(x)), draw)
        if self._is_plain(FORWARD):
            return self._given(product(x, self._w), draw)
        return self._given(self._product(_float32(x), self._w, FORWARD, draw), draw)

    def _transpose(self, y: Any, draw: Draw) -> Any:
        if self._is_plain(BACKWARD):
            return self._given(product_back(y, self._w), draw)
        return self._given(self._product(_float32(y), _across(self._w), BACKWARD, draw), draw)

    def _program(self, w: Any, draw: Draw) -> None:
        self._w[:] = w
        self._settle(draw)

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        if self._is_plain(LEARNING):
            if namespace(self._w) is np:
                add_outer(self._w, y, x, rate)
            else:
                self._w.addmm_(y.T, x, alpha=rate)
        else:
            y, x = _across(_float32(y)), _across(_float32(x))
            step = self._product(y, x, LEARNING, draw)
            self._w += step * (rate if namespace(step) is not np else np.float32(rate))
        self._settle(draw)

    def _is_plain(self, fields: tuple[str, str]) -> bool:
        """Whether a product of these operands is BLAS's, in float32."""
        exact = self.arithmetic in ("multiply", "lookup")
        exact &= self.accumulator == "blas" and not self.hadamard
        return exact and all(getattr(self, field) == "fp32" for field in fields)

    def _settle(self, draw: Draw) -> None:
        """Forget rounded weights; without masters, round what is kept."""
        self._held.clear()
        if not self.master and self.weights != "fp32":
            n = self.n_in
            w = self._shaping.fit(self._w, self._length(("weights",)), self.name)
            self._w[:] = self._shaping.rounded(w, self.weights, self.rounding, draw, 3)[:, :n]

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        names = (self.inputs, self.weights, self.outputs, self.gradients)
        x, w, y, e = (bits_of(name) / 8 for name in names)
        widths = Widths(x, w, y, e, learning=FLOAT_BYTES if self.master else w)
        if self._array is None:
            return gemm_cost(verb, batch, self.n_out, self.n_in, widths)
        if self.arithmetic == "lookup" and verb is Can.MULTIPLY:
            codes = self.codebooks or -(-self.n_in // INPUTS_A_CODE)
            return lookup_cost(self._array, batch, self.n_out, self.n_in, codes, widths)
        size, kind, buffer_B = (self.n_out, self.n_in), kind_of(self), 1024 * self.buffer_kB
        return systolic_cost(self._array, kind, buffer_B, verb, batch, size, widths)

    def _state(self) -> dict[str, Array]:
        state = {"w": self._w if namespace(self._w) is np else self._w.cpu().numpy()}
        return state if self._trees is None else state | self._trees.state()

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        w = arrays["w"]
        self._w[:] = w if namespace(self._w) is np else namespace(self._w).as_tensor(w)
        self._trees = HashTrees.of(arrays) if "prototypes" in arrays else None
        self._held.clear()


def _float32(x: Any) -> Any:
    return np.asarray(x, np.float32) if namespace(x) is np else x


def _across(x: Any) -> Any:
    """Return the transpose, its rows contiguous."""
    return np.ascontiguousarray(x.T) if namespace(x) is np else x.T.contiguous()
