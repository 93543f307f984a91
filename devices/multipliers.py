"""Multipliers of 8 bits that are given by all of their products: exact, cut short, or imported.

`read` takes the C files of EvoApproxLib (Mrazek, Hrbacek, Vasicek and Sekanina, "EvoApprox8b:
library of approximate adders and multipliers for circuit design and benchmarking of approximation
methods", DATE 2017; github.com/ehw-fit/evoapproxlib), with the power, area and delay of their
header, and plain tables. A C file is never compiled or run: its assignments of whole numbers are
read here, and evaluated for all pairs of operands at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .arrays import Array
from .c_functions import evaluate
from .words import unknown

SIDE = 256


@dataclass(frozen=True, eq=False)
class Multiplier:
    """A table of products (256, 256), and what its circuit draws."""

    name: str
    table: Array
    """int32; entry (a, b) is the product of the codes a and b."""
    signed: bool = False
    """Whether codes are two's complement; else magnitudes, beside which signs are kept."""
    power_W: float | None = None
    area_m2: float | None = None
    delay_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.table.shape != (SIDE, SIDE):
            raise ValueError(
                f"multiplier {self.name} takes a table of 256 x 256 products, got "
                f"{' x '.join(str(n) for n in self.table.shape)}"
            )

    @property
    def exact(self) -> Array:
        """The true products (256, 256)."""
        code = np.arange(SIDE)
        code = np.where(self.signed & (code >= SIDE // 2), code - SIDE, code)
        return code[:, None] * code

    @property
    def errors(self) -> dict[str, float]:
        """Mean and worst absolute error, mean relative error and the share of wrong products.

        The names are EvoApproxLib's, as counts and shares, not per cent: MAE, WCE, MRE, EP. The
        relative error is the mean over the products that are not 0.
        """
        exact = self.exact
        off = np.abs(self.table.astype(np.int64) - exact)
        return {
            "MAE": float(off.mean()),
            "WCE": float(off.max()),
            "MRE": float((off[exact != 0] / np.abs(exact[exact != 0])).mean()),
            "EP": float((off > 0).mean()),
        }

    @property
    def operand_bits(self) -> int:
        """Bits of the widest integer that it multiplies, the sign included."""
        return 8 if self.signed else 9

    def codes(self, values: Array) -> Array:
        """Return whole numbers as indices into `lookup`; beyond 8 bits there is no code."""
        whole = np.rint(values).astype(np.int64)
        if self.signed:
            return (whole & (SIDE - 1)).astype(np.uint16)
        codes: Array = np.where(whole < 0, SIDE - whole, whole)
        return codes.astype(np.uint16)

    @cached_property
    def lookup(self) -> Array:
        """The table by `codes`: as it is, or (512, 512) with both signs beside the magnitudes."""
        table = np.ascontiguousarray(self.table, np.int32)
        if self.signed:
            return table
        return np.ascontiguousarray(np.block([[table, -table], [-table, table]]))

    def technology(self) -> str:
        """Return the text of a technology file that prices `mac_table` at this circuit's figures.

        It is the 45 nm array's with another multiplier: power times delay, and a 32-bit addition.
        Raises ValueError where power or delay are not known.
        """
        if self.power_W is None or self.delay_s is None:
            raise ValueError(f"multiplier {self.name} states no power and delay to price it by")
        from importlib import resources

        text = resources.files("hwloop.devices.technology").joinpath("systolic_45nm.toml")
        head, _, tail = text.read_text().partition("[event.mac_table]")
        rest = tail.partition("\n[")[2]
        joules = self.power_W * self.delay_s + 1e-13
        said = (
            f"[event.mac_table]\nenergy_J = {joules:.4e}\nlatency_s = 0.0\n"
            f'source = "Derived: {self.power_W:.4g} W x {self.delay_s:.4g} s of {self.name} '
            f'({self.source or "its table"}), and 0.1 pJ of a 32-bit addition as in mac_int8"\n\n['
        )
        return head + said + rest


def exact() -> Multiplier:
    """Return the exact unsigned multiplier."""
    code = np.arange(SIDE)
    return Multiplier("exact", np.multiply.outer(code, code).astype(np.int32))


def truncated(columns: int) -> Multiplier:
    """Return the array multiplier without the partial products of the lowest columns.

    Column c holds the bits a_i b_j with i + j = c; those below `columns` are not built [Mahdiani
    et al., "Bio-inspired imprecise computational blocks", IEEE TCAS-I 57(4), 2010, vertical break].
    """
    if not 0 <= columns <= 14:
        raise ValueError(f"a truncated multiplier leaves out 0 to 14 columns, got {columns}")
    code = np.arange(SIDE)
    table = np.zeros((SIDE, SIDE), np.int32)
    for i in range(8):
        for j in range(8):
            if i + j >= columns:
                bits = np.multiply.outer(code >> i & 1, code >> j & 1)
                table += (bits << (i + j)).astype(np.int32)
    return Multiplier(f"truncated{columns}", table)


def named(name: str) -> Multiplier:
    """Return a multiplier by name ("exact", "truncated4") or by the path of a file.

    Raises ValueError for a name or a file that says none.
    """
    if name == "exact":
        return exact()
    if name.startswith("truncated") and name[9:].isdigit():
        return truncated(int(name[9:]))
    path = Path(name)
    if path.suffix in (".c", ".h", ".txt", ".csv", ".npy"):
        return read(path)
    raise ValueError(
        unknown("multiplier", name, ["exact", "truncated4"])
        + "; or a file: .c of EvoApproxLib, .npy, .csv or .txt of 256 x 256 products"
    )


def read(path: Path) -> Multiplier:
    """Return the multiplier of a file: .npy, .csv and .txt hold 65,536 products, .c a function.

    A table whose products go below 0 is read as signed, as is a C function whose name says so
    (mul8s). Raises ValueError for a file that is not there or holds no multiplier.
    """
    try:
        if path.suffix == ".npy":
            numbers = np.load(path, allow_pickle=False)
        elif path.suffix in (".csv", ".txt"):
            words = re.split(r"[\s,;]+", path.read_text("utf-8").strip())
            numbers = np.array([int(word) for word in words])
        else:
            return _from_c(path.stem, path.read_text("utf-8", errors="replace"))
    except OSError as wrong:
        raise ValueError(f"multiplier {path} cannot be read: {wrong.strerror}") from wrong
    except ValueError as wrong:
        raise ValueError(f"multiplier {path}: {wrong}") from wrong
    if numbers.size != SIDE * SIDE or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"multiplier {path} takes 256 x 256 whole numbers, got {numbers.size:,} of kind "
            f"{numbers.dtype}"
        )
    table = numbers.reshape(SIDE, SIDE).astype(np.int32)
    return Multiplier(path.stem, table, bool((table < 0).any()), source=path.name)


_HEADER = {
    "power_W": ("PWR|Power", 1e-3),
    "area_m2": ("AREA|Area", 1e-12),
    "delay_s": ("DELAY|Delay", 1e-9),
}


def _from_c(name: str, text: str) -> Multiplier:
    function, product = evaluate(text)
    signed = bool(re.match(r"mul\d+s", function))
    product = product & 0xFFFF
    if signed:
        product = np.where(product >= 2**15, product - 2**16, product)
    figures = {key: _figure(text, label, unit) for key, (label, unit) in _HEADER.items()}
    said = f"{function}, its header"
    return Multiplier(name, product.astype(np.int32), signed, source=said, **figures)


def _figure(text: str, label: str, unit: float) -> float | None:
    found = re.search(rf"(?:{label})\s*(?:\([^)]*\))?\s*[:=]\s*([\d.]+(?:e-?\d+)?)", text)
    return float(found[1]) * unit if found else None
