"""Checkpoints: everything that an arm needs to go on bit for bit, in one file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .. import __version__
from ..devices import Ledger
from ..devices.technology import load as load_technology
from .arm import Arm
from .experiment import BadInput
from .files import read_arrays, write_arrays

CHECKPOINT = "checkpoint.safetensors"


def save(arm: Arm, path: Path) -> None:
    """Write all that `load` needs, atomically."""
    state = {
        "hwloop": __version__,
        "digest": arm.experiment.digest,
        "world": _world(arm),
        "epoch": arm.epoch,
        "step": arm.step,
        "curve": arm.curve,
        "losses": arm.losses,
        "stopped": arm.stopped,
        "diverged": arm.diverged,
        "wall_s": arm.wall_s,
        "ledger": arm.placement.ledger.to_json(),
    }
    write_arrays(path, arm.placement.state(), {"state": json.dumps(state)})


def load(arm: Arm, path: Path) -> None:
    """Let a newly prepared arm go on from a checkpoint.

    Raises BadInput where the file is cut short, or belongs to another experiment, to other data,
    prices or another version of hwloop: what follows would not be the same run.
    """
    arrays, metadata = read_arrays(path)
    try:
        state = json.loads(metadata["state"])
        digest, world, version = state["digest"], state["world"], state["hwloop"]
    except (KeyError, ValueError, TypeError, RecursionError) as wrong:
        raise BadInput(f"{path} is not a checkpoint of hwloop") from wrong
    if version != __version__:
        raise BadInput(f"{path} was written by hwloop {version}, this is {__version__}")
    if digest != arm.experiment.digest:
        raise BadInput(f"{path} belongs to another experiment than the one in its folder")
    if world != _world(arm):
        raise BadInput(f"{path} was written with other data or technology files than there are now")
    missing = set(arm.placement.state()) - set(arrays)
    if missing:
        raise BadInput(f"{path} lacks {', '.join(sorted(missing))}")
    try:
        arm.epoch, arm.step = int(state["epoch"]), int(state["step"])
        arm.curve, arm.losses = list(state["curve"]), list(state["losses"])
        arm.stopped, arm.diverged = str(state["stopped"]), bool(state["diverged"])
        arm.wall_s = float(state["wall_s"])
        ledger, mine = Ledger.from_json(state["ledger"]), arm.placement.ledger
        arm.placement.restore(arrays)
    except (KeyError, ValueError, TypeError, IndexError) as wrong:
        raise BadInput(f"{path} does not fit the experiment in its folder: {wrong}") from wrong
    mine.devices, mine.steps, mine.measured = ledger.devices, ledger.steps, ledger.measured
    mine.moved = ledger.moved


def _world(arm: Arm) -> str:
    """Return a hash of what a run depends on beside its experiment: data and technologies."""
    stems = sorted({d.technology for d in arm.placement.ledger.devices.values()})
    text = "\n".join([arm.data.sha256, *(repr(load_technology(stem)) for stem in stems)])
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
