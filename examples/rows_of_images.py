"""Images read row by row by a recurrent layer: rules, accuracy, joules.

    python examples/rows_of_images.py digits   # eight rows of eight, 64 units; some minutes
    python examples/rows_of_images.py mnist    # 28 rows of 28, 128 units; most of an hour

Each rule at the best of its rates, three seeds, kept in runs/rows_of_images, as in every_rule.py.
Once the state after the last row is read out, once those after every row.
"""

import sys
from dataclasses import replace
from pathlib import Path

from every_rule import Kept, compare
from rules_compared import Entry, Task

from hwloop.algorithms import (
    DFA,
    DRTP,
    Backprop,
    FeedbackAlignment,
    Frozen,
    TargetProjection,
    TernaryDFA,
)
from hwloop.mappings import Recur

RESULTS = Path("runs/rows_of_images")
RATES = (0.03, 0.1, 0.3)
ENTRIES = {
    "backprop through time": Entry(Backprop, RATES),
    "feedback alignment": Entry(FeedbackAlignment, RATES),
    "DFA": Entry(DFA, RATES),
    "ternary DFA": Entry(TernaryDFA, RATES),
    "DRTP": Entry(DRTP, RATES),
    "tpSGD": Entry(TargetProjection, RATES),
    "frozen control": Entry(Frozen, (0.3, 1.0, 3.0)),
}
ROWS = {"held": 0.16, "grid": True, "rules": tuple(ENTRIES), "entries": ENTRIES}
TASKS = {
    "digits": Task("digits", (Recur(64, 8, 8),), 30, 32, 0.9, (None, 0.16, 10), **ROWS),
    "mnist": Task(
        "mnist", (Recur(128, 28, 28),), 6, 64, 0.85, (12_000, 0.16, 2), limit=12_000, **ROWS
    ),
}


def main() -> None:
    """Print both tables of the set that is asked for, for the rules that are."""
    chosen = sys.argv[1:] or ["digits"]
    task = TASKS[chosen[0]]
    for states in ("last", "all"):
        print(f'{task.name}, states = "{states}":')
        hidden = tuple(replace(layer, states=states) for layer in task.hidden)
        kept = Kept(replace(task, hidden=hidden), RESULTS / states)
        compare(kept, chosen[1:] or list(ENTRIES))


if __name__ == "__main__":
    main()
