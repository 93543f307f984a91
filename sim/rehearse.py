"""A rehearsal: one step taken and forgotten, so that a run does not end in its middle."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from ..devices.ledger import Ledger
from ..devices.technology import Technology
from .arm import Arm
from .fabric_time import time_fabric
from .meter import Meter
from .pricing import bill, op_latency_s, technologies
from .timing import replay_all


def rehearse(arm: Arm) -> Ledger:
    """Take one step and evaluate, bill and time it, forget all of it, and return its record.

    What a device would refuse, or no technology prices, shows here and not in the middle of a
    run; and what runs for the first time (kernels, a GPU) has run.
    """
    placement, ledger = arm.placement, arm.placement.ledger
    state = {name: np.array(value) for name, value in placement.state().items()}
    steps, measured = dict(ledger.steps), copy.deepcopy(ledger.measured)
    x, target = arm.arrays()
    batches = arm.batches()
    arm.train_step(x, target, max(batches, key=len), len(batches))
    arm.accuracy(arm.part, x, most=1)
    chosen = technologies(ledger)
    _check_prices(arm, chosen)
    seconds = {step: line.makespan_s for step, line in replay_all(ledger, chosen).items()}
    bill(ledger, chosen, seconds)
    taken = Ledger(
        dict(ledger.devices), dict(ledger.steps), dict(ledger.measured), dict(ledger.units)
    )
    on = None
    if arm.experiment.fabric.use:
        try:
            on = time_fabric(taken, chosen, arm.experiment.fabric)
        except (ValueError, ImportError) as wrong:
            raise arm.experiment.at.bad(("fabric", "use"), str(wrong)) from wrong
    placement.restore(state)
    ledger.steps, ledger.measured = steps, measured
    arm.meter = Meter(on)
    return taken


def _check_prices(arm: Arm, chosen: Mapping[str, Technology]) -> None:
    """Raise BadInput where a technology does not price what its device counted."""
    ledger, at = arm.placement.ledger, arm.experiment.at
    for name, device in ledger.devices.items():
        ops = [op for step in ledger.steps for op in step.ops if op.device == name]
        counted = {event for op in ops for event, _ in op.depths}
        technology = chosen[name]
        key = name if name in arm.experiment.places else name.split("/")[0]
        path = (key, "technology")
        for event in sorted(counted):
            try:
                technology.event(event, device.n_out, device.n_in, device.settings)
            except ValueError as wrong:
                raise at.bad(path, f"{name} is of kind {device.kind}: {wrong}") from wrong
        placed = arm.placement.devices.get(name)
        usual = technology.stem if placed is None else placed.usual_technology
        if not counted and technology.stem != usual:
            raise at.bad(
                path,
                f"{name} is of kind {device.kind} and counts nothing that technology "
                f'{technology.stem} could price; its technology is "{usual}"',
            )
        if not any(name == measured for measured, _, _ in ledger.measured):
            for op in ops:
                if op_latency_s(op, device, technology) is None:
                    raise at.bad(
                        path,
                        f"{name} is of kind {device.kind}, which no clock measures, and technology "
                        f"{technology.stem} leaves its time to measurement",
                    )
