"""A matrix and its transpose on two devices: equal where they are exact, counted twice, apart."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import SGD, Backprop
from hwloop.devices import Can, Crossbar, Ideal, Ledger, Paired, PulsedCrossbar, Seed, Unable
from hwloop.mappings import Placement, build, place
from hwloop.sim.endurance import written
from hwloop.sim.experiment import BadInput, parse, read
from hwloop.sim.pricing import area_m2, bill, technologies
from hwloop.sim.report import assemble
from hwloop.sim.rules import pairs
from hwloop.sim.run import LEDGER, WEIGHTS, execute, finished, new_folder, open_run, prepare_all

NETWORK = build((6,), 3, [5, 4])
rng = np.random.default_rng(0)
X = rng.normal(size=(10, 6)).astype(np.float32)
TARGET = np.eye(3, dtype=np.float32)[np.arange(10) % 3]


def placed(cls: type, **settings: Any) -> Placement:
    def make(d, ledger, seed):
        return cls(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger, **settings)

    return place(NETWORK, Backprop().demands(NETWORK), {"weight": make}, "ideal", Seed(3))


def trained(on: Placement, steps: int, rate: float = 0.1) -> Placement:
    for _ in range(steps):
        with on.ledger.step("train", samples=len(X)):
            Backprop(optimizer=SGD(rate=rate)).step(on, X, TARGET)
    return on


def apart(device: Paired) -> float:
    """Return how far the second device is from the first's transpose, beside the first's size."""
    w = device.matrix()
    return float(np.linalg.norm(w - device.back.matrix().T) / np.linalg.norm(w))


def test_on_ideal_devices_it_trains_as_backpropagation_does():
    alone, paired = trained(placed(Ideal), 50), trained(placed(Paired, of={"device": "ideal"}), 50)
    start = placed(Ideal)
    for name, device in alone.devices.items():
        two = paired[name]
        assert np.abs(device.matrix() - start[name].matrix()).max() > 0.05
        np.testing.assert_allclose(two.matrix(), device.matrix(), atol=1e-6)
        np.testing.assert_allclose(two.back.matrix(), device.matrix().T, atol=1e-6)


def test_the_second_device_has_its_own_noise_and_never_asks_the_first_for_its_transpose():
    device = Paired(n_out=6, n_in=4, name="w", seed=Seed(1), of={"device": "crossbar"})
    device.program(rng.uniform(-1, 1, (6, 4)))
    assert 0.001 < apart(device) < 0.5
    device.transpose(rng.normal(size=(3, 6)).astype(np.float32))
    ops = [op for step in device.ledger.steps for op in step.ops]
    assert [(op.device, op.verb, op.batch) for op in ops] == [
        ("w", "PROGRAM", 6),
        ("w/transposed", "PROGRAM", 4),
        ("w/transposed", "MULTIPLY", 3),
    ]


def test_a_cost_is_both_devices_where_both_are_written():
    for kind in ("pulsed_crossbar", "matrix_engine"):
        ledger = Ledger()
        device = Paired(n_out=6, n_in=4, name="w", ledger=ledger, of={"device": kind})
        device.program(np.ones((6, 4)))
        device.update(np.ones((5, 6)), np.ones((5, 4)), 1e-4)
        for verb, batch in ((Can.PROGRAM, 6), (Can.UPDATE, 5)):
            counted: dict[str, float] = {}
            for step, tally in ledger.steps.items():
                for op, work in zip(step.ops, tally.work, strict=True):
                    if op.verb == verb.name:
                        for (event, _), amount in zip(op.depths, work, strict=True):
                            counted[event] = counted.get(event, 0.0) + amount
            bound = device.cost(verb, batch)
            assert set(counted) == set(bound)
            assert all(0 <= counted[e] <= bound[e].work for e in counted)
            if kind == "matrix_engine":
                assert counted == {e: c.work for e, c in bound.items()}
        assert device.cost(Can.MULTIPLY, 7) == device.ahead.cost(Can.MULTIPLY, 7)
        assert device.cost(Can.TRANSPOSE, 7) == device.back.cost(Can.MULTIPLY, 7)


def test_pulsed_arrays_drift_apart_and_are_measured_doing_so():
    """Each array has cells of its own, so the same pulses move them by amounts of their own."""
    on = placed(Paired)
    distances = [apart(trained(on, steps)["weight/2"]) for steps in (0, 1, 10, 30)]
    assert distances[0] < 1e-6
    assert all(a < b for a, b in itertools.pairwise(distances))
    assert 0.03 < distances[-1] < 0.3
    exact = trained(placed(Paired, of={"device": "ideal"}), 41)
    assert apart(exact["weight/2"]) < 1e-6


def test_crossbars_take_up_the_area_of_both():
    """Two matrices of one size are built of the same parts; one read both ways has them once."""
    areas = []
    for cls, more in (
        (Paired, {"of": {"device": "crossbar", "technology": "pcm_hermes"}}),
        (Crossbar, {"technology": "pcm_hermes"}),
    ):
        device = cls(n_out=9, n_in=9, name="w", seed=Seed(1), **more)
        found = area_m2(device.ledger, technologies(device.ledger))
        assert all(area is not None and area > 0 for area in found.values())
        areas.append(sum(area or 0.0 for area in found.values()))
    assert areas[0] == pytest.approx(2 * areas[1])


def test_its_state_goes_on_exactly():
    one, other = placed(Paired), placed(Paired)
    trained(one, 5)
    state = {name: np.array(value) for name, value in one.state().items()}
    other.restore(state)
    trained(one, 5)
    trained(other, 5)
    for name, value in one.state().items():
        np.testing.assert_array_equal(other.state()[name], value)


FILE = """
name = "pairs"
[network]
hidden = [8]
[data]
limit_train = 160
limit_test = 60
[algorithm]
rule = "backprop"
[train]
epochs = 2
[optimizer]
rate = 0.05
[weight]
device = "paired"
of = { device = "pulsed_crossbar" }
[compare.one]
weight = { device = "pulsed_crossbar" }
"""


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


def test_a_file_asks_for_it_in_one_line_and_pays_for_both(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text(FILE)
    for name in ("whole", "parts"):
        new_folder(read(path), tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 3)
    assert run(tmp_path / "parts")
    for file in (WEIGHTS, LEDGER):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    found = finished(tmp_path / "whole")
    pair, one = (found[arm]["wear"]["weight/1"] for arm in ("main", "one"))
    assert pair["cells"] == 2 * one["cells"]
    arms = prepare_all(read(path))
    both, single = (arms[arm].placement.ledger for arm in ("main", "one"))
    areas = [area_m2(ledger, technologies(ledger)) for ledger in (both, single)]
    assert set(areas[0]) - set(areas[1]) == {"weight/1/transposed", "weight/2/transposed"}
    report = assemble(tmp_path / "whole")
    assert [arm["name"] for arm in report["arms"]] == ["main", "one"]
    joules = {}
    for name, arm in arms.items():
        ledger = arm.rehearsal
        rows = bill(ledger, technologies(ledger), dict.fromkeys(ledger.steps, 0.0), ["program"])
        for row in rows:
            if row.device.startswith("weight/1"):
                joules[name, row.device] = joules.get((name, row.device), 0.0) + (row.energy_J or 0)
    assert joules["main", "weight/1"] == joules["one", "weight/1"] > 0
    assert joules["main", "weight/1/transposed"] == pytest.approx(joules["one", "weight/1"])
    assert (
        written(arms["main"].placement.devices)["weight/2"]["cells"] == 2 * one["cells"] / 64 * 10
    )


def test_a_fabric_places_both():
    raw = {
        "data": {"set": "digits", "limit_train": 64, "limit_test": 30},
        "network": {"hidden": [8]},
        "algorithm": {"rule": "backprop"},
        "optimizer": {"kind": "adam"},
        "host": {"technology": "isaac_digital"},
        "weight": {"device": "paired", "of": {"device": "crossbar", "technology": "pcm_hermes"}},
        "fabric": {"use": "chip64"},
    }
    arm = prepare_all(parse(raw))["main"]
    lies = {block.device for block in arm.meter._on.plan.blocks}  # type: ignore[union-attr]
    assert {"weight/2", "weight/2/transposed"} <= lies


def test_a_digital_copy_teaches_two_crossbars_that_can_only_be_written():
    of = {"device": "reprogrammed", "of": {"device": "crossbar", "technology": "rram_milo"}}
    on = trained(placed(Paired, of=of), 3)
    assert on["weight/2"].technology == "rram_milo"
    writes = [op.device for s in on.ledger.steps if s.kind == "train" for op in s.ops]
    assert "weight/2/transposed" in writes
    assert apart(on["weight/2"]) < 0.5


def test_prices_of_the_transposed_follow_the_role_that_it_stands_for():
    arm = prepare_all(
        parse(
            {
                "data": {"set": "digits", "limit_train": 64, "limit_test": 30},
                "network": {"hidden": [8]},
                "algorithm": {"rule": "backprop"},
                "weight": {"device": "paired", "of": {"device": "matrix_engine"}},
            }
        )
    )["main"]
    chosen = technologies(arm.placement.ledger, {"weight": "nvidia_h100_tf32"})
    assert chosen["weight/1/transposed"].stem == "nvidia_h100_tf32"


def test_the_table_shows_backpropagation_through_pairs():
    table = pairs()
    columns = {str(c.header): [str(cell) for cell in c.cells] for c in table.columns}
    at = columns["rule"].index("backprop")
    assert columns["paired"][at] == "W"
    assert columns["opu"][at] == "-"


@pytest.mark.parametrize(
    ("of", "error", "says"),
    [
        ({"device": "opu"}, Unable, "w: of takes a device that can PROGRAM; OPU can MULTIPLY"),
        ({"device": "paired"}, Unable, "w: of takes a device that can PROGRAM"),
        ({"device": "idea"}, ValueError, 'unknown device "idea"'),
        ({"device": "ideal", "noise": 1}, ValueError, 'w: of: unknown key "noise"'),
    ],
)
def test_what_cannot_be_paired_is_named(of, error, says):
    with pytest.raises(error, match=says):
        Paired(n_out=3, n_in=2, name="w", of=of)


def test_what_its_devices_cannot_do_it_cannot():
    with pytest.raises(Unable, match="weight/1 needs UPDATE; Paired can MULTIPLY, TRANSPOSE and"):
        placed(Paired, of={"device": "crossbar"})
    with pytest.raises(BadInput, match=r"\[weight\] weight/1 needs UPDATE; Paired can MULTIPLY"):
        prepare_all(
            parse(
                {
                    "algorithm": {"rule": "backprop"},
                    "weight": {"device": "paired", "of": {"device": "crossbar"}},
                }
            )
        )
    assert isinstance(placed(Paired)["weight/1"].ahead, PulsedCrossbar)


def test_a_technology_is_said_once():
    """Outside of `of`, or inside; two that differ are refused."""
    of = {"device": "crossbar", "technology": "rram_milo"}
    with pytest.raises(ValueError, match="technology is pcm_hermes outside of `of` and rram_milo"):
        Paired(n_out=3, n_in=2, technology="pcm_hermes", of=of)
    assert Paired(n_out=3, n_in=2, technology="rram_milo", of=of).technology == "rram_milo"
