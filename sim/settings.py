"""What is laid over a file: `--set key=value` from the command line, and the arms of [compare].

`--set train.epochs=5` changes one value; a table as value (`--set 'algorithm={rule="dfa"}'`)
replaces the whole table. What is set holds for the arms of [compare] too, as they inherit the
file, unless they say otherwise themselves; `--set compare.frozen.train.epochs=5` reaches one of
them, and `--set compare={}` drops them all.

An arm inherits every table of the file and lays its own keys over them, key by key, in [data],
[network], [train], [privacy] and [host]. The tables that choose something, [algorithm],
[optimizer], [target] and those of devices, it replaces whole, since the keys of one choice mean
nothing to another.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any

from .places import BadInput, Path, shown

CHOICES = ("algorithm", "optimizer", "target")
"""Tables that choose one of several; the keys of those of devices begin with their role."""


def apply(raw: dict[str, Any], settings: Sequence[str]) -> dict[Path, str]:
    """Lay settings over a file's tables, in place; return where each one stands.

    A value is TOML, or else the text itself. Raises BadInput for what is no key=value.
    """
    places = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        path = tuple(part.strip().strip('"') for part in key.split("."))
        if not equals or not all(path):
            raise BadInput(f"--set takes key=value, as in train.epochs=5; got {shown(setting)}")
        table = raw
        for depth, step in enumerate(path[:-1], 1):
            below = table.setdefault(step, {})
            if not isinstance(below, dict):
                raise BadInput(
                    f"--set {setting}: {'.'.join(path[:depth])} is a value, not a table with keys"
                )
            table = below
        laid = anchored({path[-1]: _value(value)}, File.cwd(), path[:-1])
        table[path[-1]] = laid[path[-1]]
        places[path] = setting
    return places


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return parsed["value"] if len(parsed) == 1 else text.strip()


def anchored(table: Mapping[str, Any], folder: File, above: Path = ()) -> dict[str, Any]:
    """Return a copy in which paths of files are absolute: relative ones start at `folder`.

    These are the `path` of [data], and any technology or fabric that is a file of one's own.
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found[key] = anchored(value, folder, (*above, key))
        elif isinstance(value, str) and _is_file(key, value, above):
            found[key] = str(folder.absolute() / File(value).expanduser())
        else:
            found[key] = value
    return found


def _is_file(key: str, value: str, above: Path) -> bool:
    if not value or "\0" in value:
        return False
    if key == "path":
        return above[-1:] == ("data",)
    if key == "use":
        return above[-1:] == ("fabric",) and value.endswith(".toml")
    return key == "technology" and value.partition(";")[0].rstrip().endswith(".toml")


def inherited(base: Mapping[str, Any], changes: Mapping[str, Any], roles: Sequence[str]) -> Any:
    """Return an arm's whole file: what it inherits, and its own keys over it."""
    merged = {key: value for key, value in base.items() if key != "compare"}
    for key, value in changes.items():
        whole = key in CHOICES or key.split("/")[0] in roles
        old = base.get(key)
        mixed = isinstance(value, dict) and isinstance(old, dict) and not whole
        merged[key] = {**old, **value} if mixed and old is not None else value
    return merged
