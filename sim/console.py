"""What a person sees in the terminal: progress while a run runs, tables when it is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from .arm import Progress as State
from .deploy_report import age, made_of, share
from .pricing import STANDING
from .units import count, epsilon, number, percent, si

QUIET_S = 5.0
"""Where nobody watches, a line says so often how it goes."""
REDRAW_S = 0.05
_FIELDS = ("epoch", "loss", "accuracy", "energy", "latency")


def plain_console() -> Console:
    """Return the console that is printed on; where nobody watches, it is 120 columns wide."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def _fields(state: State) -> dict[str, Any]:
    epoch = min(state.epoch + 1, state.epochs)
    return {
        "epoch": f"{state.unit} {epoch}/{state.epochs}",
        "loss": "" if math.isnan(state.loss) else f"loss {state.loss:.3f}",
        "accuracy": "" if state.accuracy is None else f"acc {percent(state.accuracy)}",
        "energy": "" if math.isnan(state.energy_J) else si(state.energy_J, "J"),
        "latency": "" if math.isnan(state.latency_s) else si(state.latency_s, "s"),
    }


@contextmanager
def progress(console: Console, arms: Sequence[str]) -> Iterator[Callable[[State], None]]:
    """Yield what shows an arm's state: a bar an arm in a terminal, now and then a line elsewhere.

    Joules and seconds are those of the hardware so far, not of the computer that simulates it.
    """
    last: dict[str, float] = {}

    def due(state: State, every_s: float) -> bool:
        now = time.monotonic()
        ended = state.step == 0 and state.epoch == state.epochs
        if not ended and now - last.get(state.arm, -math.inf) < every_s:
            return False
        last[state.arm] = now
        return True

    if not console.is_terminal:

        def say(state: State) -> None:
            if due(state, QUIET_S):
                line = "  ".join(text for text in _fields(state).values() if text)
                console.print(f"{state.arm}: {line}", markup=False, soft_wrap=True)

        yield say
        return
    room = console.width - max(len(name) for name in arms) - 58
    bar = Progress(
        TextColumn("{task.fields[arm]}", markup=False),
        BarColumn(bar_width=max(4, min(room, 40))),
        *(TextColumn(f"{{task.fields[{name}]}}", justify="right") for name in _FIELDS),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def show(state: State) -> None:
        if not due(state, REDRAW_S):
            return
        total = state.epochs * state.steps
        done = state.epoch * state.steps + state.step
        fields = _fields(state)
        if state.arm not in tasks:
            tasks[state.arm] = bar.add_task("", arm=state.arm, total=total, **fields)
        bar.update(tasks[state.arm], completed=done, total=total, **fields)

    with bar:
        yield show


def table_of(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """Return an empty table with columns of words, then columns of numbers."""
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        header_style="",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", overflow="fold")
    return table


def summary(report: Mapping[str, Any]) -> Table:
    """Return the table of a run's arms: what no single tool printed before."""
    deltas = {s["delta"] for arm in report["arms"] for s in arm["privacy"]}
    at = f", epsilon at delta {min(deltas):g}" if deltas else ""
    numbers = ("test\naccuracy", "training\nenergy", "hardware\ntime", "energy a\nsample")
    table = table_of(report["name"] + at, ("arm", "rule"), (*numbers, "epsilon"))
    notes = []
    for arm in report["arms"]:
        energy, latency = arm["energy"], arm["latency"]
        unmetered = " + ?" if energy["unmetered"] else ""
        measured = " *" if latency["measured"] else ""
        if unmetered:
            notes.append("?: and what no meter saw")
        if measured:
            notes.append("*: measured, where hardware was")
        each = "-" if energy["per_sample_J"] is None else si(energy["per_sample_J"], "J")
        table.add_row(
            escape(arm["name"]),
            escape(arm["rule"]),
            percent(arm["accuracy"]["test"]),
            si(energy["train_J"], "J") + unmetered,
            si(latency["train_s"], "s") + measured,
            each + unmetered,
            _epsilon(arm["privacy"]),
        )
    table.caption = "; ".join(dict.fromkeys(notes)) or None
    table.caption_justify = "left"
    return table


def sentences(found: Iterable[str]) -> Table:
    """Return sentences as a list with a dash before each."""
    grid = Table.grid(padding=(0, 1))
    for sentence in found:
        grid.add_row("-", escape(sentence))
    return grid


def _epsilon(statements: Sequence[Mapping[str, Any]]) -> str:
    """Return the least epsilon that a statement about the whole gradient promises."""
    whole = [s for s in statements if "whole" in s["name"]]
    finite = [s for s in whole if math.isfinite(number(s["epsilon"]) or math.inf)]
    if not finite:
        return "infinite" if statements else "-"
    return f"{epsilon(finite[0]['epsilon'])} {finite[0]['adjacency']}"


def bill(arm: Mapping[str, Any]) -> Table:
    """Return an arm's training energy by part, device and event, dearest first."""
    table = table_of(
        f"{arm['name']}: training energy {si(arm['energy']['train_J'], 'J')}",
        ("part", "device", "event"),
        ("events", "energy", "share"),
    )
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}  # the page tells the verbs apart
    for r in arm["energy"]["rows"]:
        if r["kind"] != "train":
            continue
        earlier = rows.get((r["part"], r["device"], r["event"]))
        if earlier is None:
            rows[r["part"], r["device"], r["event"]] = dict(r)
            continue
        earlier["work"] += r["work"]
        if r["energy_J"] is not None:
            earlier["energy_J"] += r["energy_J"]
    total = arm["energy"]["train_J"]
    for row in sorted(rows.values(), key=lambda r: -(r["energy_J"] or 0.0)):
        joules = row["energy_J"]
        standing = row["event"] == STANDING
        table.add_row(
            escape(row["part"]),
            "" if standing else escape(row["device"]),
            escape(row["event"]),
            si(row["work"], "s") if standing else count(row["work"]),
            "not metered" if joules is None else si(joules, "J"),
            "-" if joules is None or not total else percent(joules / total),
        )
    return table


def timeline(arm: Mapping[str, Any]) -> Table:
    """Return the operations of an arm's usual training step, in order of their start."""
    line = arm["timeline"]
    if line is None:
        return table_of(f"{arm['name']}: no training step took place", (), ())
    table = table_of(
        f"{arm['name']}: one training step, {line['samples']} samples, "
        f"{si(line['makespan_s'], 's')}",
        ("stage", "part", "device", "verb"),
        ("start", "takes"),
    )
    for s in sorted(line["slices"], key=lambda s: (s["start_s"], s["stop_s"])):
        table.add_row(
            escape(s["stage"]),
            escape(s["part"]),
            escape(s["device"]),
            escape(s["verb"].lower()),
            si(s["start_s"], "s"),
            si(s["stop_s"] - s["start_s"], "s") + (" *" if s["measured"] else ""),
        )
    if any(s["measured"] for s in line["slices"]):
        table.caption, table.caption_justify = "*: measured on hardware", "left"
    return table


def chips(report: Mapping[str, Any]) -> Table | None:
    """Return the accuracy of every arm's chips as they age; None where nothing was deployed."""
    arms = [arm for arm in report["arms"] if "deploy" in arm]
    if not arms:
        return None
    times_s = sorted({t for arm in arms for t in arm["deploy"]["times_s"]})
    many = max(arm["deploy"]["chips"] for arm in arms)
    stems = {arm["name"]: ", ".join(made_of(arm["deploy"])) for arm in arms}
    alike = len(set(stems.values())) == 1
    of = f" of {stems[arms[0]['name']]}" if alike else ""
    title = f"on {many} chip{'s' if many > 1 else ''}{of}: test accuracy in per cent by age"
    left = ("arm", "compensation") if alike else ("arm", "chip", "compensation")
    table = table_of(title, left, [age(t) for t in times_s])
    for arm in arms:
        for way, curve in arm["deploy"]["ways"].items():
            at = {point["time_s"]: share(point).removesuffix(" %") for point in curve}
            chip = [] if alike else [escape(stems[arm["name"]])]
            table.add_row(escape(arm["name"]), *chip, way, *[at.get(t, "") for t in times_s])
    table.min_width = min(len(title), 100)
    table.caption = "mean ± std over the chips" if many > 1 else None
    table.caption_justify = "left"
    return table
