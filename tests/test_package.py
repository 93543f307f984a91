"""The package as a whole: what ships, how imports run, how fast it starts."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import hwloop

ROOT = Path(hwloop.__file__).parent
HEAVY = ("numba", "torch", "plotly", "sklearn", "dp_accounting", "simpy", "pydantic", "scipy")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_list_of_packages_is_the_folders():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    parts = ("devices", "mappings", "algorithms", "sim")
    found = {"hwloop"} | {
        "hwloop." + ".".join(file.parent.relative_to(ROOT).parts)
        for part in parts
        for file in (ROOT / part).rglob("__init__.py")
    }
    assert listed == found
    assert [p.name for p in ROOT.glob("*.py")] == ["__init__.py"]


def test_importing_devices_and_mappings_pays_for_numpy_alone():
    code = "import sys, hwloop.devices, hwloop.mappings, hwloop.algorithms; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert not loaded & set(HEAVY)


def test_the_command_line_starts_without_what_it_does_not_use():
    code = "import sys, hwloop.sim.cli; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert not loaded & (set(HEAVY) | {"numpy"})


def test_a_run_needs_no_torch():
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from hwloop.sim.experiment import read\n"
        "from hwloop.sim.run import prepare_all\n"
        "prepare_all(read(None)); print('placed')"
    )
    assert python(code).strip() == "placed"


def test_imports_run_downwards():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_no_pickle_and_no_global_randomness():
    for part in ("devices", "mappings", "algorithms", "sim"):
        for file in (ROOT / part).rglob("*.py"):
            text = file.read_text()
            assert "import pickle" not in text, file
            assert "allow_pickle=True" not in text, file
            for bad in ("np.random.seed", "np.random.rand", "np.random.normal", "random.seed("):
                assert bad not in text, file
