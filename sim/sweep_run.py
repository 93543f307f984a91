"""A sweep from its file to its last point: checked, given a folder, carried out, gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .arm import Arm
from .files import read_json
from .folders import slug
from .places import BadInput, Source
from .prepare import prepare_all
from .pricing import area_m2, technologies
from .privacy import statements
from .search_file import Search, search_of
from .sweep_control import Controller, Grid, Points, State, Submits
from .sweep_file import MOST_POINTS, Sweep, digest_of, sweep_of, tables_of
from .sweep_pool import Pool
from .sweep_store import FILE, LOG, STATE, Store, create
from .units import number

Plan = Sweep | Search


def read_plan(path: Path, settings: Sequence[str] = ()) -> Plan:
    """Return the checked sweep or search of a file. Raises BadInput for whatever is wrong."""
    return _plan(*tables_of(path, settings), path.parent)


def _plan(raw: Mapping[str, Any], at: Source, folder: Path) -> Plan:
    return sweep_of(raw, at, folder) if "sweep" in raw else search_of(raw, at, folder)


def open_plan(folder: Path) -> Plan:
    """Return the plan of a sweep's folder. Raises BadInput where it is none, or was changed."""
    if not (folder / STATE).is_file() or not (folder / FILE).is_file():
        raise BadInput(f"{folder} is no sweep of hwloop: it holds no {STATE}")
    raw, at = tables_of(folder / FILE)
    state = read_json(folder / STATE)
    if not isinstance(state, dict) or state.get("digest") != digest_of(raw):
        raise BadInput(
            f"{folder / FILE} was changed since the sweep began, so its points are another's: "
            "restore it, or sweep the changed file with another --out"
        )
    return _plan(state["file"], at, folder)  # the same tables, in the order in which they came


def check(plan: Plan, yes: bool) -> None:
    """Prepare the first point, as if to train it. Raises BadInput for whatever it refuses.

    Also where a grid is larger than anybody means, and where what a search is to look at is not
    produced by its run.
    """
    if len(plan) > MOST_POINTS and not yes:
        raise BadInput(
            f"{plan.where}: the grid has {len(plan):,} points; --yes says that it is meant, and "
            "[sweep.sample] draws some of them"
        )
    first = plan.point(0) if isinstance(plan, Sweep) else plan.check()
    arms = prepare_all(first.experiment)
    if isinstance(plan, Search):
        wanted = [m.name for m in plan.objectives] + [c.measure for c in plan.constraints]
        for name in wanted:
            arm, _, measure = name.rpartition(".")
            reason = _lacking(arms[arm or "main"], measure)
            if reason:
                raise plan.at.bad(("search",), f"this run does not produce {name}: {reason}")


def _lacking(arm: Arm, measure: str) -> str:
    """Return why an arm has no such measure; empty where it has."""
    if measure == "validation_accuracy" and not len(arm.data.validation):
        return "give [data] validation a share above 0"
    if measure == "chip_accuracy" and arm.experiment.deploy is None:
        return "[deploy] names no chip"
    if measure == "area_m2":
        ledger = arm.placement.ledger
        areas = area_m2(ledger, technologies(ledger)).values()
        return "no technology of it states an area" if set(areas) == {None} else ""
    if measure == "epsilon":
        found = statements({arm.releases: 1}, arm.experiment.privacy.delta)
        whole = [number(s.epsilon) for s in found if "whole" in s.name]
        if not any(e is not None and e < 1e300 for e in whole):
            return "nothing is promised without [privacy] noise_multiplier above 0"
    return ""


def folder_for(plan: Plan, out: Path | None) -> Path:
    """Return the folder of a plan, one that it was begun in or a new one.

    Without `out` it is runs/<name>, with a number behind it where another sweep or run has that.
    Raises BadInput where `out` holds anything else, or cannot be written.
    """
    if out is not None:
        if (out / STATE).is_file():
            if read_json(out / STATE).get("digest") != plan.digest:
                raise BadInput(
                    f"{out} holds another sweep and stays as it is: give another --out, or go on "
                    f"with it by hwloop sweep --resume {out}"
                )
            return _whole(out, plan)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadInput(f"{out} is not empty and stays as it is: give another --out")
        create(out, plan.raw, plan.digest)
        return out
    base, number_ = Path("runs") / slug(plan.name), 1
    while True:
        folder = base if number_ == 1 else Path(f"{base}-{number_}")
        if (folder / STATE).is_file() and read_json(folder / STATE).get("digest") == plan.digest:
            return _whole(folder, plan)
        if not folder.exists():
            create(folder, plan.raw, plan.digest)
            return folder
        number_ += 1


def _whole(folder: Path, plan: Plan) -> Path:
    """Return a folder of the plan, with its file, whose writing may have been interrupted."""
    if not (folder / FILE).is_file():
        create(folder, plan.raw, plan.digest)
    return folder


def source_of(plan: Plan, store: Store) -> Points:
    """Return where the points of a plan come from."""
    if isinstance(plan, Sweep):
        return Grid(plan.points(), len(plan))
    from .search_study import Asked

    return Asked(plan, store.folder, store.rows)


@contextmanager
def executor_of(
    folder: Path, workers: int, scheduler: str | None, limit_s: float | None
) -> Iterator[tuple[Submits, Callable[[], int]]]:
    """Yield what carries out trainings, and how many at once: this machine's pool, or a cluster."""
    if scheduler is not None:
        from .sweep_cluster import cluster

        with cluster(scheduler) as found:
            yield found
        return
    # a training ends itself at its limit; one that hangs is ended a little later
    hard_s = None if limit_s is None else 1.5 * limit_s + 60.0
    with Pool(workers, hard_s, folder / LOG) as pool:
        yield pool, lambda: workers


def usual_workers() -> int:
    """Return how many cores this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return max(1, os.cpu_count() or 1)


def carry_out(
    plan: Plan,
    folder: Path,
    on_progress: Callable[[State], None],
    workers: int = 1,
    scheduler: str | None = None,
    limit_s: float | None = None,
) -> State:
    """Carry out all of a plan that its folder does not hold yet, and return how that went.

    May be killed at any moment, and called again. Raises BadInput where the folder is in use by
    another or cannot be written.
    """
    with Store(folder) as store:
        source = source_of(plan, store)
        with executor_of(folder, workers, scheduler, limit_s) as (executor, width):
            return Controller(source, store, executor, width, on_progress, limit_s).run()
