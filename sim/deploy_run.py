"""`hwloop deploy`: the weights of a finished run put on chips anew, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..devices.arrays import Array
from .arm import Arm, Progress
from .deploy import deploy
from .deploy_report import chips_of
from .experiment import BadInput, read
from .files import read_arrays
from .folders import EXPERIMENT, WEIGHTS, folder_of, open_run
from .prepare import arms_of, prepare_all
from .run import finished
from .threads import sharing


def redeploy(
    run: Path,
    settings: Sequence[str],
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Return {"name", "seed", "arms"} of a finished run whose weights were put on chips anew.

    `settings` are key=value, laid over the run's [deploy]. Raises BadInput where the run is not
    finished, or no chip is named or fits.
    """
    open_run(run)
    results = finished(run)
    experiment = read(run / EXPERIMENT, [f"deploy.{setting.strip()}" for setting in settings])
    if experiment.deploy is None:
        raise BadInput(
            f"{run / EXPERIMENT} has no [deploy]: say what chip to use, as --set "
            "'weight={device=\"crossbar\"}'"
        )
    arms, found = prepare_all(experiment), []
    for name in arms_of(experiment):
        arm, result = arms[name], results[name]
        weights = _weights(folder_of(run, name) / WEIGHTS, arm)
        with sharing(arm.experiment.train.threads):
            chips = deploy(arm, lambda: False, weights, on_progress)
        assert chips is not None
        made = chips_of({"name": name, "deploy": chips.result}, chips.ledger, {})
        found.append({"name": name, "accuracy": result["accuracy"], **made})
    return {"name": experiment.name, "seed": experiment.seed, "arms": found}


def _weights(path: Path, arm: Arm) -> dict[str, Array]:
    """Return the trained `weights` of an arm. Raises BadInput where they do not fit."""
    arrays, _ = read_arrays(path)
    wanted = {name: w.shape for name, w in arm.weights().items()}
    if {name: w.shape for name, w in arrays.items()} != wanted:
        raise BadInput(f"{path} does not hold the weights of this experiment's network")
    return arrays
