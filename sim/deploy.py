"""A trained network put on chips: written, left to age, and tested at every time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..devices import Device, Ledger, Seed, Unable
from ..devices.ageing import Ageing
from ..devices.arrays import Array
from ..devices.host import Host
from ..devices.words import unknown
from ..mappings import Placement
from .arm import Arm, Progress
from .deployment import TIMES_S, Deployment
from .experiment import BadInput, Experiment
from .pricing import bill, technologies
from .timing import replay_all


@dataclass(frozen=True)
class Deployed:
    """What the chips reached, and the ledger of all that was done on them."""

    result: dict[str, Any]
    """As it stands in the files of a run."""
    ledger: Ledger


@dataclass
class Chip:
    """One chip: the trained matrices on devices of their own, biases and norms beside them."""

    placement: Placement
    arm: Arm
    """The network on this chip, as what is evaluated."""

    @property
    def devices(self) -> dict[str, Device]:
        """The device of every matrix, by the matrix' name."""
        return self.placement.devices

    @property
    def ageing(self) -> list[Ageing]:
        """The devices whose matrices change by themselves."""
        return [d for d in self.devices.values() if isinstance(d, Ageing) and d.drifts]

    def program(self, weights: dict[str, Array]) -> None:
        """Write every matrix: a step of its own."""
        with self.placement.ledger.step("program", samples=0):
            for name, device in self.devices.items():
                with self.placement.ledger.stage(f"program/{name}"):
                    device.program(weights[name])

    def compensate(self, way: str) -> None:
        """Make up for drift, which is a step of its own; "none" does nothing."""
        if way == "none":
            return
        with self.placement.ledger.step("compensate", samples=0):
            for device in self.ageing:
                device.compensate(per_column=way == "column")


def make_chip(arm: Arm, number: int, weights: dict[str, Array], ledger: Ledger) -> Chip:
    """Return chip `number` for a trained network; its matrices are not yet written.

    Raises BadInput where a device refuses its settings.
    """
    deploy = _deploy(arm.experiment)
    seed = Seed(arm.experiment.seed).child("deploy").child(str(number))
    host = Host(ledger, deploy.host or arm.experiment.host.technology)
    placement = Placement(arm.placement.network, {}, host, ledger, seed)
    for k, layer in enumerate(placement.network.layers, 1):
        name = f"weight/{k}"
        try:
            device = deploy.chip(name, layer.n_out, layer.n_in, seed, ledger)
        except (ValueError, ImportError) as wrong:
            raise _bad(arm.experiment, name, wrong) from wrong
        placement.devices[name] = device
    for name in (*placement.network.digital(), "codes"):
        if name in weights:
            placement.digital[name] = placement.array(weights[name])
    return Chip(placement, Arm(arm.name, arm.experiment, arm.data, placement))


def _deploy(experiment: Experiment) -> Deployment:
    if experiment.deploy is None:
        raise BadInput(f"{experiment.at.where} has no [deploy]: it says what chip to use")
    return experiment.deploy


def _bad(experiment: Experiment, name: str, wrong: Exception) -> BadInput:
    key = name if name in _deploy(experiment).places else "weight"
    return experiment.at.bad(("deploy", key), str(wrong).splitlines()[0])


