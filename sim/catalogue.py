"""What devices can do and what prices them, as tables generated from the code and the files."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from ..devices import CATALOGUE, Can, Device
from ..devices.base import SET_BY_MAPPING
from ..devices.technology import load, names
from .units import si


def abilities() -> Table:
    """Return a table of every device: its verbs, what it is, and the names of its settings."""
    table = catalogue_table("Devices", "device", "can", "what it is, and what can be set")
    for name, cls in CATALOGUE.items():
        settings = [f.name for f in fields(cls) if f.name not in SET_BY_MAPPING]
        said = f"{first_paragraph(cls)}\n{', '.join(settings)}"
        table.add_row(name, "\n".join(verbs(cls)), escape(said))
        table.add_section()
    table.caption = "hwloop explain DEVICE, or TECHNOLOGY, says more of one"
    table.caption_justify = "left"
    return table


def verbs(cls: type[Device]) -> list[str]:
    """Return what a device can do."""
    return [(can.name or "").lower() for can in Can if can in cls.can]


def first_paragraph(cls: type[Any]) -> str:
    """Return what the docstring of a class begins with, as one line."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


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
