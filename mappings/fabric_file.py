"""Fabrics read from TOML: unknown keys, missing sources and links to nowhere are refused."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import resources
from pathlib import Path
from typing import Any

from ..devices import CATALOGUE, Can
from ..devices.technology import load as load_technology
from ..devices.words import unknown
from .fabric import SHAPES, Clock, Fabric, HostKind, Link, TileKind

_UNKNOWN = "unknown"


def names() -> list[str]:
    """Return the stems of the fabrics that ship with hwloop."""
    folder = resources.files("hwloop.devices.technology").joinpath("fabrics")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


@functools.cache
def load(name: str) -> Fabric:
    """Return a fabric by the stem of a shipped file, or by the path of one's own TOML file.

    Raises ValueError where there is no such file, or something in it is wrong.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f'fabric file "{name}" is not there')
        return parse(path.read_text("utf-8"), path.stem)
    if name not in names():
        raise ValueError(unknown("fabric", name, names()))
    folder = resources.files("hwloop.devices.technology").joinpath("fabrics")
    return parse(folder.joinpath(f"{name}.toml").read_text("utf-8"), name)


_TOP = ("name", "description", "bytes_per_number", "bytes_source", "copies")
_TABLES = ("tile", "host", "link", "clock", "network")
_LINK = {"from": "a", "to": "b"}
_WHOLE = ("rows", "columns", "count", "at_once", "buffers")


def parse(text: str, stem: str) -> Fabric:
    """Return the fabric that a TOML text states.

    Raises ValueError for unknown keys, wrong values, missing sources, a link to nowhere, and a
    tile that no host can reach.
    """
    where = f"fabric {stem}"
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ValueError(f"{where}: not TOML: {wrong}") from wrong
    for key in raw:
        if key not in (*_TOP, *_TABLES):
            raise ValueError(f"{where}: {unknown('key', key, (*_TOP, *_TABLES))}")
    for key in ("name", "description", "bytes_per_number", "bytes_source", "tile", "host"):
        if key not in raw:
            raise ValueError(f"{where}: {key} is missing")
    for key in ("name", "description", "bytes_source"):
        if not isinstance(raw[key], str) or not raw[key].strip():
            raise ValueError(f"{where}: {key} takes a text, got {raw[key]!r}")
    tiles = _named(where, raw, "tile", TileKind)
    hosts = _named(where, raw, "host", HostKind)
    for kind in tiles.values():
        _check_tile(f"{where}: tile.{kind.name}", kind)
    for host in hosts.values():
        _known_technology(f"{where}: host.{host.name}", host.technology)
        if host.name in tiles and tiles[host.name].count != host.count:
            raise ValueError(f"{where}: tile.{host.name} and host.{host.name} differ in count")
    links = []
    for k, given in enumerate(raw.get("link", []), 1):
        at = f"{where}: link {k}"
        if not isinstance(given, dict):
            raise ValueError(f"{at} takes a table, got {given!r}")
        link = _made(at, {_LINK.get(str(key), str(key)): v for key, v in given.items()}, Link)
        for end in (link.a, link.b):
            if end not in tiles and end not in hosts:
                said = unknown("node", end, [*tiles, *hosts])
                raise ValueError(f"{at} leads from {link.a} to {link.b}: {said}")
        if link.shape not in SHAPES:
            raise ValueError(f"{at}: {unknown('shape', link.shape, SHAPES)}")
        if link.shape == "mesh" and link.a != link.b:
            raise ValueError(f"{at}: a mesh joins tiles of one kind, not {link.a} and {link.b}")
        links.append(link)
    clocks = _named(where, raw, "clock", Clock)
    for clock in clocks.values():
        if clock.tile not in tiles:
            raise ValueError(
                f"{where}: clock.{clock.name}: {unknown('tile', clock.tile, list(tiles))}"
            )
        if bool(clock.event) == (clock.period_s > 0):
            raise ValueError(f"{where}: clock.{clock.name} takes either an event or a period_s")
        priced = load_technology(tiles[clock.tile].technology).events
        if clock.event and clock.event not in priced:
            raise ValueError(
                f"{where}: clock.{clock.name}: {unknown('event', clock.event, priced)}"
            )
    copies = _whole(where, "copies", raw.get("copies", 1))
    network = None
    if "network" in raw:
        network = _made(f"{where}: network", {"a": "", "b": "", **raw["network"]}, Link)
    once = [t.name for t in tiles.values() if t.once]
    if network is None and (copies > 1 or once):
        what = f"{copies} copies need" if copies > 1 else f"tile.{once[0]} of all copies needs"
        raise ValueError(f"{where}: {what} a [network]")
    for link in links:
        if {link.a, link.b} & set(once):
            raise ValueError(f"{where}: tile.{once[0]} is joined by the network, not by a [[link]]")
    size = _number(where, "bytes_per_number", raw["bytes_per_number"], above=True)
    made = Fabric(
        stem, raw["name"], raw["description"], size, tiles, hosts, tuple(links), clocks, copies,
        network,
    )  # fmt: skip
    _check_reach(made)
    return made


