"""What the documents and examples show is what runs."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import hwloop
from hwloop.sim.datasets import KNOWN, data_directory
from hwloop.sim.experiment import parse, read
from hwloop.sim.run import prepare_all

ROOT = Path(hwloop.__file__).parent
EXAMPLES = sorted(
    f
    for f in (ROOT / "examples").glob("*.toml")
    if not {"sweep", "search"} & set(f.stem.split("_"))
)


def blocks(file: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), re.DOTALL)


@pytest.mark.parametrize("file", ["README.md", "docs/extending.md", "docs/liquid_state_machine.md"])
def test_python_in_the_documents_runs(file, tmp_path):
    code = blocks(file, "python")
    assert code
    for block in code:
        (tmp_path / "shown.py").write_text(block)
        runpy.run_path(str(tmp_path / "shown.py"), run_name="__main__")


def test_the_file_in_the_readme_is_an_experiment():
    [text] = blocks("README.md", "toml")
    experiment = parse(tomllib.loads(text))
    assert experiment.compare


def test_links_in_the_documents_lead_somewhere():
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name} -> {target}"


def test_ci_runs_the_readme_s_test_command():
    command = re.compile(r"^python3 -m venv \.venv && .*pytest$", re.MULTILINE)
    assert len(command.findall((ROOT / "README.md").read_text())) == 1


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_examples_are_experiments_that_can_be_placed_and_trained(file):
    settings = ["train.epochs=1"]
    experiment = read(file, settings)
    known = KNOWN[experiment.data.set]
    if any(not (data_directory() / name).is_file() for name in known.files):
        pytest.skip(f"{experiment.data.set} is not in HWLOOP_DATA_DIR")
    if experiment.data.set in ("mnist", "fashion_mnist", "cifar10"):
        settings += ["data.limit_train=512", "data.limit_test=100"]
    for arm in prepare_all(read(file, settings)).values():
        assert arm.train(lambda progress: None, lambda: False, lambda: None)
        assert arm.curve[0]["loss"] > 0


def test_the_privacy_example_prints_what_its_page_quotes(capsys):
    runpy.run_path(str(ROOT / "examples" / "optical_privacy.py"), run_name="__main__")
    said = capsys.readouterr().out
    page = (ROOT / "docs" / "privacy.md").read_text()
    for quoted in ("805", "21.3", "5.43", "6.582", "1.353", "0.866", "0.403"):
        assert quoted in said
        assert quoted in page
