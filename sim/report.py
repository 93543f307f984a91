"""A finished run as plain data: accuracy, joules, seconds, square metres and privacy of every arm.

Nothing is trained here: all is read from the ledgers in the run's folder, so a run can be read
again at other prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..devices.ledger import Installed, Ledger, Op, Step
from ..devices.technology import Technology
from ..devices.words import unknown
from .deploy_report import chips_of
from .described import described
from .endurance import lasting
from .experiment import BadInput, Experiment
from .files import read_json
from .metering import readings, total
from .pricing import bill, technologies, total_J
from .privacy import statements
from .run import CHIPS, LEDGER, MAIN, arms_of, finished, folder_of, open_run
from .timing import Timeline, replay_all, total_s


def read_ledger(run: Path, arm: str, file: str = LEDGER) -> Ledger:
    """Return a ledger of one arm. Raises BadInput where it is absent or cut short."""
    path = folder_of(run, arm) / file
    try:
        return Ledger.from_json(read_json(path))
    except BadInput:
        raise
    except ValueError as wrong:
        raise BadInput(f"{path}: {wrong}") from wrong


def assemble(run: Path, instead: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the report of a finished run.

    `instead` maps devices, roles or technologies to other technologies. Raises BadInput where
    the run is not finished, or `instead` names nothing in any arm, or a price is missing.
    """
    experiment = open_run(run)
    results = finished(run)
    arms = arms_of(experiment)
    ledgers = {name: read_ledger(run, name) for name in arms}
    chips = {a: read_ledger(run, a, CHIPS) for a in arms if "deploy" in results[a]}
    known = set().union(*(_keys(one) for one in (*ledgers.values(), *chips.values())))
    instead = dict(instead or {})
    for key in instead:
        if key not in known:
            said = unknown("device, role or technology", key, known)
            raise BadInput(f"--technology {key}={instead[key]}: {said}")
    return {
        "hwloop": __version__,
        "name": experiment.name,
        "seed": experiment.seed,
        "digest": experiment.digest,
        "instead": instead,
        "experiment": dict(experiment.raw),
        "data": results[MAIN]["data"],
        "arms": [
            _arm(results[name], one, ledgers[name], instead)
            | chips_of(results[name], chips.get(name), instead)
            | {
                "moved_B": sum(ledgers[name].moved.values()),
                "metered": total(readings(folder_of(run, name))),
            }
            for name, one in arms.items()
        ],
    }


def _keys(ledger: Ledger) -> set[str]:
    names = set(ledger.devices)
    roles = {name.split("/")[0] for name in names}
    return names | roles | {d.technology for d in ledger.devices.values()}


def _arm(
    result: Mapping[str, Any],
    experiment: Experiment,
    ledger: Ledger,
    instead: Mapping[str, str],
) -> dict[str, Any]:
    mine = {k: v for k, v in instead.items() if k in _keys(ledger)}
    try:
        chosen = technologies(ledger, mine)
        timelines = replay_all(ledger, chosen)
        seconds = {step: line.makespan_s for step, line in timelines.items()}
        rows = bill(ledger, chosen, seconds)
    except ValueError as wrong:
        raise BadInput(f"{result['name']}: {wrong}") from wrong
    train = _usual(ledger, "train")
    samples = ledger.samples("train")
    energy_J, latency_s = total_J(rows, "train"), total_s(ledger, timelines, "train")
    return {
        **{k: v for k, v in result.items() if k != "data"},
        "samples": samples,
        "steps": sum(t.times for s, t in ledger.steps.items() if s.kind == "train"),
        "energy": {
            "train_J": energy_J,
            "evaluate_J": total_J(rows, "evaluate"),
            "program_J": total_J(rows, "program"),
            "per_sample_J": energy_J / samples if samples else None,
            "unmetered": any(r.energy_J is None for r in rows),
            "rows": [asdict(r) for r in rows],
        },
        "latency": {
            "train_s": latency_s,
            "evaluate_s": total_s(ledger, timelines, "evaluate"),
            "program_s": total_s(ledger, timelines, "program"),
            "per_sample_s": latency_s / samples if samples else None,
            "measured": bool(ledger.measured),
            "busy_s": _busy(ledger, timelines),
        },
        "timeline": None if train is None else _timeline(train, timelines[train], ledger, chosen),
        "wear": lasting(result.get("wear", {}), chosen),
        "privacy": [asdict(s) for s in statements(ledger.releases(), experiment.privacy.delta)],
        **described(ledger, chosen),
    }


def _usual(ledger: Ledger, kind: str) -> Step | None:
    """Return the step of a kind that took place most often."""
    found = [(tally.times, step) for step, tally in ledger.steps.items() if step.kind == kind]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _timeline(
    step: Step, line: Timeline, ledger: Ledger, chosen: Mapping[str, Technology]
) -> dict[str, Any]:
    tally = ledger.steps[step]
    details: dict[str, list[dict[str, Any]]] = {}
    for op, work in zip(step.ops, tally.work, strict=True):
        once = [amount / tally.times for amount in work]
        found = _events(op, once, ledger.devices[op.device], chosen[op.device])
        details.setdefault(op.stage, []).append({"batch": op.batch, "events": found})
    of_stage = {stage: iter(found) for stage, found in details.items()}
    return {
        "samples": step.samples,
        "times": tally.times,
        "makespan_s": line.makespan_s,
        "bottleneck": line.bottleneck,
        "slices": [{**asdict(s), **next(of_stage[s.stage])} for s in line.slices],
        "after": {stage: list(earlier) for stage, earlier in step.after},
    }


def _events(
    op: Op, work: Sequence[float], device: Installed, technology: Technology
) -> list[dict[str, Any]]:
    """Return what happens in one operation: work is the mean over the times it took place."""
    found = []
    for (name, depth), amount in zip(op.depths, work, strict=True):
        price = technology.event(name, device.n_out, device.n_in, device.settings)
        found.append(
            {
                "event": name,
                "depth": depth,
                "work": amount,
                "latency_s": None if price.latency_s is None else depth * price.latency_s,
                "energy_J": None if price.energy_J is None else amount * price.energy_J,
                "overlaps": price.overlaps,
            }
        )
    return found


def _busy(ledger: Ledger, timelines: Mapping[Step, Timeline]) -> dict[str, float]:
    """Return how long each part worked in all training steps."""
    busy: dict[str, float] = {}
    for step, tally in ledger.steps.items():
        if step.kind == "train":
            for part, time_s in timelines[step].busy_s().items():
                busy[part] = busy.get(part, 0.0) + tally.times * time_s
    return busy
