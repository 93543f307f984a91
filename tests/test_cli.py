"""The command line: what a person sees, and exit codes; wrong input is one sentence and a 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hwloop import __version__
from hwloop.devices import CATALOGUE
from hwloop.sim.cli import main, one_line

QUICK = ("--set", "train.epochs=2", "--set", "network.hidden=[16]")
REPORT = {"report.html", "report.json", "trace.json"}


class Said(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def hwloop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Call the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["hwloop", *arguments])
        try:
            code = main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small finished run."""
    from hwloop.sim.experiment import read
    from hwloop.sim.run import execute, new_folder, prepare_all

    experiment = read(None, ["train.epochs=2", "network.hidden=[16]"])
    folder = new_folder(experiment, tmp_path_factory.mktemp("runs") / "run")
    assert execute(folder, prepare_all(experiment), lambda _: None)
    return folder


# ---- what goes well -------------------------------------------------------------------


def test_a_run_leaves_its_folder_and_says_what_it_cost(hwloop: Callable[..., Said], tmp_path: Path):
    said = hwloop("run", *QUICK, "--out", "out")
    assert said.code == 0, said.err
    assert said.err == ""
    assert {p.name for p in (tmp_path / "out").iterdir()} == REPORT | {
        "compare",
        "experiment.toml",
        "ledger.json",
        "result.json",
        "weights.safetensors",
    }
    for arm in ("main", "backpropagation", "frozen"):
        assert re.search(
            rf"^{arm}: epoch 2/2  loss [\d.]+  acc [\d.]+ %  .+J  .+s$", said.out, re.M
        )
    assert "epsilon at delta 1e-05" in said.out
    assert "report  out/report.html" in said.out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["hwloop"] == __version__
    again = hwloop("run", "--resume", "out")
    assert again.code == 0
    assert said.out.endswith(again.out)


def test_a_finished_run_is_read_again_without_training(hwloop: Callable[..., Said], run: Path):
    own = hwloop("price", str(run))
    other = hwloop("price", str(run), "-t", "feedback=opu_gen2", "--technology", "host=cpu_host")
    assert own.code == other.code == 0
    assert "opu_gen2" in other.out
    assert "opu_gen2" not in own.out
    timed = hwloop("time", str(run))
    assert timed.code == 0
    assert "feedback" in timed.out
    assert not REPORT & {p.name for p in run.iterdir()}


def test_show_prints_toml_that_runs(hwloop: Callable[..., Said], tmp_path: Path):
    said = hwloop("run", "--show", "--set", "train.epochs=3", "--set", "compare={}")
    assert said.code == 0
    assert tomllib.loads(said.out)["train"]["epochs"] == 3
    (tmp_path / "shown.toml").write_text(said.out)
    assert hwloop("run", "shown.toml", "--show").out == said.out
    assert [p.name for p in tmp_path.iterdir()] == ["shown.toml"]


def test_version_help_and_devices(hwloop: Callable[..., Said]):
    assert hwloop("--version") == (0, f"hwloop {__version__}\n", "")
    for command in ((), ("run",), ("report",), ("price",), ("time",), ("devices",)):
        for flag in ("-h", "--help"):
            said = hwloop(*command, flag)
            assert said.code == 0
            assert said.out.startswith("Usage: hwloop")
            assert all(len(line) <= 80 for line in said.out.splitlines())
            assert "..." not in said.out.replace("[ARGS]...", "")
    said = hwloop("devices")
    for name in CATALOGUE:
        assert f"\n {name} " in said.out


# ---- what goes wrong ------------------------------------------------------------------

