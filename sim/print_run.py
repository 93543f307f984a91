"""A design's whole work: exact circuit, starts, evolution, comparison, mapping, the front."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from .. import __version__
from ..algorithms.genetic import hypervolume, pareto
from ..algorithms.printed_gradient import PASSES_AN_EPOCH
from ..devices.printed_circuit import circuit_from_json
from ..devices.technology import load as load_technology
from .files import read_json, write, write_json
from .places import BadInput
from .print_pieces import annealed, descended, evolved, measured, opened, trained
from .print_settings import Design, read_design
from .print_tasks import Piece, Report, Workers
from .verilog import ROWS, bench, module, rows

DESIGN, RESULT, FRONT, PIECES, CIRCUITS = (
    "design.toml", "report.json", "front.csv", "pieces", "circuits",
)  # fmt: skip
LOSSES = (0.01, 0.05)
"""Losses of accuracy against the exact circuit at which gains are stated."""


def new_design_folder(design: Design, out: Path | None) -> Path:
    """Make the folder of a new design, and return it. Raises BadInput where it is not empty."""
    base = "".join(c if c.isascii() and c.isalnum() else "-" for c in design.name.lower())
    base = base.strip("-")[:60] or "printed"
    folder = out if out is not None else Path("runs") / base
    number = 1
    while out is None and folder.exists():
        number += 1
        folder = Path("runs") / f"{base}-{number}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        known = (folder / DESIGN).is_file()
        also = f", or go on with it by hwloop print --resume {folder}" if known else ""
        raise BadInput(f"{folder} is not empty and stays as it is: give another --out{also}")
    write(folder / DESIGN, f"# As hwloop {__version__} ran it.\n{tomli_w.dumps(dict(design.raw))}")
    return folder


def open_design(folder: Path) -> Design:
    """Return the design of a folder. Raises BadInput where it is none."""
    if not (folder / DESIGN).is_file():
        raise BadInput(f"{folder} is no design of hwloop: it holds no {DESIGN}")
    return read_design(folder / DESIGN)


def work(
    design: Design,
    folder: Path,
    processes: int,
    report: Report,
    interrupted: Callable[[], bool],
) -> dict[str, Any] | None:
    """Do what is open of a design's work, write its files, and return its report.

    None where it was interrupted; called again it goes on. The result does not depend on
    `processes`.
    """
    begun = folder / PIECES / "design.json"
    if begun.is_file() and read_json(begun) != design.digest:
        raise BadInput(
            f"{folder / DESIGN} is not the design that {folder} was begun with: design anew, with "
            "another --out"
        )
    write_json(begun, design.digest)
    with Workers(folder / PIECES, processes, report, interrupted) as workers:
        return _work(design, folder, workers.run)


def _work(
    design: Design, folder: Path, run: Callable[[Sequence[Piece]], dict[str, Any] | None]
) -> dict[str, Any] | None:
    raw, search = dict(design.raw), design.search
    _, _, topology = opened(raw)

    def training(k: int, pull: float = 0.0, begin: Mapping[str, Any] | None = None) -> Piece:
        name = f"exact/{k}" if begin is None else f"start/{k}/{pull:g}"
        return Piece(name, trained, {"raw": raw, "k": k, "pull": pull, "begin": begin})

    first = run([training(k) for k in range(search.starts)])
    if first is None:
        return None
    exact = max(first.values(), key=lambda r: float(r["train"]))
    second = run(
        [
            training(k, pull, first[f"exact/{k}"]["circuit"])
            for k in range(search.starts)
            for pull in search.sparsities
        ]
    )
    if second is None:
        return None
    starts = [one["circuit"] for one in second.values()]
    worst = min(1 - exact["train"] + search.loss_bound, 1.0)
    given = {"raw": raw, "starts": starts, "worst_loss": worst}
    pieces = [
        Piece(f"evolution/{k}", evolved, {**given, "evaluations": 0, "k": k})
        for k in range(search.seeds)
    ]
    compared = run([*pieces, *_comparison(design, given)])
    if compared is None:
        return None
    genes = design.genes(topology)
    fronts = {name: np.array([r["loss"], r["estimate_m2"]]).T for name, r in compared.items()}
    names = [piece.name for piece in pieces]
    chromosomes = np.concatenate([np.array(compared[n]["chromosomes"]) for n in names])
    values = np.concatenate([fronts[n] for n in names])
    chosen = _picked(values, 1 - exact["train"], design.cost.circuits)
    circuits = [genes.circuit(chromosomes[k].astype(np.int16)).pruned() for k in chosen]
    mapped = run(
        [
            Piece("measure/exact", measured, {"raw": raw, "plain": exact["circuit"], "k": -1}),
            *(
                Piece(f"measure/{k}", measured, {"raw": raw, "plain": c.to_json(), "k": k})
                for k, c in enumerate(circuits)
            ),
        ]
    )
    if mapped is None:
        return None
    made = _report(design, mapped, compared, fronts)
    _write(design, folder, made)
    return made


def _comparison(design: Design, given: Mapping[str, Any]) -> list[Piece]:
    """Return the searches that get the same number of evaluations, that of the starts included."""
    search = design.search
    if not search.compare:
        return []
    spent = PASSES_AN_EPOCH * search.epochs * search.starts * (1 + len(search.sparsities))
    left = search.compare - spent
    if left < search.population:
        raise design.at.bad(
            ("search", "compare"),
            f"compare takes more evaluations than the {spent} that the starts take and one "
            f"population, got {search.compare}",
        )
    bare = {"raw": given["raw"], "worst_loss": given["worst_loss"], "evaluations": search.compare}
    return [
        Piece("compare/evolution", evolved, {**given, "evaluations": left, "k": -1}),
        Piece("compare/annealing", annealed, {**given, "evaluations": left}),
        Piece("compare/backprop", descended, {**bare, "rule": "backprop"}),
        Piece("compare/dfa", descended, {**bare, "rule": "dfa"}),
    ]


def _picked(values: Any, exact_loss: float, most: int) -> list[int]:
    """Return at most so many rows of the front, evenly spread in loss, and those of LOSSES."""
    front = pareto(values)
    losses = values[front, 0]
    wanted = [exact_loss + loss for loss in LOSSES]
    wanted += np.linspace(losses.min(), losses.max(), max(most - len(LOSSES), 1)).tolist()
    picked = []
    for loss in wanted:
        fits = front[losses <= loss + 1e-12]
        if fits.size:
            picked.append(int(fits[0]))  # the front stands by area, the smallest first
    return sorted(set(picked[:most]), key=lambda k: float(values[k, 1]))


def area_of(entry: Mapping[str, Any]) -> float:
    """Return the mapped area of a measured circuit in m2, or the estimate where none was mapped."""
    mapped = entry["mapped"]
    return float(entry["estimate_m2"] if mapped is None else mapped["area_m2"])


def cm2(area_m2: float) -> str:
    """Return an area in the unit of printed circuits, three digits.

    >>> cm2(0.00152), cm2(0.0000085)
    ('15.2 cm²', '0.085 cm²')
    """
    return f"{1e4 * area_m2:.3g} cm²"


def power_of(entry: Mapping[str, Any]) -> float | None:
    """Return the power of a measured circuit alone in W, None where it was not mapped."""
    mapped = entry["mapped"]
    return None if mapped is None else float(mapped["static_W"] + mapped["dynamic_W"])


def _report(
    design: Design,
    mapped: Mapping[str, Any],
    compared: Mapping[str, Any],
    fronts: Mapping[str, Any],
) -> dict[str, Any]:
    exact = mapped["measure/exact"]
    others = [r for name, r in mapped.items() if name != "measure/exact"]
    alive = [r for r in others if not r["constant"]]
    values = np.array([[1 - r["train"], area_of(r)] for r in alive]).reshape(-1, 2)
    front = [alive[k] for k in pareto(values)]
    gains = []
    for loss in LOSSES:
        fits = [r for r in front if r["train"] >= exact["train"] - loss - 1e-12]
        if fits:
            one = min(fits, key=area_of)
            power_W, exact_W = power_of(one), power_of(exact)
            gains.append(
                {
                    "loss": loss,
                    "circuit": front.index(one),
                    "area": area_of(exact) / max(area_of(one), 1e-12),
                    "power": None if not power_W or not exact_W else exact_W / power_W,
                    "test_loss": exact["test"] - one["test"],
                }
            )
    _, data, topology = opened(dict(design.raw))
    technology = load_technology(design.cost.technology)
    corner = max(float(f[:, 1].max(initial=0.0)) for f in fronts.values())
    worst = min(1 - exact["train"] + design.search.loss_bound, 1.0)
    return {
        "hwloop": __version__,
        "name": design.name,
        "seed": design.seed,
        "digest": design.digest,
        "design": dict(design.raw),
        "data": {
            "set": data.name,
            "train": len(data.y_train),
            "test": len(data.y_test),
            "classes": list(data.classes),
            "features": data.features,
            "bits": data.bits,
            "saturated": data.saturated,
            "source": data.source,
            "licence": data.licence,
            "notes": list(data.notes),
        },
        "topology": {"text": str(topology), "weights": topology.weights, "units": topology.units},
        "technology": {
            "stem": technology.stem,
            "name": technology.name,
            "description": technology.description,
            "parameters": {
                n: {"value": p.value, "unit": p.unit, "source": p.source}
                for n, p in technology.parameters.items()
            },
        },
        "exact": exact,
        "front": front,
        "constant": len(others) - len(alive),
        "gains": gains,
        "searches": [
            {
                "name": name,
                "evaluations": compared[name]["evaluations"],
                "loss": f[:, 0].tolist(),
                "estimate_m2": f[:, 1].tolist(),
                "hypervolume": hypervolume(f, worst, corner) if corner and len(f) else 0.0,
            }
            for name, f in fronts.items()
        ],
        "worst_loss": worst,
    }


def _write(design: Design, folder: Path, made: Mapping[str, Any]) -> None:
    from .print_page import render

    _, data, _ = opened(dict(design.raw))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["circuit", "train_accuracy", "test_accuracy", "area_m2", "power_W", "total_W",
         "critical_path_s", "full_adders", "verilog_mismatches"]
    )  # fmt: skip
    for name, entry in [("exact", made["exact"]), *enumerate(made["front"], 1)]:
        mapped = entry["mapped"] or {}
        table.writerow(
            [name, entry["train"], entry["test"], area_of(entry), power_of(entry),
             mapped.get("total_W"), mapped.get("critical_path_s"), entry["adders"][0],
             entry["mismatches"]]
        )  # fmt: skip
        circuit = circuit_from_json(entry["circuit"])
        place = folder / CIRCUITS / str(name)
        write(place / "printed.v", module(circuit))
        write(place / "bench.v", bench(circuit, len(data.x_test)))
        write(place / ROWS, rows(circuit, data.x_test))
        write_json(place / "circuit.json", entry["circuit"])
    write(folder / FRONT, text.getvalue())
    write_json(folder / RESULT, made)
    write(folder / "report.html", render(made))
    for left in (folder / PIECES).glob(".*"):  # half a file, from a run that was killed
        with suppress(OSError):
            left.unlink()
