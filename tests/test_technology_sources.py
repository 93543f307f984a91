"""Each shipped technology file reproduces a figure that its source publishes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "devices" / "technology"
GPUS = {
    "nvidia_a100_fp32": (19.5e12, 2.039e12, 400),
    "nvidia_a100_tf32": (156e12, 2.039e12, 400),
    "nvidia_a100_bf16": (312e12, 2.039e12, 400),
    "nvidia_a100_int8": (624e12, 2.039e12, 400),
    "nvidia_h100_bf16": (989e12, 3.35e12, 700),
    "nvidia_h100_fp8": (1979e12, 3.35e12, 700),
    "nvidia_h200_bf16": (989e12, 4.8e12, 700),
    "nvidia_h200_fp8": (1979e12, 4.8e12, 700),
    "google_tpu_v4": (275e12, 1.2e12, 192),
    "nvidia_h100_fp32": (66.9e12, 3.35e12, 700),
    "nvidia_h100_tf32": (494.7e12, 3.35e12, 700),
}
OPUS = ["opu_gen2", "opu_gen3"]
FLOAT_BYTES = 4


def read(stem: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{stem}.toml").read_text(encoding="utf-8"))


def frame(opu: dict[str, Any], n_in: int, n_out: int) -> dict[str, Any]:
    """Return the first row that admits the size, as the loader does."""
    rows = opu["event"]["frame"]
    for row in rows if isinstance(rows, list) else [rows]:
        if n_in <= row["n_in_max"] and n_out <= row["n_out_max"]:
            return dict(row)
    raise AssertionError(f"no row admits {n_in} x {n_out}")


def gemm(technology: dict[str, Any], batch: int, n_out: int, n_in: int) -> tuple[float, float]:
    """Return seconds and joules of one float32 matrix product: launch, then a roofline."""
    work = {
        "launch": 1,
        "mac": batch * n_out * n_in,
        "byte": FLOAT_BYTES * (n_out * n_in + batch * (n_out + n_in)),
    }
    event = technology["event"]
    time_s = {name: count * event[name]["latency_s"] for name, count in work.items()}
    seconds = time_s["launch"] + max(time_s["mac"], time_s["byte"])
    joules = sum(count * event[name]["energy_J"] for name, count in work.items())
    return seconds, joules + technology["idle_W"] * seconds


def test_opu_gen3_reaches_1500_teraops_at_88_mJ_a_frame() -> None:
    opu = read("opu_gen3")
    size = {name: p["value"] for name, p in opu["parameter"].items()}
    n_in = size["mirror_rows"] * size["mirror_columns"]
    n_out = size["camera_rows"] * size["camera_columns"]
    row = frame(opu, n_in, n_out)
    assert 2 * n_in * n_out / row["latency_s"] == pytest.approx(1466e12, abs=1e12)
    assert row["energy_J"] + opu["idle_W"] * row["latency_s"] == pytest.approx(88.2e-3, abs=0.1e-3)


@pytest.mark.parametrize(
    ("n_in", "n_out", "kHz"),
    [
        (145_000, 81_000, 8),
        (145_001, 81_000, 6.3),
        (290_000, 81_001, 3.8),
        (583_000, 163_001, 1.9),
        (1_000_000, 326_001, 1),
        (1_000_000, 600_001, 0.34),
        (1_000_001, 1, 0.34),
    ],
)
def test_opu_gen3_changes_its_rate_where_the_source_does(n_in: int, n_out: int, kHz: float) -> None:
    assert 1e-3 / frame(read("opu_gen3"), n_in, n_out)["latency_s"] == pytest.approx(kHz)


def test_opu_gen2_takes_1683_ms_for_3000_vectors_of_10000() -> None:
    opu = read("opu_gen2")
    frames_s = 3000 * frame(opu, 10_000, 10_000)["latency_s"]
    assert opu["event"]["call"]["latency_s"] + frames_s == pytest.approx(1.683458, abs=1e-6)


@pytest.mark.parametrize("stem", OPUS)
def test_opu_camera_noise_lies_between_the_two_observed_pairs(stem: str) -> None:
    """At 10 counts, rounding included; 0.60 and 0.79 counts were fitted to the pairs apart."""
    parameter = read(stem)["parameter"]
    floor, slope = (parameter[f"noise_variance_{k}"]["value"] for k in ("floor", "slope"))
    std = (floor + slope * parameter["mean_exposure"]["value"] + 1 / 12) ** 0.5
    assert 0.60 < std < 0.79


@pytest.mark.parametrize("stem", OPUS)
def test_opu_default_frametime_leaves_room_for_the_default_exposure(stem: str) -> None:
    parameter = {name: p["value"] for name, p in read(stem)["parameter"].items()}
    assert parameter["frametime"] >= parameter["exposure"] + parameter["frametime_margin"]


@pytest.mark.parametrize(
    ("batch", "dimension", "measured_s", "measured_J"),
    [
        (1000, 10_000, 0.024, 4.4),
        (1000, 32_000, 0.23, 50),
        (1000, 58_000, 0.77, 120),
        (3000, 56_000, 2.1, 339),
    ],
)
def test_p100_is_as_fast_and_as_hungry_as_measured(
    batch: int, dimension: int, measured_s: float, measured_J: float
) -> None:
    """Times within 4 %, energies within 16 %: the deviations that the file states."""
    seconds, joules = gemm(read("nvidia_p100"), batch, dimension, dimension)
    print(
        f"batch {batch}, {dimension:,}: {seconds:.4g} s ({seconds / measured_s - 1:+.1%}), "
        f"{joules:.4g} J ({joules / measured_J - 1:+.1%})"
    )
    assert seconds == pytest.approx(measured_s, rel=0.04)
    assert joules == pytest.approx(measured_J, rel=0.16)


@pytest.mark.parametrize("stem", GPUS)
def test_gpu_has_the_peak_the_bandwidth_and_the_power_of_its_datasheet(stem: str) -> None:
    peak, bandwidth, limit_W = GPUS[stem]
    gpu = read(stem)
    mac, byte, element = (gpu["event"][name] for name in ("mac", "byte", "element"))
    assert 2 / mac["latency_s"] == pytest.approx(peak, rel=1e-3)
    assert 1 / byte["latency_s"] == pytest.approx(bandwidth, rel=1e-3)
    busy_W = sum(event["energy_J"] / event["latency_s"] for event in (mac, byte))
    idle_W = 0 if gpu["idle_W"] == "unknown" else gpu["idle_W"]
    assert idle_W + busy_W == pytest.approx(limit_W, rel=1e-3)
    for price in ("energy_J", "latency_s"):
        assert element[price] == pytest.approx(2 * FLOAT_BYTES * byte[price], rel=1e-3)


def test_cpu_host_has_its_peak_and_bandwidth_and_draws_its_design_power() -> None:
    cpu = read("cpu_host")
    mac, element = cpu["event"]["mac"], cpu["event"]["element"]
    assert 2 / mac["latency_s"] == pytest.approx(64 * 2.45e9 * 32, rel=1e-3)
    assert 2 * FLOAT_BYTES / element["latency_s"] == pytest.approx(204.8e9, rel=1e-3)
    for event in (mac, element):
        assert event["energy_J"] / event["latency_s"] == pytest.approx(280, rel=1e-3)


def test_ideal_costs_nothing() -> None:
    ideal = read("ideal")
    assert ideal["idle_W"] == 0
    assert {e[p] for e in ideal["event"].values() for p in ("energy_J", "latency_s")} == {0}


def test_real_hardware_is_unknown_rather_than_free() -> None:
    events = read("torch")["event"].values()
    assert {e[p] for e in events for p in ("energy_J", "latency_s")} == {"unknown"}


def test_the_45_nm_array_adds_up_horowitz_table() -> None:
    """ISSCC 2014, pJ: what a multiplication and the addition behind it take together."""
    event = read("systolic_45nm")["event"]
    known = {name: e["energy_J"] for name, e in event.items() if e["energy_J"] != "unknown"}
    pJ = {name: joules * 1e12 for name, joules in known.items()}
    assert pJ["mac_fp32"] == pytest.approx(3.7 + 0.9)
    assert pJ["mac_fp16"] == pytest.approx(1.1 + 0.9)
    assert pJ["mac_int8"] == pytest.approx(0.2 + 0.1)
    assert pJ["mac_pam"] == pJ["mac_lmul"] == pytest.approx(0.1 + 0.9)
    assert 8 * pJ["sram_byte"] == pytest.approx(10)
    assert 8 * pJ["dram_byte"] == pytest.approx(1300)
