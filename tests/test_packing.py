"""Cutting matrices into blocks and packing them onto tiles: nothing is lost, nothing overlaps."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwloop.devices import Crossbar, Ledger
from hwloop.devices.ledger import Installed
from hwloop.devices.technology import load as technology
from hwloop.mappings.fabric_file import load, parse
from hwloop.mappings.packing import SPACES, area_bound, pack, pack_exactly
from hwloop.mappings.tiling import Block, Cut, Unfit, cut

ROWS, COLUMNS = 64, 48


def blocks(sizes: list[tuple[int, int]]) -> list[Block]:
    return [Block(f"w{k}", 0, (0, h), (0, w), h, w) for k, (h, w) in enumerate(sizes)]


SIZES = st.lists(st.tuples(st.integers(1, ROWS), st.integers(1, COLUMNS)), min_size=1, max_size=40)


@pytest.mark.parametrize("sharing", SPACES)
@given(sizes=SIZES)
@settings(max_examples=60, deadline=None)
def test_blocks_lie_inside_tiles_and_share_only_what_they_may(sharing, sizes):
    some = blocks(sizes)
    found = pack(some, ROWS, COLUMNS, sharing)
    assert len(found) == len(some)
    tiles = {tile for tile, _ in found}
    assert tiles == set(range(len(tiles)))
    assert len(tiles) >= area_bound(some, ROWS, COLUMNS)
    for k, (tile, (row, column)) in enumerate(found):
        assert 0 <= row <= ROWS - some[k].height
        assert 0 <= column <= COLUMNS - some[k].width
        for n in range(k):
            other, (row2, column2) = found[n]
            if other != tile:
                continue
            assert sharing != "alone"
            rows = row < row2 + some[n].height and row2 < row + some[k].height
            columns = column < column2 + some[n].width and column2 < column + some[k].width
            assert not (rows and columns)
            if sharing == "diagonal":
                assert not rows
                assert not columns


@pytest.mark.parametrize("sharing", SPACES)
@given(sizes=SIZES)
@settings(max_examples=40, deadline=None)
def test_a_space_never_gives_room_twice(sharing, sizes):
    space, taken = SPACES[sharing](ROWS, COLUMNS), np.zeros((ROWS, COLUMNS), bool)
    for height, width in sizes:
        at = space.add(height, width)
        if at is None:
            continue
        here = taken[at[0] : at[0] + height, at[1] : at[1] + width]
        assert here.shape == (height, width)
        assert not here.any()
        here[:] = True


def test_sixteen_layers_pack_as_the_facts_say_they_can():
    """Blocks that may share lines take far fewer tiles than those on a diagonal."""
    rng = np.random.default_rng(2)
    sizes = [(int(h), int(w)) for h, w in rng.integers(20, 200, (40, 2))]
    some = blocks([(h, w) for h, w in sizes])
    lines = 1 + max(t for t, _ in pack(some, 256, 256, "lines"))
    diagonal = 1 + max(t for t, _ in pack(some, 256, 256, "diagonal"))
    assert area_bound(some, 256, 256) <= lines < diagonal < len(some)


def test_ten_thousand_blocks_come_near_the_area_bound():
    rng = np.random.default_rng(0)
    some: list[Block] = []
    while len(some) < 2_000:
        n_out, n_in = rng.integers(10, 1500, 2)
        some += Cut("w", int(n_out), int(n_in), 256, 256, 1, 0, "core").blocks()
    tiles = 1 + max(tile for tile, _ in pack(some, 256, 256))
    assert tiles <= 1.1 * area_bound(some, 256, 256)


@pytest.mark.skipif(importlib.util.find_spec("ortools") is None, reason="OR-tools is not installed")
@pytest.mark.parametrize("sharing", ["lines", "diagonal"])
def test_exact_packing_takes_no_more_tiles_and_proves_it(sharing):
    # first fit of these puts the two of 34 together, and then needs a third tile
    sizes = [(34, 34), (34, 34), (33, 33), (33, 33), (31, 31), (31, 31), (30, 30), (30, 30)]
    some = blocks(sizes)
    quick = pack(some, 64, 64, sharing)
    found, proven = pack_exactly(some, 64, 64, sharing)
    assert proven
    assert max(t for t, _ in found) <= max(t for t, _ in quick)
    for k, (tile, (row, column)) in enumerate(found):
        for n in range(k):
            other, (row2, column2) = found[n]
            apart = row + sizes[k][0] <= row2 or row2 + sizes[n][0] <= row
            beside = column + sizes[k][1] <= column2 or column2 + sizes[n][1] <= column
            assert tile != other or (apart and beside if sharing == "diagonal" else apart or beside)


def test_a_block_larger_than_a_tile_is_named():
    with pytest.raises(ValueError, match=r"w0 \[0:9, 0:99\] takes 99 x 9 cells, a tile has 64"):
        pack(blocks([(99, 9)]), ROWS, COLUMNS)


# ---- cutting ----------------------------------------------------------------------


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 3), st.integers(3, 40))
@settings(max_examples=60, deadline=None)
def test_the_blocks_of_a_matrix_are_the_matrix(n_out, n_in, copies, size):
    made = Cut("w", n_out, n_in, size, size, 2, 1, "core")
    some = made.blocks(copies)
    assert len(some) == copies * made.down * made.across
    covered = np.zeros((copies, n_out, n_in), int)
    for b in some:
        covered[b.copy, slice(*b.outputs), slice(*b.inputs)] += 1
        assert b.height == b.inputs[1] - b.inputs[0]
        assert b.width == 2 * (b.outputs[1] - b.outputs[0]) + 1
    assert (covered == 1).all()
    assert sum(b.cells for b in some) == copies * n_out * n_in


def test_a_crossbar_is_cut_where_it_cuts_itself():
    ledger = Ledger()
    device = Crossbar(n_out=300, n_in=700, name="weight/1", ledger=ledger)
    made = cut("weight/1", ledger.devices["weight/1"], technology("pcm_hermes"), load("chip64"))
    assert (made.down, made.across) == (device._tiles.down, device._tiles.across) == (3, 2)
    assert made.width == 2  # a pair of columns each


def test_a_crossbar_of_larger_arrays_than_the_tiles_is_refused():
    ledger = Ledger()
    Crossbar(n_out=300, n_in=700, name="weight/1", ledger=ledger, tile_rows=512)
    with pytest.raises(Unfit, match="arrays of 512 x 512 cells, and tile core has 256 x 512"):
        cut("weight/1", ledger.devices["weight/1"], technology("pcm_hermes"), load("chip64"))


def test_a_device_that_no_tile_is_for_is_named_with_what_there_is():
    opu = Installed("OPU", "opu_gen3", "opu_gen3", 5, 5, ())
    with pytest.raises(Unfit, match=r"feedback is of kind OPU and priced as opu_gen3; fabric gpu"):
        cut("feedback", opu, technology("opu_gen3"), load("gpu"))


def test_a_tile_too_small_for_anything_is_refused():
    text = """
name = "x"
description = "x"
bytes_per_number = 1
bytes_source = "x"
[tile.core]
device = "pulsed_crossbar"
technology = "rram_milo"
rows = 4
columns = 1
source = "x"
[host.h]
technology = "ideal"
source = "x"
[[link]]
from = "core"
to = "h"
bandwidth_Bps = 1
latency_s = 0
energy_J_per_B = 0
source = "x"
"""
    device = Installed("PulsedCrossbar", "rram_milo", "weight/1", 5, 5, ())
    with pytest.raises(Unfit, match="one output of weight/1 takes 2 columns, and tile core has 1"):
        cut("weight/1", device, technology("rram_milo"), parse(text, "x"))
