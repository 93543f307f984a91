"""What a person sees of a fabric in the terminal: a table of the placement, and a floorplan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .console import table_of
from .units import count, percent, si

Fabric = Mapping[str, Any]
_WIDE, _HIGH = 8, 4
"""Characters of a drawn tile."""
MOST_DRAWN = 64
_COLOURS = ("blue", "dark_orange", "green", "magenta", "cyan", "red", "yellow", "white")


def placement_rows(fabric: Fabric) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table of where each matrix lies."""
    rows = []
    for p in fabric["placement"]:
        copies = f", {p['copies']} copies" if p["copies"] > 1 else ""
        rows.append(
            [
                p["device"],
                f"{p['n_out']:,} x {p['n_in']:,}",
                f"{p['blocks']:,} ({p['across']:,} x {p['down']:,}{copies})",
                f"{len(p['nodes']):,}",
                _listed(p["nodes"]),
            ]
        )
    return ["Matrix", "Outputs x inputs", "Blocks", "Tiles", "On"], rows


def _listed(nodes: Sequence[str]) -> str:
    """Return names shortened to runs, as core/0-3, core/7."""
    runs: list[list[Any]] = []
    for node in nodes:
        kind, slash, number = node.rpartition("/")
        if slash and number.isdigit():
            if runs and runs[-1][0] == kind and runs[-1][2] == int(number) - 1:
                runs[-1][2] = int(number)
            else:
                runs.append([kind, int(number), int(number)])
        else:
            runs.append([node, None, None])
    said = [
        kind if first is None else f"{kind}/{first}" + (f"-{last}" if last != first else "")
        for kind, first, last in runs
    ]
    return ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")


def energy_rows(fabric: Fabric) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table of what one step takes."""
    energy = fabric["energy"]
    unmetered = " + what nobody has metered" if energy["unmetered"] else ""
    nodes = ", ".join(f"{n:,} {kind}" for kind, n in fabric["nodes"].items())
    rows = [
        ["Time, alone", si(fabric["makespan_s"], "s")],
        ["Without any queue", si(fabric["critical_path_s"], "s")],
    ]
    if fabric["in_flight"] > 1:
        rows.append([f"A step, {fabric['in_flight']} in flight", si(fabric["steady_s"], "s")])
    rate = fabric["samples_per_s"]
    rows += [
        ["Samples a second", "-" if rate is None else count(rate)],
        ["Energy of events and links", si(energy["events_J"], "J") + unmetered],
        [f"Standing power of {nodes}", si(energy["standing_J"], "J")],
        ["Energy, all", si(energy["total_J"], "J") + unmetered],
        ["Energy times delay", f"{energy['edp_Js']:.3g} J s"],
        ["Bytes moved", si(sum(fabric["moved_B"].values()), "B")],
    ]
    return ["One step", ""], rows


def use_rows(fabric: Fabric, most: int) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of a table of the busiest resources."""
    used = sorted(fabric["used"], key=lambda u: (-u["share"], -u["wait_s"]))
    rows = [
        [
            u["resource"],
            percent(u["share"]),
            f"{u['asked']:,}",
            si(u["wait_s"] / u["asked"], "s") if u["wait_s"] else "-",
        ]
        for u in used[:most]
    ]
    return ["Part", "Taken", "Times", "Mean wait"], rows


def placement(name: str, fabric: Fabric) -> Table:
    """Return where the matrices of an arm lie."""
    [first, *columns], rows = placement_rows(fabric)
    last = columns.pop()
    table = table_of(f"{name} on {fabric['name']} ({fabric['strategy']})", (first,), columns)
    table.add_column(last, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def use(fabric: Fabric, most: int = 8) -> Table:
    """Return the busiest resources of a step."""
    [first, *columns], rows = use_rows(fabric, most)
    table = table_of("busiest parts", (first,), columns)
    for row in rows:
        table.add_row(*map(escape, row))
    if len(fabric["used"]) > most:
        table.caption = f"and {len(fabric['used']) - most:,} more"
        table.caption_justify = "left"
    return table


def costs(fabric: Fabric) -> Table:
    """Return what one step takes in time and energy."""
    _, rows = energy_rows(fabric)
    table = table_of(f"one {fabric['step']} step", ("",), ("",))
    table.show_header = False
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def floorplan(fabric: Fabric, width: int = 100) -> Text:
    """Return the tiles as squares of characters, a letter and a colour a matrix."""
    arrays = [t for t in fabric["tiles"] if t["rows"] is not None]
    used = [t for t in arrays if t["blocks"]]
    text = Text()
    devices = [p["device"] for p in fabric["placement"]]
    letter = {d: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[k % 26] for k, d in enumerate(devices)}
    style = {d: _COLOURS[k % len(_COLOURS)] for k, d in enumerate(devices)}
    drawn = (arrays if len(arrays) <= 16 else used)[:MOST_DRAWN]
    across = max(1, min(len(drawn), (width + 1) // (_WIDE + 2), 8 if len(drawn) > 8 else 16))
    for first in range(0, len(drawn), across):
        band = drawn[first : first + across]
        for tile in band:
            text.append(f"{tile['node'][-_WIDE:]:<{_WIDE + 2}}", style="dim")
        text.append("\n")
        cells = [_cells(tile, letter) for tile in band]
        for line in range(_HIGH):
            for tile in cells:
                for device in tile[line]:
                    if device:
                        text.append(letter[device], style=style[device])
                    else:
                        text.append("·", style="dim")
                text.append("  ")
            text.append("\n")
    shown = [d for d in devices if any(b["device"] == d for t in arrays for b in t["blocks"])]
    for d in shown:
        text.append(f"{letter[d]} ", style=style[d])
        text.append(f"{d}   ")
    if shown:
        text.append("\n")
    if len(used) > len(drawn):
        text.append(f"and {len(used) - len(drawn):,} more tiles\n")
    elif len(arrays) > len(drawn):
        text.append(f"{len(arrays) - len(drawn):,} tiles are empty\n")
    for tile in fabric["tiles"]:
        if tile["rows"] is None and tile["blocks"]:
            names = ", ".join(b["device"] for b in tile["blocks"])
            text.append(f"{tile['node']} holds {names}\n")
    return text


def _cells(tile: Mapping[str, Any], letter: Mapping[str, str]) -> list[list[str]]:
    """Return by line and character the device that covers most of it; empty where none does."""
    grid = [[""] * _WIDE for _ in range(_HIGH)]
    for b in sorted(tile["blocks"], key=lambda b: -b["height"] * b["width"]):
        top, left = b["row"] / tile["rows"] * _HIGH, b["column"] / tile["columns"] * _WIDE
        low = (b["row"] + b["height"]) / tile["rows"] * _HIGH
        right = (b["column"] + b["width"]) / tile["columns"] * _WIDE
        for line in range(math.floor(top), max(math.ceil(low - 0.5), math.floor(top) + 1)):
            for k in range(math.floor(left), max(math.ceil(right - 0.5), math.floor(left) + 1)):
                if line < _HIGH and k < _WIDE:
                    grid[line][k] = b["device"]
    return grid
