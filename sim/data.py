"""Data sets by name: rows, labels, and parts that depend on a seed's name only."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from ..devices.arrays import Array
from ..devices.seeds import Seed
from . import data_formats as formats
from .data_formats import Raw
from .data_parts import Part, parts_of
from .datasets import KNOWN, Scale, fetch

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NAMES: tuple[str, ...] = (*KNOWN, "csv", "npz")
"""What `load` takes; "csv" and "npz" are files of the user's own."""

_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Data:
    """A classification set.

    x : (n, features) float32, scaled; rows stand as in the file, train rows before test rows.
    y : (n,) int64, 0 .. n_classes - 1.
    train, validation, test : rows of each part, int64, ascending and disjoint. A file may be
        sorted by class, so shuffle before cutting batches. With a limit they leave rows out.
    shape : (channels, height, width) of a row that is an image, else (features,).
    graph : None, or D^-1/2 (A + I) D^-1/2 in float32 (Kipf & Welling, arXiv:1609.02907), over
        all n nodes: training sees the features of every node and the labels of `train`.
    sha256 : lines as sha256sum writes and checks them, or scikit-learn's version.
    classes : what each label was called.  notes : what was left out on the way.
    """

    name: str
    x: Array
    y: Array
    train: Array
    validation: Array
    test: Array
    n_classes: int
    shape: tuple[int, ...]
    graph: csr_array | None
    licence: str
    source: str
    sha256: str
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    def part(self, part: Part) -> tuple[Array, Array]:
        """Return copies of x (rows, features) and y (rows,) of one part."""
        rows = {"train": self.train, "validation": self.validation, "test": self.test}[part]
        return self.x[rows], self.y[rows]


def load(
    name: str,
    *,
    seed: Seed,
    limit_train: int | None = None,
    limit_test: int | None = None,
    validation: float = 0.0,
    scale: Scale | None = None,
    directory: Path | None = None,
    download: bool = False,
    path: Path | None = None,
    column: str | None = None,
) -> Data:
    """Return the data set `name`, one of NAMES, checked and scaled.

    Sets with official parts keep them; the others are split 75 to 25, stratified, by
    `seed.child("split")`. `limit_train` and `limit_test` keep so many rows of a part, stratified
    (a smaller limit takes a subset of a larger one's rows). Then the fraction `validation` of
    the training part is set aside, stratified.

    `scale` is "unit" (divided by full scale: 255, or 16 for digits), "standard" (mean 0, std 1)
    or "minmax" (0 to 1), both measured on the train part alone and a feature constant there
    becoming 0, or "none". None takes "unit" for images, "none" for graphs, else "standard".

    Files are looked for in `directory`, by default HWLOOP_DATA_DIR; `download` fetches those
    with a stable official address. "csv" and "npz" read the file at `path`: a table whose class
    is `column` (default: the last), or arrays x and y.

    Raises ValueError where an argument, a file or what it holds does not fit.
    """
    _check_arguments(name, limit_train, limit_test, validation, scale, path, column)
    if path is not None:
        raw, sha256 = _own(name, Path(path), column)
        image = len(raw.shape) == 3 and raw.x.dtype == np.uint8
        full_scale: float | None = 255 if raw.x.dtype == np.uint8 else None
        default: Scale = "unit" if image else "standard"
        licence, source = "the user's own", Path(path).name
    else:
        raw, sha256 = fetch(name, directory, download)
        full_scale, default = KNOWN[name].full_scale, KNOWN[name].scale
        licence, source = KNOWN[name].licence, KNOWN[name].source
    parts = parts_of(name, raw, seed, limit_train, limit_test, validation)
    return Data(
        name=name,
        x=_scaled(name, raw.x, parts["train"], scale or default, full_scale),
        y=raw.y,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        n_classes=len(raw.classes),
        shape=raw.shape,
        graph=None if raw.edges is None else normalised_adjacency(raw.edges, len(raw.y)),
        licence=licence,
        source=source,
        sha256=sha256,
        classes=raw.classes,
        notes=raw.notes,
    )


def _check_arguments(
    name: str,
    limit_train: int | None,
    limit_test: int | None,
    validation: float,
    scale: Scale | None,
    path: Path | None,
    column: str | None,
) -> None:
    if name not in NAMES:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), NAMES, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        raise ValueError(f"there is no data set {name!r}{hint} Known: {', '.join(NAMES)}")
    for what, limit in (("limit_train", limit_train), ("limit_test", limit_test)):
        if limit is not None and limit < 1:
            raise ValueError(f"{what} is {limit}; it takes one row or more, or None for all")
    if not 0 <= validation < 1:
        raise ValueError(f"validation is {validation}; it takes a fraction from 0 to below 1")
    if scale is not None and scale not in get_args(Scale):
        raise ValueError(f"scale is {scale!r}; it takes one of {', '.join(get_args(Scale))}")
    if (path is None) == (name in ("csv", "npz")):
        raise ValueError(
            f"data set {name!r} {'takes' if path is None else 'takes no'} path: "
            "'csv' and 'npz' read the file at `path`, all others are found by their name"
        )
    if column is not None and name != "csv":
        raise ValueError(f"data set {name!r} takes no column; 'csv' does")


def _own(name: str, path: Path, column: str | None) -> tuple[Raw, str]:
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    digest = f"{hashlib.sha256(blob).hexdigest()}  {path.name}"
    if name == "csv":
        return formats.table([(path.name, blob)], column), digest
    return formats.arrays(path.name, blob), digest


def _scaled(name: str, x: Array, train: Array, scale: Scale, full_scale: float | None) -> Array:
    if scale == "none":
        return x.astype(np.float32)
    if scale == "unit":
        if full_scale is None:
            raise ValueError(
                f"scale is 'unit', which divides by a full scale, and {name} has none; "
                "it takes 'standard', 'minmax' or 'none'"
            )
        return np.divide(x, np.float32(full_scale), dtype=np.float32)
    part = x[train]
    low, high = part.min(axis=0), part.max(axis=0)
    if scale == "minmax":
        shift = low.astype(np.float64)
        span = high - shift
    else:
        shift = part.mean(axis=0, dtype=np.float64)
        blocks = range(0, len(part), _BLOCK)
        squares = sum(np.square(part[i : i + _BLOCK] - shift).sum(axis=0) for i in blocks)
        span = np.sqrt(squares / len(part))
    gain = np.divide(1.0, span, out=np.zeros_like(span), where=low < high)
    scaled = np.empty(x.shape, np.float32)
    for i in range(0, len(x), _BLOCK):
        scaled[i : i + _BLOCK] = (x[i : i + _BLOCK] - shift) * gain
    return scaled


def normalised_adjacency(edges: Array, n: int) -> csr_array:
    """Return D^-1/2 (A + I) D^-1/2 as float32 (n, n); `edges` is (2, E), each edge both ways.

    D is the diagonal of the row sums of A + I, so the largest eigenvalue is 1. Source: Kipf &
    Welling, arXiv:1609.02907, equation 2.
    """
    from scipy.sparse import coo_array, csr_array

    loops = np.arange(n)
    rows, columns = np.concatenate([edges[0], loops]), np.concatenate([edges[1], loops])
    degree = np.bincount(rows, minlength=n)
    values = 1 / np.sqrt(degree[rows] * degree[columns].astype(np.float64))
    matrix = coo_array((values.astype(np.float32), (rows, columns)), shape=(n, n))
    return csr_array(matrix)
