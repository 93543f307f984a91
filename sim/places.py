"""Where in a user's file something stands, for sentences that say what is wrong there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from reprlib import Repr
from typing import Any

Path = tuple[str, ...]
"""The keys that lead to a value, from the top of the file."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class BadInput(ValueError):
    """What a user gave cannot be used; the message is a sentence that says where and why."""


def shown(value: Any) -> str:
    """Return a value as an error sentence quotes it: as TOML writes it, and never long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = _SHORT.repr(value)[1:-1]
        return f'"{text}"'
    if isinstance(value, (date, time)):
        return str(value)
    try:
        return _SHORT.repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return "a number of thousands of digits"


@dataclass(frozen=True)
class Source:
    """A file of keys and values, with what the command line set in it."""

    where: str = "experiment"
    text: str = ""
    settings: Mapping[Path, str] = field(default_factory=dict)
    """What was set on the command line: the keys that lead to it, and how it was written."""
    above: Path = ()
    """The table that is read as if it were a whole file, as ("compare", "frozen")."""

    def under(self, *keys: str) -> Source:
        """Return the same source, its table `keys` read over the whole of the file."""
        return Source(self.where, self.text, self.settings, keys)

    def has(self, path: Path) -> bool:
        """Whether `path` stands in the file or was set on the command line."""
        return path in self.settings or bool(self._line(path))

    def bad(self, path: Path, sentence: str) -> BadInput:
        """Return the error whose sentence begins with the place of `path`, as good as is known."""
        return BadInput(f"{self._place(path)} {sentence}")

    def _place(self, path: Path) -> str:
        section = (*self.above, *(path[:1] if len(path) > 1 else ()))
        table = f" [{'.'.join(section)}]" if section else ""
        for full in ((*self.above, *path), path) if self.above else (path,):
            for depth in range(len(full), 0, -1):
                part = full[:depth]
                if self.above and part == self.above:
                    break
                for keys, setting in self.settings.items():
                    if keys[: len(part)] == part or part[: len(keys)] == keys:
                        return f"--set {setting}:{table}"
                if line := self._line(part):
                    return f"{self.where}, line {line}:{table}"
        return f"{self.where}:{table}"

    def _line(self, path: Path) -> int:
        """Return the line in which the shortest beginning that is TOML and holds `path` ends."""
        lines = self.text.splitlines()

        def holds(count: int) -> bool:
            while count:
                try:
                    table: Any = tomllib.loads("\n".join(lines[:count]))
                except ValueError:
                    count -= 1
                    continue
                for key in path:
                    if not isinstance(table, dict) or key not in table:
                        return False
                    table = table[key]
                return True
            return False

        if not path or not holds(len(lines)):
            return 0
        low, high = 0, len(lines)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high
