"""Readers: the bytes of a data file become rows, labels and the parts its authors chose."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..devices.arrays import Array

Blobs = Sequence[tuple[str, bytes]]
"""Files as (name, content)."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Raw:
    """A set as its files have it: x (n, features) uint8 or float64, y (n,) int64 from 0.

    `train`, `validation` and `test` are row numbers, empty where the authors made no parts.
    `edges` is (2, E) for a graph, each edge both ways.
    """

    x: Array
    y: Array
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    train: Array
    test: Array
    validation: Array
    edges: Array | None = None
    notes: tuple[str, ...] = ()


_NONE = np.empty(0, np.int64)


def in_order(
    x: Array,
    y: Array,
    shape: tuple[int, ...],
    classes: tuple[str, ...],
    n_train: int,
    notes: tuple[str, ...] = (),
) -> Raw:
    """Return rows of which the first `n_train`, if any, are for training, the rest for test."""
    rows = np.arange(len(y))
    train, test = (rows[:n_train], rows[n_train:]) if 0 < n_train < len(y) else (_NONE, _NONE)
    return Raw(x, y.astype(np.int64), shape, classes, train, test, _NONE, notes=notes)


def idx(blobs: Blobs, classes: tuple[str, ...]) -> Raw:
    """Return gzipped IDX files: train images, train labels, test images, test labels."""
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda blob: _idx(gzip.decompress(blob[1])), blobs))
    x = np.concatenate([arrays[0], arrays[2]])
    y = np.concatenate([arrays[1], arrays[3]])
    return in_order(x.reshape(len(x), -1), y, (1, *x.shape[1:]), classes, len(arrays[0]))


def _idx(blob: bytes) -> Array:
    n_axes = blob[3]
    shape = np.frombuffer(blob, ">u4", n_axes, offset=4).astype(int)
    return np.frombuffer(blob, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def cifar(blobs: Blobs, classes: tuple[str, ...]) -> Raw:
    """Return xz-packed CIFAR-10 records (label, 3 x 32 x 32 bytes); the last file is the test."""
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(lambda blob: lzma.decompress(blob[1]), blobs))
    rows = np.frombuffer(b"".join(parts), np.uint8).reshape(-1, 3073)
    n_train = len(rows) - len(parts[-1]) // 3073
    notes = (f"training part is {len(parts) - 1} of the 5 batches",)
    return in_order(rows[:, 1:], rows[:, 0], (3, 32, 32), classes, n_train, notes)


def table(blobs: Blobs, column: str | None = None, drop: tuple[str, ...] = ()) -> Raw:
    """Return CSV files with one header; two files are the train and the test part.

    Classes are the values of `column` (None: the last), numbered in order. Columns in `drop`
    are left out. A row with an empty cell is left out, and a note counts them. Raises
    ValueError, with line and column, where a feature is not a finite number.
    """
    header: list[str] = []
    rows: list[list[str]] = []
    places: list[str] = []
    n_train = dropped = 0
    for name, blob in blobs:
        n_train = len(rows)
        header, found = _csv(name, blob)
        for line, cells in found:
            if all(cells):
                rows.append(cells)
                places.append(f"{name} line {line}")
            else:
                dropped += 1
    name = blobs[0][0]
    if not rows:
        raise ValueError(f"{name} has no complete row below its header")
    target = header[-1] if column is None else column
    if header.count(target) != 1:
        raise ValueError(
            f"{name} has {header.count(target)} columns called {target!r}; the class takes one "
            f"of: {', '.join(header)}"
        )
    at = header.index(target)
    kept = [j for j, title in enumerate(header) if j != at and title not in drop]
    titles = [header[j] for j in kept]
    x = _numbers([[row[j] for j in kept] for row in rows], places, titles)
    y, classes = _encode([row[at] for row in rows])
    notes = (f"{dropped} rows with an empty cell left out",) if dropped else ()
    return in_order(x, y, (len(kept),), classes, n_train, notes)


