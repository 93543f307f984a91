"""Findings: every sentence follows the numbers, and stays away where they do not carry it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from hwloop.sim.findings import findings
from hwloop.sim.reading import cost_curve, event_times, measured_share, unmetered
from hwloop.sim.units import ratio, si

Report = dict[str, Any]


def arm(report: Report, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(a for a in report["arms"] if a["name"] == name)
    return found


def one(report: Report, start: str) -> str:
    [sentence] = [s for s in findings(report) if s.startswith(start)]
    return sentence


def test_costs_stand_beside_those_of_every_arm(report: Report):
    main, other = arm(report, "main"), arm(report, "backpropagation")
    said = one(report, "main reaches 90.0 %, 5.0 points below backpropagation (95.0 %)")
    for key, unit in (("energy", "J"), ("latency", "s")):
        a, b = main[key][f"train_{unit}"], other[key][f"train_{unit}"]
        assert f"{ratio(a, b).removesuffix(' x')} times the " in said
        assert f"({si(a, unit)} instead of {si(b, unit)})" in said


def test_a_cheaper_arm_is_told_as_a_share_or_a_fraction(report: Report):
    report["arms"].reverse()
    report["arms"] = [a for a in report["arms"] if a["name"] in ("backpropagation", "main")]
    said = one(report, "backpropagation reaches")
    assert "1/" in said
    assert "of the energy" in said


def test_a_small_difference_is_called_chance(report: Report):
    arm(report, "main")["accuracy"]["test"] = 0.94
    two_errors = 200 * math.sqrt((0.94 * 0.06 + 0.95 * 0.05) / 400)
    said = one(report, "main reaches 94.0 %, 1.0 point below backpropagation")
    assert "400 test samples cannot tell from chance" in said
    assert f"two standard errors: {two_errors:.1f} points" in said
    assert "chance" not in one(report, "main reaches 94.0 %, 34.0 points above frozen")


def test_the_control_decides_whether_hidden_layers_learned(report: Report):
    assert "its hidden layers did learn" in one(report, "main beats the control frozen")
    arm(report, "frozen")["accuracy"]["test"] = 0.89
    assert "not shown to have learned" in one(report, "main is not shown to beat the control")


def test_an_unfair_control_shows_nothing(report: Report):
    report["experiment"]["compare"]["frozen"]["train"] = {"epochs": 1}
    assert "not shown to have learned" in one(report, "main is not shown to beat the control")
    report["experiment"]["compare"]["frozen"] = {"algorithm": {}, "feedback": {}}
    assert "did learn" in one(report, "main beats the control")
    arm(report, "frozen")["network"][0]["n_out"] = 9
    assert not [s for s in findings(report) if "hidden layers" in s]


def test_arms_on_other_data_are_not_tested_for_chance(report: Report):
    report["experiment"]["compare"]["real"] = {"data": {"set": "wine"}}
    said = one(report, "main reaches 90.0 %, 4.0 points below real")
    assert "chance" not in said
    assert said.endswith("The two differ in data.")
    assert not [s for s in findings(report) if s.startswith("To reach") and "real" in s]


def test_what_binds_the_time_comes_from_the_operations(report: Report):
    said = one(report, "A training step of main takes")
    call_s, frame_s = 0.183458, 320 / 8000
    span_s = arm(report, "main")["timeline"]["makespan_s"]
    assert f"call {100 * call_s / span_s:.1f} % (1 x 183 ms)" in said
    assert f"frame {100 * frame_s / span_s:.1f} % (320 x 125 µs)" in said
    free = one(report, "Were call free")
    other_s = arm(report, "backpropagation")["timeline"]["makespan_s"]
    assert f"{ratio(frame_s, other_s).removesuffix(' x')} times a whole step" in free


def test_overlapping_events_take_as_long_as_the_longest():
    def event(name: str, latency_s: float, overlaps: bool) -> dict[str, Any]:
        return {"event": name, "depth": 2, "latency_s": latency_s, "overlaps": overlaps}

    events = [event("launch", 1.0, False), event("mac", 3.0, True), event("byte", 2.0, True)]
    op = {"measured": False, "events": events}
    assert event_times([op, op]) == {"launch": (2.0, 4.0), "mac": (6.0, 4.0)}
    assert event_times([{**op, "measured": True}]) == {}


def test_energy_shares_add_up_to_the_bill(report: Report):
    main = arm(report, "main")
    said = one(report, "Of the training energy of main")
    rows = [r for r in main["energy"]["rows"] if r["kind"] == "train"]
    total = sum(r["energy_J"] for r in rows)
    for part in ("opu_gen3", "nvidia_a100_fp32"):
        share = sum(r["energy_J"] for r in rows if r["device"] == part) / total
        assert f"{100 * share:.1f} % is standing power of {part}" in said
    idle = main["technologies"]["nvidia_a100_fp32"]["idle_W"] * main["latency"]["train_s"]
    assert one(report, si(idle, "J")).endswith("switched on for the whole training.")


def test_privacy_is_said_statement_by_statement(report: Report):
    said = one(report, "Privacy of main.")
    for s in arm(report, "main")["privacy"]:
        assert s["name"] in said
    assert "nothing is promised about samples, epsilon is infinite" in said
    assert "at delta 1e-05, by analytic" in said
    arm(report, "main")["privacy"] = []
    assert not [s for s in findings(report) if s.startswith("Privacy")]


def test_what_nobody_metered_is_named_and_never_compared(report: Report):
    assert unmetered(arm(report, "real")) == {"torch": ["launch", "mac", "byte", "standing power"]}
    assert "launch, mac, byte and standing power of torch" in one(report, "Nobody has metered")
    assert "energy" not in one(report, "main reaches 90.0 %, 4.0 points below real")


def test_measured_time_is_told_from_modelled(report: Report):
    assert measured_share(arm(report, "main")) == 0.0
    assert 0.9 < (measured_share(arm(report, "real")) or 0.0) < 1.0
    assert [s for s in findings(report) if "was measured on hardware" in s]
    report["arms"] = report["arms"][:3]
    assert one(report, "All times are modelled")


def test_another_price_list_is_said_and_scales_the_curve(report: Report, reread: Report):
    assert "feedback as opu_gen2" in one(reread, "Prices and times are read with")
    for made in (report, reread):
        main = arm(made, "main")
        for key, total in (("energy_J", "energy"), ("latency_s", "latency")):
            curve = cost_curve(main, key)
            assert curve[-1] == pytest.approx(main[total][f"train_{key[-1]}"])
            assert curve[0] == pytest.approx(curve[-1] / 3)


def test_a_run_that_stopped_or_never_stepped_says_no_more_than_that(report: Report):
    report["arms"] = report["arms"][:1]
    main = report["arms"][0]
    main["stopped"] = "no better validation accuracy for 3 epochs"
    main["timeline"], main["curve"], main["privacy"] = None, [], []
    main["energy"]["rows"], main["latency"]["busy_s"] = [], {}
    assert findings(report) == [
        "main stopped after epoch 3: no better validation accuracy for 3 epochs."
    ]


def test_floats_and_json_say_the_same(report: Report):
    read = json.loads(json.dumps(report))
    for a in read["arms"]:
        for s in a["privacy"]:
            s["epsilon"] = float(s["epsilon"])
    assert findings(read) == findings(report)


def test_an_arm_that_diverged_is_compared_with_nothing(report: Report):
    backprop = next(arm for arm in report["arms"] if arm["name"] == "backpropagation")
    backprop["stopped"], backprop["diverged"] = "the loss left the finite numbers", True
    said = [s for s in findings(report) if "backpropagation" in s]
    assert said == ["backpropagation stopped after epoch 3: the loss left the finite numbers."]
