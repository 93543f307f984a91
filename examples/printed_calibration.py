"""What a full adder costs in a mapped circuit: the prices of the count that evolution minimises.

Evolves circuits for seven data sets shortly, maps a spread of each front and of the trained
networks to printed cells by Yosys, and fits area = full * FA + ripple * columns of two + subtract *
bits of P - N by non-negative least squares of the relative error. The `adder_*` parameters of the
printed technologies are such a fit. Takes ten minutes on one core; `--sets seeds iris` takes fewer.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.optimize import nnls

from hwloop.algorithms.genes import Genes, Task, adders
from hwloop.algorithms.genetic import Evolution, Genetic
from hwloop.algorithms.printed_gradient import Gradient, train
from hwloop.devices import Seed
from hwloop.devices.printed_circuit import Topology
from hwloop.devices.technology import load
from hwloop.sim.eda import map_to_cells
from hwloop.sim.print_pieces import prices
from hwloop.sim.printed_data import words

HIDDEN = {
    "breast_cancer_wisconsin": 3, "cardiotocography": 3, "winequality_red": 2,
    "winequality_white": 4, "seeds": 3, "vertebral_3c": 3, "pendigits": 5,
}  # fmt: skip
LEAST_M2 = 0.5e-4


def main() -> None:
    """Map, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(HIDDEN), metavar="SET")
    technology = load("egfet_1v0")
    counts, areas = [], []
    for name in parser.parse_args().sets:
        data = words(name)
        genes = Genes(Topology((data.features, HIDDEN.get(name, 3), len(data.classes))))
        starts = [
            train(
                Gradient(epochs=40, sparsity=pull), data.x_train, data.y_train, genes.topology,
                Seed(k),
            )
            for k, pull in enumerate((0.0, 0.03, 0.1))
        ]  # fmt: skip
        loss = min(1 - c.accuracy(data.x_train, data.y_train) for c in starts) + 0.1
        task = Task(genes, data.x_train, data.y_train, prices(technology), loss)
        evolution = Evolution(Genetic(200, 80), task, Seed(0), starts)
        while not evolution.done:
            evolution.step()
        front, _ = evolution.front()
        chosen = np.unique(np.linspace(0, len(front) - 1, 9).astype(int))
        for circuit in [*starts, *(genes.circuit(front[k]) for k in chosen)]:
            area_m2 = map_to_cells(circuit, technology).area_m2(technology)
            print(f"{name}: adders {adders(circuit).tolist()}, {1e4 * area_m2:.3g} cm2", flush=True)
            if area_m2 >= LEAST_M2:
                counts.append(adders(circuit)[:3])
                areas.append(area_m2)
    area = np.array(areas)
    share = np.array(counts) / area[:, None]
    fitted, _ = nnls(share, np.ones(len(area)))
    error = abs(share @ fitted - 1)
    print(f"\n{len(area)} circuits of {1e4 * LEAST_M2:g} cm2 and more")
    for what, price in zip(("full", "ripple", "subtract"), fitted, strict=True):
        print(f"adder_{what} {price:.3g} m2")
    print(f"mean relative error {error.mean():.1%}, largest {error.max():.1%}")


if __name__ == "__main__":
    main()
