"""Event recordings and spoken digits: read as written, conserved by binning, refused when cut."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from hwloop.devices.cochlea import Cochlea
from hwloop.sim.datasets import data_directory
from hwloop.sim.event_data import SPAN_US, Events, nmnist, nmnist_bin
from hwloop.sim.speech_data import spoken_digits

rng = np.random.default_rng(0)
FOLDER = data_directory()
RECORDINGS = FOLDER / "events" / "nmnist_1000train_100test.npz"
RAW = FOLDER / "events" / "nmnist_sample_bin.zip"
CLIPS = FOLDER / "audio" / "fsdd_1200.npz"


def there(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.is_file(), reason=f"{path.name} is not in HWLOOP_DATA_DIR")


def events(n: int = 500) -> Events:
    t = np.sort(rng.integers(0, SPAN_US + 100, n))
    t[n // 2 :] = np.sort(t[n // 2 :] % SPAN_US)
    x, y, p = rng.integers(0, 34, n), rng.integers(0, 34, n), rng.integers(0, 2, n)
    return Events(x, y, p, t, np.array([0, n // 2, n]), np.array([3, 7]))


def raw(x, y, p, t) -> bytes:
    words = [x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255]
    return np.stack(words, axis=1).astype(np.uint8).tobytes()


def test_binning_keeps_every_event_of_the_crop():
    found = events()
    for crop in (34, 16, 1):
        for polarity in (None, 0, 1):
            counts = found.frames(20, crop, polarity)
            assert counts.shape == (2, 20, crop * crop)
            keep = found.within(crop) & (True if polarity is None else found.p == polarity)
            assert counts.sum() == keep.sum()
    assert found.frames(20, 34).sum() == 500


def test_an_event_falls_on_its_pixel_and_step():
    at = Events(*(np.array([k]) for k in (9, 24, 1, 2 * SPAN_US // 5)), np.array([0, 1]), [4])
    [[recording, step, pixel]] = np.argwhere(at.frames(5, 16))
    assert (recording, step, pixel) == (0, 2, 15 * 16 + 0)


def test_raw_recordings_are_read_as_written(tmp_path):
    x, y, p = rng.integers(0, 34, 50), rng.integers(0, 34, 50), rng.integers(0, 2, 50)
    t = np.sort(rng.integers(0, 1 << 18, 50))
    file = tmp_path / "6" / "00001.bin"
    file.parent.mkdir()
    file.write_bytes(raw(x, y, p, t))
    found = nmnist_bin([file, file])
    assert found.labels.tolist() == [6, 6]
    assert found.offsets.tolist() == [0, 50, 100]
    for got, expected in zip((found.x, found.y, found.p, found.t), (x, y, p, t), strict=True):
        np.testing.assert_array_equal(got[:50], expected)


def test_overflow_markers_move_all_later_times(tmp_path):
    file = tmp_path / "0" / "a.bin"
    file.parent.mkdir()
    columns = np.array([[1, 1, 1, 10], [0, 240, 0, 0], [2, 2, 0, 5]]).T
    file.write_bytes(raw(*columns))
    found = nmnist_bin([file])
    assert found.t.tolist() == [10, 8192 + 5]
    assert found.x.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (raw(*np.ones((4, 3), int))[:-1], "a.bin has 14 bytes, and an event takes 5"),
        (b"", "a.bin has 0 bytes"),
        (raw(*np.array([[40, 1, 1, 1]]).T), "x of number 0 is 40; N-MNIST takes 0 to 33"),
        (raw(*np.array([[1, 1, 1, 9], [1, 1, 1, 2]]).T), "event 1 is earlier than the one before"),
    ],
)
def test_recordings_that_are_none_are_refused(tmp_path, content, says):
    file = tmp_path / "0" / "a.bin"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        nmnist_bin([file])


def test_what_is_not_there_or_has_no_digit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a.bin cannot be read: No such file"):
        nmnist_bin([tmp_path / "0" / "a.bin"])
    with pytest.raises(ValueError, match="the folder of a recording is its digit"):
        nmnist_bin([tmp_path / "nine" / "a.bin"])
    with pytest.raises(ValueError, match="crop takes 1 to 34 pixels, got 35"):
        events().frames(5, 35)
    with pytest.raises(ValueError, match="steps takes a whole number from 1, got 0"):
        events().frames(0, 5)


def archive(path: Path, **changed) -> Path:
    one = {"x": [1, 2], "y": [3, 4], "p": [0, 1], "t": [5, 6], "offsets": [0, 2], "labels": [9]}
    arrays = {f"test_{k}": np.array(v) for k, v in {**one, **changed}.items()}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"offsets": [0, 3]}, "test_offsets takes 2 numbers that rise from 0 to 2"),
        ({"x": [1]}, "has 1, 2, 2 and 2 events in x, y, p and t"),
        ({"labels": [10]}, "labels of number 0 is 10; N-MNIST takes 0 to 9"),
        ({"t": [6, 5]}, "event 1 is earlier than the one before"),
    ],
)
def test_archives_that_are_cut_are_refused(tmp_path, changed, says):
    assert len(nmnist(archive(tmp_path / "good.npz"), "test")) == 1
    with pytest.raises(ValueError, match=says):
        nmnist(archive(tmp_path / "bad.npz", **changed), "test")
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut.npz is not an npz file of plain arrays, or is cut"):
        nmnist(tmp_path / "cut.npz", "test")


def clips(path: Path, **changed) -> Path:
    one = {"audio": np.arange(900, dtype=np.int16), "offsets": [0, 400, 900], "labels": [1, 2]}
    more = {"speaker": [0, 1], "is_test": [False, True], "sample_rate": 8000}
    np.savez(path, **{**one, **more, **changed})
    return path


def test_clips_are_read_and_heard(tmp_path):
    speech = spoken_digits(clips(tmp_path / "a.npz"))
    assert len(speech) == 2
    assert speech.sample_rate_Hz == 8000
    assert speech.spikes(Cochlea(channels=8), 20).shape == (2, 20, 8)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"audio": np.zeros(900)}, "audio of a.npz is float64"),
        ({"offsets": [0, 400, 901]}, "offsets of a.npz take 3 numbers that rise from 0 to 900"),
        ({"offsets": [0, 900, 900]}, "offsets of a.npz take 3 numbers"),
        ({"speaker": [0]}, "takes a speaker and is_test for each of its 2 labels"),
        ({"sample_rate": 0}, "sample_rate of a.npz is 0"),
    ],
)
def test_clips_that_are_cut_are_refused(tmp_path, changed, says):
    with pytest.raises(ValueError, match=says):
        spoken_digits(clips(tmp_path / "a.npz", **changed))


@there(RAW)
@there(RECORDINGS)
def test_the_shared_archive_holds_the_raw_recordings(tmp_path):
    with zipfile.ZipFile(RAW) as file:
        names = sorted((n for n in file.namelist() if "/Test/" in n), key=lambda n: Path(n).stem)
        file.extractall(tmp_path, names[:20])
    found = nmnist_bin([tmp_path / name for name in names[:20]])
    shared = nmnist(RECORDINGS, "test")
    assert found.labels.tolist() == shared.labels[:20].tolist()
    for field in ("x", "y", "p", "t"):
        whole = getattr(shared, field)[: found.offsets[-1]]
        np.testing.assert_array_equal(getattr(found, field), whole)
    assert shared.frames(50, 34).sum() == len(shared.x)
    assert len(shared) == 100


@there(CLIPS)
def test_the_shared_clips_are_twelve_hundred():
    speech = spoken_digits(CLIPS)
    assert np.bincount(speech.labels).tolist() == [120] * 10
    assert speech.is_test.sum() == 300
