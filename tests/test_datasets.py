"""Files of known data sets: where they are looked for, checked, and fetched from."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest

from hwloop.devices.seeds import Seed
from hwloop.sim import datasets
from hwloop.sim.data import load
from hwloop.sim.datasets import KNOWN, SHA256, data_directory

SEED = Seed(5)


def test_missing_file_says_where_it_looked_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWLOOP_DATA_DIR", str(tmp_path))
    for name, hint in (("mnist", "download=True"), ("seeds", "UCI Machine Learning Repository")):
        with pytest.raises(ValueError, match=hint) as error:
            load(name, seed=SEED)
        for word in (KNOWN[name].files[0], str(tmp_path), "HWLOOP_DATA_DIR"):
            assert word in str(error.value)
    with pytest.raises(ValueError, match="seeds needs the file uci/seeds.csv"):
        load("seeds", seed=SEED, download=True)


def test_directory_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uci").mkdir()
    text = b"a,kind\n" + b"1,x\n2,y\n" * 8
    (tmp_path / "uci" / "seeds.csv").write_bytes(text)
    monkeypatch.setenv("HWLOOP_DATA_DIR", str(tmp_path / "nowhere"))
    assert data_directory() == tmp_path / "nowhere"
    monkeypatch.setitem(SHA256, "uci/seeds.csv", hashlib.sha256(text).hexdigest())
    assert len(load("seeds", seed=SEED, directory=tmp_path).y) == 16


def test_file_cut_short_is_named_with_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "uci").mkdir()
    (tmp_path / "uci" / "seeds.csv").write_text("area,perimeter\n1,")
    with pytest.raises(ValueError, match="is cut short or is another file: 17 bytes") as error:
        load("seeds", seed=SEED, directory=tmp_path)
    assert f"expected sha256 {SHA256['uci/seeds.csv']}; delete it and" in str(error.value)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder from which pooch fetches a small MNIST of the same format."""
    import pooch

    folder = tmp_path / "remote"
    folder.mkdir()
    for path, n in zip(KNOWN["mnist"].files, (40, 40, 20, 20), strict=True):
        image = "images" in path
        values = np.arange(n * 16 if image else n) % 10
        shape = (n, 4, 4) if image else (n,)
        head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        blob = gzip.compress(head + values.astype(np.uint8).tobytes())
        (folder / Path(path).name).write_bytes(blob)
        monkeypatch.setitem(SHA256, path, hashlib.sha256(blob).hexdigest())

    def copy(url: str, target: str, _: object) -> None:
        if not url.startswith("https://ossci-datasets.s3.amazonaws.com/mnist/"):
            raise ValueError(url)
        shutil.copyfile(folder / Path(urlparse(url).path).name, target)

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda url, progressbar: copy)
    return folder


def test_download_fetches_checks_and_reads(tmp_path: Path, remote: Path) -> None:
    local = tmp_path / "local"
    data = load("mnist", seed=SEED, directory=local, download=True)
    assert data.shape == (1, 4, 4)
    assert (len(data.train), len(data.test)) == (40, 20)
    assert data.y.tolist() == [*(i % 10 for i in range(40)), *(i % 10 for i in range(20))]
    shutil.rmtree(remote)
    assert load("mnist", seed=SEED, directory=local, download=True).x.tolist() == data.x.tolist()


def test_download_replaces_a_file_cut_short_and_refuses_another(
    tmp_path: Path, remote: Path
) -> None:
    local = tmp_path / "local"
    first = KNOWN["mnist"].files[0]
    (local / "mnist").mkdir(parents=True)
    (local / first).write_bytes(b"half")
    load("mnist", seed=SEED, directory=local, download=True)
    shutil.rmtree(local)
    (remote / Path(first).name).write_bytes(b"another")
    with pytest.raises(ValueError, match=f"{Path(first).name} could not be fetched to"):
        load("mnist", seed=SEED, directory=local, download=True)
    assert not (local / first).exists()
    shutil.rmtree(remote)
    with pytest.raises(ValueError, match="could not be fetched to"):
        load("mnist", seed=SEED, directory=local, download=True)


def test_without_a_folder_data_lie_in_the_cache_of_pooch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    monkeypatch.delenv("HWLOOP_DATA_DIR", raising=False)
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "package" / "sim" / "datasets.py"))
    assert data_directory() == Path(pooch.os_cache("hwloop"))
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert data_directory() == tmp_path / "shared" / "data"


def test_importing_the_module_imports_no_data_library() -> None:
    heavy = "'sklearn', 'pooch', 'scipy', 'pandas', 'torch', 'numba'"
    code = f"import sys, hwloop.sim.data; print([m for m in ({heavy},) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