def schedule(experiment: Experiment, chip: Chip) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return the times (seconds since the write) and the ways of compensation of a deployment.

    Without drift both are one: just written, and none. Raises BadInput where more is asked.
    """
    deploy, at = _deploy(experiment), experiment.at
    if chip.ageing:
        return deploy.times_s or TIMES_S, deploy.compensation or ("none", "global")
    stems = sorted({d.technology for d in chip.devices.values()})
    still = f"the weights on {', '.join(stems)} do not drift as they are set up"
    if deploy.times_s is not None and len(deploy.times_s) > 1:
        raise at.bad(
            ("deploy", "times_s"),
            f"times_s asks for {len(deploy.times_s)} times, and {still}: leave times_s out",
        )
    if deploy.compensation not in (None, ("none",)):
        raise at.bad(
            ("deploy", "compensation"),
            f"compensation makes up for drift, and {still}: leave compensation out",
        )
    return deploy.times_s or (0.0,), ("none",)


def rehearse(arm: Arm) -> None:
    """Put the untrained network on one chip, age and read it, and price that; keep nothing.

    Raises BadInput for whatever the chips would refuse after the training.
    """
    experiment, weights, ledger = arm.experiment, arm.weights(), Ledger()
    assert experiment.deploy is not None
    there = [name for name in arm.placement.devices if name.startswith("weight/")]
    for key in experiment.deploy.places:
        if "/" in key and key not in there:
            said = unknown("place", key, ["weight", *there])
            raise experiment.at.bad(("deploy", key), said)
    chip = make_chip(arm, 0, weights, ledger)
    times_s, ways = schedule(experiment, chip)
    try:
        chip.program(weights)
        for device in chip.ageing:
            device.wait(times_s[0])
        for way in ways:
            chip.compensate(way)
        chip.arm.accuracy("test", most=1)
        chosen = technologies(ledger)
        seconds = {step: line.makespan_s for step, line in replay_all(ledger, chosen).items()}
        bill(ledger, chosen, seconds)
    except KeyError as absent:
        raise experiment.at.bad(
            ("algorithm", "rule"),
            f"{type(experiment.algorithm).__name__} answers with {absent.args[0]} beside the "
            "weights, and a chip holds the weights alone: leave out [deploy]",
        ) from absent
    except (ValueError, Unable) as wrong:
        if isinstance(wrong, BadInput):
            raise
        raise _bad(experiment, "weight", wrong) from wrong


def _progress(
    name: str, found: dict[str, list[list[list[float]]]], chip: int, reads: int
) -> Progress:
    """Return how far a deployment is; its accuracy is the mean of all reads so far."""
    times = [by_chip for by_time in found.values() for by_chip in by_time]
    seen = [a for by_chip in times for by_read in by_chip for a in by_read]
    done, steps = sum(len(by_chip[chip]) for by_chip in times), len(times) * reads
    if done == steps:
        chip, done = chip + 1, 0
    chips, mean, nan = len(times[0]), sum(seen) / len(seen), math.nan
    return Progress(f"{name}, on chips", chip, chips, done, steps, nan, mean, nan, nan, "chip")


def deploy(
    arm: Arm,
    interrupted: Callable[[], bool],
    weights: dict[str, Array] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Deployed | None:
    """Return what a trained arm reaches on its chips; None where `interrupted` said to stop.

    `weights` are put there in place of the arm's own: matrices and biases by name. A chip is
    written once. Every way of compensation then lives through the same times on the same chip,
    with the same draws, so that ways can be compared.
    """
    experiment, ledger, reads = arm.experiment, Ledger(), _deploy(arm.experiment).reads
    weights = arm.weights() if weights is None else weights
    chips = [make_chip(arm, number, weights, ledger) for number in range(_deploy(experiment).chips)]
    times_s, ways = schedule(experiment, chips[0])
    x = chips[0].placement.array(arm.data.x)
    found: dict[str, list[list[list[float]]]] = {
        way: [[[] for _ in chips] for _ in times_s] for way in ways
    }
    for number, chip in enumerate(chips):
        chip.program(weights)
        written = {
            name: {key: np.array(value) for key, value in device.state().items()}
            for name, device in chip.devices.items()
        }
        for way in ways:
            for name, state in written.items():
                chip.devices[name].restore(state)
            age_s = 0.0
            for k, time_s in enumerate(times_s):
                for device in chip.ageing:
                    device.wait(time_s - age_s)
                age_s = time_s
                chip.compensate(way)
                for _ in range(reads):
                    if interrupted():
                        return None
                    found[way][k][number].append(chip.arm.accuracy("test", x))
                    if on_progress is not None:
                        on_progress(_progress(arm.name, found, number, reads))
    result = {
        "chips": len(chips),
        "reads": reads,
        "drifts": bool(chips[0].ageing),
        "times_s": list(times_s),
        "accuracy": found,
    }
    return Deployed(result, ledger)
