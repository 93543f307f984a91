"""A finished run of four arms, written without training: what reports are tested on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwloop.devices import Count, Ledger
from hwloop.devices.ledger import Installed
from hwloop.devices.release import Release
from hwloop.sim.files import plain, write, write_json
from hwloop.sim.report import assemble

EXPERIMENT = """
name = "light & <b>shadow</b>"
seed = 7
[network]
hidden = [8]
[compare.backpropagation]
algorithm = { rule = "backprop" }
[compare.frozen]
algorithm = { rule = "frozen" }
[compare.real]
algorithm = { rule = "backprop" }
optimizer = { kind = "adam", rate = 0.001 }
"""
RULES = {
    "main": "TernaryDFA",
    "backpropagation": "Backprop",
    "frozen": "Frozen",
    "real": "Backprop",
}
ACCURACY = {"main": 0.90, "backpropagation": 0.95, "frozen": 0.60, "real": 0.94}
EPOCHS, STEPS, BATCH = 3, 10, 32


def gemm(macs: float) -> dict[str, Count]:
    return {"launch": Count(1, 1), "mac": Count(macs, macs), "byte": Count(800, 800)}


def step(ledger: Ledger, arm: str) -> None:
    """Record one training step: forward, then errors by light, then both updates."""
    ten = {"element": Count(320, 320)}
    with ledger.step("train", samples=BATCH):
        if arm == "main":
            noise = (("feedback", 0.8), ("output", 0.0))
            ledger.release(Release("label", noise, "shuffle", 1 / STEPS))
        for layer, after in ((1, ()), (2, ("forward/1",))):
            with ledger.stage(f"forward/{layer}", after=after):
                ledger.record(f"weight/{layer}", "MULTIPLY", BATCH, gemm(64 * 8 * BATCH))
                ledger.record("host", "ACTIVATE", BATCH, ten)
        with ledger.stage("error", after=("forward/2",)):
            ledger.record("host", "ERROR", BATCH, ten)
        if arm == "main":
            with ledger.stage("feedback", after=("error",)):
                events = {"call": Count(1, 1), "frame": Count(320, 320)}
                ledger.record("feedback", "MULTIPLY", BATCH, events)
        after = ("feedback",) if arm == "main" else ("error",)
        for layer in (2,) if arm == "frozen" else (1, 2):
            with ledger.stage(f"update/{layer}", after=after):
                ledger.record("host", "SLOPE", BATCH, ten)
                ledger.record(f"weight/{layer}", "UPDATE", BATCH, gemm(64 * 8 * BATCH))


def ledger_of(arm: str) -> Ledger:
    ledger = Ledger()
    gpu, engine = "nvidia_a100_fp32", "torch" if arm == "real" else "nvidia_a100_fp32"
    kind = "TorchMatrix" if arm == "real" else "MatrixEngine"
    ledger.install("host", Installed("Host", gpu, gpu, 1, 1, ()))
    for layer, (n_out, n_in) in ((1, (8, 64)), (2, (10, 8))):
        settings = (("place", "cpu"),) if arm == "real" else ()
        device = Installed(kind, engine, engine, n_out, n_in, settings)
        ledger.install(f"weight/{layer}", device)
    if arm == "main":
        settings = (("exposure_counts", 20.0), ("scale", None), ("medium", "auto"))
        ledger.install("feedback", Installed("OPU", "opu_gen3", "opu_gen3", 8, 10, settings))
    for _ in range(EPOCHS * STEPS):
        step(ledger, arm)
    with ledger.step("evaluate", samples=400), ledger.stage("forward/1"):
        ledger.record("weight/1", "MULTIPLY", 400, gemm(64 * 8 * 400))
    if arm == "real":
        for layer in (1, 2):
            for verb in ("MULTIPLY", "UPDATE"):
                ledger.measure(f"weight/{layer}", verb, BATCH, 2e-5)
        ledger.measure("weight/1", "MULTIPLY", 400, 1e-4)
    return ledger


def result_of(arm: str) -> dict[str, Any]:
    best = ACCURACY[arm]
    return {
        "name": arm,
        "rule": RULES[arm],
        "accuracy": {"test": best},
        "curve": [
            {
                "epoch": k + 1,
                "loss": 2.0 / (k + 1),
                "accuracy": best * (k + 1) / EPOCHS,
                "energy_J": float(k + 1),
                "latency_s": 0.5 * (k + 1),
            }
            for k in range(EPOCHS)
        ],
        "curve_part": "test",
        "epochs": EPOCHS,
        "stopped": "",
        "wall_s": 1.5,
        "network": [
            {"kind": "Dense", "n_out": 8, "n_in": 64, "activation": "tanh"},
            {"kind": "Dense", "n_out": 10, "n_in": 8, "activation": "identity"},
        ],
        "parameters": 610,
        "data": {
            "set": "digits",
            "train": 320,
            "validation": 0,
            "test": 400,
            "classes": 10,
            "shape": [1, 8, 8],
            "source": "made by hand",
            "licence": "none",
            "notes": ["a note"],
        },
    }


@pytest.fixture(scope="session")
def _assembled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    run: Path = tmp_path_factory.mktemp("run")
    write(run / "experiment.toml", EXPERIMENT)
    for arm in RULES:
        folder = run if arm == "main" else run / "compare" / arm
        write_json(folder / "ledger.json", ledger_of(arm).to_json())
        write_json(folder / "result.json", result_of(arm))
    made: dict[str, str] = {}

    def text(**instead: str) -> str:
        key = json.dumps(instead)
        if key not in made:
            made[key] = json.dumps(plain(assemble(run, instead)))
        return made[key]

    return text


@pytest.fixture
def report(_assembled: Callable[..., str]) -> dict[str, Any]:
    """Return a report as its JSON says it, to do with as one likes."""
    found: dict[str, Any] = json.loads(_assembled())
    return found


@pytest.fixture
def reread(_assembled: Callable[..., str]) -> dict[str, Any]:
    """Return the same run, its feedback read at the prices of the OPU's second generation."""
    found: dict[str, Any] = json.loads(_assembled(feedback="opu_gen2"))
    return found
