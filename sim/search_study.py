"""A search as a source of points: Optuna asked and told by the controller, and by nobody else.

The study lives in a journal beside the points. Optuna's own workers lose trials when they are
killed; here a trial that was open when the controller was killed is told its row, if there is one
by now, or else asked again with the same values.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

from .places import Path
from .search_file import Dimension, Search
from .sweep_points import Point
from .sweep_store import cut_tail
from .units import number

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

JOURNAL = "study.jsonl"
WORST = 1e30
"""What stands for infinity and for an unknown number where a sampler has to compare."""


class Asked:
    """Asks a study for points and tells it their rows."""

    def __init__(self, search: Search, folder: File, rows: Mapping[str, Mapping[str, Any]]):
        """Open the study in a sweep's folder; `rows` holds the points that are there."""
        self.search = search
        self.study = study_of(search, folder)
        self._space = {dimension.name: _distribution(dimension) for dimension in search.space}
        self._open: dict[str, deque[Trial]] = {}
        self._reported: dict[int, int] = {}
        self._asked = 0
        self._recover(rows)
        self._before = self._asked

    @property
    def total(self) -> int:
        """How many trials there will be."""
        return self.search.table.trials

    @property
    def before(self) -> int:
        """How many trials were done when the study was opened."""
        return self._before

    def ask(self) -> Point | None:
        """Return the point of the next trial, None where all are asked for."""
        if self._asked >= self.total:
            return None
        trial = self.study.ask(self._space)
        self._asked += 1
        point = self._point(trial.params)
        trial.set_user_attr("point", point.key)
        self._open.setdefault(point.key, deque()).append(trial)
        return point

    def rungs(self) -> tuple[int, ...]:
        """Return the epochs after which the learning curve is looked at."""
        return tuple(self.search.table.rungs)

    def goes_on(self, point: Point, curve: list[Mapping[str, float]]) -> bool:
        """Tell the pruner the learning curve so far; return whether it goes on."""
        trial = self._open[point.key][0]
        for row in curve[self._reported.get(trial.number, 0) :]:
            trial.report(row["accuracy"], int(row["epoch"]))
        self._reported[trial.number] = len(curve)
        return not trial.should_prune()

    def tell(self, point: Point, row: Mapping[str, Any]) -> None:
        """Tell the study the row of a point; what has none of the objectives failed."""
        waiting = self._open.get(point.key)
        if waiting:
            self._tell(waiting.popleft(), row)

    # ---- the study ---------------------------------------------------------------------

    def _point(self, params: Mapping[str, Any]) -> Point:
        values: dict[Path, Any] = {}
        for dimension in self.search.space:
            values.update(dimension.values(params[dimension.name]))
        return self.search.point(values)

    def _tell(self, trial: Trial, row: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState

        found = row.get("measures", {})
        values = [found.get(m.name) for m in self.search.objectives]
        if "pruned" in row:
            self.study.tell(trial, state=TrialState.PRUNED)
            return
        if "measures" not in row or None in values:
            trial.set_user_attr("failed", True)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        for constraint in self.search.constraints:
            value = _finite(found.get(constraint.measure), constraint.at_least)
            trial.set_constraint(str(constraint), constraint.excess(value))
        pairs = zip(values, self.search.objectives, strict=True)
        self.study.tell(trial, [_finite(value, m.higher) for value, m in pairs])

    def _recover(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Close the trials that a killed controller left open, none lost and none twice."""
        from optuna.trial import Trial, TrialState

        for frozen in self.study.get_trials(deepcopy=False):
            if frozen.state == TrialState.RUNNING:
                row = rows.get(frozen.user_attrs.get("point", ""))
                if row is not None:
                    self._tell(Trial(self.study, frozen._trial_id), row)
                    self._asked += 1
                    continue
                if set(frozen.params) == set(self._space):
                    self.study.enqueue_trial(frozen.params, skip_if_exists=True)
                self.study.tell(frozen.number, state=TrialState.FAIL)
            elif frozen.state == TrialState.WAITING:
                continue
            elif frozen.state != TrialState.FAIL or frozen.user_attrs.get("failed"):
                self._asked += 1


class _Held:
    """No lock: the folder has one, which unlike Optuna's files is gone with its holder."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


def study_of(search: Search, folder: File) -> Study:
    """Return the study of a search, as far as its folder holds one."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / JOURNAL
    cut_tail(path)
    held: Any = _Held()
    storage = JournalStorage(JournalFileBackend(os.fspath(path), held))
    directions: Any = ["maximize" if m.higher else "minimize" for m in search.objectives]
    study = optuna.create_study(
        storage=storage, study_name=search.digest, directions=directions, load_if_exists=True
    )
    study.sampler = _sampler(search, len(study.get_trials(deepcopy=False)))
    study.pruner = _pruner(search)
    return study


def _sampler(search: Search, trials: int) -> Any:
    """Return the sampler; a resumed one must not draw again what it drew before."""
    import optuna

    chosen = search.table.sampler or ("tpe" if len(search.objectives) == 1 else "nsga2")
    seed = (search.seed + 7919 * trials) % 2**32
    if chosen == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if chosen == "nsga2":
        size = max(4, min(50, search.table.trials // 5))
        return optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
    startup = max(5, min(10, search.table.trials // 4))
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True)


def _pruner(search: Search) -> Any:
    import optuna

    if search.table.prune == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    if search.table.prune == "halving":
        least = search.table.rungs[0]
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=2)
    return optuna.pruners.NopPruner()


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's form of a dimension; of a list it sees the positions alone."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if dimension.axis is not None:
        return CategoricalDistribution(tuple(range(len(dimension.axis))))
    found = dimension.range
    assert found is not None
    if found.whole:
        return IntDistribution(int(found.low), int(found.high), log=found.log)
    return FloatDistribution(float(found.low), float(found.high), log=found.log)


def _finite(value: Any, higher: bool) -> float:
    found = number(value)
    if found is None or math.isinf(found):
        return -WORST if higher else WORST
    return found


def importances(search: Search, folder: File) -> dict[str, dict[str, float]]:
    """Return by objective what share of its variance each key explains (fANOVA).

    Empty where too few trials, or trials that are too alike, tell nothing.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    study = study_of(search, folder)
    done = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    found: dict[str, dict[str, float]] = {}
    for k, one in enumerate(search.objectives):
        if len(done) < 8 or len({t.values[k] for t in done}) < 2:
            continue
        evaluator = FanovaImportanceEvaluator(seed=search.seed)
        target = partial(_value, k)
        shares = get_param_importances(study, evaluator=evaluator, target=target)
        found[one.name] = {name: float(share) for name, share in shares.items()}
    return found


def _value(objective: int, trial: FrozenTrial) -> float:
    return float(trial.values[objective])
