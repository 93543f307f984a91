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
from .fabric_report import busy_s, chart, fabric_part
from .fabric_time import fabric_bill, time_fabric, usual
from .files import read_json
from .metering import readings, total
from .pricing import bill, parted, technologies, total_J
from .privacy import statements
from .run import CHIPS, LEDGER, MAIN, arms_of, finished, folder_of, open_run
from .tables_fabric import FabricTable
from .timing import Timeline, replay_all


def read_ledger(run: Path, arm: str, file: str = LEDGER) -> Ledger:
    """Return a ledger of one arm. Raises BadInput where it is absent or cut short."""
    path = folder_of(run, arm) / file
    try:
        return Ledger.from_json(read_json(path))
    except BadInput:
        raise
    except ValueError as wrong:
        raise BadInput(f"{path}: {wrong}") from wrong


def assemble(
    run: Path, instead: Mapping[str, str] | None = None, fabric: FabricTable | None = None
) -> dict[str, Any]:
    """Return the report of a finished run.

    `instead` maps devices, roles or technologies to other technologies, `fabric` times every arm
    on another fabric than the file says. Raises BadInput where the run is not finished, or
    `instead` names nothing in any arm, or a price is missing, or an arm does not fit the fabric.
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
            _arm(results[name], one, ledgers[name], instead, fabric or one.fabric)
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
    fabric: FabricTable,
) -> dict[str, Any]:
    mine = {k: v for k, v in instead.items() if k in _keys(ledger)}
    try:
        chosen = technologies(ledger, mine)
        timelines = replay_all(ledger, chosen)
        seconds = {step: line.makespan_s for step, line in timelines.items()}
        rows = bill(ledger, chosen, seconds)
        timed = time_fabric(ledger, chosen, fabric) if fabric.use else None
        if timed is not None:
            kinds = {step.kind for step in timed.steps}
            rows = [r for r in rows if r.kind not in kinds] + fabric_bill(timed, ledger, chosen)
    except (ValueError, ImportError) as wrong:
        raise BadInput(f"{result['name']}: {wrong}") from wrong
    train = usual(ledger)
    samples = ledger.samples("train")
    if timed is not None:
        seconds = {**seconds, **timed.seconds}
    spent_s = {k: _total_s(ledger, seconds, k) for k in ("train", "evaluate", "program")}
    energy_J, latency_s = total_J(rows, "train"), spent_s["train"]
    on_fabric = None
    line = None if train is None else _timeline(train, timelines[train], ledger, chosen)
    of_train = timed is not None and timed.shown == train
    if timed is not None:
        on_fabric = fabric_part(timed, rows)
        if of_train:
            line = chart(on_fabric, timed.shown, ledger.steps[timed.shown].times)
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
            "evaluate_s": spent_s["evaluate"],
            "program_s": spent_s["program"],
            "per_sample_s": latency_s / samples if samples else None,
            "measured": bool(ledger.measured),
            "busy_s": busy_s(timed, ledger) if timed and of_train else _busy(ledger, timelines),
        },
        "timeline": line,
        **({} if on_fabric is None else {"fabric": on_fabric}),
        "wear": lasting(result.get("wear", {}), chosen),
        "split": parted(ledger, chosen) if mine else [],
        "privacy": [asdict(s) for s in statements(ledger.releases(), experiment.privacy.delta)],
        **described(ledger, chosen),
    }


def _total_s(ledger: Ledger, seconds: Mapping[Step, float], kind: str) -> float:
    """Return the time of all steps of a kind, one after another."""
    return sum(t.times * seconds.get(s, 0.0) for s, t in ledger.steps.items() if s.kind == kind)


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
