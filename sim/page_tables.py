"""The tables of a report's page: privacy, devices, prices with their sources, the experiment."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import tomli_w

from .markup import Html, details, el, pairs, table
from .page_headline import metered, power, with_small
from .pricing import STANDING
from .units import epsilon, number, si

Report = Mapping[str, Any]

_ADJACENCY = {
    "sample": "sample: one sample adds nothing instead of its part",
    "label": "label: one label is another one, and all inputs are public",
}


def privacy(report: Report) -> list[Html]:
    """Return what every arm promises, arms that promise the same together."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for arm in report["arms"]:
        key = json.dumps([{**s, "epsilon": str(s["epsilon"])} for s in arm["privacy"]])
        groups.setdefault(key, []).append(arm)
    found = [
        el(
            "p",
            {"class": "note"},
            "A promise bounds what anybody who sees all that a training run released can learn "
            "about one neighbouring data set beside the other, except with probability δ.",
        )
    ]
    rows = []
    for arms in groups.values():
        names = ", ".join(arm["name"] for arm in arms)
        for s in arms[0]["privacy"]:
            mechanism = "" if s["mechanism"] == "none" else s["mechanism"]
            rows.append(
                [
                    with_small(s["name"], names),
                    epsilon(s["epsilon"]),
                    power(s["delta"]),
                    s["method"],
                    el(
                        "div",
                        {"class": "said"},
                        s["explanation"],
                        el("small", None, _ADJACENCY.get(s["adjacency"], s["adjacency"])),
                        el("small", None, mechanism),
                    ),
                ]
            )
    columns = ["Statement", "ε", "δ", "Method", "What it says"]
    if not rows:
        return [el("p", None, "No training step took place, so there is nothing to state.")]
    return [*found, table("Privacy statements, by arm", columns, rows, numeric=(1, 2), cards=True)]


def devices(report: Report) -> list[Html]:
    """Return the devices of every arm with their settings; the main arm's stand open.

    Settings that an earlier device of the arm has are not said again.
    """
    found = []
    for arm in report["arms"]:
        first: dict[tuple[str, str], str] = {}
        rows = []
        for d in arm["devices"]:
            settings = ", ".join(f"{k} = {_value(v)}" for k, v in d["settings"].items())
            earlier = first.setdefault((d["kind"], settings), d["name"])
            size = "" if (d["n_out"], d["n_in"]) == (1, 1) else f"{d['n_out']:,} × {d['n_in']:,}"
            said = settings if earlier == d["name"] or not settings else f"as {earlier}"
            rows.append([d["name"], d["kind"], d["technology"], d["part"], size, said])
        columns = ["Device", "Kind", "Technology", "Part", "Outputs × inputs", "Settings"]
        made = table(f"Devices of {arm['name']}", columns, rows, numeric=(4,), cards=True)
        found.append(made if arm is report["arms"][0] else details(f"{arm['name']}", made))
    return found


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, (bool, list, dict, type(None))) else str(value)


def _priced(arm: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return (technology, event, price) for what took place in an arm."""
    of = {d["name"]: d for d in arm["devices"]}
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    for row in arm["energy"]["rows"]:
        if row["event"] == STANDING:
            continue
        device = of.get(row["device"])
        events = arm["technologies"].get(row["technology"], {"events": {}})["events"]
        if device is None or row["event"] not in events:
            continue  # what only a fabric counts; its figures stand in the fabric's chapter
        for price in events[row["event"]]:
            n_out, n_in = (number(price.get(key, "inf")) for key in ("n_out_max", "n_in_max"))
            if device["n_out"] <= (n_out or 0) and device["n_in"] <= (n_in or 0):
                own = device.get("prices", {}).get(row["event"], {})
                found.append((row["technology"], row["event"], {**price, **own}))
                break
    return found


def prices(report: Report) -> list[Html]:
    """Return the source of every price that was paid, and folded away those of all others."""
    technologies: dict[str, Mapping[str, Any]] = {}
    rows: dict[tuple[str, ...], list[str]] = {}

    def add(*cells: str) -> None:
        rows.setdefault(cells, [*cells[:4], el("div", {"class": "source"}, cells[4])])

    for arm in report["arms"]:
        technologies.update(arm["technologies"])
        for stem, event, price in _priced(arm):
            latency = "measured" if price["latency_s"] is None else si(price["latency_s"], "s")
            add(stem, event, metered(price["energy_J"], False), latency, price["source"])
    for stem, t in technologies.items():
        standing = "unknown" if t["idle_W"] is None else si(t["idle_W"], "W")
        add(stem, STANDING, standing, "", t["idle_source"])
        if t["area_m2"] is not None:
            add(stem, "area", si(t["area_m2"], "m2"), "", t["area_source"])
    columns = ["Technology", "Event", "Energy each", "Time each", "Source"]
    ordered = sorted(rows.values(), key=lambda cells: cells[0])
    paid = table("What was paid for in this run", columns, ordered, numeric=(2, 3), cards=True)
    return [paid, *[_technology(stem, t) for stem, t in technologies.items()]]


def _technology(stem: str, t: Mapping[str, Any]) -> Html:
    rows = []
    for event, tiers in t["events"].items():
        for price in tiers:
            latency = "measured" if price["latency_s"] is None else si(price["latency_s"], "s")
            source = el("div", {"class": "source"}, price["source"])
            upto = _up_to(price)
            rows.append([event, upto, metered(price["energy_J"], False), latency, source])
    parts = [
        el("p", None, t["description"]),
        table(
            f"Prices of {stem}",
            ["Event", "Matrices", "Energy each", "Time each", "Source"],
            rows,
            numeric=(2, 3),
            cards=True,
        ),
    ]
    constants = [
        [name, f"{p['value']:g}", p["unit"], el("div", {"class": "source"}, p["source"])]
        for name, p in t["parameters"].items()
    ]
    if constants:
        columns = ["Constant", "Value", "Unit", "Source"]
        parts.append(table(f"Constants of {stem}", columns, constants, numeric=(1,), cards=True))
    return details(f"All of {stem}: {t['name']}", *parts)


def _up_to(price: Mapping[str, Any]) -> str:
    most = [number(price.get(key, "inf")) for key in ("n_out_max", "n_in_max")]
    said = [
        f"{what} up to {limit:,.0f}"
        for what, limit in zip(("outputs", "inputs"), most, strict=True)
        if limit is not None and limit < math.inf
    ]
    return ", ".join(said) or "any"


def experiment(report: Report) -> list[Html]:
    """Return the data that were learned from and the file that started the run."""
    d = report["data"]
    rows = [
        ("Data", d["set"]),
        (
            "Samples",
            f"{d['train']:,} to train, {d['validation']:,} to validate, {d['test']:,} to test",
        ),
        ("Shape", f"{' × '.join(f'{n:,}' for n in d['shape'])}, {d['classes']:,} classes"),
        ("Source", d["source"]),
        ("Licence", d["licence"]),
        *[("Note", note) for note in d["notes"]],
    ]
    for old, new in report["instead"].items():
        rows.append(("Read with", f"{old} at the prices of {new}"))
    return [
        pairs(rows),
        el("h3", None, "The experiment"),
        el("pre", {"tabindex": "0", "aria-label": "Experiment in TOML"}, _toml(report)),
    ]


def _toml(report: Report) -> str:
    def whole(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: whole(v) for k, v in value.items() if v is not None}
        return [whole(v) for v in value] if isinstance(value, list) else value

    return tomli_w.dumps(whole(report["experiment"]))
