"""Where blocks are put: every strategy places all of them, and does what its name says."""

from __future__ import annotations

from collections import Counter

import pytest

from hwloop.mappings.fabric_file import load, parse
from hwloop.mappings.siting import Work, duplicated, site
from hwloop.mappings.tiling import Cut, Unfit

CHIP = load("chip64")


def layer(name: str, n_out: int, n_in: int) -> Cut:
    return Cut(name, n_out, n_in, 256, 256, 2, 0, "core")


CUTS = {c.device: c for c in [layer("a", 300, 700), layer("b", 100, 300), layer("c", 10, 100)]}
WORK = {"a": Work(3.0, 0.0, 32), "b": Work(2.0, 0.0, 32), "c": Work(1.0, 0.0, 32)}


@pytest.mark.parametrize("strategy", ["first_fit", "balanced", "least_traffic"])
@pytest.mark.parametrize("sharing", ["lines", "diagonal", "alone"])
def test_every_strategy_places_every_block_on_a_tile(strategy, sharing):
    plan = site(CHIP, CUTS, strategy, sharing, WORK)
    assert len(plan.nodes) == len(plan.at) == len(plan.blocks) == 6 + 2 + 1
    assert set(plan.nodes) <= set(CHIP.nodes("core"))
    assert [plan.blocks[k].device for k in plan.of("b")] == ["b", "b"]
    if sharing == "alone":
        assert max(Counter(plan.nodes).values()) == 1
    assert not plan.notes


def test_first_fit_takes_the_fewest_tiles_and_balanced_shares_the_work():
    fewest, spread = (site(CHIP, CUTS, s, "lines", WORK) for s in ("first_fit", "balanced"))
    assert len(fewest.tiles("core")) < len(spread.tiles("core")) == 9
    assert fewest.filled("core") > spread.filled("core")
    # the busiest blocks go to tiles beside different hosts
    hosts = {CHIP.nearest_host(spread.nodes[k]) for k in spread.of("a")}
    assert len(hosts) == 6


def test_least_traffic_keeps_what_belongs_together_near():
    near, spread = (site(CHIP, CUTS, s, "alone", WORK) for s in ("least_traffic", "balanced"))
    for name in CUTS:
        ours = {CHIP.nearest_host(near.nodes[k]) for k in near.of(name)}
        theirs = {CHIP.nearest_host(spread.nodes[k]) for k in spread.of(name)}
        assert len(ours) < len(theirs) or len(theirs) == 1


def test_pinned_blocks_lie_where_the_file_says():
    pins = {"b": ["core/40", "core/41"], "c": ["core/40"]}
    for strategy in ("pinned", "balanced"):
        plan = site(CHIP, CUTS, strategy, "lines", WORK, pins=pins)
        assert {plan.nodes[k] for k in plan.of("b")} <= {"core/40", "core/41"}
        assert [plan.nodes[k] for k in plan.of("c")] == ["core/40"]


def test_a_pin_to_nothing_is_refused():
    with pytest.raises(ValueError, match='unknown matrix to pin "d"'):
        site(CHIP, CUTS, pins={"d": ["core/0"]})
    with pytest.raises(ValueError, match='a is pinned to unknown tile "cor/0"'):
        site(CHIP, CUTS, pins={"a": ["cor/0"]})
    with pytest.raises(Unfit, match=r"a \[0:256, 256:512\] finds no room on core/0: pin it to one"):
        site(CHIP, CUTS, "pinned", pins={"a": ["core/0"]})


def test_a_network_that_does_not_fit_is_told_how_many_tiles_it_lacks():
    large = {"a": layer("a", 256 * 8, 256 * 9)}
    with pytest.raises(Unfit, match=r"a are 72 blocks on 72 tiles core, .* has 64: 8 more tiles"):
        site(CHIP, large)


def test_copies_are_blocks_of_their_own():
    plan = site(CHIP, CUTS, "balanced", "lines", WORK, {"b": 3})
    assert [plan.blocks[k].copy for k in plan.of("b")] == [0, 0, 1, 1, 2, 2]
    assert len({plan.nodes[k] for k in plan.of("b")}) == 6


def test_duplication_serves_the_longest_stage_and_stops_where_it_does_not_help():
    """A first layer of many rows, as a convolution's, is given copies until it is not longest."""
    work = {"a": Work(1.0, 0.0, 32), "b": Work(12.0, 0.0, 900), "c": Work(1.0, 0.0, 32)}

    def longest(plan):
        return max(work[n].seconds(plan.copies[n]) for n in CUTS)

    copies = duplicated(CHIP, CUTS, work, longest)
    assert copies["b"] >= 11
    assert copies["b"] * 2 + 6 * copies["a"] + copies["c"] <= 64 * 2
    assert longest(site(CHIP, CUTS, copies=copies)) <= 12.0 / 11
    assert duplicated(CHIP, CUTS, work, lambda plan: 1.0) == {"a": 1, "b": 1, "c": 1}


def test_duplication_does_not_pay_where_every_copy_must_be_written():
    work = {"b": Work(1.0, 5.0, 900)}

    def seconds(plan):  # what is written to every copy takes one digital unit its time
        return work["b"].read_s / plan.copies["b"] + work["b"].write_s * plan.copies["b"]

    assert duplicated(CHIP, {"b": CUTS["b"]}, work, seconds) == {"b": 1}


def test_engines_share_matrices_by_what_each_has_to_do():
    text = """
name = "two engines"
description = "x"
bytes_per_number = 4
bytes_source = "x"
[tile.gpu]
device = "matrix_engine"
technology = "nvidia_a100_fp32"
count = 2
source = "x"
[host.gpu]
technology = "nvidia_a100_fp32"
count = 2
source = "x"
[[link]]
from = "gpu"
to = "gpu"
bandwidth_Bps = 1e9
latency_s = 0
energy_J_per_B = 0
source = "x"
"""
    fabric = parse(text, "two")
    whole = {n: Cut(n, 8, 8, 8, 8, 1, 0, "gpu") for n in "abc"}
    plan = site(fabric, whole, work={"a": Work(3.0), "b": Work(1.0), "c": Work(1.0)})
    assert dict(zip("abc", plan.nodes, strict=True)) == {"a": "gpu/0", "b": "gpu/1", "c": "gpu/1"}
