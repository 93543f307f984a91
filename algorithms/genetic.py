"""Evolution of printed networks: NSGA-II over chromosomes, seeded, resumable bit for bit.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, as pymoo has it,
with uniform crossover by connection and random resets: on whole numbers simulated binary crossover
was measured five times dearer. Whole populations are evaluated by a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit
from .genes import Task, first_population, mutate


@dataclass(frozen=True)
class Genetic:
    """How long, and how wide, evolution searches. Raises ValueError for impossible settings."""

    population: int = 300
    generations: int = 400
    changes: float = 1.0
    """How many genes of a child are changed on average."""
    seeded: bool = True
    """Begin with networks trained by gradients; else at random, which stalls (see the study)."""

    def __post_init__(self) -> None:
        for name, low in (("population", 4), ("generations", 1)):
            got = getattr(self, name)
            if isinstance(got, bool) or not isinstance(got, int) or got < low:
                raise ValueError(f"{name} takes a whole number from {low}, got {got!r}")
        if not 0 < self.changes < np.inf:
            raise ValueError(f"changes takes a number above 0, got {self.changes}")


class Evolution:
    """One population on its way; `step` is a generation.

    Every random number of a generation depends on the seed and the generation's number alone.
    """

    def __init__(
        self, settings: Genetic, task: Task, seed: Seed, seeds: Sequence[Circuit] = ()
    ) -> None:
        self.settings, self.task, self.seed = settings, task, seed
        self.generation = 0
        start = first_population(
            task.genes,
            settings.population,
            seeds if settings.seeded else (),
            seed.child("start").rng(),
        )
        self._algorithm = _nsga2(settings, task, start)

    @property
    def evaluations(self) -> int:
        """How many circuits have been evaluated."""
        return self.generation * self.settings.population

    @property
    def done(self) -> bool:
        """Whether all generations are over."""
        return self.generation >= self.settings.generations

    def step(self) -> None:
        """Make, evaluate and select one generation; the first is the start itself."""
        algorithm = self._algorithm
        algorithm.random_state = self.seed.child("generation").rng(self.generation)
        children = algorithm.ask()
        found = self.task.evaluate(children.get("X"))
        children.set("F", found)
        children.set("G", found[:, :1] - self.task.worst_loss)
        for child in children:
            child.evaluated.update(("F", "G", "H"))
        algorithm.tell(infills=children)
        self.generation += 1

    def population(self) -> tuple[Array, Array]:
        """Return the chromosomes (population, length), and their loss and area in m2."""
        pop = self._algorithm.pop
        return pop.get("X").astype(np.int16), pop.get("F").astype(np.float64)

    def front(self) -> tuple[Array, Array]:
        """Return the chromosomes of the Pareto front within the bound, by area, and their values.

        Raises ValueError where no circuit keeps the bound on the loss.
        """
        chromosomes, values = self.population()
        good = np.flatnonzero(values[:, 0] <= self.task.worst_loss)
        if not good.size:
            raise ValueError(
                f"no circuit loses at most {self.task.worst_loss:.1%} of the training rows after "
                f"{self.generation} generations; the best loses {values[:, 0].min():.1%}"
            )
        rows = good[pareto(values[good])]
        return chromosomes[rows], values[rows]

    def state(self) -> dict[str, Array]:
        """Return all that a checkpoint needs to go on bit for bit."""
        pop = self._algorithm.pop
        chromosomes, values = self.population()
        return {
            "chromosomes": chromosomes,
            "values": values,
            "rank": np.array([-1 if r is None else r for r in pop.get("rank")], np.int64),
            "crowding": np.array(
                [np.nan if c is None else c for c in pop.get("crowding")], np.float64
            ),
            "generation": np.array([self.generation], np.int64),
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `state` returned. Raises ValueError where it is of other genes."""
        chromosomes, values = arrays["chromosomes"], arrays["values"]
        wanted = (self.settings.population, self.task.genes.length)
        if chromosomes.shape != wanted:
            raise ValueError(f"the population is {chromosomes.shape}; these settings take {wanted}")
        from pymoo.core.population import Population

        pop = Population.new("X", chromosomes.astype(int))
        pop.set("F", values)
        pop.set("G", values[:, :1] - self.task.worst_loss)
        for one, rank, crowding in zip(pop, arrays["rank"], arrays["crowding"], strict=True):
            if rank >= 0:  # those outside the bound have none
                one.set("rank", int(rank))
                one.set("crowding", float(crowding))
            one.evaluated.update(("F", "G", "H"))
        self.generation = int(arrays["generation"][0])
        algorithm = self._algorithm
        algorithm.pop, algorithm.is_initialized = pop, True
        algorithm.n_iter = self.generation + 1


def pareto(values: Array) -> Array:
    """Return the rows of values (n, 2) that no other dominates, by their second column.

    Of rows with the same values the first is kept.
    """
    order = np.lexsort((np.arange(len(values)), values[:, 0], values[:, 1]))
    best, found = np.inf, []
    for k in order:
        if values[k, 0] < best:
            best = values[k, 0]
            found.append(int(k))
    return np.array(found, np.int64)


def hypervolume(values: Array, loss: float, area: float) -> float:
    """Return what share of the rectangle up to a loss and an area a front dominates."""
    front = values[pareto(values)]
    total, edge = 0.0, loss
    for one_loss, one_area in front:
        if one_loss < edge and one_area < area:
            total += (edge - one_loss) * (area - one_area)
            edge = one_loss
    return total / (loss * area)


def _nsga2(settings: Genetic, task: Task, start: Array) -> Any:
    """Return pymoo's algorithm on this task. Raises ImportError that names the extra."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.crossover import Crossover
        from pymoo.core.mutation import Mutation
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
    except ImportError as wrong:
        raise ImportError('evolution needs pymoo: pip install "hwloop[printed]"') from wrong

    genes = task.genes

    class Exchange(Crossover):  # type: ignore[misc]
        """Each connection, with its mask, sign and exponent, and each bias from either parent."""

        def _do(self, _: Any, x: Array, *args: Any, random_state: Any = None, **more: Any) -> Array:
            weights, units = genes.topology.weights, genes.topology.units
            take = random_state.random((x.shape[1], weights + units)) < 0.5
            whole = np.concatenate([*[take[:, :weights]] * 3, take[:, weights:]], axis=1)
            return np.stack([np.where(whole, x[0], x[1]), np.where(whole, x[1], x[0])])

    class Reset(Mutation):  # type: ignore[misc]
        """Random resets and small steps of a few genes."""

        def _do(self, _: Any, x: Array, *args: Any, random_state: Any = None, **more: Any) -> Array:
            return mutate(genes, x, random_state, settings.changes / genes.length)

    problem = Problem(
        n_var=genes.length, n_obj=2, n_ieq_constr=1, xl=genes.lowest, xu=genes.highest
    )
    algorithm = NSGA2(
        pop_size=settings.population,
        sampling=start.astype(int),
        crossover=Exchange(2, 2, prob=0.9),
        mutation=Reset(),
        eliminate_duplicates=False,
    )
    return algorithm.setup(problem, termination=NoTermination())
