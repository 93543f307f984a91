"""Every kind of network trains on every kind of device, and learns: from data to the folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from hwloop.sim.arm import Arm
from hwloop.sim.data import Data
from hwloop.sim.datasets import data_directory
from hwloop.sim.experiment import parse, read
from hwloop.sim.prepare import load_set, prepare_all
from hwloop.sim.run import execute, finished, new_folder

SMALL = {
    "name": "small",
    "data": {"set": "digits", "limit_train": 300, "limit_test": 100},
    "network": {"hidden": [32, 24]},
    "train": {"epochs": 8, "batch": 32},
    "optimizer": {"rate": 0.1},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "opu"},
}


def need(folder: str) -> None:
    if not (data_directory() / folder).exists():
        pytest.skip(f"needs {folder} in HWLOOP_DATA_DIR")


def train(experiment: Any, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Arm]]:
    arms = prepare_all(experiment)
    folder = new_folder(experiment, tmp_path / "run")
    assert execute(folder, arms, lambda _: None)
    return finished(folder), arms


@pytest.mark.parametrize(
    ("weight", "feedback"),
    list(itertools.product(["ideal", "torch", "matrix_engine"], ["ideal", "opu", "torch"])),
)
def test_every_device_trains_the_same_network(weight: str, feedback: str, tmp_path: Path):
    if "torch" in (weight, feedback):
        pytest.importorskip("torch")
    change = {"weight": {"device": weight}, "feedback": {"device": feedback}}
    found, arms = train(parse({**SMALL, **change}), tmp_path)
    assert found["main"]["accuracy"]["test"] > 0.6  # a hidden part that stays random: 0.5
    ledger = arms["main"].placement.ledger
    assert ledger.samples("train") == 8 * 300
    assert bool(ledger.measured) == ("torch" in (weight, feedback))


def test_torch_and_numpy_train_the_same_network_but_for_rounding(tmp_path: Path):
    pytest.importorskip("torch")
    rule = {"algorithm": {"rule": "backprop"}}
    both = {}
    for device in ("ideal", "torch"):
        _, arms = train(parse({**SMALL, **rule, "weight": {"device": device}}), tmp_path / device)
        both[device] = arms["main"].weights()
    for name, w in both["ideal"].items():
        np.testing.assert_allclose(both["torch"][name], w, atol=2e-5)


def test_a_convolution_on_mnist_learns(tmp_path: Path):
    need("mnist")
    path = tmp_path / "convolution.toml"
    path.write_text(
        """
        [data]
        set = "mnist"
        limit_train = 400
        limit_test = 200
        [network]
        hidden = [{ channels = 8, kernel = 5, stride = 2 }, { channels = 8, stride = 2 }, 32]
        [train]
        epochs = 8
        [optimizer]
        rate = 0.05
        momentum = 0.9
        [algorithm]
        rule = "backprop"
        [weight]
        device = "ideal"
        [feedback]
        device = "opu"
        [compare.light]
        algorithm = { rule = "ternary_dfa" }
        """
    )
    found, _ = train(read(path), tmp_path)
    assert found["main"]["accuracy"]["test"] > 0.75
    assert found["light"]["accuracy"]["test"] > 0.75
    assert [layer["kind"] for layer in found["main"]["network"]] == [
        "Convolution",
        "Convolution",
        "Dense",
        "Dense",
    ]


def test_an_image_of_colours_comes_with_its_channels_last(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 3, 5, 4)).astype(np.float32)
    rows, parts = np.arange(6), (np.arange(4), np.arange(0), np.arange(4, 6))
    loaded = Data(
        "mine",
        images.reshape(6, -1),
        rows % 2,
        *parts,
        2,
        (3, 5, 4),
        None,
        "",
        "",
        "",
        ("a", "b"),
        (),
    )
    monkeypatch.setattr("hwloop.sim.prepare.load_data", lambda *_, **__: loaded)
    data = load_set(parse({}))
    assert data.shape == (5, 4, 3)
    np.testing.assert_array_equal(data.x.reshape(6, 5, 4, 3), images.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("weight", ["ideal", "torch"])
def test_a_graph_learns_its_labels_from_its_neighbours(weight: str, tmp_path: Path):
    need("graphs/cora.npz")
    if weight == "torch":
        pytest.importorskip("torch")
    experiment = parse(
        {
            "data": {"set": "cora"},
            "network": {"hidden": [32]},
            "train": {"epochs": 40},
            "algorithm": {"rule": "backprop"},
            "optimizer": {"kind": "adam", "rate": 0.01},
            "weight": {"device": weight},
            "compare": {
                "light": {
                    "algorithm": {"rule": "ternary_dfa"},
                    "feedback": {"device": "opu"},
                }
            },
        }
    )
    found, arms = train(experiment, tmp_path)
    assert found["main"]["curve_part"] == "validation"
    assert found["main"]["accuracy"]["test"] > 0.7
    assert found["light"]["accuracy"]["test"] > 0.6
    assert arms["main"].placement.ledger.samples("train") == 40 * 2708


def test_a_table_of_the_users_own_learns_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{'yes' if a + b > 0 else 'no'}" for a, b, c in x]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.csv").write_text("\n".join(["a,b,c,class", *rows]))
    path = tmp_path / "mine" / "table.toml"
    path.write_text(
        """
        [data]
        set = "csv"
        path = "table.csv"
        column = "class"
        validation = 0.2
        [network]
        hidden = [16]
        [algorithm]
        rule = "dfa"
        [weight]
        device = "ideal"
        [feedback]
        device = "opu"
        input_bits = 6
        """
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    experiment = read(Path("..") / "mine" / "table.toml")
    assert experiment.name == "table"
    found, _ = train(experiment, tmp_path)
    assert found["main"]["accuracy"]["test"] > 0.9
    assert found["main"]["curve_part"] == "validation"


def test_a_batch_that_nobody_joined_trains_nothing_but_counts(tmp_path: Path):
    change = {"train": {"epochs": 4, "batch": 1, "sampling": "poisson"}}
    few = {"data": {"set": "iris", "limit_train": 12}, "network": {"hidden": [8]}}
    for rule, weight in itertools.product(
        ("ternary_dfa", "backprop", "frozen"), ("ideal", "torch")
    ):
        if weight == "torch":
            pytest.importorskip("torch")
        also = {"algorithm": {"rule": rule}, "weight": {"device": weight}}
        experiment = parse({**SMALL, **change, **few, **also})
        found, arms = train(experiment, tmp_path / f"{rule} {weight}")
        ledger = arms["main"].placement.ledger
        trained = {s.samples: t.times for s, t in ledger.steps.items() if s.kind == "train"}
        assert trained[0] > 0
        assert sum(trained.values()) == 4 * 12
        assert all(np.isfinite(row["loss"]) for row in found["main"]["curve"])


def test_wide_layers_are_evaluated_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch):
    [arm] = prepare_all(parse(SMALL)).values()
    whole = arm.accuracy("test")
    monkeypatch.setattr("hwloop.sim.arm.EVALUATE_ENTRIES", 64 * 30)
    assert arm.accuracy("test") == whole
    sizes = {s.samples: t.times for s, t in arm.placement.ledger.steps.items()}
    assert sizes == {0: 1, 100: 1, 30: 3, 10: 1}  # 0: the first weights


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_a_setting_and_not_the_machine(threads: int, tmp_path: Path):
    arms = prepare_all(parse({**SMALL, "train": {"epochs": 1, "threads": threads}}))
    seen = set()

    def look(_: object) -> None:
        seen.update(i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas")

    execute(new_folder(arms["main"].experiment, tmp_path / "run"), arms, look)
    assert seen == {threads}
