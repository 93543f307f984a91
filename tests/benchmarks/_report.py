"""What the benchmark scripts share: CPU time on one thread, figures, and how they are printed.

Import it before numpy: it sets BLAS to one thread, so that all figures are per core.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

for _library in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `value` is None where it could not be measured, and detail says why."""

    name: str
    value: float | None
    goal: float
    better: Literal["higher", "lower"]
    unit: str
    detail: str

    @property
    def reached(self) -> bool | None:
        """Whether the value is as good as the goal; None without a value."""
        if self.value is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def best(call: Callable[[], object], repeats: int = 5, warm: bool = True) -> float:
    """Return the least CPU time, in seconds, of a call; it is called once before, where `warm`."""
    if warm:
        call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def run(measure: Callable[[bool], Iterable[Figure]], about: str | None) -> None:
    """Read the command line, measure, and print each figure as soon as it is there.

    `measure` takes whether `--long` was given. Prints a table, or with `--json` one line a figure.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--long", action="store_true", help="measure larger sizes, more often")
    options = parser.parse_args()
    if not options.json:
        print(f"{'figure':<28}{'value':>10}  {'goal':>8}  {'unit':<22}reached")
    for figure in measure(options.long):
        if options.json:
            print(json.dumps(asdict(figure)))
        else:
            value = "-" if figure.value is None else f"{figure.value:.4g}"
            sign = ">" if figure.better == "higher" else "<"
            reached = {None: "not measured", True: "yes", False: "NO"}[figure.reached]
            goal = f"{sign} {figure.goal:g}"
            print(f"{figure.name:<28}{value:>10}  {goal:>8}  {figure.unit:<22}{reached}")
            print(f"    {figure.detail}")
        sys.stdout.flush()
