"""Traces: well-formed, nested, in order, and true to the timeline they were made of."""

from __future__ import annotations

import importlib.util
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.sim.trace import _us, trace

Report = dict[str, Any]
Event = dict[str, Any]


def slices(events: list[Event]) -> dict[tuple[int, int], list[Event]]:
    found: dict[tuple[int, int], list[Event]] = {}
    for e in events:
        if e["ph"] == "X":
            found.setdefault((e["pid"], e["tid"]), []).append(e)
    return found


def ns(time_us: float) -> int:
    return round(time_us * 1000)


def test_every_event_has_what_the_format_asks_for(report: Report):
    made = json.loads(json.dumps(trace(report), allow_nan=False))
    assert set(made) == {"displayTimeUnit", "otherData", "traceEvents"}
    for e in made["traceEvents"]:
        assert e["ph"] in ("M", "X", "C")
        assert isinstance(e["pid"], int)
        assert isinstance(e["tid"], int)
        assert e["ts"] >= 0
        assert e["name"]
        assert e.get("dur", 0) >= 0
        assert ("dur" in e) == (e["ph"] == "X")
    later = [e["ts"] for e in made["traceEvents"] if e["ph"] != "M"]
    assert later == sorted(later)


def test_every_process_and_thread_is_named_once(report: Report):
    events = trace(report)["traceEvents"]
    names = [
        (e["pid"], e["tid"] if e["name"] == "thread_name" else None, e["args"]["name"])
        for e in events
        if e["name"] in ("process_name", "thread_name")
    ]
    assert len({(pid, tid) for pid, tid, _ in names}) == len(names)
    known = {(pid, tid) for pid, tid, _ in names}
    assert set(slices(events)) <= known
    processes = {pid: name for pid, tid, name in names if tid is None}
    assert [processes[k + 1].split(":")[0] for k in range(4)] == [a["name"] for a in report["arms"]]
    parts = {name for pid, tid, name in names if pid == 1 and tid is not None}
    assert parts == {d["part"] for d in report["arms"][0]["devices"]}


def test_slices_nest(report: Report):
    for on_thread in slices(trace(report)["traceEvents"]).values():
        stages = [e for e in on_thread if e["cat"] == "stage"]
        ops = [e for e in on_thread if e["cat"] == "operation"]
        for level in (stages, ops):
            for a, b in pairwise(level):
                assert ns(a["ts"]) + ns(a["dur"]) <= ns(b["ts"])
        for op in ops:
            around = [
                s
                for s in stages
                if ns(s["ts"]) <= ns(op["ts"])
                and ns(op["ts"]) + ns(op["dur"]) <= ns(s["ts"]) + ns(s["dur"])
            ]
            assert op["args"]["stage"] in {s["name"] for s in around}


def test_every_operation_of_the_timeline_is_there(report: Report):
    events = trace(report)["traceEvents"]
    for pid, arm in enumerate(report["arms"], 1):
        ops = [e for e in events if e["ph"] == "X" and e["cat"] == "operation" and e["pid"] == pid]
        line = arm["timeline"]
        assert len(ops) == len(line["slices"])
        assert sum(e["args"]["takes_s"] for e in ops) == pytest.approx(
            sum(s["stop_s"] - s["start_s"] for s in line["slices"])
        )
        for op in ops:
            assert op["dur"] * 1e-6 == pytest.approx(op["args"]["takes_s"], abs=1.1e-9)
            assert op["args"]["rows"] == 32


def test_counters_end_at_the_energy_of_the_step(report: Report):
    events = trace(report)["traceEvents"]
    for pid, arm in enumerate(report["arms"][:3], 1):
        last: dict[str, float] = {}
        for e in events:
            if e["ph"] == "C" and e["pid"] == pid:
                assert e["args"]["J"] >= last.get(e["name"], 0.0)
                last[e["name"]] = e["args"]["J"]
        assert sum(last.values()) * arm["steps"] == pytest.approx(arm["energy"]["train_J"])


def test_an_arm_without_a_training_step_has_no_process(report: Report):
    report["arms"][1]["timeline"] = None
    assert {e["pid"] for e in trace(report)["traceEvents"]} == {1, 3, 4}


def test_names_pass_through_as_they_are(report: Report):
    report["arms"][0]["name"] = hostile = '</script>"\\\n\u2028é'
    read = json.loads(json.dumps(trace(report)))
    assert read["traceEvents"][0]["args"]["name"] == f"{hostile}: one training step"


@given(st.integers(0, 10**15))
def test_microseconds_keep_the_nanosecond_however_they_are_read(time_ns: int):
    assert int(_us(time_ns) * 1000.0) == round(_us(time_ns) * 1000.0) == time_ns


def test_perfetto_reads_it(report: Report, tmp_path: Path):
    if importlib.util.find_spec("perfetto") is None:
        pytest.skip("the perfetto package is not installed")
    shell = shutil.which("trace_processor_shell") or shutil.which("trace_processor")
    if shell is None:
        pytest.skip("perfetto fetches its trace processor from the network; none is on the PATH")
    from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

    path = tmp_path / "trace.json"
    path.write_text(json.dumps(trace(report)))
    with TraceProcessor(trace=str(path), config=TraceProcessorConfig(bin_path=shell)) as found:
        [row] = found.query("select count(*) as n from slice")
        assert row.n == sum(e["ph"] == "X" for e in trace(report)["traceEvents"])
        wrong = "select sum(value) as n from stats where severity in ('error', 'data_loss')"
        [row] = found.query(wrong)
        assert not row.n
