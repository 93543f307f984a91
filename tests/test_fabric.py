"""Fabrics: the shipped ones are whole, wrong ones are refused in a sentence, routes are right."""

from __future__ import annotations

import networkx as nx
import pytest

from hwloop.devices import CATALOGUE
from hwloop.devices.technology import load as technology
from hwloop.mappings.fabric import Fabric
from hwloop.mappings.fabric_file import load, names, parse

CHIP = """
name = "a chip"
description = "for tests"
bytes_per_number = 1
bytes_source = "made up for a test"
[tile.core]
device = "crossbar"
technology = "pcm_hermes"
rows = 256
columns = 512
count = 8
source = "made up for a test"
[host.unit]
technology = "isaac_digital"
count = 2
source = "made up for a test"
[[link]]
from = "core"
to = "unit"
shape = "groups"
bandwidth_Bps = 1e9
latency_s = 1e-9
energy_J_per_B = 1e-12
source = "made up for a test"
[[link]]
from = "unit"
to = "unit"
bandwidth_Bps = 2e9
latency_s = 1e-8
energy_J_per_B = "unknown"
source = "made up for a test"
"""
NETWORK = """
[network]
bandwidth_Bps = 1e8
latency_s = 1e-6
energy_J_per_B = 1e-11
source = "made up for a test"
"""


def chip(copies: int = 1, more: str = "") -> Fabric:
    return parse(f"copies = {copies}\n{CHIP}{more}", "chip")


@pytest.mark.parametrize("name", names())
def test_a_shipped_fabric_is_whole(name):
    fabric = load(name)
    assert isinstance(fabric.graph, nx.DiGraph)
    for kind in fabric.tiles.values():
        assert kind.device in CATALOGUE
        assert technology(kind.technology).stem == kind.technology
        assert kind.source
        for node in fabric.nodes(kind.name):
            assert fabric.route(node, fabric.nearest_host(node)) is not None
            assert fabric.kind_of(node) == kind.name
    for link in fabric.links:
        assert link.source


def test_the_ready_made_ones_are_there():
    assert {"gpu", "opu_and_gpu", "chip64", "printed"} <= set(names())


def test_cores_stand_in_groups_around_units():
    fabric = chip()
    assert fabric.nearest_host("core/3") == "unit/0"
    assert fabric.nearest_host("core/4") == "unit/1"
    assert [name for name, _ in fabric.route("core/0", "core/7")] == [
        "core/0>unit/0",
        "unit/0>unit/1",
        "unit/1>core/7",
    ]
    # the slowest link sets the rate, all latencies add up
    assert fabric.cost_s("core/0", "core/7", 1e3) == pytest.approx(1e-6 + 1e-9 + 1e-8 + 1e-9)


def test_each_way_of_a_link_is_a_resource_of_its_own():
    graph = chip().graph
    assert (
        graph.edges["core/0", "unit/0"]["resource"] != graph.edges["unit/0", "core/0"]["resource"]
    )
    assert len({e["resource"] for *_, e in graph.edges(data=True)}) == graph.number_of_edges()


def test_a_shared_link_is_one_bus():
    text = CHIP.replace('shape = "groups"', 'shape = "shared"')
    graph = parse(text, "chip").graph
    assert (
        graph.edges["core/0", "unit/0"]["resource"] == graph.edges["core/7", "unit/1"]["resource"]
    )


def test_a_mesh_joins_neighbours_alone():
    graph = load("chip64").graph
    units = graph.subgraph(n for n in graph if n.startswith("digital"))
    assert units.number_of_edges() == 2 * 2 * 4 * 3  # both ways, both directions, 4 x 4
    assert nx.is_strongly_connected(graph)


