"""The top of a report's page: the main arm's numbers, all arms beside it, the findings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .findings import findings
from .markup import Html, el, table
from .reading import measured_share, unmetered
from .units import epsilon, number, percent, ratio, si

Report = Mapping[str, Any]


def metered(joules: float | None, partial: bool) -> str:
    """Return joules, as a lower bound where `partial` says that a part of them is not metered."""
    if joules is None or (partial and not joules):
        return "not metered"
    return f"over {si(joules, 'J')}" if partial else si(joules, "J")


def _whole(arm: Mapping[str, Any]) -> tuple[float, Mapping[str, Any]] | None:
    """Return the least epsilon that is stated about the whole gradient, and its statement."""
    found = [
        (math.inf if value is None else value, k, s)
        for k, s in enumerate(arm["privacy"])
        for value in [number(s["epsilon"])]
        if "whole" in s["name"]
    ]
    if not found:
        return None
    value, _, statement = min(found)
    return value, statement


def _privacy_in_short(arm: Mapping[str, Any]) -> str:
    found = _whole(arm)
    if found is None:
        return "none stated"
    value, statement = found
    about = f" ({statement['adjacency']})" if value < math.inf else ""
    return f"ε {epsilon(value)}{about}"


def _area(arm: Mapping[str, Any]) -> str:
    known = [a for a in arm["area_m2"].values() if a is not None]
    if not known:
        return "unknown"
    whole = len(known) == len(arm["area_m2"])
    return si(sum(known), "m2") if whole else f"over {si(sum(known), 'm2')}"


def _beside(value: float, main: float) -> str:
    """Say how an arm's cost stands to main's; nothing where that cannot be said."""
    if not value or not main or 0.995 < value / main < 1.005:
        return ""
    if value < main:
        return f"{ratio(main, value).removesuffix(' x')} times less"
    return f"{ratio(value, main).removesuffix(' x')} times more"


def with_small(value: str, small: str) -> Html:
    """Return a value over a remark in small letters; a remark of "" leaves none."""
    return el("span", None, value, el("small", None, small)) if small else el("span", None, value)


def headline(report: Report) -> Html:
    """Return the main arm's numbers large, and a table of all arms."""
    main = report["arms"][0]
    others = report["arms"][1:]

    def tile(title: str, value: str, beside: str) -> Html:
        return el(
            "div",
            {"class": "tile"},
            el("h3", None, title),
            el("p", {"class": "value"}, value),
            el("p", {"class": "beside"}, beside),
        )

    partial = bool(unmetered(main))
    each = main["energy"]["per_sample_J"]
    each_s = main["latency"]["per_sample_s"]
    share = measured_share(main)
    how = "modelled" if not share else "measured" if share == 1.0 else "partly measured"
    tests = f"of {report['data']['test']:,} test samples"
    tiles = [
        tile("Accuracy", percent(main["accuracy"]["test"]), tests),
        tile(
            "Training energy",
            metered(main["energy"]["train_J"], partial),
            f"{metered(each, partial)} a sample" if each is not None else "",
        ),
        tile(
            "Time on the hardware",
            si(main["latency"]["train_s"], "s"),
            f"{si(each_s, 's')} a sample, {how}" if each_s is not None else how,
        ),
        tile("Privacy", _privacy_in_short(main).split(" (")[0], _delta(main)),
    ]
    rows = []
    for arm in report["arms"]:
        less = unmetered(arm)
        joules, seconds = arm["energy"]["train_J"], arm["latency"]["train_s"]
        comparable = arm is not main and not less and not partial
        rows.append(
            [
                with_small(arm["name"], arm["rule"]),
                percent(arm["accuracy"]["test"]),
                with_small(
                    metered(joules, bool(less)),
                    _beside(joules, main["energy"]["train_J"]) if comparable else "",
                ),
                with_small(
                    si(seconds, "s"),
                    _beside(seconds, main["latency"]["train_s"]) if arm is not main else "",
                ),
                metered(arm["energy"]["per_sample_J"], bool(less)),
                si(arm["latency"]["per_sample_s"], "s"),
                _privacy_in_short(arm),
                _area(arm),
            ]
        )
    columns = ["Arm", "Accuracy", "Energy", "Time", "Energy a sample", "Time a sample"]
    caption = "Accuracy on the test data, energy and time of training"
    if others:
        caption += f"; more and less are beside {main['name']}"
    return el(
        "div",
        None,
        el("div", {"class": "tiles"}, *tiles),
        table(caption, [*columns, "Privacy", "Area"], rows, numeric=(1, 2, 3, 4, 5), cards=True),
    )


def _delta(arm: Mapping[str, Any]) -> str:
    found = _whole(arm)
    if found is None:
        return ""
    delta = el("span", {"class": "whole"}, f"δ = {power(found[1]['delta'])}")
    return el("span", None, f"{found[1]['name']}, ", delta)


def power(value: float) -> str:
    """Return a small number as 1e-5."""
    return f"{value:g}".replace("e-0", "e-")


def findings_list(report: Report) -> list[Html]:
    """Return the sentences that hold for the report."""
    items = [el("li", None, sentence) for sentence in findings(report)]
    return [el("ul", {"class": "findings"}, *items)]
