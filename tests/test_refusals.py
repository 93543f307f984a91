"""Whatever is wrong in an experiment is one sentence with its place, before anything runs."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from hwloop.sim.experiment import BadInput, read
from hwloop.sim.places import shown
from hwloop.sim.prepare import prepare_all

IRIS = '[data]\nset = "iris"\n[weight]\ndevice = "ideal"\n[feedback]\ndevice = "opu"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str, *settings: str, prepare: bool = False) -> str:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as wrong:
        prepare_all(read(path, settings)) if prepare else read(path, settings)
    return str(wrong.value).replace(str(path), "my.toml")


# ---- files and settings -----------------------------------------------------------

WHOLE = "takes a whole number from 1 to 1,000,000,000"
WRONG = [
    ("[train]\nepochs = -3", "my.toml, line 2: [train] epochs", WHOLE, "got -3"),
    ("[train]\nepochs = 0", "line 2", WHOLE, "got 0"),
    ("[train]\nepochs = true", WHOLE, "got true"),
    ("[train]\nepochs = 1.5", WHOLE, "got 1.5"),
    ('[train]\nepochs = "3"', WHOLE, 'got "3"'),
    ("[train]\nepochs = 10000000000000000000000", WHOLE),
    ("train.epochs = 0", "my.toml, line 1: [train]"),
    ("[train]\nbatch = 1\nepoch = 3", 'line 3: [train] unknown key "epoch"', '"epochs"?'),
    ("[optimizer]\nrate_s = 3", 'unknown key "rate_s"', 'did you mean "rate"?'),
    ("[optimizer]\nrate = nan", "[optimizer] rate takes a number", "got nan"),
    ("[optimizer]\nrate = inf", "[optimizer] rate takes a number", "got inf"),
    ("[optimizer]\nrate = true", "[optimizer] rate takes a number", "got true"),
    ("[optimizer]\nrate = -1", "line 2: [optimizer] rate takes a finite number above 0"),
    ("[optimizer]\nkind = 'adm'", 'unknown kind "adm"; did you mean "adam"?'),
    ("[optimizer]\nkind = ['adam']", "unknown kind"),
    ("[optimizer]\nkind = 'adam'\nmomentum = 0.5", 'line 3: [optimizer] unknown key "momentum"'),
    ("[trian]\nepochs = 3", 'line 1: unknown key "trian"; did you mean "train"?'),
    ("[[train]]\nepochs = 3", "train takes a table of keys and values"),
    ("train = 3", "train takes a table of keys and values, got 3"),
    ("compare = 3", "compare takes a table"),
    ("[compare]\na = 3", "a takes a table"),
    ("[compare.main]", '"main" names no arm'),
    ("[compare.'a b']", '"a b" names no arm'),
    ("[compare.'../x']", '"../x" names no arm'),
    ("[compare.a]\nname = 'b'", 'line 2: [compare.a] unknown key "name"'),
    ("[compare.a.compare.b]", '[compare.a] unknown key "compare"'),
    ("[compare.a]\nalgoritm = 3", 'line 2: [compare.a] unknown key "algoritm"', '"algorithm"?'),
    ("[compare.a]\ntrain = { epochs = 0 }", "line 2: [compare.a.train] epochs"),
    ("[compare.a.train]\nepochs = 0", "line 2: [compare.a.train] epochs"),
    ("\n\n[network]\nhidden = [64, 0]", "line 4: [network] hidden, layer 2 takes widths", "got 0"),
    ("[network]\nhidden = [-1]", "layer 1", "got -1"),
    ("[network]\nhidden = [true]", "layer 1", "got true"),
    ("[network]\nhidden = ['64']", "layer 1", 'got "64"'),
    ("[network]\nhidden = [6.4]", "layer 1", "got 6.4"),
    ("[network]\nhidden = [100000000000]", "layer 1", "got 100000000000"),
    ("[network]\nhidden = 64", "hidden takes widths", "got 64"),
    ("[network]\nhidden = [1,\n2,\n{ kernel = 2 }]", "layer 3, channels is missing"),
    ("[network]\nhidden = [{ channels = 2, kernal = 2 }]", 'unknown key "kernal"', '"kernel"?'),
    ("[network]\nhidden = [{ channels = 2, stride = 0 }]", "layer 1, stride takes a whole number"),
    ("[network]\nhidden = [{ recurrent = 8 }]", "layer 1, steps is missing; it takes a whole"),
    ("[network]\nhidden = [{ steps = 8 }]", "layer 1, recurrent is missing"),
    (
        "[network]\nhidden = [{ recurrent = 8, steps = 1 }]",
        "layer 1, steps takes",
        "from 2",
        "got 1",
    ),
    (
        "[network]\nhidden = [{ recurrent = 8, steps = 2, state = 1 }]",
        'unknown key "state"',
        '"states"?',
    ),
    ("[network]\nhidden = [{ recurrent = 8, steps = 2, width = 0 }]", "layer 1, width takes"),
    ("[network]\nhidden = [{ recurrent = 8, steps = 2, states = 'al' }]", 'did you mean "all"?'),
    ("[network]\nactivation = 'tahn'", 'unknown activation "tahn"; did you mean "tanh"?'),
    ("[network]\nactivation = 3", 'activation takes "tanh" or "relu"', "got 3"),
    ("[algorithm]\nrule = 'dffa'", 'unknown rule "dffa"; did you mean "dfa"?'),
    ("[algorithm]\nrule = 'dfa'\nthreshold = 0.1", 'unknown key "threshold" for rule "dfa"'),
    ("[algorithm]\nthreshold = 1.5", "line 2: [algorithm] threshold takes a number from 0"),
    ("[algorithm]\nloss = 'mean_sqare'", "line 2", 'did you mean "mean_square"?'),
    ("[weight]\ndevice = 'opus'", 'line 2: [weight] unknown device "opus"', '"opu"?'),
    ("[weight]\ntechnology = 'ideal'", "line 1: [weight] device is missing"),
    ("weight = 3", "weight takes a table"),
    ("[wieght]\ndevice = 'opu'", 'unknown key "wieght"; did you mean "weight"?'),
    ("['weight/x']\ndevice = 'opu'", '"weight/x" is no place', "weight/1"),
    ("[feedback]\ndevice = 'opu'\nnoise_W = 1", 'unknown key "noise_W" for device "opu"'),
    ("[feedback]\ndevice = 'opu'\nmedium = 'lasy'", "line 3: [feedback] unknown medium", '"lazy"?'),
    ("[feedback]\ndevice = 'opu'\ninput_bits = '3'", "input_bits takes a whole number"),
    ("[feedback]\ndevice = 'opu'\nseed = 3", 'unknown key "seed"'),
    ("[feedback]\ndevice = 'opu'\ntechnology = 'opu_gen'", 'unknown technology "opu_gen"'),
    ("[host]\ntechnology = 'none.toml'", "line 2: [host] technology file", "is not there"),
    ("[data]\nset = 3", "[data] set takes a text, got 3"),
    ("[data]\nvalidation = 1.0", "validation takes a number from 0 to below 1, got 1.0"),
    ("[data]\ndownload = 1", "download takes true or false, got 1"),
    ("[data]\nscale = 'unitt'", 'unknown scale "unitt"; did you mean "unit"?'),
    ("[privacy]\nnoise_multiplier = -1", "noise_multiplier takes a number from 0, got -1"),
    ("[privacy]\ndelta = 1", "delta takes a number above 0 and below 1, got 1"),
    ("seed = -1", "seed takes a whole number from 0"),
    ("seed = true", "seed takes a whole number from 0", "got true"),
    ("seed = 9223372036854775808", "seed takes a whole number from 0"),
    ("name = 3", "name takes a text, got 3"),
    ("name = ' '", "name takes a text"),
    ("name = 1979-05-27", "name takes a text, got 1979-05-27"),
    ("x = ", "my.toml is not TOML", "line 1" if sys.version_info >= (3, 14) else "end of"),
    ("[data]\nset = 'a'\nset = 'b'", "my.toml is not TOML"),
    ("a = [" * 3000, "my.toml is not TOML"),
    ("seed = " + "9" * 5000, "my.toml is not TOML"),
    ('[train]\nschedule = """\nlinear\n"""', "[train] unknown schedule"),
    ("\ufeff[train]\nepochs = 0", "line 2: [train] epochs"),
]


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in WRONG], ids=range(len(WRONG)))
def test_a_wrong_file_is_refused_with_the_place(text: str, says: list[str], tmp_path: Path):
    sentence = refused(tmp_path, text)
    for part in says:
        assert part in sentence
    assert len(sentence) < 400


WRONG_SETTINGS = [
    ("train.epochs=0", "--set train.epochs=0: [train] epochs takes"),
    ("x", "--set takes key=value", 'got "x"'),
    ("=3", "--set takes key=value"),
    ("train..x=3", "--set takes key=value"),
    ("seed.x=3", "--set seed.x=3: seed is a value"),
    ("trian.epochs=3", 'unknown key "trian"; did you mean "train"?'),
    ("train.epochs=five", "[train] epochs takes", 'got "five"'),
    ("train.epochs=", 'got ""'),
    ("train.epochs=5\nx=3", "[train] epochs takes"),
    ("network.hidden=[64", 'got "[64"'),
    ("data.download=True", "true or false"),
    (
        "optimizer.kind=adam",
        'unknown key "momentum" for kind "adam"',
        "--set 'optimizer={kind=\"adam\"}'",
    ),
    ("compare.a.train.epochs=0", "--set compare.a.train.epochs=0: [compare.a.train] epochs"),
]


@pytest.mark.parametrize(
    ("setting", "says"), [(s, w) for s, *w in WRONG_SETTINGS], ids=[s for s, *_ in WRONG_SETTINGS]
)
def test_a_wrong_setting_is_refused_by_its_own_words(setting: str, says: list[str], tmp_path: Path):
    text = "seed = 3\n[optimizer]\nmomentum = 0.5\n[feedback]\ndevice = 'opu'\nnoise = 1.0\n"
    sentence = refused(tmp_path, text, setting)
    for part in says:
        assert part in sentence


MISFITS = [
    (IRIS + "[algorithm]\nrule = 'dfa'", "line 6: [feedback]", "inputs are -1, 0 or 1"),
    ("[data]\nset = 'irish'", "line 2: [data]", "did you mean 'iris'?"),
    (IRIS.replace("ideal", "opu"), "line 4: [weight] weight/1 needs PROGRAM and UPDATE",
     "OPU can MULTIPLY; able are: "),
    ("[data]\nset = 'iris'", "weight/1 has no device"),
    (IRIS + "['weight/9']\ndevice = 'ideal'", 'line 7: unknown place "weight/9"', '"weight/3"?'),
    (IRIS + "[network]\nhidden = [1000000000]", "line 8: [network]", "this machine has"),
    (IRIS + "[network]\nhidden = [3000000]", "line 6: [feedback]", "2,073,600 pixels"),
    (IRIS + "[network]\nhidden = [{ channels = 3 }]", "line 8: [network] layer 1 is a convolution"),
    (IRIS.replace("iris", "digits") + "[network]\nhidden = [{ channels = 3 }, { channels = 3 }, "
     "{ channels = 3 }, { channels = 3 }]", "line 8: [network] layer 4: a kernel of 3"),
    (IRIS + "[train]\npatience = 3", "line 8: [train] patience", "validation"),
    (IRIS + "[host]\ntechnology = 'opu_gen3'", "line 8: [host]", 'unknown event "element"'),
    (IRIS + "[host]\ntechnology = 'torch'", "line 8: [host]", "measure"),
    (IRIS + "technology = 'nvidia_p100'", "line 7: [feedback] technology", "mirror_rows"),
    (IRIS.replace('"ideal"', '"ideal"\ntechnology = "opu_gen3"'), "line 5: [weight]", '"ideal"'),
    (IRIS.replace('"ideal"', '"matrix_engine"\ntechnology = "torch"'), "line 5: [weight]", "clock"),
    (IRIS + "noise = -1", "line 7: [feedback] noise takes a number from 0", "got -1"),
    (IRIS + "input_bits = 99", "line 7: [feedback] input_bits takes a whole number from 1 to 16"),
    (IRIS + "[compare.a]\nalgorithm = { rule = 'dfa' }", "[compare.a.feedback]"),
    (IRIS + "[compare.a]\nweight = { device = 'opu' }", "line 8: [compare.a.weight] weight/1"),
    (IRIS + "[compare.a]\ntrain = { patience = 2 }", "line 8: [compare.a.train] patience"),
    (IRIS + "[compare.a]\ndata = { set = 'mnits' }", "line 8: [compare.a.data]", "'mnist'?"),
    (IRIS + "[compare.a.feedback]\ndevice = 'opu'\nnoise = -3", "line 9: [compare.a.feedback]"),
    ("[data]\nset = 'csv'\npath = 'none.csv'", "line 3: [data]", "none.csv cannot be read"),
    ("[data]\nset = 'csv'", "line 2: [data]", "takes path"),
    (IRIS.replace('"iris"', '"iris"\nlimit_train = 9999'), "line 3: [data] limit_train is 9999"),
    (IRIS.replace('"iris"', '"iris"\nlimit_train = 2'), "[data] class", "no row"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), [(t, s) for t, *s in MISFITS], ids=range(len(MISFITS)))
def test_what_does_not_go_together_is_refused_before_the_run(
    text: str, says: list[str], tmp_path: Path
):
    sentence = refused(tmp_path, text, prepare=True)
    for part in says:
        assert part in sentence


def test_a_table_with_a_hole_is_refused_with_the_cell(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,b,class\n1,2,x\n3,nan,y\n5,6,x\n7,8,y\n")
    text = "[data]\nset = 'csv'\npath = 't.csv'"
    sentence = refused(tmp_path, text, prepare=True)
    assert "line 3: [data]" in sentence
    assert "t.csv line 3, column 'b' holds nan" in sentence


TECHNOLOGY = 'name = "n"\ndescription = "d"\nidle_W = 1.0\nidle_source = "s"\n'


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("idle_mW = 3", 'unknown key "idle_mW"; did you mean "idle_W"?'),
        ("[event.mac]\nenergy_J = 1.0\nlatency_s = 1.0", "event.mac: source is missing"),
        ("[event.mac]\nenergy_pJ = 1.0", 'unknown key "energy_pJ"'),
        ("x = ", "not TOML"),
    ],
)
def test_a_technology_of_ones_own_is_checked(more: str, says: str, tmp_path: Path):
    (tmp_path / "mine.toml").write_text(TECHNOLOGY + more)
    sentence = refused(tmp_path, "[weight]\ndevice = 'ideal'\ntechnology = 'mine.toml'")
    assert sentence.startswith("my.toml, line 3: [weight]")
    assert says in sentence


def test_torch_that_is_absent_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    sentence = refused(tmp_path, IRIS.replace("ideal", "torch"), prepare=True)
    assert sentence.startswith("my.toml, line 4: [weight]")
    assert 'pip install "hwloop[torch]"' in sentence


@pytest.mark.parametrize("place", ["cuda", "cuda:99", "gpu", "meta"])
def test_a_place_where_torch_cannot_work_is_refused(place: str, tmp_path: Path):
    torch = pytest.importorskip("torch")
    if place == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    text = IRIS.replace('"ideal"', f'"torch"\nplace = "{place}"')
    sentence = refused(tmp_path, text, prepare=True)
    assert sentence.startswith("my.toml, line ")
    assert "[weight]" in sentence


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    paths = {"none.toml": "No such file", "": "directory", "x" * 300: "too long"}
    for path, says in ((tmp_path / name, says) for name, says in paths.items()):
        with pytest.raises(BadInput, match=f"cannot be read: .*{says}"):
            read(path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not text in UTF-8"):
        read(tmp_path / "binary.toml")


def test_values_are_quoted_short():
    assert shown("x" * 1000).count("x") < 60
    assert len(shown(list(range(10**5)))) < 60
    assert shown(math.inf) == "inf"
    assert shown(10**5000) == "a number of thousands of digits"
