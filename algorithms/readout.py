"""Linear readouts of a fixed reservoir's states: ridge regression and softmax, by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..devices.arrays import Array

STRENGTHS = tuple(10.0 ** (k / 2) for k in range(2, 9))
"""Ridge penalties from 10 to 10,000 that leave-one-out on the training rows chooses from."""


def ridge() -> Any:
    """Return a ridge classifier on standardised states, its penalty chosen by leave-one-out."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifierCV(STRENGTHS))


def softmax(penalty: float = 100.0) -> Any:
    """Return softmax regression on standardised states, penalised by |w|^2 penalty / 2.

    Raises ValueError for a penalty not above 0.
    """
    if not 0 < penalty < float("inf"):
        raise ValueError(f"penalty takes a finite number above 0, got {penalty!r}")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / penalty, tol=1e-3, max_iter=500)
    )


READOUTS: dict[str, Callable[[], Any]] = {"ridge": ridge, "softmax": softmax}
"""Every readout by its name."""


def held_out(readout: Callable[[], Any], states: Array, labels: Array, folds: Array) -> Array:
    """Return which rows (n,) a readout labels rightly when their fold is left out of training.

    states is (n, features), labels and folds (n,). Raises ValueError for arrays of other lengths,
    and for fewer than two folds.
    """
    if not len(states) == len(labels) == len(folds):
        sizes = f"{len(states)}, {len(labels)} and {len(folds)}"
        raise ValueError(f"states, labels and folds take as many rows, got {sizes}")
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise ValueError(f"folds takes two numbers or more, got {numbers.tolist()}")
    right = np.zeros(len(labels), bool)
    for fold in numbers:
        out = folds == fold
        model = readout().fit(states[~out], labels[~out])
        right[out] = model.predict(states[out]) == labels[out]
    return right


def stratified(labels: Array, folds: int, rng: np.random.Generator) -> Array:
    """Return a fold (n,) for every row, each holding its share of every label (n,)."""
    fold = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
