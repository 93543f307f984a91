"""From an experiment to arms that are ready to train: data, networks, devices, one rehearsal.

All that can be wrong shows here, before a folder is made or a sample is trained on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..devices import CATALOGUE, Can, Device, Ledger, Seed, Unable
from ..devices.base import words
from ..devices.words import unknown
from ..mappings import Demand, Network, build, place
from .arm import Arm
from .data import Data
from .data import load as load_data
from .deploy import rehearse as rehearse_deployment
from .experiment import MAIN, BadInput, Experiment
from .rehearse import rehearse
from .target import code_demands, install_codes, note, output_width
from .threads import sharing


def arms_of(experiment: Experiment) -> dict[str, Experiment]:
    """Return the main arm and those it is compared with, by name."""
    return {MAIN: experiment, **experiment.compare}


def prepare_all(experiment: Experiment) -> dict[str, Arm]:
    """Return every arm, placed, rehearsed and ready. Raises BadInput for whatever is wrong."""
    sets: dict[str, Data] = {}
    arms = {}
    for name, one in arms_of(experiment).items():
        key = f"{one.seed} {one.data!r}"
        if key not in sets:
            sets[key] = load_set(one)
        arms[name] = prepare(name, one, sets[key])
    return arms


def remarks(arms: Mapping[str, Arm]) -> list[str]:
    """Return a sentence for each thing in the experiment that stands there for nothing."""
    said, used = [], set()
    for arm in arms.values():
        demands = arm.experiment.algorithm.demands(arm.placement.network)
        demands = [*demands, *code_demands(arm.experiment, arm.data)]
        used |= {d.served_by(arm.experiment.places) for d in demands}
        norms = {a.norm for a in arm.placement.network.hidden} | {"none"}
        if arm.experiment.network.norm not in norms:
            norm = arm.experiment.network.norm
            said.append(f'[network] norm is "{norm}", and no hidden layer takes it')
        batch, samples = arm.experiment.train.batch, len(arm.data.train)
        if arm.data.graph is None and batch > samples:
            there = f"there are {samples:,} samples to train on"
            said.append(f"[train] batch is {batch:,}, and {there}")
    placed = dict.fromkeys(key for arm in arms.values() for key in arm.experiment.places)
    said += [
        f"[{key}] serves nothing: no rule here asks for it" for key in placed if key not in used
    ]
    return list(dict.fromkeys(said))


def load_set(experiment: Experiment) -> Data:
    """Return the data that an experiment names, an image's channels last.

    `shape` is (height, width, channels) for images. Raises BadInput for whatever is wrong in
    them.
    """
    table = experiment.data
    try:
        data = load_data(
            table.set,
            seed=Seed(experiment.seed).child("data"),
            limit_train=table.limit_train,
            limit_test=table.limit_test,
            validation=table.validation,
            scale=table.scale,
            path=None if table.path is None else Path(table.path),
            column=table.column,
            download=table.download,
        )
    except (ValueError, OSError, MemoryError, ImportError) as wrong:
        said = str(wrong) or "not enough memory for the data"
        key = next((k for k in ("path", said.split()[0]) if k in table.model_fields_set), "set")
        raise experiment.at.bad(("data", key), said) from wrong
    if len(data.shape) != 3:
        return data
    channels, height, width = data.shape
    x = data.x.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    rows = np.ascontiguousarray(x).reshape(len(data.x), -1)
    return replace(data, x=rows, shape=(height, width, channels))


def prepare(name: str, experiment: Experiment, data: Data) -> Arm:
    """Return one arm. Raises BadInput where data, network, algorithm and devices do not fit."""
    at, train = experiment.at, experiment.train
    if train.patience and not len(data.validation):
        raise at.bad(
            ("train", "patience"),
            f"patience watches the validation accuracy, and {data.name} has no validation part: "
            "give [data] validation a share above 0",
        )
    if train.sampling == "poisson" and data.graph is not None:
        raise at.bad(
            ("train", "sampling"),
            f"{data.name} is a graph, and a step takes all of its nodes: sampling takes shuffle",
        )
    outputs = output_width(experiment, data)
    try:
        network = build(
            data.shape,
            outputs,
            experiment.network.layers(),
            experiment.network.activation,
            data.graph,
            experiment.network.norm,
        )
    except ValueError as wrong:
        raise at.bad(("network", "hidden"), str(wrong)) from wrong
    try:
        demands = [
            *experiment.algorithm.demands(network),
            *code_demands(experiment, data),
        ]
    except ValueError as wrong:
        first = str(wrong).split()[0].rstrip(":")
        whose = first in {f.name for f in fields(experiment.algorithm.optimizer)}
        path = ("optimizer", first) if whose else ("algorithm", "rule")
        raise at.bad(path, str(wrong)) from wrong
    _check_batches(experiment, data, network)
    on = _places(experiment, demands)
    _check_memory(experiment, data, network, demands)
    try:
        placement = place(
            network,
            demands,
            {key: _builder(experiment.places[key]) for key in on},
            experiment.host.technology,
            Seed(experiment.seed),
        )
        install_codes(experiment, data, placement)
        if train.sampling == "poisson":
            placement.batch = train.batch
        data = replace(data, notes=(*data.notes, *note(experiment, data)))
        arm = Arm(name, experiment, data, placement)
        arm.releases = experiment.algorithm.releases(placement, *_sampling(experiment, data))
        with sharing(train.threads):
            if experiment.deploy is not None:
                rehearse_deployment(arm)
            arm.rehearsal = rehearse(arm)
    except (ValueError, Unable, ImportError, MemoryError) as wrong:
        _refuse(experiment, demands, wrong)
    except RuntimeError as wrong:  # how torch says that a place has no memory left
        key = next((k for k in on if experiment.places[k]["device"] == "torch"), None)
        if key is None:
            raise
        raise at.bad((key, "place"), f"torch cannot: {str(wrong).splitlines()[0]}") from wrong
    return arm


def demanded(arm: Arm) -> dict[str, Can]:
    """Return what the arm's algorithm demands of every matrix."""
    demands = arm.experiment.algorithm.demands(arm.placement.network)
    return {d.name: d.needs for d in demands}


