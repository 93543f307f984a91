"""Five printed classifiers, evolved, simulated and mapped, beside what is published.

Runs the designs in examples/printed/ and prints one table: the exact bespoke circuit, the smallest
circuit within one and within five points of its training accuracy, and the published circuits with
their sources. A folder for each set holds its page with the front as a plot and one circuit drawn,
its numbers and its Verilog. Needs pymoo, Yosys and Icarus Verilog.

    python examples/printed_circuits.py [FOLDER] [--processes N] [--set key=value ...]

What is done in FOLDER (runs/printed by default) is not done again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hwloop.sim.print_literature import published
from hwloop.sim.print_run import area_of, new_design_folder, open_design, power_of, work
from hwloop.sim.print_settings import read_design
from hwloop.sim.print_tasks import cores

DESIGNS = sorted((Path(__file__).parent / "printed").glob("*.toml"))


def row(name: str, accuracy: float | None, area_cm2: float, power_mW: float | None, more: str):
    """Print one row of the table."""
    said = ["-" if accuracy is None else f"{accuracy:.1%}", f"{area_cm2:.3g}"]
    said.append("-" if power_mW is None else f"{power_mW:.3g}")
    print(f"| {name} | {' | '.join(said)} | {more} |", flush=True)


def mapped(name: str, entry: dict[str, Any], exact: dict[str, Any]) -> None:
    """Print the row of a circuit that was mapped here."""
    power_W, whole_W = power_of(entry), power_of(exact)
    more = f"training {entry['train']:.1%}, Verilog mismatches {entry['mismatches']}"
    if entry is not exact and power_W and whole_W:
        more += f"; {area_of(exact) / area_of(entry):.3g} x less area, "
        more += f"{whole_W / power_W:.3g} x less power"
    power_mW = None if power_W is None else 1e3 * power_W
    row(name, entry["test"], 1e4 * area_of(entry), power_mW, more)


def show(report: dict[str, Any]) -> None:
    """Print the rows of one set."""
    print(f"\n{report['name']}, {report['topology']['text']}\n")
    print("| circuit | test accuracy | cm2 | mW | |\n|---|---|---|---|---|")
    mapped("exact bespoke, here", report["exact"], report["exact"])
    for gain in report["gains"]:
        entry = report["front"][gain["circuit"]]
        mapped(f"evolved, within {100 * gain['loss']:.0f} points", entry, report["exact"])
    for point in published(report["data"]["set"]):
        how = "mapped here" if point.mapped else f"as published, {point.volt:g} V"
        row(point.name, point.accuracy, point.area_cm2, point.power_mW, f"{how}; {point.source}")


def main() -> None:
    """Design, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/printed"))
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    for file in DESIGNS:
        folder = options.folder / file.stem
        if (folder / "design.toml").is_file():
            design = open_design(folder)
        else:
            design = read_design(file, options.set)
            new_design_folder(design, folder)
        processes = options.processes or cores()
        report = work(design, folder, processes, lambda *_: None, lambda: False)
        assert report is not None
        show(report)


if __name__ == "__main__":
    main()
