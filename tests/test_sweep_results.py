"""What is read off a sweep: means and spreads, the Pareto front, files, and its page."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.sweep_axis import of_key, of_measure
from hwloop.sim.sweep_figures import curves, pareto
from hwloop.sim.sweep_measures import MEASURES, measure
from hwloop.sim.sweep_page import drawings, render, thinned
from hwloop.sim.sweep_parallel import parallel
from hwloop.sim.sweep_results import Results, over_seeds, read, spread, titled, unit_of
from hwloop.sim.sweep_run import open_plan
from hwloop.sim.sweep_store import POINTS, create
from hwloop.sim.sweep_svg import standalone
from hwloop.sim.sweep_table import csv_text, parquet, sentences, table

TEXT = """
name = "bits & <b>noise</b>"
[weight]
device = "crossbar"
[feedback]
device = "opu"
[optimizer]
momentum = 0.9
[sweep]
"weight.adc_bits" = [3, 4, 6, 8]
"weight.read_noise" = {noises}
seed = {{ count = {seeds} }}
[sweep.zip]
"feedback.technology" = ["opu_gen2", "opu_gen3"]
"feedback.noise" = [1.0, 2.0]
"""


def supposed(folder: Path, noises: int = 3, seeds: int = 2, gone: int = 0) -> Path:
    """Write a sweep that nobody carried out, of 8 * noises * seeds points."""
    from hwloop.sim.sweep_file import sweep_of, tables_of

    file = folder.parent / "supposed.toml"
    values = [0.5 * k for k in range(noises)]
    file.write_text(TEXT.format(noises=values, seeds=seeds))
    raw, at = tables_of(file)
    plan = sweep_of(raw, at, folder.parent)
    create(folder, plan.raw, plan.digest)
    chance = random.Random(3)
    lines = []
    for k, one in enumerate(plan.points()):
        row: dict[str, Any] = {"point": one.key, "values": dict(one.values)}
        if k < gone:
            lines.append({**row, "error": "it is <i>wrong</i>"})
            continue
        bits, noise = one.values["weight.adc_bits"], one.values["weight.read_noise"]
        accuracy = 0.98 - 0.3 / bits**2 - 0.05 * noise + 0.01 * chance.random()
        measures = {
            "accuracy": accuracy,
            "validation_accuracy": None,
            "energy_J": 1e-3 * 2**bits,
            "latency_s": 1e-3 * (1 + (one.values["feedback.technology"] == "opu_gen2")),
            "epsilon": "inf",
            "area_m2": None,
        }
        more = {"training": one.training, "measures": measures, "notes": []}
        lines.append({**row, **more, "technologies": [], "world": ""})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / POINTS).write_text(text)
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read(supposed(tmp_path_factory.mktemp("sweep") / "a", gone=2))


def test_points_come_in_the_order_of_the_file(results: Results):
    assert (len(results.rows), len(results.gone), results.total) == (46, 2, 48)
    order = [p.key for p in open_plan(results.folder).points()]
    assert [row.point for row in results.rows] == order[2:]
    assert results.leads == ["weight.adc_bits", "weight.read_noise", "feedback.technology"]
    assert [m.name for m in results.measures] == ["accuracy", "energy_J", "latency_s"]


def test_the_spread_is_over_seeds_alone(results: Results):
    groups = over_seeds(results)
    assert sum(len(rows) for _, rows in groups) == 46
    for values, rows in groups:
        assert "seed" not in values
        assert {k: v for k, v in rows[0].values.items() if k != "seed"} == values
        assert len({row.values["seed"] for row in rows}) == len(rows) <= 2
        found = [row.of("accuracy") or 0.0 for row in rows]
        assert spread(found).mean == pytest.approx(statistics.fmean(found))
        if len(found) > 1:
            assert spread(found).std == pytest.approx(statistics.stdev(found))


@pytest.mark.parametrize("names", [["accuracy", "energy_J"], ["accuracy", "energy_J", "latency_s"]])
def test_the_front_is_what_no_other_beats(names: list[str], results: Results):
    measures = [MEASURES[name] for name in names]

    def losses(row: Any) -> list[float]:
        return [(-1 if m.higher else 1) * row.of(m.name) for m in measures]

    def beaten(row: Any) -> bool:
        mine = losses(row)
        return any(
            losses(o) != mine and all(a <= b for a, b in zip(losses(o), mine, strict=True))
            for o in results.rows
        )

    front = {row.point for row in results.front(measures)}
    assert front == {row.point for row in results.rows if not beaten(row)}
    assert 1 < len(front) < 46


def test_two_sweeps_stand_side_by_side(results: Results, tmp_path: Path):
    other = read(supposed(tmp_path / "b", noises=2))
    both = results.beside(other)
    assert len(both.rows) == 46 + 32
    assert len(both.levels("sweep")) == 2
    [made, *_] = table(both)
    heads = [column.header for column in made.columns]
    assert sum("test accuracy" in str(head) for head in heads) == 2
    assert len(made.rows) == 24  # every setting once, both sweeps in its line
    render(both)


def test_files_hold_every_point(results: Results):
    found = list(csv.DictReader(io.StringIO(csv_text(results))))
    assert len(found) == 46
    for row, line in zip(results.rows, found, strict=True):
        assert float(line["accuracy"]) == row.measures["accuracy"]
        assert int(line["weight.adc_bits"]) == row.values["weight.adc_bits"]
        assert line["validation_accuracy"] == ""
    pyarrow = pytest.importorskip("pyarrow")
    reader = pytest.importorskip("pyarrow.parquet")
    content = parquet(results)
    assert content is not None
    table_read = reader.read_table(pyarrow.BufferReader(content))
    assert table_read.column("accuracy").to_pylist() == [
        r.measures["accuracy"] for r in results.rows
    ]
    assert str(table_read.schema.field("weight.adc_bits").type) == "int64"


def test_sentences_say_what_was_saved_and_what_is_missing(results: Results):
    said = " ".join(sentences(results))
    assert "46 points took 46 trainings" not in said
    assert "2 points were refused, the first: it is <i>wrong</i>" in said


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("weight.adc_bits", "bits"),
        ("weight.g_max_S", "S"),
        ("weight.word_ohm", "Ω"),
        ("optimizer.rate", ""),
        ("technology.opu_gen3.idle_W", "W"),
        ("technology.opu_gen3.event.frame.latency_s", "s"),
        ("technology.opu_gen3.parameter.camera_bits", "bit"),
        ("technology.opu_gen3.area_m2", "m²"),
    ],
)
def test_keys_have_units(key: str, unit: str):
    assert unit_of(key) == unit
    assert titled(key) == (f"{key} ({unit})" if unit else key)


def test_measures_of_arms_are_measures():
    one = measure("frozen.energy_J")
    assert (one.unit, one.higher, one.title) == ("J", False, "training energy, frozen")
    with pytest.raises(KeyError):
        measure("frozen.energy")


# ---- figures -----------------------------------------------------------------------------


def test_axes_are_straight_or_logarithmic_and_their_ticks_are_where_they_say(results: Results):
    m = MEASURES["energy_J"]
    for values in ([1.0, 2.0, 3.5], [1e-6, 1e-3, 5.0], [0.0, 10.0], [7.0, 7.0]):
        axis = of_measure(m, values, 100.0, 700.0)
        places = [axis.place(v) for v in values]
        assert all(p is not None and 100 <= p <= 700 for p in places)
        assert places == sorted(places, key=lambda p: p or 0.0)
        assert 1 <= len(axis.ticks) <= 16
        assert axis.logarithmic == (min(values) > 0 and max(values) / min(values) > 30)
    assert [said for _, said in of_measure(m, [0.0, 10.0], 0, 100).ticks] == [
        "0 J",
        "2 J",
        "4 J",
        "6 J",
        "8 J",
        "10 J",
    ]
    axis = of_key(results, "feedback.technology", 0.0, 100.0)
    assert list(axis.ticks) == [(25.0, "opu_gen2"), (75.0, "opu_gen3")]
    assert axis.place("opu_gen9") is None


def test_figures_show_every_point_where_it_belongs(results: Results):
    x, y = MEASURES["energy_J"], MEASURES["accuracy"]
    drawn = ET.fromstring(standalone(pareto(results, x, y)))
    marks = [e for e in drawn.iter() if "data-i" in e.attrib]
    assert len(marks) == 46
    places = {}
    for mark in marks:
        found = re.findall(r"[-\d.]+", mark.attrib["transform"])
        places[int(mark.attrib["data-i"])] = tuple(map(float, found))
    for k, row in enumerate(results.rows):
        for j, other in enumerate(results.rows):
            if row.of("accuracy") < other.of("accuracy") - 0.005:  # type: ignore[operator]
                assert places[k][1] > places[j][1]
            if row.of("energy_J") < other.of("energy_J"):  # type: ignore[operator]
                assert places[k][0] < places[j][0]
    best = sum("best" in mark.attrib["class"] for mark in marks)
    assert best == len(results.front([x, y]))
    lines = [e for e in ET.fromstring(standalone(parallel(results))).iter() if "data-i" in e.attrib]
    assert len(lines) == 46


def test_a_curve_goes_through_the_means(results: Results):
    drawn = ET.fromstring(standalone(curves(results, "weight.adc_bits", MEASURES["accuracy"])))
    said = [e.text or "" for e in drawn.iter() if e.tag.endswith("title")]
    assert len(said) == 4
    for text, bits in zip(said, (3, 4, 6, 8), strict=True):
        found = [
            row.of("accuracy") or 0.0
            for row in results.rows
            if row.values["weight.adc_bits"] == bits
        ]
        assert text.startswith(f"{bits}: {statistics.fmean(found):.4g} ± ")
        assert text.endswith(f"({len(found)})")


def test_every_figure_is_a_file_that_parses(results: Results):
    found = drawings(results)
    assert {"pareto-energy_J-accuracy", "weight-adc-bits-accuracy"} <= set(found)
    for figure in found.values():
        ET.fromstring(standalone(figure))


def test_the_page_escapes_what_a_user_wrote(results: Results):
    page = render(results)
    assert "<b>noise</b>" not in page
    assert "<i>wrong</i>" not in page
    assert "bits &amp; &lt;b&gt;noise&lt;/b&gt;" in page
    assert "default-src &#x27;none&#x27;" in page


def test_the_page_of_a_thousand_points_is_small(tmp_path: Path):
    found = read(supposed(tmp_path / "many", noises=25, seeds=5))
    assert len(found.rows) == 1000
    assert len(render(found).encode()) < 5e6


def test_of_very_many_points_the_fronts_and_an_even_part_are_drawn(tmp_path: Path):
    found = read(supposed(tmp_path / "more", noises=100, seeds=5))
    kept = thinned(found)
    assert (len(found.rows), len(kept.rows) < 2100) == (4000, True)
    front = {r.point for r in found.front([MEASURES["energy_J"], MEASURES["accuracy"]])}
    assert front <= {r.point for r in kept.rows}
    page = render(found)
    assert f"Figures show {len(kept.rows):,} of 4,000 points" in page
    assert len(page.encode()) < 5e6
