"""Codes in place of classes: what they are, what they teach, and what no code can teach."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwloop.algorithms import RULES, SGD, Backprop, Cosine, MeanSquare
from hwloop.algorithms.target_codes import drawn, eigen_codes, random_codes
from hwloop.devices import Can, Ideal, Ledger, Seed
from hwloop.devices.host import Host
from hwloop.mappings import Placement, build, place
from hwloop.sim.deploy_run import redeploy
from hwloop.sim.experiment import BadInput, parse
from hwloop.sim.page import render
from hwloop.sim.prepare import remarks
from hwloop.sim.pricing import bill, technologies
from hwloop.sim.report import assemble
from hwloop.sim.run import LEDGER, WEIGHTS, execute, new_folder, open_run, prepare_all

EXACT = {"programming_noise": 0.0, "read_noise": 0.0, "adc_bits": 0, "dac_bits": 0}
SMALL: dict[str, Any] = {
    "data": {"set": "digits", "limit_train": 200, "limit_test": 100},
    "network": {"hidden": [24, 16]},
    "algorithm": {"rule": "dfa"},
    "optimizer": {"rate": 0.05},
    "train": {"epochs": 3, "batch": 32},
    "target": {"codes": "random", "dimensions": 4},
    "weight": {"device": "matrix_engine"},
    "feedback": {"device": "matrix_engine"},
}
NETWORK = build((6,), 5, [7])


def samples(classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    y = np.arange(60) % classes
    return draw.normal(size=(60, 6)).astype(np.float32) + y[:, None] ** 0.5, y


def placed(loss: Any, network: Any = NETWORK) -> Placement:
    demands = Backprop(loss=loss).demands(network)

    def make(d, ledger, seed):
        return Ideal(n_out=d.n_out, n_in=d.n_in, name=d.name, seed=seed, ledger=ledger)

    return place(network, demands, {"weight": make}, "ideal", Seed(3))


# ---- the codes --------------------------------------------------------------------------


def test_as_many_eigenvectors_as_classes_are_one_hot_turned():
    codes = eigen_codes(*samples(), 5, 5)
    np.testing.assert_allclose(codes @ codes.T, np.eye(5), atol=1e-5)


def test_fewer_eigenvectors_keep_the_most_of_the_similarity_and_its_neighbours():
    x, y = samples(8)
    x[:, 1:] = np.random.default_rng(2).normal(size=(60, 5)) / 9
    x[:, 0] = np.cos(y / 3)  # classes along a line
    codes = eigen_codes(x, y, 8, 3)
    apart = ((codes[:, None] - codes[None]) ** 2).sum(2)
    assert apart[0, 1] < apart[0, 4] < apart[0, 7] * 1.5
    means = np.stack([x[y == c].mean(0) for c in range(8)])
    squared = ((means[:, None] - means[None]) ** 2).sum(2)
    similarity = np.exp(-squared / np.median(squared[~np.eye(8, dtype=bool)]))

    def kept(vectors):
        basis, _ = np.linalg.qr(vectors)
        return np.trace(basis.T @ similarity @ basis)

    for seed in range(20):
        assert kept(codes) > kept(np.random.default_rng(seed).normal(size=(8, 3)))


def test_random_codes_are_seeded_and_as_long_as_one_hot_labels_on_average():
    one, again, other = (random_codes(drawn(10, 4, Seed(s))) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    assert (one**2).sum(1).mean() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("loss", [MeanSquare(), Cosine()])
def test_the_nearest_code_is_the_one_that_its_loss_is_least_for(loss):
    codes = random_codes(drawn(9, 4, Seed(1)))
    output = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    host = Host(Ledger(), "ideal")
    losses = np.stack([loss.each(host, output, np.tile(c, (200, 1))) for c in codes], 1)
    np.testing.assert_array_equal(loss.closeness(host, output, codes).argmax(1), losses.argmin(1))


# ---- what is learned --------------------------------------------------------------------


@pytest.mark.parametrize("loss", [MeanSquare(), Cosine()])
def test_the_gradient_is_autograd_s(loss):
    torch = pytest.importorskip("torch")
    on = placed(loss, build((6,), 3, [7]))
    codes = random_codes(drawn(5, 3, Seed(2)))
    x, y = samples()
    before = {n: on[n].matrix() for n in ("weight/1", "weight/2")}
    p = {n: torch.tensor(w, dtype=torch.float64, requires_grad=True) for n, w in before.items()}
    with on.ledger.step("train", samples=60):
        said = Backprop(loss=loss, optimizer=SGD(rate=1.0)).step(on, x, codes[y])
    t = torch.tensor(codes[y], dtype=torch.float64)
    h = torch.tanh(torch.tensor(x, dtype=torch.float64) @ p["weight/1"].T)
    out = h @ p["weight/2"].T
    if isinstance(loss, Cosine):
        total = (1 - torch.nn.functional.cosine_similarity(out, t)).mean()
    else:
        total = 0.5 * ((out - t) ** 2).sum(1).mean()
    total.backward()
    assert said == pytest.approx(float(total.detach()), abs=1e-6)
    for name, w in before.items():
        np.testing.assert_allclose(w - on[name].matrix(), p[name].grad.numpy(), atol=2e-6)


def test_orthogonal_codes_learn_and_answer_exactly_as_one_hot():
    """An output turned by the codes Q is one that one-hot labels teach, turned: o Q."""
    x, y = samples()
    codes = eigen_codes(x, y, 5, 5)
    algorithm = Backprop(loss=MeanSquare(), optimizer=SGD(rate=0.1))
    plain, coded = placed(MeanSquare()), placed(MeanSquare())
    coded["weight/2"].program(codes.T @ plain["weight/2"].matrix())
    coded.digital["codes"] = codes
    for _ in range(20):
        for on, target in ((plain, np.eye(5, dtype=np.float32)[y]), (coded, codes[y])):
            with on.ledger.step("train", samples=60):
                algorithm.step(on, x, target)
    np.testing.assert_allclose(coded["weight/1"].matrix(), plain["weight/1"].matrix(), atol=2e-5)
    scores = []
    for on in (plain, coded):
        with on.ledger.step("evaluate", samples=60):
            scores.append(algorithm.predict(on, x))
    np.testing.assert_allclose(scores[1], scores[0] - 0.5, atol=1e-4)
    np.testing.assert_array_equal(scores[1].argmax(1), scores[0].argmax(1))


def file_of(rule: str) -> dict[str, Any]:
    more = {"threshold": 0.5} if rule == "forward_forward" else {}
    return SMALL | {"algorithm": {"rule": rule, **more}}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_rules_that_learn_from_an_error_take_codes_and_the_others_refuse(rule):
    if not RULES[rule].takes_codes:
        assert rule in ("drtp", "tpsgd", "forward_forward", "scalable_ff", "cascaded_forward")
        with pytest.raises(BadInput, match=r"learns from the class itself .* leave out \[target\]"):
            parse(file_of(rule))
        return
    arm = prepare_all(parse(file_of(rule) | {"train": {"epochs": 1, "batch": 32}}))["main"]
    assert arm.placement.network.layers[-1].width_out == 4
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert np.isfinite(arm.curve[-1]["loss"])


@pytest.mark.parametrize("loss", ["mean_square", "cosine"])
@pytest.mark.parametrize("codes", ["random", "eigen"])
@pytest.mark.parametrize("weight", ["matrix_engine", "torch"])
def test_digits_are_learned_from_codes_of_six_numbers(loss, codes, weight):
    if weight == "torch":
        pytest.importorskip("torch")
    raw = SMALL | {
        "data": {"set": "digits", "limit_train": 600, "limit_test": 200},
        "algorithm": {"rule": "backprop", "loss": loss},
        "target": {"codes": codes, "dimensions": 6},
        "train": {"epochs": 25, "batch": 32},
        "weight": {"device": weight},
    }
    arm = prepare_all(parse(raw))["main"]
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    assert arm.accuracy("test") > 0.75


# ---- what draws them, and what they save ------------------------------------------------


def test_a_device_projects_the_labels_once_and_its_answer_is_kept():
    arm = prepare_all(parse(SMALL | {"projection": {"device": "ideal"}}))["main"]
    on = arm.placement
    assert on["projection/0"].can & Can.MULTIPLY
    np.testing.assert_allclose(
        on.digital["codes"], random_codes(on["projection/0"].matrix().T), atol=1e-6
    )
    assert arm.train(lambda progress: None, lambda: False, lambda: None)
    asked = [
        (step.kind, op.batch)
        for step in on.ledger.steps
        for op in step.ops
        if op.device == "projection/0" and op.verb == "MULTIPLY"
    ]
    assert asked == [("program", 10)]


def test_apollo_s_projections_and_the_labels_may_be_one_device_s():
    raw = SMALL | {"projection": {"device": "opu", "input_bits": 4}}
    arm = prepare_all(parse(raw | {"optimizer": {"kind": "apollo", "rate": 0.01}}))["main"]
    assert {n for n in arm.placement.devices if n.startswith("projection")} == {
        "projection/0",
        *(f"projection/{k}" for k in (1, 2, 3)),
    }
    arm = prepare_all(parse(raw | {"target": {"codes": "eigen", "dimensions": 4}}))["main"]
    assert "projection/0" not in arm.placement.devices


def test_the_error_is_as_narrow_as_the_codes_and_so_is_its_bill():
    """Macs, weights and inputs of a projection follow the code; an OPU's frames do not."""
    cost: dict[tuple[str, int], dict[str, float]] = {}
    bills = {}
    for kind, more in (("matrix_engine", {}), ("crossbar", {}), ("opu", {"input_bits": 4})):
        for target in ({"codes": "random", "dimensions": 4}, {"codes": "one_hot"}):
            raw = SMALL | {"feedback": {"device": kind, **more}, "target": target}
            arm = prepare_all(parse(raw))["main"]
            device = arm.placement["feedback"]
            assert device.n_in == target.get("dimensions", 10)
            events = device.cost(Can.MULTIPLY, 32)
            cost[kind, device.n_in] = {event: count.work for event, count in events.items()}
            if kind == "matrix_engine":
                ledger = arm.rehearsal
                zero = dict.fromkeys(ledger.steps, 0.0)
                rows = bill(ledger, technologies(ledger), zero, ["train"])
                bills[device.n_in] = sum(
                    row.energy_J or 0.0 for row in rows if row.device == "feedback"
                )
    assert cost["matrix_engine", 4]["mac"] == 0.4 * cost["matrix_engine", 10]["mac"] == 32 * 40 * 4
    assert cost["crossbar", 4]["dac"] == 0.4 * cost["crossbar", 10]["dac"]
    assert cost["opu", 4] == cost["opu", 10]
    assert bills[4] < bills[10]