def _named(where: str, raw: Mapping[str, Any], table: str, cls: type[Any]) -> dict[str, Any]:
    given = raw.get(table, {})
    if not isinstance(given, dict):
        raise ValueError(f"{where}: {table} takes tables with names, as [{table}.core]")
    found = {}
    for name, values in given.items():
        at = f"{where}: {table}.{name}"
        if not name.replace("_", "").isalnum() or name.startswith("copy"):
            raise ValueError(f'{at}: a name takes letters, digits and _, and does not begin "copy"')
        if not isinstance(values, dict):
            raise ValueError(f"{at} takes a table, got {values!r}")
        if "name" in values:
            raise ValueError(f"{at}: {unknown('key', 'name', _keys(cls))}")
        found[name] = _made(at, {"name": name, **values}, cls)
    return found


def _keys(cls: type[Any]) -> list[str]:
    back = {new: old for old, new in _LINK.items()}
    return [back.get(f.name, f.name) for f in fields(cls) if f.name != "name"]


def _made(at: str, values: Mapping[str, Any], cls: type[Any]) -> Any:
    known = {f.name: f for f in fields(cls)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{at}: {unknown('key', key, _keys(cls))}")
        kind = str(known[key].type)
        if kind.startswith("str"):
            if not isinstance(value, str) or (not value.strip() and key not in ("a", "b")):
                raise ValueError(f"{at}: {key} takes a text, got {value!r}")
            checked[key] = value
        elif kind == "bool":
            if not isinstance(value, bool):
                raise ValueError(f"{at}: {key} takes true or false, got {value!r}")
            checked[key] = value
        elif kind.startswith("int"):
            checked[key] = _whole(at, key, value, least=0 if key == "converters" else 1)
        elif value == _UNKNOWN and key == "energy_J_per_B":
            checked[key] = None
        else:
            checked[key] = _number(at, key, value, above=key in ("bandwidth_Bps", "memory_B"))
    for name, f in known.items():
        if name not in checked and f.default is MISSING:
            raise ValueError(f"{at}: { {'a': 'from', 'b': 'to'}.get(name, name) } is missing")
    return cls(**checked)


def _whole(at: str, key: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10**9:
        raise ValueError(f"{at}: {key} takes a whole number from {least}, got {value!r}")
    return value


def _number(at: str, key: str, value: Any, above: bool = False) -> float:
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not right or not 0 <= value < math.inf or (above and value == 0):
        bound = "above 0" if above else "from 0"
        raise ValueError(f"{at}: {key} takes a finite number {bound}, got {value!r}")
    return float(value)


def _known_technology(at: str, name: str) -> None:
    try:
        load_technology(name)
    except (ValueError, OSError) as wrong:
        raise ValueError(f"{at}: {wrong}") from wrong


def _check_tile(at: str, kind: TileKind) -> None:
    if kind.device not in CATALOGUE:
        raise ValueError(f"{at}: {unknown('device', kind.device, CATALOGUE)}")
    _known_technology(at, kind.technology)
    if (kind.rows is None) != (kind.columns is None):
        raise ValueError(f"{at}: rows and columns go together, or a tile holds matrices whole")
    for verb in kind.verbs.split():
        if verb not in Can.__members__:
            raise ValueError(f"{at}: {unknown('verb', verb, Can.__members__)}")


def _check_reach(fabric: Fabric) -> None:
    import networkx as nx

    hosts = [n for h in fabric.hosts for n in fabric.unit(h)]
    reached = set(hosts)
    for host in hosts:
        reached |= nx.descendants(fabric.graph, host)
    for kind, tile in fabric.tiles.items():
        for node in fabric.unit(kind) if not tile.once else ():
            if node not in reached:
                raise ValueError(
                    f"fabric {fabric.stem}: no link leads to tile {node}; a [[link]] from "
                    f"{kind} to {next(iter(fabric.hosts))} would"
                )
