"""Simulated annealing of printed networks: the control that evolution must beat.

Kirkpatrick, Gelatt and Vecchi, 1983. Several chains run side by side, each with its own price of
area, so that they end along a front; a kernel evaluates the candidates of all chains at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit
from .genes import Task, first_population, mutate
from .genetic import pareto

HOT, COLD = 0.02, 0.0005
"""First and last temperature, in shares of wrong training rows."""


def anneal(
    task: Task,
    evaluations: int,
    seed: Seed,
    seeds: Sequence[Circuit] = (),
    chains: int = 20,
    interrupted: Callable[[], bool] = lambda: False,
) -> tuple[Array, Array]:
    """Return the chromosomes (n, length) of the front found, by area, and their values (n, 2).

    A chain minimises loss + price * area / area of its start; the prices run from 0.01 to 1. It
    starts from `seeds`, or at random. Raises ValueError where no chain keeps the task's bound on
    the loss; ends early, with what it has, where `interrupted` says so.
    """
    now = first_population(task.genes, chains, seeds, seed.child("start").rng())
    if seeds:
        now = np.stack([task.genes.encode(c) for c in seeds])[np.arange(chains) % len(seeds)]
    values = task.evaluate(now)
    price = np.geomspace(0.01, 1.0, chains) / max(float(values[:, 1].max()), 1e-12)
    kept, found = [now], [values]
    rounds = max(1, evaluations // chains - 1)
    for k in range(rounds):
        if interrupted():
            break
        rng = seed.child("round").rng(k)
        tried = mutate(task.genes, now, rng, 2.0 / task.genes.length)
        reached = task.evaluate(tried)
        heat = HOT * (COLD / HOT) ** (k / rounds)
        over = np.maximum(reached[:, 0] - task.worst_loss, 0) * 10
        before = np.maximum(values[:, 0] - task.worst_loss, 0) * 10
        worse = (reached[:, 0] - values[:, 0]) + price * (reached[:, 1] - values[:, 1])
        accepted = rng.random(chains) < np.exp(-np.maximum(worse + over - before, 0) / heat)
        now = np.where(accepted[:, None], tried, now)
        values = np.where(accepted[:, None], reached, values)
        if accepted.any():
            kept.append(now[accepted])
            found.append(values[accepted])
        if len(kept) > 200:
            kept, found = _thinned(task, kept, found)
    kept, found = _thinned(task, kept, found)
    if not len(kept[0]):
        raise ValueError(
            f"no circuit loses at most {task.worst_loss:.1%} of the training rows after "
            f"{evaluations} evaluations by annealing"
        )
    return kept[0], found[0]


def _thinned(task: Task, kept: list[Array], found: list[Array]) -> tuple[list[Array], list[Array]]:
    chromosomes, values = np.concatenate(kept), np.concatenate(found)
    good = np.flatnonzero(values[:, 0] <= task.worst_loss)
    rows = good[pareto(values[good])]
    return [chromosomes[rows]], [values[rows]]
