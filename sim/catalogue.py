"""What devices can do and what prices them, as tables generated from the code and the files."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from ..devices import CATALOGUE, Can
from ..devices.base import SET_BY_MAPPING
from ..devices.technology import load, names
from .units import si


def abilities() -> Table:
    """Return a table of every device: what it is, its verbs, its settings and their defaults."""
    table = catalogue_table(
        "Devices", "device", "can", "what it is, and its settings with their defaults"
    )
    for name, cls in CATALOGUE.items():
        usual = {"technology": cls.usual_technology, "part": "the technology, or its own"}
        lines = [" ".join((cls.__doc__ or "").split("\n\n")[0].split())]
        for f in fields(cls):
            if f.name not in SET_BY_MAPPING | {"part"}:
                made = f.default if f.default_factory is MISSING else f.default_factory()
                lines.append(f"  {f.name} = {shown(usual.get(f.name, made))}")
        verbs = [(can.name or "").lower() for can in Can if can in cls.can]
        table.add_row(name, "\n".join(verbs), escape("\n".join(lines)))
        table.add_section()
    return table


def technologies() -> Table:
    """Return a table of every shipped technology: what it is, its standing power, its events."""
    table = catalogue_table(
        "Technologies", "technology", "standing", "what it is, and the events it prices"
    )
    for stem in names():
        t = load(stem)
        says = f"{t.name}\n  {', '.join(sorted(t.events))}"
        table.add_row(stem, "unknown" if t.idle_W is None else si(t.idle_W, "W"), escape(says))
    return table


def shown(value: Any) -> str:
    """Return a setting's default as a file writes it."""
    if value is None or value is MISSING:
        return "set by the device"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def catalogue_table(title: str, *columns: str) -> Table:
    """Return an empty table with these columns, its title above it."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in columns:
        table.add_column(name, style="bold" if name == columns[0] else "", overflow="fold")
    return table
