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
from pathlib import Path

import numpy as np

from .arrays import Array
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
        return np.asarray(np.multiply.outer(code, code), np.int64)

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
        return (np.abs(whole) + SIDE * (whole < 0)).astype(np.uint16)

    @property
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


_HEADER = {"power_W": ("PWR|Power", 1e-3), "area_m2": ("AREA|Area", 1e-12)}
_FUNCTION = re.compile(
    r"\b(?:u?int\d+_t|unsigned|int)\s+(\w+)\s*\(\s*(?:const\s+)?\w+\s+(\w+)\s*,"
    r"\s*(?:const\s+)?\w+\s+(\w+)\s*\)\s*\{(.*?)\n?\}",
    re.DOTALL,
)
_TOKEN = re.compile(r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|([A-Za-z_]\w*|<<|>>|[&|^~+\-*()]))")
_LEVELS = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*",))
"""C's binary operators from the loosest to the tightest."""


def _from_c(name: str, text: str) -> Multiplier:
    plain = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    found = _FUNCTION.search(plain)
    if found is None:
        raise ValueError("it holds no C function of two whole numbers")
    function, first, second, body = found.groups()
    signed = bool(re.match(r"mul\d+s", function))
    code = np.arange(SIDE, dtype=np.int64)
    a, b = np.repeat(code, SIDE), np.tile(code, SIDE)
    # EvoApproxLib names its operands B and A, in this order; a product takes them either way.
    values: dict[str, Array] = {first: a, second: b}
    if first == "B" and second == "A":
        values = {first: b, second: a}
    product: Array | None = None
    for statement in body.split(";"):
        words = statement.split()
        if not words:
            continue
        if words[0] == "return":
            product = _Expression(statement.strip()[6:], values).value()
            break
        left, equals, right = statement.partition("=")
        target = left.rstrip("|&^+").split()
        if not equals:
            for declared in " ".join(words[1:]).split(","):
                values[declared.strip()] = np.zeros_like(a)
            continue
        value = _Expression(right, values).value()
        operator = left.rstrip()[-1:]
        if operator in "|&^+" and operator:
            old = values.get(target[-1], np.zeros_like(a))
            both = {"|": old | value, "&": old & value, "^": old ^ value, "+": old + value}
            value = both[operator]
        values[target[-1]] = value
    if product is None:
        raise ValueError(f"the C function {function} returns nothing")
    product = product & 0xFFFF
    if signed:
        product = np.where(product >= 2**15, product - 2**16, product)
    table = np.broadcast_to(product, a.shape).reshape(SIDE, SIDE).astype(np.int32)
    figures = {key: _figure(text, label, unit) for key, (label, unit) in _HEADER.items()}
    delay = _figure(text, "Delay|DELAY", 1e-9)
    return Multiplier(
        name, table, signed, delay_s=delay, source=f"{function}, its header", **figures
    )


def _figure(text: str, label: str, unit: float) -> float | None:
    found = re.search(rf"(?:{label})\s*(?:\([^)]*\))?\s*[:=]\s*([\d.]+(?:e-?\d+)?)", text)
    return float(found[1]) * unit if found else None


class _Expression:
    """Evaluates one C expression of whole numbers, by precedence climbing."""

    def __init__(self, text: str, values: dict[str, Array]) -> None:
        self._words: list[str] = []
        self._values, self._at = values, 0
        place, text = 0, text.strip()
        text = re.sub(r"\(\s*(?:const\s+)?u?int\d+_t\s*\)", "", text)  # casts change nothing here
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise ValueError(f'"{text[place : place + 20]}" is beyond the C that is read here')
            self._words.append(match[1] or match[2])
            place = match.end()

    def value(self) -> Array:
        found = self._level(0)
        if self._at != len(self._words):
            raise ValueError(f'"{self._words[self._at]}" is beyond the C that is read here')
        return found

    def _level(self, depth: int) -> Array:
        if depth == len(_LEVELS):
            return self._unary()
        found = self._level(depth + 1)
        while self._at < len(self._words) and self._words[self._at] in _LEVELS[depth]:
            operator = self._words[self._at]
            self._at += 1
            other = self._level(depth + 1)
            if operator in ("<<", ">>"):
                other = other & 63
            found = {
                "|": np.bitwise_or,
                "^": np.bitwise_xor,
                "&": np.bitwise_and,
                "<<": np.left_shift,
                ">>": np.right_shift,
                "+": np.add,
                "-": np.subtract,
                "*": np.multiply,
            }[operator](found, other)
        return found

    def _unary(self) -> Array:
        if self._at >= len(self._words):
            raise ValueError("an expression ends too early")
        word = self._words[self._at]
        self._at += 1
        if word == "~":
            return ~self._unary()
        if word == "-":
            return -self._unary()
        if word == "(":
            found = self._level(0)
            if self._at >= len(self._words) or self._words[self._at] != ")":
                raise ValueError("a bracket is not closed")
            self._at += 1
            return found
        if word[0].isdigit():
            return np.asarray(int(word, 0), np.int64)
        if word not in self._values:
            raise ValueError(f'"{word}" is used and was never set')
        return self._values[word]
