"""The loader of technology files: what it reads, and what it refuses."""

from __future__ import annotations

import re

import pytest

from hwloop.devices.technology import load, names, parse

GOOD = """
name = "a"
description = "b"
idle_W = 1
idle_source = "c"
[[event.frame]]
n_in_max = 10
energy_J = 1e-3
latency_s = 1e-4
source = "s"
[[event.frame]]
n_in_max = 20
n_out_max = 5
energy_J = 2e-3
latency_s = 2e-4
source = "s"
[event.mac]
energy_J = "unknown"
latency_s = 0
overlaps = true
source = "s"
[parameter.bits]
value = 8
unit = "bit"
source = "s"
[table.times]
values = [1.0, 2]
unit = "s"
source = "t"
"""


@pytest.mark.parametrize("name", names())
def test_every_shipped_file_loads(name):
    technology = load(name)
    assert technology.name
    assert all(row.source for rows in technology.events.values() for row in rows)


def test_rows_are_chosen_by_size():
    technology = parse(GOOD, "good")
    assert technology.event("frame", 99, 10).latency_s == 1e-4
    assert technology.event("frame", 5, 11).latency_s == 2e-4
    assert technology.event("mac", 1, 1).energy_J is None
    assert technology.parameter("bits") == 8
    assert technology.table("times") == (1.0, 2.0)
    with pytest.raises(ValueError, match='unknown table "time"; did you mean "times"'):
        technology.table("time")
    assert parse(GOOD.replace("idle_W = 1", 'idle_W = "unknown"'), "good").idle_W is None
    with pytest.raises(ValueError, match="the matrix has 6 and 11"):
        technology.event("frame", 6, 11)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("idle_W = 1", "idle = 1", 'unknown key "idle"; did you mean "idle_W"'),
        ("idle_W = 1", "idle_mW = 1", 'unknown key "idle_mW"; did you mean "idle_W"'),
        ("idle_W = 1", "", "idle_W is missing"),
        ("idle_W = 1", "idle_W = -1", "finite number from 0, got -1"),
        ("idle_W = 1", "idle_W = inf", "finite number from 0, got inf"),
        ("idle_W = 1", "idle_W = true", "idle_W takes float, got True"),
        ("idle_W = 1", 'idle_W = "none"', "idle_W takes float, got 'none'"),
        ("idle_W = 1", "idle_W = 1\narea_m2 = 1e-6", "area_source is missing"),
        ("latency_s = 1e-4", "latency = 1e-4", 'event.frame: unknown key "latency"'),
        ("latency_s = 1e-4", "", "event.frame: latency_s is missing"),
        ('energy_J = "unknown"', 'energy_J = "free"', "energy_J takes float, got 'free'"),
        ('overlaps = true\nsource = "s"', "overlaps = true", "event.mac: source is missing"),
        ('unit = "bit"\nsource = "s"', 'unit = "bit"\nsource = " "', "source is empty"),
        ("value = 8", 'value = "8"', "value takes float"),
        ("[event.mac]", "[event.mac", "not TOML"),
        ("overlaps = true", 'converter = "sar"', "converter and bits (above 0) belong together"),
        ("overlaps = true", "bits = 8", "converter and bits (above 0) belong together"),
        ("overlaps = true", 'converter = "flash"\nbits = 8', 'unknown converter "flash"'),
        ("overlaps = true", 'scales = "digital"', "follow the node: parameter.node is missing"),
        ("overlaps = true", 'scales = "digitl"', 'unknown scales "digitl"; did you mean "digital"'),
        ("overlaps = true", "area_m2 = -1", "area_m2 takes a finite number from 0, got -1"),
        ("values = [1.0, 2]", "values = []", "table.times: values takes finite numbers, got []"),
        ("values = [1.0, 2]", "values = [1.0, nan]", "values takes finite numbers, got [1.0, nan]"),
        ("values = [1.0, 2]", 'values = ["a"]', "values takes finite numbers, got ['a']"),
        ("values = [1.0, 2]", "values = 3", "values takes list, got 3"),
    ],
)
def test_what_is_wrong_is_named(old, new, says):
    assert old in GOOD
    with pytest.raises(ValueError, match=f"^technology mine.*{re.escape(says)}"):
        parse(GOOD.replace(old, new, 1), "mine")


def test_names_that_do_not_exist_come_with_the_nearest():
    with pytest.raises(ValueError, match='unknown technology "opu_gen4"; did you mean "opu_gen'):
        load("opu_gen4")
    with pytest.raises(ValueError, match='unknown event "farme"; did you mean "frame"'):
        parse(GOOD, "good").event("farme", 1, 1)
    with pytest.raises(ValueError, match="is not there"):
        load("nowhere/mine.toml")