def test_copies_are_joined_by_their_gates():
    fabric = chip(3, NETWORK)
    assert len(fabric.nodes("core")) == 24
    hops = [name for name, _ in fabric.route("copy0/core/7", "copy2/core/0")]
    assert hops == [
        "copy0/core/7>unit/1",
        "copy0/unit/1>unit/0",
        "copy0/unit/0>network",
        "network>copy2/unit/0",
        "copy2/unit/0>core/0",
    ]
    assert fabric.nearest_host("copy2/core/5") == "copy2/unit/1"


def test_a_lone_tile_is_joined_by_the_network():
    more = (
        '[tile.opu]\ndevice = "opu"\ntechnology = "opu_gen3"\nonce = true\nsource = "x"\n' + NETWORK
    )
    fabric = chip(2, more)
    assert fabric.nodes("opu") == ["opu"]
    hops = [name for name, _ in fabric.route("opu", "copy1/unit/0")]
    assert hops == ["opu>network", "network>copy1/unit/0"]
    assert fabric.keeper("opu") == "opu"
    assert fabric.keeper("copy1/core/0") == "copy1/unit/0"


# ---- what is wrong ----------------------------------------------------------------

WRONG = [
    (CHIP.replace("count = 8", "count = 0"), "tile.core: count takes a whole number from 1, got 0"),
    (CHIP.replace("rows = 256\n", ""), "rows and columns go together"),
    (CHIP.replace("rows = 256", "row = 256"), 'unknown key "row"; did you mean "rows"?'),
    (CHIP.replace('"crossbar"', '"crosbar"'), 'unknown device "crosbar"; did you mean "crossbar"?'),
    (CHIP.replace('"pcm_hermes"', '"pcm"'), 'tile.core: unknown technology "pcm"'),
    (CHIP.replace('to = "unit"', 'to = "unti"', 1), "link 1 leads from core to unti: unknown node"),
    (CHIP.replace('shape = "groups"', 'shape = "ring"'), 'link 1: unknown shape "ring"'),
    (CHIP.replace('shape = "groups"', 'shape = "mesh"'), "a mesh joins tiles of one kind"),
    (CHIP.replace("bandwidth_Bps = 1e9", "bandwidth_Bps = 0"), "takes a finite number above 0"),
    (CHIP.replace("latency_s = 1e-9", "latency_s = -1"), "latency_s takes a finite number from 0"),
    (CHIP.replace("latency_s = 1e-9\n", ""), "link 1: latency_s is missing"),
    (CHIP.replace('"unknown"', '"cheap"'), "energy_J_per_B takes a finite number"),
    (CHIP.replace('source = "made up for a test"', 'source = " "', 1), "source takes a text"),
    (CHIP.replace("[host.unit]", "[host.copy1]"), 'does not begin "copy"'),
    (CHIP.replace("bytes_per_number = 1", "bytes_per_number = 0"), "a finite number above 0"),
    (CHIP.split("[[link]]")[0], "no link leads to tile core/0; a [[link]] from core to unit would"),
    (CHIP.split("[host.unit]")[0], "host is missing"),
    ("copies = 3\n" + CHIP, "3 copies need a [network]"),
    ('[clock.c]\ntile = "cor"\nevent = "adc"\nsource = "x"\n', 'unknown tile "cor"'),
    ('[clock.c]\ntile = "core"\nevent = "frame"\nsource = "x"\n', 'unknown event "frame"'),
    ('[clock.c]\ntile = "core"\nsource = "x"\n', "takes either an event or a period_s"),
    ("colour = 3\n" + CHIP, 'unknown key "colour"'),
    ("tile = 3", "is missing"),
    ("[tile", "not TOML"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_fabric_is_refused_in_a_sentence(text, says):
    text = CHIP + text if text.startswith("[clock") else text
    with pytest.raises(ValueError, match="fabric mine") as wrong:
        parse(text, "mine")
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_name_that_is_not_there_is_answered_with_what_is():
    with pytest.raises(ValueError, match=r'unknown fabric "chip65"; did you mean "chip64"\?'):
        load("chip65")
    with pytest.raises(ValueError, match='fabric file "none.toml" is not there'):
        load("none.toml")