WRONG = [
    (("run", "none.toml"), "none.toml cannot be read: No such file or directory"),
    (("run", "."), ". cannot be read: Is a directory"),
    (("run", "--set", "train.epoch=3"), '[train] unknown key "epoch"; did you mean "epochs"?'),
    (("run", "--set", "x"), "--set takes key=value"),
    (("run", "--set", "data.set=digit"), "did you mean 'digits'?"),
    (("run", "--set", "weight.device=opu"), "needs PROGRAM and UPDATE"),
    (("run", "--set", "algorithm.rule=backprob"), 'did you mean "backprop"?'),
    (("run", "--out", "full"), "full is not empty and stays as it is"),
    (("run", "--out", "full/file/run"), "cannot be written: Not a directory"),
    (("run", "--resume", "none"), "none is no run of hwloop"),
    (("run", "--resume", "full", "--out", "x"), "--resume goes on with a run as it was started"),
    (("run", "--resume", "full", "--set", "seed=3"), "it takes nothing else"),
    (("report", "none"), "none is no run of hwloop"),
    (("price", "full"), "full is no run of hwloop: it holds no experiment.toml"),
    (("time", "started"), "started is not finished (main): hwloop run --resume started"),
    (("price", "RUN", "-t", "x"), "--technology takes WHAT=TECHNOLOGY"),
    (("price", "RUN", "-t", "feedback="), "--technology takes WHAT=TECHNOLOGY"),
    (("price", "RUN", "-t", "=opu_gen2"), "--technology takes WHAT=TECHNOLOGY"),
    (("price", "RUN", "-t", "feedback=opu_gen9"), 'did you mean "opu_gen3"?'),
    (("price", "RUN", "-t", "fedback=opu_gen2"), 'did you mean "feedback"?'),
    (("price", "RUN", "-t", "host=none.toml"), 'technology file "none.toml" is not there'),
    (("price", "RUN", "-t", "feedback=nvidia_p100"), 'unknown event "call"'),
    (("price", "RUN", "-t", "host=torch"), "leaves the time of"),
    (("price", "RUN", "-t", "host=ideal", "-t", "host=torch"), "says twice"),
    (("run", "red.toml"), r'unknown key "\x1b[31mred[/]"'),
    (("run", "many.toml"), r'unknown schedule "\nlinear\n"'),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_input_is_one_sentence(
    arguments: tuple[str, ...], says: str, hwloop: Callable[..., Said], tmp_path: Path, run: Path
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "experiment.toml").write_text('name = "started"\n')
    (tmp_path / "red.toml").write_text('"\\u001b[31mred[/]" = 3\n')
    (tmp_path / "many.toml").write_text('[train]\nschedule = "\\nlinear\\n"\n')
    before = {p: p.read_bytes() for p in (*tmp_path.rglob("*"), *run.rglob("*")) if p.is_file()}
    said = hwloop(*(str(run) if a == "RUN" else a for a in arguments))
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("hwloop: ")
    assert said.err.count("\n") == 1
    assert said.err.rstrip("\n").isprintable()
    assert says in said.err
    after = {p: p.read_bytes() for p in (*tmp_path.rglob("*"), *run.rglob("*")) if p.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "arguments",
    [("nosuch",), ("run", "--nosuch"), ("run", "a", "b"), ("report",), ("run", "--out"), ()],
)
def test_wrong_usage_is_a_2_and_no_traceback(
    arguments: tuple[str, ...], hwloop: Callable[..., Said], tmp_path: Path
):
    said = hwloop(*arguments)
    assert said.code == 2
    assert "Usage" in said.out + said.err or "requires an argument" in said.err
    assert "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


def test_files_of_a_run_that_were_damaged_are_refused(
    hwloop: Callable[..., Said], tmp_path: Path, run: Path
):
    def damaged(name: str, content: bytes) -> str:
        path = tmp_path / "copy" / name
        whole = path.read_bytes()
        path.write_bytes(content)
        sentences = {hwloop(command, "copy") for command in ("report", "price", "time")}
        path.write_bytes(whole)
        [said] = sentences
        assert (said.code, said.out) == (2, "")
        return said.err.removeprefix("hwloop: copy/")

    subprocess.run(["cp", "-r", run, tmp_path / "copy"], check=True)
    ledger, result = (run / "ledger.json").read_bytes(), (run / "result.json").read_bytes()
    toml = (run / "experiment.toml").read_bytes()
    for content in (ledger[:500], b"", ledger.replace(b"opu_gen3", b"opu_gen2"), b"\xff"):
        assert damaged("ledger.json", content).startswith("ledger.json ")
    for content in (result[:100], b"[]", b"{}", b'{"name": "main"}', b"\xff"):
        assert damaged("result.json", content).startswith("result.json is not ")
    assert damaged("experiment.toml", toml[:40]).startswith("experiment.toml is not TOML")
    changed = toml.replace(b"epochs = 2", b"epochs = 3")
    assert "belongs to another experiment" in damaged("experiment.toml", changed)
    wrong = toml.replace(b"epochs = 2", b"epochs = 0")
    assert damaged("experiment.toml", wrong).startswith("experiment.toml, line ")
    assert hwloop("report", "copy").code == 0


def test_an_arm_that_diverged_is_reported_and_a_1(hwloop: Callable[..., Said], tmp_path: Path):
    said = hwloop("run", *QUICK, "--set", "compare.frozen.optimizer.rate=1e38", "--out", "out")
    assert said.code == 1
    assert "frozen stopped after epoch 1: the loss left the finite numbers" in " ".join(
        said.out.split()
    )
    assert {p.name for p in (tmp_path / "out").iterdir()} >= REPORT


def test_sentences_cannot_move_the_cursor():
    assert one_line("a\x1b[31m\nb\x07µ") == r"a\x1b[31m\nb\x07µ"


# ---- other processes ------------------------------------------------------------------

CODE = "import sys; from hwloop.sim.cli import main; sys.exit(main())"


def test_a_reader_that_leaves_and_a_terminal_of_ascii_do_no_harm():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    asked = [sys.executable, "-c", CODE, "devices"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert "opu" in done.stdout
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_help_and_errors_load_nothing_heavy():
    heavy = "('numba', 'torch', 'sklearn', 'plotly', 'dp_accounting', 'simpy', 'scipy')"
    look = f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    for argument in ("--help", "--version", "run --set x=3"):
        code = f"import sys\nsys.argv[1:] = {argument.split()}\nfrom hwloop.sim.cli import main\n"
        code += f"try: main()\nexcept SystemExit: pass\n{look}"
        asked = [sys.executable, "-c", code]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == "[]"


def test_what_stands_there_for_nothing_is_said(hwloop: Callable[..., Said], tmp_path: Path):
    """A device that no rule asks for, a batch above the set: the run goes on, and says so."""
    small = ("--set", "train.epochs=1", "--set", "data.limit_train=100")
    odd = ("train.batch=101", "compare={}", 'algorithm={rule="backprop"}')
    more = [part for one in odd for part in ("--set", one)]
    said = hwloop("run", *small, *more, "--out", str(tmp_path / "a"))
    assert said.code == 0
    assert "note: [train] batch is 101, and there are 100 samples to train on" in said.err
    assert "note: [feedback] serves nothing: no rule here asks for it" in said.err
    assert "note:" not in hwloop("run", *small, "--out", str(tmp_path / "b")).err


def test_prices_of_one_role_say_that_they_add_a_part(hwloop: Callable[..., Said], run: Path):
    """Two machines stand where one stood; read as another one alone there are as many as before."""
    alone = hwloop("price", str(run), "-t", "host=nvidia_h100_bf16").out
    assert "more parts than worked in the run" in " ".join(alone.split())
    every = hwloop("price", str(run), "-t", "nvidia_a100_fp32=nvidia_h100_bf16").out
    assert "more parts" not in " ".join(every.split())