def _csv(name: str, blob: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        reader = csv.reader(io.StringIO(blob.decode("utf-8-sig"), newline=""))
        header = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{name} is not a CSV file in UTF-8: {error}") from None
    if len(header) < 2:
        raise ValueError(
            f"{name} has the header {','.join(header)!r}; a table takes commas between cells, "
            "one or more columns of features and one of classes"
        )
    if all(_is_number(cell) for cell in header):
        raise ValueError(f"{name} starts with a row of numbers; it takes a header line first")
    for line, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{name} line {line} has {len(cells)} cells; its header has {len(header)}"
            )
    return header, rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells: list[list[str]], places: Sequence[str], titles: Sequence[str]) -> Array:
    try:
        x = np.array(cells).astype(np.float64)
    except ValueError:
        i, j = next(
            (i, j) for i, row in enumerate(cells) for j, c in enumerate(row) if not _is_number(c)
        )
        raise ValueError(
            f"{places[i]}, column {titles[j]!r} holds {cells[i][j]!r}; features take numbers"
        ) from None
    _finite(x, places.__getitem__, lambda j: repr(titles[j]))
    return x


def _finite(x: Array, row: Callable[[int], str], column: Callable[[int], str]) -> None:
    bad = ~(np.abs(x) <= _LARGEST)
    if bad.any():
        i, j = (int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"{row(i)}, column {column(j)} holds {x[i, j]}; features take finite numbers that "
            f"float32 can hold ({np.count_nonzero(bad)} cells do not)"
        )


def _encode(labels: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    if all(_is_number(label) for label in labels):
        values, y = np.unique(np.array(labels).astype(np.float64), return_inverse=True)
        if not np.isfinite(values).all():
            raise ValueError(
                f"a class is called {values[-1]}; classes take names or finite numbers"
            )
        return y, tuple(str(int(v)) if v.is_integer() else repr(float(v)) for v in values)
    names, y = np.unique(np.array(labels), return_inverse=True)
    return y, tuple(str(name) for name in names)


def arrays(name: str, blob: bytes) -> Raw:
    """Return a user's npz: x (n, features), (n, h, w) or (n, channels, h, w), and y (n,).

    Labels are whole numbers, each of 0 .. n_classes - 1 present. Raises ValueError else.
    """
    held = npz(name, blob, ("x", "y"))
    x, y = held["x"], held["y"]
    if x.dtype.kind not in "buif" or x.ndim not in (2, 3, 4) or x.size == 0:
        raise ValueError(
            f"x of {name} is {x.dtype} {x.shape}; it takes numbers of shape (n, features), "
            "(n, height, width) or (n, channels, height, width)"
        )
    if y.dtype.kind not in "bui" or y.ndim != 1:
        raise ValueError(f"y of {name} is {y.dtype} {y.shape}; it takes whole numbers (n,)")
    if len(x) != len(y):
        raise ValueError(f"{name} has {len(x)} rows in x and {len(y)} in y; it takes as many")
    if y.min() < 0:
        raise ValueError(
            f"y of {name} holds {y.min()} in row {int(np.argmin(y))}; labels take 0, 1, 2, ..."
        )
    present = np.unique(y)
    gap = np.flatnonzero(present != np.arange(len(present)))
    if gap.size:
        raise ValueError(
            f"y of {name} reaches {present[-1]} but class {gap[0]} has no row; labels take "
            "0, 1, 2, ... with none left out"
        )
    shape = (1, *x.shape[1:]) if x.ndim == 3 else x.shape[1:]
    x = x.reshape(len(x), -1)
    if x.dtype != np.uint8:
        x = x.astype(np.float64)
        _finite(x, lambda i: f"{name} row {i}", str)
    return in_order(x, y, shape, tuple(str(k) for k in present), 0)


def npz(name: str, blob: bytes, needed: tuple[str, ...]) -> dict[str, Array]:
    """Return the arrays called `needed` of an npz. Raises ValueError where it is none, or cut."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            missing = [key for key in needed if key not in file]
            if not missing:
                return {key: file[key] for key in needed}
            held = ", ".join(file)
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{name} is not an npz file of plain arrays, or is cut short") from error
    raise ValueError(f"{name} holds {held}; it takes arrays called {' and '.join(needed)}")


def planetoid(blobs: Blobs, classes: tuple[str, ...]) -> Raw:
    """Return a citation graph: every node is a row, the parts are the authors' masks."""
    part = ("train_mask", "test_mask", "val_mask")
    feat = ("feat_indptr", "feat_indices", "feat_data", "feat_shape")
    held = npz(*blobs[0], ("edge_index", "labels", *part, *feat))
    indptr, indices, data, shape = (held[key] for key in feat)
    x = np.zeros(tuple(shape), np.float64)
    x[np.repeat(np.arange(len(x)), np.diff(indptr)), indices] = data
    train, test, validation = (np.flatnonzero(held[key]) for key in part)
    y = held["labels"].astype(np.int64)
    return Raw(x, y, x.shape[1:], classes, train, test, validation, held["edge_index"])
