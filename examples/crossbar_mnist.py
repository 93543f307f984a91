"""MNIST on resistive crossbars: the tables of docs/crossbar_accuracy.md.

    python examples/crossbar_mnist.py > tables.md

784-256-10. One network is trained digitally, plainly and under noise, written to chips and
followed for a year; others learn in place, on cells that are moved by pulses. Needs the MNIST files
in HWLOOP_DATA_DIR; takes about a quarter of an hour on one core.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from hwloop.sim.arm import Arm
from hwloop.sim.deploy import deploy
from hwloop.sim.deploy_report import SAID
from hwloop.sim.experiment import parse
from hwloop.sim.prepare import prepare_all
from hwloop.sim.threads import sharing

EPOCHS, IN_PLACE_EPOCHS = 8, 4
DIGITAL: dict[str, Any] = {
    "name": "crossbar_mnist",
    "data": {"set": "mnist"},
    "network": {"hidden": [256], "activation": "relu"},
    "algorithm": {"rule": "backprop"},
    "optimizer": {"rate": 0.05, "momentum": 0.9},
    "train": {"epochs": EPOCHS, "batch": 64, "schedule": "linear"},
    "weight": {"device": "matrix_engine"},
}
AWARE = {"std": 0.1, "clip_std": 2.5}
"""Noise on each weight over the layer's largest, and the cut, in standard deviations."""

PCM = {"device": "crossbar", "technology": "pcm_nandakumar"}
"""The statistics of published phase-change cells, 8-bit converters."""
CHIPS: dict[str, dict[str, Any]] = {
    "without noise": PCM | {"programming_noise": 0.0, "read_noise": 0.0, "drift": 0.0},
    "PCM": PCM,
    "PCM, kept at 85 °C": PCM | {"temperature_K": 358.15},
    "PCM, writes 4 x as noisy": PCM | {"programming_noise": 4.0},
}
AGES_S = {"1 s": 1.0, "1 day": 86400.0, "1 year": 365.25 * 86400.0}
WAYS = ["none", "global", "column"]
NUMBER = 4
"""Chips of each kind."""

RRAM: dict[str, Any] = {
    "device": "pulsed_crossbar",
    "technology": "reram_gong_soft_bounds",
    "w_max": 0.4,
}
"""HfO2 cells of a thousand steps from bound to bound, the noise of a pulse nearly four times the
pulse, up and down unlike (aihwkit's ReRamSBPresetDevice), their range put where the weights are."""
TIKI_TAKA = {"transfer": "tiki_taka2", "transfer_rate": 0.05}
CONSTANT = {"epochs": IN_PLACE_EPOCHS, "batch": 64, "schedule": "constant"}
"""A transfer keeps its own rate: where gradients shrink, it would move noise."""
IN_PLACE: dict[str, dict[str, Any]] = {
    "backpropagation, float32": {"optimizer": {"rate": 0.4}},
    "backpropagation, plain pulses": {"weight": RRAM},
    "backpropagation, Tiki-Taka 2": {"weight": RRAM | TIKI_TAKA, "train": CONSTANT},
    "ternary DFA by light, Tiki-Taka 2": {
        "weight": RRAM | TIKI_TAKA,
        "train": CONSTANT,
        "algorithm": {"rule": "ternary_dfa"},
        "feedback": {"device": "opu", "signed": False},
    },
}
"""Rates by choose_pulsed_rates.py, on a validation part."""
SHORT: dict[str, Any] = {
    "data": {"set": "mnist", "scale": "unit"},
    "network": {"hidden": [256], "activation": "tanh"},
    "optimizer": {"rate": 1.0},
    "train": CONSTANT | {"schedule": "linear"},
}
SEEDS = 3
"""Trainings of each kind in place."""


def trained(change: dict[str, Any]) -> Arm:
    """Return the arm of DIGITAL with some tables changed, trained."""
    arm = prepare_all(parse(DIGITAL | change))["main"]
    with sharing(1):
        arm.train(lambda progress: None, lambda: False, lambda: None)
    print(f"trained: {change}", file=sys.stderr, flush=True)
    return arm


def on_chips(weights: dict[str, Any], chip: dict[str, Any]) -> dict[str, list[str]]:
    """Return "mean ± std" of accuracies in per cent by way of compensation, an age a column."""
    drifts = chip.get("drift", 1.0) > 0
    put: dict[str, Any] = {"chips": NUMBER if drifts else 1, "reads": 1, "weight": chip}
    if drifts:
        put |= {"times_s": list(AGES_S.values()), "compensation": WAYS}
    arm = prepare_all(parse(DIGITAL | {"deploy": put}))["main"]
    with sharing(1):
        found = deploy(arm, lambda: False, weights)
    assert found is not None
    cells = {}
    for way, accuracy in found.result["accuracy"].items():
        chips = 100 * np.asarray(accuracy).mean(-1)
        cells[way] = [
            f"{a.mean():.2f} ± {a.std(ddof=1):.2f}" if len(a) > 1 else f"{a.mean():.2f}"
            for a in chips
        ]
    return cells


def main() -> None:
    """Print both tables as markdown."""
    print("| trained | on | drift | " + " | ".join(AGES_S) + " |")
    print("|---|---|---|" + "---|" * len(AGES_S))
    for name, change in {"plainly": {}, "under noise": {"noise": AWARE}}.items():
        arm = trained(change)
        print(f"| {name} | matrix engine, float32 | | {100 * arm.accuracy('test'):.2f} | | |")
        for chip, settings in CHIPS.items():
            for way, cells in on_chips(arm.weights(), settings).items():
                drift = SAID[way] if len(cells) > 1 else ""
                row = [*cells, *[""] * (len(AGES_S) - len(cells))]
                print(f"| {name} | {chip} | {drift} | " + " | ".join(row) + " |", flush=True)
    print("\n| learned in place | test accuracy |\n|---|---|")
    for name, change in IN_PLACE.items():
        runs = [trained(SHORT | change | {"seed": k}).accuracy("test") for k in range(SEEDS)]
        mean, std = 100 * np.mean(runs), 100 * np.std(runs, ddof=1)
        print(f"| {name} | {mean:.2f} ± {std:.2f} |", flush=True)


if __name__ == "__main__":
    main()
