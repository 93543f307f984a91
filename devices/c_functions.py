"""C functions of two whole numbers, evaluated for all pairs of bytes; nothing is compiled or run.

Only what multiplier libraries write is read: assignments of &, |, ^, ~, <<, >>, +, - and *, and a
return. Anything else is refused.
"""

from __future__ import annotations

import re

import numpy as np

from .arrays import Array

SIDE = 256

_FUNCTION = re.compile(
    r"\b(?:u?int\d+_t|unsigned|int)\s+(\w+)\s*\(\s*(?:const\s+)?\w+\s+(\w+)\s*,"
    r"\s*(?:const\s+)?\w+\s+(\w+)\s*\)\s*\{(.*?)\n?\}",
    re.DOTALL,
)
_TOKEN = re.compile(r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|([A-Za-z_]\w*|<<|>>|[&|^~+\-*()]))")
_LEVELS = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*",))
"""C's binary operators from the loosest to the tightest."""


def evaluate(text: str) -> tuple[str, Array]:
    """Return the name of the first function in a C text, and its values (256, 256), int64.

    Entry (a, b) is its value for the operands a and b; where they are called B and A, as
    EvoApproxLib calls them, B is the first all the same. Raises ValueError for other C.
    """
    plain = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    found = _FUNCTION.search(plain)
    if found is None:
        raise ValueError("it holds no C function of two whole numbers")
    function, first, second, body = found.groups()
    code = np.arange(SIDE, dtype=np.int64)
    a, b = np.repeat(code, SIDE), np.tile(code, SIDE)
    values: dict[str, Array] = {first: a, second: b}
    for statement in body.split(";"):
        words = statement.split()
        if not words:
            continue
        if words[0] == "return":
            value = _Expression(statement.strip()[6:], values).value()
            return function, np.broadcast_to(value, a.shape).reshape(SIDE, SIDE)
        _assign(statement, words, values, np.zeros_like(a))
    raise ValueError(f"the C function {function} returns nothing")


def _assign(statement: str, words: list[str], values: dict[str, Array], zero: Array) -> None:
    """Carry out a declaration or an assignment."""
    left, equals, right = statement.partition("=")
    if not equals:
        for declared in " ".join(words[1:]).split(","):
            values[declared.strip()] = zero
        return
    value = _Expression(right, values).value()
    operator = left.rstrip()[-1:]
    target = left.rstrip().rstrip("|&^+").split()[-1]
    if operator in _JOINED:
        value = _JOINED[operator](values.get(target, zero), value)
    values[target] = value


_JOINED = {"|": np.bitwise_or, "&": np.bitwise_and, "^": np.bitwise_xor, "+": np.add}
_BINARY = {
    **_JOINED,
    "<<": np.left_shift,
    ">>": np.right_shift,
    "-": np.subtract,
    "*": np.multiply,
}


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
            found = _BINARY[operator](found, other)
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