# ---- a run ------------------------------------------------------------------------------


def run(folder: Path, stop_after: int | None = None) -> bool:
    reports = 0

    def on_progress(_: object) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            signal.raise_signal(signal.SIGINT)

    return execute(folder, prepare_all(open_run(folder)), on_progress)


def test_a_run_resumes_bit_for_bit_reports_its_codes_and_goes_onto_chips(tmp_path: Path):
    raw = SMALL | {
        "name": "coded",
        "projection": {"device": "opu"},
        "deploy": {
            "chips": 1,
            "reads": 1,
            "host": "cpu_host",
            "weight": {"device": "crossbar", "technology": "rram_milo", **EXACT},
        },
        "compare": {"one_hot": {"target": {"codes": "one_hot"}}},
    }
    for name in ("whole", "parts"):
        new_folder(parse(raw), tmp_path / name)
    assert run(tmp_path / "whole")
    assert not run(tmp_path / "parts", 9)
    assert run(tmp_path / "parts")
    for file in (WEIGHTS, LEDGER):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()
    report = assemble(tmp_path / "whole")
    assert any("classes are random codes of 4 numbers" in n for n in report["data"]["notes"])
    widths = {arm["name"]: arm["network"][-1]["n_out"] for arm in report["arms"]}
    assert widths == {"main": 4, "one_hot": 10}
    assert "random codes of 4 numbers" in render(report)
    assert json.dumps(report, default=str)
    for arm in redeploy(tmp_path / "whole", [])["arms"]:
        [[[on_chip]]] = arm["deploy"]["accuracy"]["none"]
        assert on_chip == pytest.approx(arm["accuracy"]["test"], abs=0.03)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"target": {"codes": "random"}}, "dimensions is missing"),
        ({"target": {"dimensions": 3}}, 'dimensions are those of codes "random" or "eigen"'),
        ({"target": {"codes": "best", "dimensions": 3}}, 'unknown codes "best"|codes'),
        ({"target": {"codes": "eigen", "dimensions": 11}}, "dimensions takes 1 to 10"),
        (
            {"algorithm": {"rule": "dfa", "loss": "cross_entropy"}},
            'loss takes "mean_square" or "cosine" under',
        ),
        (
            {
                "algorithm": {"rule": "dfa", "loss": "cosine"},
                "target": {"codes": "random", "dimensions": 1},
            },
            "dimensions is 1, where the codes of classes 0 and",
        ),
    ],
)
def test_what_is_no_code_is_refused_before_anything_runs(change, says):
    with pytest.raises(BadInput, match=says):
        prepare_all(parse(SMALL | change))


def test_a_device_that_draws_the_codes_serves_something():
    """What `remarks` would else say of [projection]; with codes by similarity it says so."""
    random = SMALL | {"projection": {"device": "opu"}}
    assert remarks(prepare_all(parse(random))) == []
    eigen = random | {"target": {"codes": "eigen", "dimensions": 4}}
    assert remarks(prepare_all(parse(eigen))) == [
        "[projection] serves nothing: no rule here asks for it"
    ]
