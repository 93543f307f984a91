"""Programs beside hwloop: Icarus Verilog simulates a circuit, Yosys maps it to printed cells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit
from ..devices.printed_netlist import CELLS, Netlist, netlist_from_json
from ..devices.technology import Technology
from .verilog import ROWS, bench, module, rows

_PACKAGES = {"iverilog": "iverilog", "vvp": "iverilog", "yosys": "yosys"}
_FUNCTIONS = {
    "INVX1": "!A1",
    "NAND2X1": "!(A1*A2)",
    "NOR2X1": "!(A1+A2)",
    "AND2X1": "(A1*A2)",
    "OR2X1": "(A1+A2)",
    "XOR2X1": "(A1^A2)",
    "XNOR2X1": "!(A1^A2)",
}
_ABC = "+strash;dc2;dch,-f;amap;topo"
"""Area-driven: of the recipes tried, the one with the smallest circuits, by some 7 %."""
LONGEST_S = 600.0
"""After so long a program is taken to hang."""


class Absent(ValueError):
    """A program beside hwloop is not installed."""


def need(*programs: str) -> None:
    """Raise Absent, with what to install, where a program cannot be called."""
    for program in programs:
        if shutil.which(program) is None:
            raise Absent(
                f"{program} is not installed; on Debian it comes with: "
                f"apt-get install {_PACKAGES[program]}"
            )


def simulate(circuit: Circuit, x: Array) -> int:
    """Return on how many rows of x (samples, features) Verilog and kernel disagree.

    The outputs of every class and the class itself are compared. Raises Absent without Icarus
    Verilog.
    """
    with tempfile.TemporaryDirectory(prefix="hwloop-") as name:
        folder = Path(name)
        (folder / "printed.v").write_text(module(circuit))
        (folder / "bench.v").write_text(bench(circuit, len(x)))
        (folder / ROWS).write_text(rows(circuit, x))
        _call(["iverilog", "-g2005", "-o", "bench", "printed.v", "bench.v"], folder)
        said = _call(["vvp", "-n", "bench"], folder)
    found = re.search(r"mismatches (\d+) of (\d+)", said)
    if found is None or int(found[2]) != len(x):
        raise RuntimeError(f"the test bench ended without a count: {said.strip()[-200:]}")
    return int(found[1])


def map_to_cells(circuit: Circuit, technology: Technology) -> Netlist:
    """Return the circuit as cells of the printed library, by Yosys and its abc.

    Raises Absent without Yosys.
    """
    with tempfile.TemporaryDirectory(prefix="hwloop-") as name:
        folder = Path(name)
        (folder / "printed.v").write_text(module(circuit))
        (folder / "cells.lib").write_text(liberty(technology))
        script = [
            "read_verilog printed.v",
            "synth -flatten -top printed",
            f"abc -liberty cells.lib -script {_ABC}",
            "opt_clean -purge",
            "write_json mapped.json",
        ]
        _call(["yosys", "-q", "-p", "; ".join(script)], folder)
        mapped = json.loads((folder / "mapped.json").read_text())
    return netlist_from_json(mapped["modules"]["printed"], circuit.topology)


def liberty(technology: Technology) -> str:
    """Return a liberty file of the technology's cells: names, functions and areas in um2."""
    cells = []
    for cell in CELLS:
        area = 1e12 * technology.parameter(f"area_{cell}")
        pins = "".join(
            f"    pin ({pin}) {{ direction : input; }}\n"
            for pin in ("A1", "A2")
            if pin in _FUNCTIONS[cell]
        )
        output = f'    pin (Y) {{ direction : output; function : "{_FUNCTIONS[cell]}"; }}\n'
        cells.append(f"  cell ({cell}) {{\n    area : {area:.6g};\n{pins}{output}  }}\n")
    return f'library (printed) {{\n  time_unit : "1ms";\n{"".join(cells)}}}\n'


def _call(command: Sequence[str], folder: Path) -> str:
    program = command[0]
    need(program)
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{program} did not end within {LONGEST_S:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-300:]
        raise RuntimeError(f"{program} failed: {said}")
    return done.stdout
