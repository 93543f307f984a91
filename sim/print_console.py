"""What a person sees of a printed design in the terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from .console import QUIET_S, REDRAW_S, table_of
from .print_run import area_of, cm2, power_of
from .units import percent, si


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str, float, str], None]]:
    """Yield what shows how far the pieces of work are: bars, or now and then a line elsewhere."""
    last: dict[str, float] = {}

    def due(name: str, share: float, every_s: float) -> bool:
        now = time.monotonic()
        if share < 1 and now - last.get(name, -math.inf) < every_s:
            return False
        last[name] = now
        return True

    if not console.is_terminal:

        def say(name: str, share: float, what: str) -> None:
            if due(name, share, QUIET_S):
                console.print(f"{name}: {share:.0%}  {what}".rstrip(), markup=False)

        yield say
        return
    bar = Progress(
        TextColumn("{task.fields[piece]}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[what]}", markup=False),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def show(name: str, share: float, what: str) -> None:
        if not due(name, share, REDRAW_S):
            return
        group = name if name.startswith(("evolution", "compare")) else name.split("/")[0]
        if group not in tasks:
            tasks[group] = bar.add_task("", piece=group, total=1.0 if group == name else None,
                                        what=what)  # fmt: skip
        if group == name:
            bar.update(tasks[group], completed=share, what=f"{share:>4.0%}  {what}")
        elif share >= 1:
            done = bar.tasks[tasks[group]].completed + 1
            bar.update(tasks[group], completed=done, what=f"{done:.0f} done")

    with bar:
        yield show


def summary(report: Mapping[str, Any]) -> Table:
    """Return the table of the exact circuit and the front."""
    table = table_of(
        f"{report['name']}: {report['topology']['text']} on {report['data']['set']}, "
        f"{report['technology']['name']}",
        ("circuit",),
        ("training\naccuracy", "test\naccuracy", "area", "power", "slowest\npath",
         "with\nconverters", "battery", "Verilog\nmismatches"),
    )  # fmt: skip
    named = [("exact", report["exact"]), *((str(k), e) for k, e in enumerate(report["front"], 1))]
    for name, entry in named:
        mapped = entry["mapped"] or {}
        fits = mapped.get("fits_battery")
        table.add_row(
            escape(name),
            percent(entry["train"]),
            percent(entry["test"]),
            cm2(area_of(entry)),
            si(power_of(entry), "W"),
            si(mapped.get("critical_path_s"), "s"),
            si(mapped.get("total_W"), "W"),
            "unknown" if fits is None else "fits" if fits else "too much",
            "not run" if entry["mismatches"] is None else str(entry["mismatches"]),
        )
    return table
