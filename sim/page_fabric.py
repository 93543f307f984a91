"""The chapter of a report's page on its fabrics: floorplan, use, bottleneck, links and sources."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .console_fabric import energy_rows, placement_rows, use_rows
from .markup import Html, details, el, table
from .plots import COLOURS
from .units import si

Report = Mapping[str, Any]
_SIDE, _GAP, _ACROSS = 84, 10, 16


def fabrics(report: Report) -> list[Html]:
    """Return what stands on the page for every arm on a fabric; nothing where there is none."""
    found: list[Html] = []
    for arm in report["arms"]:
        fabric = arm.get("fabric")
        if fabric is None:
            continue
        found.append(el("h3", None, f"{arm['name']} on {fabric['name']}"))
        found.append(el("p", None, fabric["bottleneck"]))
        found += [el("p", {"class": "note"}, note) for note in fabric["notes"]]
        found += _floorplan(arm["name"], fabric)
        title = f"Where the matrices of {arm['name']} lie"
        columns, rows = placement_rows(fabric)
        found.append(table(title, columns, rows, numeric=(1, 2, 3), cards=True))
        columns, rows = energy_rows(fabric)
        found.append(
            table(f"One {fabric['step']} step of {arm['name']}", columns, rows, numeric=(1,))
        )
        columns, rows = use_rows(fabric, 400)
        use = table(f"Use of every part by {arm['name']}", columns, rows, numeric=(1, 2, 3))
        found.append(details("How busy each part is, and what queues for it", use))
        found.append(details("The links and where their figures were read", _links(fabric)))
    return found


def _links(fabric: Mapping[str, Any]) -> Html:
    rows = [
        [
            link["link"] if link["link"] != ">" else "network",
            link["shape"],
            si(link["bandwidth_Bps"], "B/s"),
            si(link["latency_s"], "s"),
            "unknown" if link["energy_J_per_B"] is None else si(link["energy_J_per_B"], "J/B"),
            el("div", {"class": "source"}, link["source"]),
        ]
        for link in fabric["links"]
    ]
    columns = ["Link", "Shape", "Bandwidth", "Latency", "Energy", "Source"]
    return table(f"Links of {fabric['name']}", columns, rows, numeric=(2, 3, 4), cards=True)


def _floorplan(name: str, fabric: Mapping[str, Any]) -> list[Html]:
    """Return the tiles as squares with the blocks on them, to scale within a tile."""
    arrays = [t for t in fabric["tiles"] if t["rows"] is not None]
    engines = [t for t in fabric["tiles"] if t["rows"] is None and t["blocks"]]
    devices = [p["device"] for p in fabric["placement"]]
    colour = {d: COLOURS[k % len(COLOURS)] for k, d in enumerate(devices)}
    found = []
    if arrays:
        found.append(_drawing(name, arrays, colour))
        keys = [
            el(
                "span",
                {"class": "key"},
                el("span", {"style": f"background:{colour[d]};{_SWATCH}"}),
                Html("&nbsp;"),
                d,
                Html("&emsp;"),
            )
            for d in devices
            if any(b["device"] == d for t in arrays for b in t["blocks"])
        ]
        found.append(el("p", {"class": "note"}, *keys))
    if engines:
        said = "; ".join(
            f"{t['node']} holds {', '.join(b['device'] for b in t['blocks'])}" for t in engines
        )
        found.append(el("p", {"class": "note"}, f"Whole matrices: {said}."))
    return found


_SWATCH = "display:inline-block;width:.8em;height:.8em;border-radius:2px"


def _drawing(name: str, tiles: Sequence[Mapping[str, Any]], colour: Mapping[str, str]) -> Html:
    across = min(_ACROSS, max(1, math.ceil(math.sqrt(len(tiles)))))
    across = max(across, min(_ACROSS, len(tiles), 8))
    pitch = _SIDE + _GAP
    down = math.ceil(len(tiles) / across)
    inside = []
    for n, tile in enumerate(tiles):
        x, y = (n % across) * pitch, (n // across) * pitch
        wide, high = _SIDE / tile["columns"], _SIDE / tile["rows"]
        shapes = [
            el("title", None, f"{tile['node']}: {len(tile['blocks'])} blocks"),
            _rectangle(x, y, _SIDE, _SIDE, {"fill": "none", "stroke": "currentColor",
                                            "stroke-opacity": "0.35"}),
        ]  # fmt: skip
        for b in tile["blocks"]:
            drawn = _rectangle(
                x + b["column"] * wide,
                y + b["row"] * high,
                b["width"] * wide,
                b["height"] * high,
                {"fill": colour[b["device"]], "stroke": "canvas", "stroke-width": "0.8"},
                el("title", None, f"{b['name']} on {tile['node']}"),
            )
            shapes.append(drawn)
        inside.append(el("g", None, *shapes))
    box = f"-2 -2 {across * pitch - _GAP + 4} {down * pitch - _GAP + 4}"
    width = min(across * pitch, 1000)
    alt = f"Floorplan of {name}: {len(tiles)} tiles, blocks of each matrix in a colour."
    about = {
        "viewBox": box,
        "role": "img",
        "aria-label": alt,
        "style": f"width:100%;max-width:{width}px;height:auto",
    }
    return el("svg", about, *inside)


def _rectangle(
    x: float, y: float, width: float, height: float, more: Mapping[str, str], *inside: Html
) -> Html:
    place = {"x": f"{x:.2f}", "y": f"{y:.2f}", "width": f"{width:.2f}", "height": f"{height:.2f}"}
    return el("rect", {**place, **more}, *inside)
