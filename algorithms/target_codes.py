"""Target embeddings: a short code stands for each class in place of an output of its own.

Rodriguez, Bautista, Gonzalez, Escalera, "Beyond one-hot encoding: lower dimensional target
embedding", Image and Vision Computing 75, 2018, arXiv:1806.10805. Theirs, by the abstract: random
projections of the labels, and a normalised eigenrepresentation of the class manifold; the output
learns the code, and the nearest code answers. Ours, where the paper's details were not at hand:
the similarity of two classes is a Gaussian of the distance of their mean training features, as
wide as the median distance; its eigenvectors of the largest eigenvalues keep length 1 each; all
codes are scaled by one factor to a mean square length of 1, that of one-hot's; and the losses are
half the squared distance, or 1 - cosine.
"""

from __future__ import annotations

import numpy as np

from ..devices import Seed
from ..devices.arrays import Array
from ..devices.host import Host
from ..devices.ledger import Ledger
from .base import Algorithm


def random_codes(projected: Array) -> Array:
    """Return codes (n_classes, dimensions) from randomly projected one-hot labels of that shape."""
    return _scaled(projected)


def drawn(n_classes: int, dimensions: int, seed: Seed) -> Array:
    """Return one-hot labels projected by Gaussian entries: (n_classes, dimensions)."""
    return seed.child("codes").rng().standard_normal((n_classes, dimensions), np.float32)


def eigen_codes(x: Array, y: Array, n_classes: int, dimensions: int) -> Array:
    """Return codes (n_classes, dimensions) by the similarity of the classes of x (n, features).

    Every class of y (n,), 0 to n_classes - 1, must be there. With as many dimensions as classes
    the codes are orthonormal.
    """
    means = np.stack([x[y == c].mean(0, dtype=np.float64) for c in range(n_classes)])
    squared = ((means[:, None] - means[None]) ** 2).sum(2)
    width = np.median(squared[~np.eye(n_classes, dtype=bool)])
    similarity = np.exp(-squared / max(width, 1e-30))
    _, vectors = np.linalg.eigh(similarity)
    top = vectors[:, ::-1][:, :dimensions]
    largest = top[np.abs(top).argmax(0), np.arange(dimensions)]
    return _scaled(top * np.sign(largest))  # an eigenvector's own sign is nobody's choice


def _scaled(codes: Array) -> Array:
    size = float((codes.astype(np.float64) ** 2).sum(1).mean()) ** 0.5
    return np.ascontiguousarray(codes / max(size, 1e-30), np.float32)


def check_rule(algorithm: Algorithm) -> None:
    """Raise ValueError where a rule, or its loss, cannot teach codes; the first word is the key."""
    name = type(algorithm).__name__
    if not algorithm.takes_codes:
        raise ValueError(
            f"rule {name} learns from the class itself and not from an error at the output, which "
            "is what a code changes: leave out [target]"
        )
    if not algorithm.loss.takes_codes:
        raise ValueError(
            'loss takes "mean_square" or "cosine" under [target], whose codes are no probabilities'
        )


def check_codes(algorithm: Algorithm, codes: Array) -> None:
    """Raise ValueError where two codes (n_classes, dimensions) cannot be told apart by the loss."""
    scores = algorithm.loss.closeness(Host(Ledger(), "ideal"), codes, codes)
    right = np.diagonal(scores)[:, None]
    for one, other in zip(*np.nonzero(scores > right - 1e-6), strict=True):
        if one != other:
            raise ValueError(
                f"dimensions is {codes.shape[1]}, where the codes of classes {one} and {other} "
                "cannot be told apart: take more"
            )
