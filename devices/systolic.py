"""A systolic array: how many cycles a matrix product takes, and what moves between its memories.

Cycles are those that SCALE-Sim v2 reports [Samajdar et al., "A systematic methodology for
characterizing scalability of DNN accelerators using SCALE-Sim", ISPASS 2020]: weight and input
stationary folds take 2 rows + columns + stream - 2 cycles, output stationary ones rows + columns +
k - 2 (version 2 leaves out the drain that the paper's model has), and a report counts from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from .words import unknown

Dataflow = Literal["output", "weight", "input"]


class Folds(NamedTuple):
    """How a product (m, k) x (k, n) is cut into passes of the array."""

    passes: int
    cycles: int
    """Of all passes, as SCALE-Sim reports them."""
    utilisation: float
    """Multiply-accumulates over the cells times the cycles."""


class Traffic(NamedTuple):
    """Numbers that cross the edge of the array; each operand by itself."""

    inputs: int
    weights: int
    outputs: int
    """Results written, and partial sums written and read back."""


@dataclass(frozen=True)
class Systolic:
    """An array of multiply-accumulate cells; the left operand is (m, k), the right one (k, n)."""

    rows: int
    columns: int
    dataflow: Dataflow = "weight"
    """Which operand stays in the cells: the sums (m, n), the right operand, or the left one."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or got < 1:
                raise ValueError(f"a systolic array takes {name} from 1, got {got!r}")
        if self.dataflow not in get_args(Dataflow):
            raise ValueError(unknown("dataflow", str(self.dataflow), get_args(Dataflow)))

    def _cut(self, m: int, n: int, k: int) -> tuple[int, int, int]:
        """Return passes down the array, across it, and cycles of a pass."""
        r, c = self.rows, self.columns
        if self.dataflow == "output":
            return -(-m // r), -(-n // c), r + c + k - 2
        if self.dataflow == "weight":
            return -(-k // r), -(-n // c), 2 * r + c + m - 2
        return -(-k // r), -(-m // c), 2 * r + c + n - 2

    def folds(self, m: int, n: int, k: int) -> Folds:
        """Return passes, cycles and utilisation of one product."""
        down, across, each = self._cut(m, n, k)
        cycles = down * across * each - 1
        return Folds(down * across, cycles, m * n * k / (self.rows * self.columns * cycles))

    def traffic(self, m: int, n: int, k: int) -> Traffic:
        """Return what the array reads and writes, keeping nothing but what is stationary."""
        down, across, _ = self._cut(m, n, k)
        if self.dataflow == "output":
            return Traffic(across * m * k, down * k * n, m * n)
        partial = (2 * down - 1) * m * n
        if self.dataflow == "weight":
            return Traffic(across * m * k, k * n, partial)
        return Traffic(m * k, across * k * n, partial)
