"""What the pieces of a design's work do: train, evolve, anneal, map and simulate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from ..algorithms.annealing import anneal
from ..algorithms.genes import Task, adders
from ..algorithms.genetic import Evolution, pareto
from ..algorithms.printed_gradient import PASSES_AN_EPOCH, train
from ..devices import Seed
from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit, Topology, circuit_from_json
from ..devices.printed_cost import bill
from ..devices.printed_netlist import Netlist
from ..devices.technology import Technology
from ..devices.technology import load as load_technology
from .eda import map_to_cells, simulate
from .files import read_arrays, write_arrays
from .print_settings import Design, parse_design
from .print_tasks import Context
from .printed_data import Words

CHECKPOINT_EVERY = 50
"""Generations after which a population is written down."""
PULLS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Sparsities that gradients alone go through, one training after the other."""


@lru_cache(maxsize=4)
def _loaded(key: str) -> tuple[Design, Words, Topology]:
    design = parse_design(json.loads(key))
    data = design.words()
    return design, data, design.topology(data)


def opened(raw: Mapping[str, Any]) -> tuple[Design, Words, Topology]:
    """Return the design that plain data describe, its data and its topology; kept in memory."""
    return _loaded(json.dumps(raw, sort_keys=True))


def prices(technology: Technology) -> tuple[float, float, float]:
    """Return the area in m2 of what the count of adders counts."""
    full, ripple, subtract = (
        technology.parameter(f"adder_{name}") for name in ("full", "ripple", "subtract")
    )
    return full, ripple, subtract


def task_of(raw: Mapping[str, Any], worst_loss: float) -> Task:
    """Return what a search over this design minimises."""
    design, data, topology = opened(raw)
    technology = load_technology(design.cost.technology)
    genes = design.genes(topology)
    return Task(genes, data.x_train, data.y_train, prices(technology), worst_loss)


def judged(circuit: Circuit, data: Words, technology: Technology) -> dict[str, Any]:
    """Return a circuit as plain data with its accuracies and what the count of adders says."""
    count = adders(circuit)
    return {
        "circuit": circuit.to_json(),
        "train": circuit.accuracy(data.x_train, data.y_train),
        "test": circuit.accuracy(data.x_test, data.y_test),
        "adders": count.tolist(),
        "estimate_m2": float(count[:3] @ np.array(prices(technology))),
    }


def trained(
    context: Context, raw: Mapping[str, Any], k: int, pull: float, begin: Mapping[str, Any] | None
) -> Any:
    """Train one network by gradients: an exact circuit, or from it (`begin`) a start of evolution.

    Fine-tuned from fixed point, powers of two end several points better than from random weights.
    """
    design, data, topology = opened(raw)
    if context.interrupted():
        return None
    settings = design.gradient(len(data.y_train))
    seed = Seed(design.seed).child(f"training/{k}/{pull:g}")
    if begin is None:
        settings, start = replace(settings, weights="fixed"), None
    else:
        settings, start = replace(settings, rate=settings.rate / 2, sparsity=pull), begin
    circuit = train(
        settings,
        data.x_train,
        data.y_train,
        topology,
        seed,
        None if start is None else circuit_from_json(start),
    )
    context.say(1.0)
    return judged(circuit, data, load_technology(design.cost.technology))


