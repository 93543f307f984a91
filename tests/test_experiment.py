"""Experiment files: what they mean, and one sentence with the place where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from hwloop.algorithms import Adam, Backprop, MeanSquare, TernaryDFA
from hwloop.mappings import Convolve
from hwloop.sim.experiment import parse, read


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


# ---- what is read ---------------------------------------------------------------------


def test_the_embedded_experiment_says_what_it_says():
    experiment = read(None)
    assert isinstance(experiment.algorithm, TernaryDFA)
    assert experiment.places["feedback"]["device"] == "opu"
    assert set(experiment.compare) == {"backpropagation", "frozen"}
    assert experiment.data.set == "digits"


def test_a_file_becomes_what_it_describes(tmp_path: Path):
    experiment = read(
        write(
            tmp_path,
            """
            seed = 5
            [network]
            hidden = [{ channels = 4, stride = 2 }, 32]
            activation = "relu"
            [algorithm]
            rule = "backprop"
            loss = "mean_square"
            [optimizer]
            kind = "adam"
            rate = 1
            [privacy]
            noise_multiplier = 2
            ["weight/2"]
            device = "torch"
            place = "cpu"
            """,
        )
    )
    assert experiment.name == "my"
    assert experiment.seed == 5
    assert experiment.network.layers() == [Convolve(4, 3, 2, 0), 32]
    assert isinstance(experiment.algorithm, Backprop)
    assert isinstance(experiment.algorithm.loss, MeanSquare)
    assert experiment.algorithm.optimizer == Adam(rate=1.0)
    assert experiment.algorithm.private is not None
    assert experiment.places == {"weight/2": {"device": "torch", "place": "cpu"}}


def test_the_digest_follows_every_value_and_outlives_the_file(tmp_path: Path):
    first = read(None)
    assert read(None).digest == first.digest
    assert read(None, ["train.epochs=21"]).digest != first.digest
    assert read(None, ["compare.frozen.train.epochs=21"]).digest != first.digest
    nameless = parse({"train": {"epochs": 3}})
    for experiment in (
        first,
        nameless,
        read(None, ["name='\"\\u001b\\n'", "seed=9223372036854775807"]),
    ):
        again = read(write(tmp_path, tomli_w.dumps(dict(experiment.raw))))
        assert again.digest == experiment.digest
        assert again.raw == experiment.raw


def test_paths_start_at_the_file_and_those_of_settings_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    technology = tmp_path / "mine.toml"
    technology.write_text('name = "m"\ndescription = "d"\nidle_W = 1.0\nidle_source = "s"\n')
    text = (
        '[data]\nset = "csv"\npath = "a.csv"\n[weight]\ndevice = "ideal"\n'
        'technology = "mine.toml"\n[compare.other]\ndata = { path = "b.csv" }\n'
    )
    path = write(tmp_path, text)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    experiment = read(path)
    assert experiment.data.path == str(tmp_path / "a.csv")
    assert experiment.places["weight"]["technology"] == str(technology)
    assert experiment.compare["other"].data.path == str(tmp_path / "b.csv")
    experiment = read(path, ["data.path=c.csv"])
    assert experiment.data.path == str(tmp_path / "here" / "c.csv")


# ---- settings and arms ----------------------------------------------------------------


def test_settings_are_toml_or_else_text():
    settings = ["train.epochs=3", "data.set=iris", "network.hidden=[8, {channels=2}]"]
    experiment = read(None, [*settings, "data.download=true", 'name="a b"'])
    assert experiment.train.epochs == 3
    assert experiment.data.set == "iris"
    assert experiment.data.download is True
    assert experiment.name == "a b"
    assert experiment.network.layers() == [8, Convolve(2)]
    assert experiment.train.batch == 32  # the rest of the table stays


def test_settings_hold_for_the_arms_that_do_not_say_otherwise(tmp_path: Path):
    path = write(tmp_path, "[compare.a]\n[compare.b]\ntrain = { epochs = 7 }\n")
    experiment = read(path, ["train.epochs=3", "train.batch=5", "compare.a.seed=4"])
    a, b = experiment.compare["a"], experiment.compare["b"]
    assert (a.train.epochs, a.train.batch, a.seed) == (3, 5, 4)
    assert (b.train.epochs, b.train.batch, b.seed) == (7, 5, 0)


def test_arms_replace_a_choice_whole_and_mix_the_rest(tmp_path: Path):
    text = """
    [optimizer]
    momentum = 0.9
    [feedback]
    device = "opu"
    noise = 2.0
    [network]
    hidden = [7]
    activation = "relu"
    [compare.a]
    optimizer = { kind = "adam" }
    feedback = { device = "opu" }
    network = { hidden = [9] }
    """
    a = read(write(tmp_path, text)).compare["a"]
    assert a.algorithm.optimizer == Adam()
    assert a.places["feedback"] == {"device": "opu"}
    assert (a.network.hidden, a.network.activation) == ([9], "relu")


def test_arms_can_be_dropped_and_added():
    assert read(None, ["compare={}"]).compare == {}
    assert "compare" not in read(None, ["compare={}"]).raw
    more = read(None, ["compare.wide.network.hidden=[512]"]).compare
    assert set(more) == {"backpropagation", "frozen", "wide"}
    assert more["wide"].network.hidden == [512]


def test_a_table_as_value_replaces_the_table():
    experiment = read(None, ['optimizer={kind="adam"}', 'algorithm={rule="backprop"}'])
    assert experiment.algorithm.optimizer == Adam()
