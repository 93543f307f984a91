"""A sweep as a table: in the terminal, as CSV, and as Parquet for those who have pyarrow."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .sweep_console import told
from .sweep_measures import Measure
from .sweep_results import SWEEP, Results, Row, over_seeds, spread, unit_of

MOST_ROWS = 40
"""Rows that a terminal is shown; the files hold all."""
_SHOWN = (
    "accuracy",
    "validation_accuracy",
    "chip_accuracy",
    "energy_J",
    "latency_s",
    "area_m2",
    "epsilon",
)


def table(results: Results) -> list[Any]:
    """Return what a terminal shows: the points, or the best of many, and what became of others."""
    groups = over_seeds(results)
    measures = _columns(results)
    best = results.objectives
    keys = [k for k in results.keys if not k.endswith("seed")]
    keys = [k for k in keys if len(results.levels(k)) > 1] or keys
    front = {row.point for row in results.front(best)} if results.search else set()
    title, said = results.name, ""
    if results.search:
        groups = [g for g in groups if any(row.point in front for row in g[1])]
        groups = sorted(groups, key=lambda g: _rank(g[1], best[0]))
        what = "best" if len(best) == 1 else f"Pareto front of {len(results.rows):,} points"
        title = f"{results.name}: {what}, by {' and '.join(m.title for m in best)}"
        if results.constraints:
            title += f", where {', '.join(map(str, results.constraints))}"
    if len(groups) > MOST_ROWS:
        said = f"the best {MOST_ROWS} of {len(groups):,} by {best[0].title}; all are in the files"
        groups = sorted(groups, key=lambda g: _rank(g[1], best[0]))[:MOST_ROWS]
    found: list[Any] = [_pivot(title, groups, keys, measures, said)]
    found += [Text(f"- {line}") for line in sentences(results)]
    return found


def sentences(results: Results) -> list[str]:
    """Return what became of the points, and what must be known to read their numbers."""
    rows, found = len(results.rows), []
    saved = rows - results.trainings
    if saved:
        found.append(
            f"{rows:,} points took {results.trainings:,} "
            f"training{'s' if results.trainings > 1 else ''}: {saved:,} were saved, because they "
            "differ in nothing that a training depends on, only in prices, parts or fabric"
        )
    there = rows + len(results.gone)
    if there < results.total and not results.search:
        found.append(f"{there:,} of {results.total:,} points are there")
    for kind, name in (("pruned", "pruned"), ("error", "refused"), ("failed", "broken off")):
        gone = [row for row in results.gone if kind in row]
        points = f"{len(gone):,} point{'s were' if len(gone) > 1 else ' was'} {name}"
        if gone and kind == "pruned":
            found.append(f"{points} on the learning curve")
        elif gone:
            found.append(f"{points}, the first: {gone[0][kind]}")
    notes: dict[str, int] = {}
    for row in results.rows:
        for note in row.notes:
            notes[note] = notes.get(note, 0) + 1
    for note, count in list(notes.items())[:5]:
        found.append(f"{note} ({'all' if count == rows else f'{count:,}'} points)")
    return found


def _columns(results: Results) -> list[Measure]:
    wanted = {*_SHOWN, *(m.name for m in results.objectives)}
    wanted |= {c.measure for c in results.constraints}
    return [m for m in results.measures if m.name in wanted or m.name.endswith(".accuracy")][:8]


def _rank(rows: Sequence[Row], m: Measure) -> float:
    values = [v for row in rows if (v := row.of(m.name)) is not None]
    mean = spread(values).mean if values else float("inf") * (-1 if m.higher else 1)
    return -mean if m.higher else mean


def _pivot(
    title: str,
    groups: Sequence[tuple[dict[str, Any], list[Row]]],
    keys: Sequence[str],
    measures: Sequence[Measure],
    said: str,
) -> Table:
    """Return the table; two sweeps side by side where the first key tells them apart."""
    made = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        header_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        caption=said or None,
        caption_justify="left",
    )
    sweeps: list[str] = []
    if SWEEP in keys:
        keys = [k for k in keys if k != SWEEP]
        sweeps = list(dict.fromkeys(str(values[SWEEP]) for values, _ in groups))
    for key in keys:
        unit = unit_of(key)
        head = "\n".join(key.rpartition(".")[::2]).strip() + (f" ({unit})" if unit else "")
        made.add_column(escape(head), justify="right", overflow="fold")
    for m in measures:
        for name in sweeps or [""]:
            head = (
                f"{m.title}\n{name}".strip() if sweeps else m.title.replace(" on the hardware", "")
            )
            made.add_column(escape(head), justify="right", overflow="fold")
    lines: dict[str, tuple[list[str], dict[str, list[Row]]]] = {}
    for values, rows in groups:
        cells = [told(values[k]) if k in values else "" for k in keys]
        line = lines.setdefault(repr(cells), (cells, {}))
        line[1].setdefault(str(values.get(SWEEP, "")), []).extend(rows)
    for cells, by_sweep in lines.values():
        said_of = [cell(by_sweep.get(name, []), m) for m in measures for name in sweeps or [""]]
        made.add_row(*map(escape, cells), *said_of)
    return made


def cell(rows: Sequence[Row], m: Measure) -> str:
    """Return a measure over seeds: its mean, and how much it spreads."""
    if not rows:
        return ""
    finite = [v for row in rows if (v := row.of(m.name)) is not None]
    if not finite:
        return m.said(rows[0].measures.get(m.name))
    found = spread(finite)
    if len(finite) == 1 or not found.std:
        return m.said(found.mean)
    if m.unit == "%":
        return f"{100 * found.mean:.1f} ± {100 * found.std:.1f} %"
    return f"{m.said(found.mean)} ± {100 * found.std / abs(found.mean):.2g} %"


def records(results: Results) -> dict[str, list[Any]]:
    """Return every point as columns: hashes, what varied, every measure, notes."""
    columns: dict[str, list[Any]] = {
        "point": [row.point for row in results.rows],
        "training": [row.training for row in results.rows],
    }
    for key in results.keys:
        values = [row.values.get(key) for row in results.rows]
        if any(isinstance(v, (dict, list)) for v in values):
            values = [None if v is None else json.dumps(v) for v in values]
        if len({type(v) for v in values if v is not None}) > 1:
            plain = all(isinstance(v, (int, float)) for v in values if v is not None)
            values = [v if v is None else float(v) if plain else str(v) for v in values]
        columns[key] = values
    names = list(dict.fromkeys(name for row in results.rows for name in row.measures))
    for name in names:
        columns[name] = [row.measures.get(name) for row in results.rows]
    columns["notes"] = ["; ".join(row.notes) for row in results.rows]
    return columns


def csv_text(results: Results) -> str:
    """Return every point as CSV; an empty cell is a number that nobody knows."""
    columns = records(results)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def parquet(results: Results) -> bytes | None:
    """Return every point as a Parquet file, None where pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(records(results)), sink)
    return bytes(sink.getvalue().to_pybytes())
