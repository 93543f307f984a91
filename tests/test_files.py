"""Files of a run are written whole or not at all, and read with a sentence where they are not."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from hwloop.sim import files
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.files import (
    json_text,
    plain,
    read_arrays,
    read_json,
    write,
    write_arrays,
    write_json,
)
from hwloop.sim.folders import EXPERIMENT, new_folder, open_run


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


# ---- one file -------------------------------------------------------------------------


def test_a_file_is_written_whole_with_the_rights_of_any_other(tmp_path: Path):
    path = tmp_path / "a" / "b.txt"
    write(path, "ä\n")
    write(path, "ö\n")
    assert path.read_bytes() == "ö\n".encode()
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_write_that_fails_leaves_the_old_file_alone(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.txt"
    write(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(BadInput, match=r"a\.txt cannot be written: No space left on device"):
        write(path, "new")
    assert everything(tmp_path) == {"a.txt": b"old"}


def test_a_write_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        write(tmp_path / "file" / "a.txt", "new")


def test_json_says_what_it_can_of_numbers_that_are_none(tmp_path: Path):
    value = {"a": [math.nan, math.inf, -math.inf, 1.5], "b": (1, None)}
    assert plain(value) == {"a": [None, "inf", "-inf", 1.5], "b": [1, None]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == json.loads(json_text(value)) == plain(value)


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[" * 10**5, b"{'a': 1}"])
def test_what_is_not_json_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.json is not JSON, perhaps cut short"):
        read_json(tmp_path / "a.json")
    with pytest.raises(BadInput, match=r"b\.json cannot be read: No such file"):
        read_json(tmp_path / "b.json")


def test_arrays_come_back_with_shape_and_dtype(tmp_path: Path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "b": np.zeros((0, 4), np.float32),
        "c": np.array([2**60], np.int64),
    }
    write_arrays(tmp_path / "a.safetensors", arrays, {"says": "ä"})
    found, metadata = read_arrays(tmp_path / "a.safetensors")
    assert metadata == {"says": "ä"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_what_is_not_safetensors_is_refused(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"a": np.zeros(100)}, {})
    whole = path.read_bytes()
    for cut in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadInput, match="is not a whole safetensors file"):
            read_arrays(path)
    path.unlink()
    with pytest.raises(BadInput, match="is not there"):
        read_arrays(path)


# ---- the folder of a run --------------------------------------------------------------

NAMED = parse({"name": "Digits, by light!"})


def test_a_run_without_a_folder_gets_one_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = [new_folder(NAMED, None) for _ in range(3)]
    assert [str(f) for f in found] == [f"runs/digits--by-light{n}" for n in ("", "-2", "-3")]
    assert open_run(found[2]).digest == NAMED.digest
    long = new_folder(parse({"name": "x" * 500}), None)
    assert len(long.name) == 60
    assert new_folder(parse({"name": "ŋ/.."}), None).parent == Path("runs")


def test_a_folder_that_holds_something_stays_as_it_is(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = everything(tmp_path)
    for name in ("out", "file"):
        with pytest.raises(BadInput, match="is not empty and stays as it is: give another --out$"):
            new_folder(NAMED, tmp_path / name)
    assert everything(tmp_path) == before
    run = new_folder(NAMED, tmp_path / "run")
    with pytest.raises(BadInput, match=f"go on with it by hwloop run --resume {run}"):
        new_folder(NAMED, run)
    (tmp_path / "empty").mkdir()
    assert new_folder(NAMED, tmp_path / "empty").is_dir()


def test_a_folder_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    before = everything(tmp_path)
    with pytest.raises(BadInput, match="cannot be written: Not a directory"):
        new_folder(NAMED, tmp_path / "file" / "run")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(BadInput, match="No space left on device"):
        new_folder(NAMED, tmp_path / "a" / "b" / "run")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="No space left on device"):
        new_folder(NAMED, None)
    assert everything(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_refused(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    with pytest.raises(BadInput, match="cannot be written: Permission denied"):
        new_folder(NAMED, closed / "run")
    closed.chmod(0o000)
    with pytest.raises(BadInput, match="Permission denied"):
        new_folder(NAMED, closed / "run")
    closed.chmod(0o700)


def test_a_folder_that_is_no_run_is_named_with_the_nearest(tmp_path: Path):
    new_folder(NAMED, tmp_path / "digits")
    with pytest.raises(BadInput, match=f"holds no {EXPERIMENT}; did you mean {tmp_path}/digits?"):
        open_run(tmp_path / "digit")
    with pytest.raises(BadInput, match="is no run of hwloop"):
        open_run(tmp_path / "digits" / EXPERIMENT)
