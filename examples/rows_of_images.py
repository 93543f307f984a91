"""Images read row by row by a recurrent layer: rules, accuracy, joules.

    python examples/rows_of_images.py digits   # eight rows of eight, 64 units; some minutes
    python examples/rows_of_images.py mnist    # 28 rows of 28, 128 units; most of an hour

Each rule at the best of its rates, three seeds, as in every_rule.py. Once the state after the last
row is read out, once those after every row.
"""

import sys
from dataclasses import replace

from every_rule import Entry, Task, table

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

ENTRIES = {
    "backprop through time": Entry(Backprop, (0.03, 0.1, 0.3)),
    "feedback alignment": Entry(FeedbackAlignment, (0.03, 0.1, 0.3)),
    "DFA": Entry(DFA, (0.03, 0.1, 0.3)),
    "ternary DFA": Entry(TernaryDFA, (0.03, 0.1, 0.3)),
    "DRTP": Entry(DRTP, (0.03, 0.1, 0.3)),
    "tpSGD": Entry(TargetProjection, (0.03, 0.1, 0.3)),
    "frozen control": Entry(Frozen, (0.3, 1.0, 3.0)),
}
TASKS = {
    "digits": Task("digits", (Recur(64, 8, 8),), 30, 32, 0.9, (0.0,)),
    "mnist": Task("mnist", (Recur(128, 28, 28),), 6, 64, 0.85, (0.0,), limit=12000),
}


def main() -> None:
    """Print both tables of the set that is asked for, for the rules that are."""
    chosen = sys.argv[1:] or ["digits"]
    task = TASKS[chosen[0]]
    entries = {name: ENTRIES[name] for name in chosen[1:] or ENTRIES}
    for states in ("last", "all"):
        print(f'{task.name}, states = "{states}":')
        hidden = tuple(replace(layer, states=states) for layer in task.hidden)
        table(replace(task, hidden=hidden), entries)


if __name__ == "__main__":
    main()
