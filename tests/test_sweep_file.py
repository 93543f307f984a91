"""What varies: grids, zips and draws by dotted keys; and one sentence for whatever is wrong."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from hwloop.sim.places import BadInput
from hwloop.sim.sweep_axes import split
from hwloop.sim.sweep_file import Sweep
from hwloop.sim.sweep_run import check, read_plan

BASE = """
name = "small"
[data]
set = "iris"
[network]
hidden = [8]
[train]
epochs = 1
[weight]
device = "crossbar"
[optimizer]
momentum = 0.9
[feedback]
device = "opu"
"""


def sweep(tmp_path: Path, text: str, *settings: str, base: str = BASE) -> Sweep:
    path = tmp_path / "my.toml"
    path.write_text(base + text)
    found = read_plan(path, settings)
    assert isinstance(found, Sweep)
    return found


def test_a_grid_multiplies_and_its_last_key_is_the_fastest(tmp_path: Path):
    found = sweep(
        tmp_path, '[sweep]\n"weight.adc_bits" = [4, 6]\noptimizer.rate = [0.1, 0.2, 0.3]\n'
    )
    assert len(found) == 6
    values = [tuple(p.values.values()) for p in found.points()]
    assert values == [(b, r) for b in (4, 6) for r in (0.1, 0.2, 0.3)]
    assert found.keys == ["weight.adc_bits", "optimizer.rate"]
    assert len({p.key for p in found.points()}) == 6
    assert found.point(4).raw["optimizer"] == {"momentum": 0.9, "rate": 0.2}
    assert found.point(4).experiment.places["weight"]["adc_bits"] == 6


def test_ranges_hit_their_ends_and_are_whole_where_the_field_is(tmp_path: Path):
    found = sweep(
        tmp_path,
        "[sweep]\n"
        '"weight.adc_bits" = { linear = [2, 8], n = 4 }\n'
        '"weight.read_noise" = { linear = [0, 2], n = 5 }\n'
        '"optimizer.rate" = { log = [1e-3, 1e-1], n = 3 }\n'
        '"train.batch" = { log = [1, 64], n = 7 }\n'
        "seed = { count = 2 }\n",
    )
    columns = [[v[0] for v in axis.values] for axis in found.axes]
    assert columns[0] == [2, 4, 6, 8]
    assert columns[1] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert columns[2] == [1e-3, 1e-2, 1e-1]
    assert columns[3] == [1, 2, 4, 8, 16, 32, 64]
    assert columns[4] == [0, 1]
    assert all(isinstance(v, int) for v in columns[0] + columns[3])


def test_zipped_keys_go_together(tmp_path: Path):
    found = sweep(
        tmp_path,
        '[[sweep.zip]]\n"weight.adc_bits" = [4, 6]\n'
        '"technology.pcm_hermes.event.adc.energy_J" = [1e-12, 2e-12]\n'
        '[[sweep.zip]]\nseed = [3, 5]\n"train.batch" = [8, 16]\n',
    )
    assert len(found) == 4
    assert found.leads == ["weight.adc_bits", "seed"]
    for p in found.points():
        energy = p.values["technology.pcm_hermes.event.adc.energy_J"]
        assert (p.values["weight.adc_bits"], energy) in {(4, 1e-12), (6, 2e-12)}
        named = p.experiment.places["weight"]["technology"]
        assert named == f"pcm_hermes; event.adc.energy_J = {energy!r}"


def test_a_larger_sample_keeps_the_points_of_a_smaller(tmp_path: Path):
    text = (
        '[sweep.sample]\ncount = {}\n"optimizer.rate" = {{ log = [1e-3, 1.0] }}\n'
        '"weight.adc_bits" = {{ linear = [3, 8] }}\n"weight.mapping" = ["offset", "balanced"]\n'
    )
    small, large = (sweep(tmp_path, text.format(n)) for n in (50, 3000))
    drawn = [tuple(p.values.values()) for p in large.points()]
    assert [tuple(p.values.values()) for p in small.points()] == drawn[:50]
    # uniform in the logarithm: mean 1/2, std 1/sqrt(12), within five standard errors
    shares = [math.log10(rate) / 3 + 1 for rate, _, _ in drawn]
    assert abs(sum(shares) / 3000 - 0.5) < 5 / math.sqrt(12 * 3000)
    for bits in range(3, 9):
        count = sum(b == bits for _, b, _ in drawn)
        assert abs(count - 500) < 5 * math.sqrt(3000 * (1 / 6) * (5 / 6))
    count = sum(m == "offset" for _, _, m in drawn)
    assert abs(count - 1500) < 5 * math.sqrt(3000 / 4)


def test_whole_tables_and_lists_are_values(tmp_path: Path):
    found = sweep(
        tmp_path,
        '[sweep]\nweight = [{ device = "ideal" }, { device = "crossbar", adc_bits = 4 }]\n'
        '"network.hidden" = [[8], [8, 8]]\n',
    )
    assert [p.experiment.places["weight"]["device"] for p in found.points()] == [
        "ideal",
        "ideal",
        "crossbar",
        "crossbar",
    ]
    assert found.point(3).experiment.network.hidden == [8, 8]


def test_arms_and_settings_vary_too(tmp_path: Path):
    found = sweep(
        tmp_path,
        '[sweep]\n"compare.frozen.optimizer.rate" = [0.1, 0.2]\n'
        '"technology.opu_gen3.idle_W" = [1.0, 2.0]\n'
        '[compare.frozen]\nalgorithm = { rule = "frozen" }\n'
        'feedback = { device = "opu", signed = false }\n',
        "train.epochs=2",
    )
    p = found.point(3)
    assert p.experiment.train.epochs == 2
    assert p.raw["compare"]["frozen"]["optimizer"] == {"rate": 0.2}
    # a number of a technology changes wherever the technology is used
    for arm in (p.experiment, p.experiment.compare["frozen"]):
        assert arm.places["feedback"]["technology"] == "opu_gen3; idle_W = 2.0"


def test_keys_do_not_depend_on_order_or_name(tmp_path: Path):
    one = sweep(tmp_path, '[sweep]\n"train.batch" = [8, 16]\n"optimizer.rate" = [0.1, 0.2]\n')
    other = sweep(
        tmp_path,
        '[sweep]\n"optimizer.rate" = [0.2, 0.1]\ntrain.batch = [16, 8]\n',
        base=BASE.replace('"small"', '"other"'),
    )
    assert {p.key for p in one.points()} == {p.key for p in other.points()}
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("weight.adc_bits", ("weight", "adc_bits")),
        ("weight/1.adc_bits", ("weight/1", "adc_bits")),
        (
            "technology.opu_gen3.event.frame.latency_s",
            ("technology", "opu_gen3", "event", "frame", "latency_s"),
        ),
        ('technology."my.toml".idle_W', ("technology", "my.toml", "idle_W")),
        ("technology.my.toml.parameter.g_max", ("technology", "my.toml", "parameter", "g_max")),
    ],
)
def test_dotted_keys(key: str, path: tuple[str, ...]):
    assert split(key) == path


# ---- what goes wrong -------------------------------------------------------------------

WRONG = [
    ("[sweep]\n", "line 15: [sweep] is empty", '"weight.read_noise" = '),
    ("[sweep]\n'weight.adc_bit' = [4]\n", "line 16: [sweep]", 'did you mean "adc_bits"?'),
    ("[sweep]\nweight.adc_bit = [4]\n", "line 16: [sweep]", 'did you mean "adc_bits"?'),
    ("[sweep]\n'trian.epochs' = [4]\n", "line 16: [sweep]", 'did you mean "train"?'),
    ("[sweep]\n'weight.adc_bits' = []\n", "line 16: [sweep] weight.adc_bits has no values"),
    ("[sweep]\n'weight.adc_bits' = 4\n", "weight.adc_bits takes a list of values", "got 4"),
    ("[sweep]\n'weight.adc_bits' = [4, 'x']\n", 'weight.adc_bits = "x"', "whole number"),
    ("[sweep]\n'optimizer.rate' = [0.1, -1.0]\n", "optimizer.rate = -1.0", "above 0"),
    ("[sweep]\n'seed' = { count = 0 }\n", "seed: count takes a whole number from 1, got 0"),
    ("[sweep]\n'train.epochs' = { count = 3 }\n", "count is for seeds"),
    ("[sweep]\n'optimizer.rate' = { log = [0.0, 1.0], n = 3 }\n", "low above 0"),
    ("[sweep]\n'optimizer.rate' = { log = [1.0, 0.1], n = 3 }\n", "low below high"),
    ("[sweep]\n'optimizer.rate' = { log = [0.1], n = 3 }\n", "[low, high], two numbers"),
    ("[sweep]\n'optimizer.rate' = { log = [0.1, 1.0] }\n", "n takes a whole number from 2"),
    ("[sweep]\n'optimizer.rate' = { log = [0.1, 1.0], m = 3 }\n", "takes a list of values"),
    ("[sweep]\n'seed.x' = [3]\n", "seed.x = 3: seed takes a whole number"),
    ("[sweep]\n'name.x' = [3]\n", "name is a value in this experiment"),
    ("[sweep]\nseed = [1]\n[sweep.zip]\nseed = [2]\n", "seed is varied twice"),
    ("[sweep.zip]\nseed = [2]\n'train.batch' = [1, 2]\n", "seed has 1, train.batch has 2"),
    ("[sweep.sample]\nseed = [2]\n", "count takes how many points to draw"),
    ("[sweep]\n'technology.opu_gen2.idle_W' = [1.0]\n", 'did you mean "opu_gen3"?'),
    ("[sweep]\n'technology.opu_gen3.idle_w' = [1.0]\n", 'unknown number "idle_w"'),
    ("[sweep]\n'technology.opu_gen3.event.fram.latency_s' = [1.0]\n", 'did you mean "frame"?'),
    ("[sweep]\n'technology.opu_gen3.event.frame.latency' = [1.0]\n", '"latency_s"?'),
    ("[sweep]\n'technology.opu_gen3.idle_W' = [-1.0]\n", "takes a number from 0, got -1"),
    ("[sweep]\n'technology.opu_gen3.idle_W' = ['x']\n", 'takes a number, got "x"'),
    ("[search]\n[sweep]\n", "it has both"),
    ("", "it has neither: hwloop run runs it"),
    ("[sweep]\nzip = 3\n", "takes a table"),
]


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in WRONG], ids=range(len(WRONG)))
def test_what_is_wrong_is_one_sentence_with_its_place(text: str, says: list[str], tmp_path: Path):
    with pytest.raises(BadInput) as wrong:
        sweep(tmp_path, text)
    sentence = str(wrong.value)
    assert "\n" not in sentence
    for part in says:
        assert part in sentence


def test_a_grid_that_nobody_means_needs_a_yes(tmp_path: Path):
    found = sweep(
        tmp_path,
        '[sweep]\n"optimizer.rate" = { linear = [0.1, 1.0], n = 1000 }\nseed = { count = 1000 }\n',
    )
    with pytest.raises(BadInput, match=r"has 1,000,000 points; --yes"):
        check(found, yes=False)
    check(found, yes=True)


def test_what_cannot_be_prepared_is_refused_before_a_point_is_trained(tmp_path: Path):
    found = sweep(tmp_path, '[sweep]\n"weight.adc_bits" = [40, 50]\n')
    with pytest.raises(BadInput, match=r"weight.adc_bits = 40: .*adc_bits takes a whole number"):
        check(found, yes=False)


def test_points_by_number_are_those_in_order(tmp_path: Path):
    found = sweep(tmp_path, '[sweep]\n"weight.adc_bits" = [4, 5, 6]\nseed = { count = 4 }\n')
    keys = [p.key for p in found.points()]
    for k in random.Random(0).sample(range(12), 12):
        assert found.point(k).key == keys[k]