def _places(experiment: Experiment, demands: Sequence[Demand]) -> list[str]:
    """Return the places that are wanted.

    Raises BadInput where a numbered one is not, and where a device cannot do what is demanded.
    """
    wanted = {key for d in demands for key in (d.name, d.role, d.like) if key}
    for key in experiment.places:
        if "/" in key and key not in wanted:
            said = unknown("place", key, wanted)
            raise experiment.at.bad((key,), f"{said}; that is what the algorithm demands here")
    for demand in demands:
        served = demand.served_by(experiment.places)
        if served is None:
            continue
        cls = CATALOGUE[experiment.places[served]["device"]]
        if missing := demand.needs & ~cls.can:
            again = Can.PROGRAM in demand.needs and demand.role != "weight"
            able = [
                name
                for name, one in CATALOGUE.items()
                if not demand.needs & ~one.can and not (again and one.written_once)
            ]
            raise experiment.at.bad(
                (served, "device"),
                f"{demand.name} needs {words(missing)}; {cls.__name__} can {words(cls.can)}; "
                f"able are: {', '.join(able)}",
            )
    return [key for key in experiment.places if key in wanted]


def _check_batches(experiment: Experiment, data: Data, network: Network) -> None:
    """Raise BadInput where a step may hold too few samples for batch norm."""
    if data.graph is not None or all(layer.norm != "batch" for layer in network.layers):
        return
    train, samples = experiment.train, len(data.train)
    takes = 'norm = "batch" takes 2 samples or more in every step'
    if train.sampling == "poisson":
        raise experiment.at.bad(
            ("train", "sampling"),
            f'{takes}, and a Poisson batch may hold fewer: take sampling = "shuffle"',
        )
    if 1 in (min(train.batch, samples), samples % train.batch):
        raise experiment.at.bad(
            ("train", "batch"),
            f"{takes}, and batches of {train.batch} leave one of a single sample of {samples:,}",
        )


def _check_memory(
    experiment: Experiment, data: Data, network: Network, demands: Sequence[Demand]
) -> None:
    """Raise BadInput where weights and a batch's activations exceed the machine's memory."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return
    entries = 0
    for d in demands:
        key = d.served_by(experiment.places)
        settings = experiment.places[key] if key else {}
        holds = Can.PROGRAM in CATALOGUE[settings["device"]].can if settings else True
        if holds and str(settings.get("place", "cpu")) == "cpu":
            entries += 2 * d.n_out * d.n_in
    batch = len(data.x) if data.graph is not None else min(experiment.train.batch, len(data.train))
    entries += sum(
        batch * a.rows_per_sample * (a.n_in + (1 + (a.norm != "none")) * a.n_out)
        for a in network.layers
    )
    if 4 * entries > there:
        raise experiment.at.bad(
            ("network", "hidden"),
            f"its matrices and a batch of {batch} take {4e-9 * entries:,.1f} GB at least; this "
            f"machine has {1e-9 * there:,.1f} GB",
        )


def _sampling(experiment: Experiment, data: Data) -> tuple[str, float]:
    """Return how batches are drawn, and the rate at which a sample enters a step."""
    train, samples = experiment.train, len(data.train)
    if data.graph is not None:
        return "shuffle", 1.0
    if train.sampling == "poisson":
        return "poisson", min(train.batch / samples, 1.0)
    return "shuffle", 1.0 / math.ceil(samples / train.batch)


def _builder(settings: Mapping[str, Any]) -> Callable[[Demand, Ledger, Seed], Device]:
    fields = {k: v for k, v in settings.items() if k != "device"}

    def make(demand: Demand, ledger: Ledger, seed: Seed) -> Device:
        try:
            return CATALOGUE[settings["device"]](
                n_out=demand.n_out,
                n_in=demand.n_in,
                name=demand.name,
                seed=seed,
                ledger=ledger,
                **fields,
            )
        except (ValueError, ImportError) as wrong:
            if str(wrong).startswith(demand.name):
                raise
            raise ValueError(f"{demand.name}: {wrong}") from wrong

    return make


def _refuse(experiment: Experiment, demands: Sequence[Demand], wrong: Exception) -> NoReturn:
    """Raise BadInput with the place in the file of the device that is named in `wrong`."""
    if isinstance(wrong, BadInput):
        raise wrong
    said = (str(wrong) or "not enough memory").splitlines()[0]
    first, *more = said.replace(":", " ").split()
    found = next((d for d in demands if d.name == first), None)
    if found is None:
        raise experiment.at.bad(("algorithm",), said) from wrong
    key = found.served_by(experiment.places) or found.role
    named = [word for word in more[:1] if word in experiment.places.get(key, {})]
    said = said.removeprefix(f"{key}: ")
    raise experiment.at.bad((key, *(named or ["device"])), said) from wrong
