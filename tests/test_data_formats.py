"""A user's own tables and arrays: what is read, and what is refused in a sentence."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.devices.seeds import Seed
from hwloop.sim.data import load

SEED = Seed(5)
TABLE = "a,b,kind\n" + "".join(f"{i},{i * i},{'yes' if i % 3 else 'no'}\n" for i in range(40))


def csv(folder: Path, text: str, **options: Any) -> Any:
    (folder / "own.csv").write_text(text, encoding="utf-8")
    return load("csv", seed=SEED, path=folder / "own.csv", **options)


def npz(folder: Path, **arrays: Any) -> Any:
    np.savez(folder / "own.npz", **arrays)
    return load("npz", seed=SEED, path=folder / "own.npz")


def test_own_table(tmp_path: Path) -> None:
    data = csv(tmp_path, "\ufeff" + TABLE.replace("\n", "\r\n") + "\n\n", scale="none")
    assert data.x.tolist() == [[i, i * i] for i in range(40)]
    assert data.classes == ("no", "yes")
    assert data.y.tolist() == [int(i % 3 > 0) for i in range(40)]
    assert data.shape == (2,)
    assert (len(data.train), len(data.test)) == (30, 10)
    digest = hashlib.sha256((tmp_path / "own.csv").read_bytes()).hexdigest()
    assert data.sha256 == f"{digest}  own.csv"


def test_own_table_by_a_named_column_with_numbers_in_order(tmp_path: Path) -> None:
    rows = "".join(f'{label},"{i}",{i}\n' for i in range(8) for label in (10, 9, -1.5))
    data = csv(tmp_path, "class,x,z\n" + rows, column="class", scale="none")
    assert data.classes == ("-1.5", "9", "10")
    assert data.y.tolist() == [2, 1, 0] * 8
    assert data.x[:, 0].tolist() == data.x[:, 1].tolist()


def test_rows_with_empty_cells_are_left_out_and_counted(tmp_path: Path) -> None:
    data = csv(tmp_path, TABLE + "1,,yes\n1, ,no\n2,3,\n", scale="none")
    assert len(data.y) == 40
    assert data.notes == ("3 rows with an empty cell left out",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE + "1,nan,yes\n", "own.csv line 42, column 'b' holds nan"),
        (TABLE + "-inf,1,yes\n", "own.csv line 42, column 'a' holds -inf"),
        (TABLE + "1,1e39,yes\n", "own.csv line 42, column 'b' holds 1e+39"),
        (TABLE + "1,red,yes\n", "own.csv line 42, column 'b' holds 'red'; features take numbers"),
        (TABLE + "1,2\n", "own.csv line 42 has 2 cells; its header has 3"),
        (TABLE.replace("no", "yes"), "every row of csv is of class 'yes'"),
        ("a;b;c\n1;2;3\n", "own.csv has the header 'a;b;c'; a table takes commas"),
        ("", "own.csv has the header ''"),
        ("a,b\n", "no complete row"),
        ("1,2,3\n4,5,6\n", "it takes a header line first"),
        ("a,k,k\n4,5,6\n", "2 columns called 'k'"),
        ("a,k\n1,2\n1,nan\n", "a class is called nan"),
        ("a,k\n1,x\n1,y\n", "has no row among the 1 of the training part"),
    ],
)
def test_table_refuses(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        csv(tmp_path, text)


def test_table_refuses_other_bytes_and_other_columns(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes(b"a,b\n\xff,1\n")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        load("csv", seed=SEED, path=tmp_path / "own.csv")
    with pytest.raises(ValueError, match="0 columns called 'Kind'.*one of: a, b, kind"):
        csv(tmp_path, TABLE, column="Kind")
    with pytest.raises(ValueError, match="'unit', which divides by a full scale"):
        csv(tmp_path, TABLE, scale="unit")


X, Y = np.arange(48.0).reshape(12, 4), np.arange(12) % 3


def test_own_arrays(tmp_path: Path) -> None:
    assert npz(tmp_path, x=X, y=Y).shape == (4,)
    pixels = np.full((12, 5, 4), 51, np.uint8)
    image = npz(tmp_path, x=pixels, y=Y.astype(np.uint8))
    assert image.shape == (1, 5, 4)
    np.testing.assert_allclose(image.x, 0.2)
    assert image.y.dtype == np.int64
    assert npz(tmp_path, x=pixels.reshape(12, 5, 2, 2), y=Y).shape == (5, 2, 2)
    assert npz(tmp_path, x=X, y=Y > 0).classes == ("False", "True")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.where(X == 13, np.nan, X), Y, "own.npz row 3, column 1 holds nan"),
        (np.where(X == 46, -np.inf, X), Y, "own.npz row 11, column 2 holds -inf"),
        (X, Y - 1, "y of own.npz holds -1 in row 0"),
        (X, Y * 2, "reaches 4 but class 1 has no row"),
        (X, Y + 10**12, "class 0 has no row"),
        (X, Y[:-1], "12 rows in x and 11 in y"),
        (X, Y * 0, "every row of npz is of class '0'"),
        (X, Y.astype(float), "y of own.npz is float64 (12,); it takes whole numbers"),
        (X, Y[:, None], "y of own.npz is int64 (12, 1)"),
        (X * 1j, Y, "x of own.npz is complex128"),
        (X[:, 0], Y, "x of own.npz is float64 (12,)"),
        (X[:0], Y[:0], "x of own.npz is float64 (0, 4)"),
        (X.astype(object), Y, "is not an npz file of plain arrays"),
    ],
)
def test_arrays_refuse(tmp_path: Path, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        npz(tmp_path, x=x, y=y)


def test_npz_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own.npz holds x, label; it takes arrays called x and y"):
        npz(tmp_path, x=X, label=Y)
    path = tmp_path / "own.npz"
    np.savez(path, x=X, y=Y)
    whole = path.read_bytes()
    for blob in (b"", b"not a zip", whole[: len(whole) // 2]):
        path.write_bytes(blob)
        with pytest.raises(ValueError, match="own.npz is not an npz file of plain arrays"):
            load("npz", seed=SEED, path=path)
    with pytest.raises(ValueError, match="none.npz cannot be read: No such file"):
        load("npz", seed=SEED, path=tmp_path / "none.npz")