def evolved(
    context: Context,
    raw: Mapping[str, Any],
    starts: Sequence[Mapping[str, Any]],
    worst_loss: float,
    evaluations: int,
    k: int,
) -> Any:
    """Run one evolution; its population is written down now and then, and where it is interrupted.

    `evaluations` 0 means as the file says.
    """
    design, _, _ = opened(raw)
    settings = design.genetic()
    if evaluations:
        settings = replace(settings, generations=max(1, evaluations // settings.population))
    seeds = [circuit_from_json(one) for one in starts]
    seed = Seed(design.seed).child(f"evolution/{k}")
    evolution = Evolution(settings, task_of(raw, worst_loss), seed, seeds)
    if context.checkpoint.is_file():
        arrays, said = read_arrays(context.checkpoint)
        if said.get("design") == design.digest:
            evolution.restore(arrays)
    while not evolution.done:
        stop = context.interrupted()
        if evolution.generation and (stop or evolution.generation % CHECKPOINT_EVERY == 0):
            write_arrays(context.checkpoint, evolution.state(), {"design": design.digest})
        if stop:
            return None
        evolution.step()
        _, values = evolution.population()
        context.say(
            evolution.generation / settings.generations, f"best {1 - values[:, 0].min():.1%}"
        )
    chromosomes, values = evolution.front()
    return _front(chromosomes, values, evolution.evaluations)


def annealed(
    context: Context,
    raw: Mapping[str, Any],
    starts: Sequence[Mapping[str, Any]],
    worst_loss: float,
    evaluations: int,
) -> Any:
    """Run the control: annealing with as many evaluations."""
    design, _, _ = opened(raw)
    seeds = [circuit_from_json(one) for one in starts]
    seed = Seed(design.seed).child("annealing")
    task = task_of(raw, worst_loss)
    chromosomes, values = anneal(task, evaluations, seed, seeds, interrupted=context.interrupted)
    if context.interrupted():
        return None
    context.say(1.0)
    return _front(chromosomes, values, evaluations)


def descended(
    context: Context,
    raw: Mapping[str, Any],
    rule: Literal["backprop", "dfa"],
    worst_loss: float,
    evaluations: int,
) -> Any:
    """Search by gradients alone: train under one pull after the other, then cut bits and go on.

    After each training the lowest bit of every mask is taken away twice, and what is left is
    fine-tuned with the masks in the forward pass. Every circuit on the way counts for the front.
    """
    design, data, topology = opened(raw)
    task = task_of(raw, worst_loss)
    seed = Seed(design.seed).child(f"gradient/{rule}")
    epochs = max(3, min(design.search.epochs, evaluations // (PASSES_AN_EPOCH * len(PULLS) * 2)))
    settings = replace(design.gradient(len(data.y_train)), rule=rule, epochs=epochs)
    cut = replace(settings, epochs=epochs // 3)
    each = PASSES_AN_EPOCH * (settings.epochs + 2 * cut.epochs)
    found: list[Array] = []
    number = max(1, evaluations // each)
    for k in range(number):
        if context.interrupted():
            return None
        one = seed.child(str(k))
        pull = replace(settings, sparsity=PULLS[k % len(PULLS)])
        circuit = train(pull, data.x_train, data.y_train, topology, one)
        found.append(task.genes.encode(circuit))
        for again in range(2):
            mask = circuit.mask & (circuit.mask - 1)
            gentle = replace(cut, sparsity=pull.sparsity, rate=settings.rate / 4)
            circuit = train(
                gentle, data.x_train, data.y_train, topology, one.child(str(again)), circuit, mask
            )
            found.append(task.genes.encode(circuit))
        context.say((k + 1) / number)
    chromosomes = np.stack(found)
    values = task.evaluate(chromosomes)
    good = np.flatnonzero(values[:, 0] <= worst_loss)
    rows = good[pareto(values[good])] if good.size else good
    return _front(chromosomes[rows], values[rows], number * each)


def _front(chromosomes: Array, values: Array, evaluations: int) -> dict[str, Any]:
    return {
        "chromosomes": chromosomes.tolist(),
        "loss": values[:, 0].tolist(),
        "estimate_m2": values[:, 1].tolist(),
        "evaluations": evaluations,
    }


def measured(context: Context, raw: Mapping[str, Any], plain: Mapping[str, Any], k: int) -> Any:
    """Map one circuit to cells, price it, simulate its Verilog, and print faulty copies of it."""
    design, data, _ = opened(raw)
    if context.interrupted():
        return None
    circuit = circuit_from_json(plain)
    technology = load_technology(design.cost.technology)
    found = judged(circuit, data, technology)
    said = circuit.predict(data.x_train)
    found["constant"] = bool((said == said[0]).all())
    found["mismatches"] = simulate(circuit, data.x_test) if design.cost.simulate else None
    found["mapped"] = found["faults"] = None
    if design.cost.map:
        netlist = map_to_cells(circuit, technology)
        found["constant"] |= netlist.constant
        cost = design.cost
        found["mapped"] = {
            "cells": netlist.cells(),
            "mismatches": int((netlist.predict(data.x_test) != circuit.predict(data.x_test)).sum()),
            **bill(
                netlist, data.x_test, technology, cost.converter, cost.sensor_W, cost.battery_W
            ).to_json(),
        }  # fmt: skip
        if design.faults.copies:
            seed = Seed(design.seed).child(f"copies/{k}")
            found["faults"] = _copies(design, netlist, data, technology, seed)
    context.say(1.0)
    return found


def _copies(
    design: Design, netlist: Netlist, data: Words, technology: Technology, seed: Seed
) -> dict[str, Any]:
    """Return how printed copies do: accuracy under stuck gates, delay under spread."""
    table = design.faults
    x, y = data.x_test, data.y_test
    shares = [
        float((netlist.predict(x, netlist.faulty(table.stuck, seed.at(c))) == y).mean())
        for c in range(table.copies)
    ]
    clean = float((netlist.predict(x) == y).mean())
    found: dict[str, Any] = {
        "mean": float(np.mean(shares)),
        "worst_twentieth": float(np.quantile(shares, 0.05)),
        "within_a_point": float(np.mean(np.array(shares) >= clean - 0.01)),
    }
    if netlist.critical_path_s(technology) is not None:
        paths_s = netlist.spread_s(
            technology, table.delay_std, table.copies, seed.child("delay").at(0)
        )
        found["slowest_twentieth_s"] = float(np.quantile(paths_s, 0.95))
        found["in_time"] = float((paths_s <= technology.parameter("clock")).mean())
    return found
