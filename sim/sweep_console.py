"""What a person sees of a sweep in the terminal: how far it is, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .console import QUIET_S
from .sweep_control import State
from .sweep_measures import MEASURES, Measure
from .units import number, si


def screen() -> Console:
    """Return what is printed on; where nobody watches it is 120 wide."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=120)


def left_s(state: State) -> float | None:
    """Return how long the rest takes at the rate so far; None where nothing was done yet."""
    new = state.done - state.known
    return (state.total - state.done) * state.wall_s / new if new else None


def rate(state: State) -> str:
    """Return how many points a minute, or a second, were done."""
    new = state.done - state.known
    if not new or not state.wall_s:
        return "-"
    each_min = 60.0 * new / state.wall_s
    return f"{each_min / 60:,.0f}/s" if each_min >= 600 else f"{each_min:.3g}/min"


def setting(values: Mapping[str, Any], most: int = 100) -> str:
    """Return the values of a point in short: the last step of each key, tables by their choice."""
    short = [key.rpartition(".")[2] for key in values]
    names = [
        last if short.count(last) == 1 else key for key, last in zip(values, short, strict=True)
    ]
    said = ", ".join(f"{name} {told(v)}" for name, v in zip(names, values.values(), strict=True))
    return said if len(said) <= most else f"{said[: most - 1]}…"


def told(value: Any) -> str:
    """Return a value that varies, in short."""
    if isinstance(value, Mapping):
        names = [k for k in ("device", "rule", "kind", "technology") if k in value]
        rest = [f"{k} {told(v)}" for k, v in value.items() if k not in names]
        return ", ".join([*(str(value[k]) for k in names), *rest])
    if isinstance(value, list):
        return "[" + ", ".join(told(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Best:
    """The best point so far by each objective, of those that keep the constraints."""

    def __init__(self, objectives: Sequence[Measure], constraints: Sequence[Any] = ()):
        self._objectives, self._constraints = objectives, constraints
        self._best: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Look at more rows."""
        for row in rows:
            if row.get("measures"):
                self._take(row)

    def _take(self, row: Mapping[str, Any]) -> None:
        found = row["measures"]
        for constraint in self._constraints:
            value = number(found.get(constraint.measure))
            if value is None or constraint.excess(value) > 0:
                return
        for m in self._objectives:
            value = number(found.get(m.name))
            if value is None:
                continue
            old = self._best.get(m.name)
            if old is None or (value > old[0] if m.higher else value < old[0]):
                self._best[m.name] = value, row["values"]

    def lines(self) -> list[str]:
        """Return the best of each objective, in words."""
        return [
            f"best {m.title} {m.said(self._best[m.name][0])}: {setting(self._best[m.name][1])}"
            for m in self._objectives
            if m.name in self._best
        ]


@contextmanager
def progress(
    console: Console, name: str, objectives: Sequence[Measure] = (), constraints: Sequence[Any] = ()
) -> Iterator[Callable[[State], None]]:
    """Yield what shows a sweep's state: a bar in a terminal, now and then a line elsewhere."""
    best = Best(objectives or [MEASURES["accuracy"]], constraints)
    if not console.is_terminal:
        last = -math.inf

        def say(state: State) -> None:
            nonlocal last
            best.take(state.rows)
            now = time.monotonic()
            if now - last >= QUIET_S or state.done == state.total:
                last = now
                line = f"{name}: {counts(state)}  {'  '.join(best.lines())}".rstrip()
                console.print(line, markup=False, soft_wrap=True)

        yield say
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(state: State) -> None:
            best.take(state.rows)
            live.update(_shown(name, state, best), refresh=True)

        yield show


def counts(state: State) -> str:
    """Return how far a sweep is, in words."""
    left = left_s(state)
    parts = [f"{state.done:,} of {state.total:,} points", rate(state)]
    if left is not None and state.done < state.total:
        parts.append(f"{si(left, 's')} left")
    return ", ".join([*parts, *tallies(state)])


def tallies(state: State) -> list[str]:
    """Return what became of the points, in words."""
    named = (
        ("trained", state.trained),
        ("trainings saved", state.saved),
        ("were there", state.known),
        ("pruned", state.pruned),
        ("failed", state.failed),
        ("workers lost", state.lost),
    )
    return [f"{count:,} {name}" for name, count in named if count]


def _shown(name: str, state: State, best: Best) -> Group:
    bar = Table.grid(padding=(0, 2))
    left = left_s(state)
    bar.add_row(
        Text(name, style="bold"),
        ProgressBar(total=max(state.total, 1), completed=state.done, width=32),
        f"{state.done:,}/{state.total:,}",
        rate(state),
        "" if left is None or not left else f"{si(left, 's')} left",
        f"{state.running} at work" if state.running else "",
    )
    lines = [Text(", ".join(tallies(state)), style="dim", overflow="ellipsis", no_wrap=True)]
    lines += [Text(line, overflow="ellipsis", no_wrap=True) for line in best.lines()]
    return Group(bar, *lines)
