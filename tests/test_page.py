"""The page of a report: whole, offline, escaped, and true to the report."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import plotly.graph_objects as go
import plotly.offline
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwloop.sim.findings import findings
from hwloop.sim.gantt import timeline
from hwloop.sim.page import render
from hwloop.sim.plots import energy, learning
from hwloop.sim.units import percent, si

Report = dict[str, Any]
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' & &lt; &amp; %{x} ${y} <b>é\u2028\u0000",
    "<!--<script>",
    "]]></style>",
]


class Parsed(HTMLParser):
    """What a browser would make of a page: tags in order, texts, scripts."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag, and open the text of a script."""
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        """Keep what is said, apart from scripts and styles."""
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        self.inside = ""


def light(report: Report) -> Parsed:
    """Render with a stand-in for plotly.js, which is long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotly.offline, "get_plotlyjs", lambda: "var Plotly = {}")
        return Parsed(render(report))


def everywhere(report: Report, text: str) -> Report:
    """Put a text wherever a user's or a file's text may stand."""
    made = copy.deepcopy(report)
    made["name"] = made["digest"] = text
    made["data"].update(set=text, source=text, licence=text, notes=[text])
    made["instead"] = {text: text}
    made["experiment"]["name"] = text
    for k, arm in enumerate(made["arms"]):
        arm["name"], arm["rule"], arm["stopped"] = f"{k}{text}", text, text
        for d in arm["devices"]:
            d["kind"] = text
            d["settings"] = {text: text, "list": [text]}
        for s in arm["timeline"]["slices"]:
            s["part"], s["device"], s["verb"] = text, text, text
        arm["timeline"]["after"] = {s["stage"]: [text] for s in arm["timeline"]["slices"]}
        arm["timeline"]["bottleneck"] = text
        for row in arm["energy"]["rows"]:
            row["part"] = text
        for t in arm["technologies"].values():
            t["name"] = t["description"] = t["idle_source"] = text
            for price in t["events"].values():
                price[0]["source"] = text
        for s in arm["privacy"]:
            s["name"], s["explanation"], s["mechanism"] = f"whole {text}", text, text
    return made


def test_the_page_asks_for_nothing_from_outside(report: Report):
    page = render(report)
    assert len(page) < 6_000_000
    parsed = Parsed(page)
    for tag, attributes in parsed.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "form")
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        href = attributes.get("href")
        assert href is None or href.startswith("#") or href == "data:,"
    assert "url(" not in page[: page.index("<script")]
    assert "@import" not in page[: page.index("<script")]


def test_only_the_scripts_whose_hashes_it_names_may_run(report: Report):
    parsed = Parsed(render(report))
    [policy] = [a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe" not in policy
    assert "eval" not in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    data, *scripts = parsed.scripts
    assert allowed == {
        base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts
    }
    assert len(scripts) == 2
    assert json.loads(data)


def test_links_lead_somewhere_and_tables_and_plots_have_names(report: Report):
    parsed = light(report)
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    for tag, attributes in parsed.tags:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if attributes.get("class") == "plot":
            assert attributes["aria-label"]
    count = [tag for tag, _ in parsed.tags].count
    assert count("table") == count("caption")
    assert count("h1") == 1
    assert parsed.tags[0] == ("html", {"lang": "en"})


def test_what_the_report_says_stands_in_the_page(report: Report):
    said = light(report).texts
    for arm in report["arms"]:
        assert si(arm["latency"]["train_s"], "s") in said
        assert percent(arm["accuracy"]["test"]) in said
        for s in arm["privacy"]:
            assert s["explanation"] in said
        for t in arm["technologies"].values():
            assert t["description"] in said
    for sentence in findings(report):
        assert sentence in said
    assert report["name"] in said
    assert "not metered" in said
    assert 'rule = "frozen"' in "".join(said)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(report: Report, text: str):
    made, plain = light(everywhere(report, text)), light(everywhere(report, "plain"))
    assert [tag for tag, _ in made.tags] == [tag for tag, _ in plain.tags]
    assert len(made.scripts) == 3
    assert "<" not in made.scripts[0]
    assert made.scripts[1:] == plain.scripts[1:]
    assert text.replace("\0", "\ufffd") in [t.replace("\0", "\ufffd") for t in made.texts]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_text_is_only_text(report: Report, text: str):
    made, plain = light(everywhere(report, text)), light(everywhere(report, "plain"))
    assert [tag for tag, _ in made.tags] == [tag for tag, _ in plain.tags]
    assert json.loads(made.scripts[0]).keys() == json.loads(plain.scripts[0]).keys()


def test_plots_are_what_plotly_takes_and_labels_are_escaped(report: Report):
    for made in (report, everywhere(report, HOSTILE[0])):
        figures = [*learning(made).values(), *energy(made).values()]
        for arm in made["arms"]:
            figures += timeline(arm).values()
        for figure in figures:
            checked = go.Figure(figure)
            assert len(checked.data) == len(figure["data"]) > 0
            said = json.dumps(figure)
            assert set(re.findall(r"<[^>]*>", said)) <= {"<b>", "</b>", "<br>"}
            assert figure["layout"]["xaxis"]["title"]["text"]


def test_shares_fill_the_bar_and_joules_are_the_bill(report: Report):
    views = energy(report)
    for split in ("part", "device", "event"):
        for k, arm in enumerate(report["arms"]):
            joules = sum(trace["x"][k] for trace in views[f"{split}|joules"]["data"])
            assert joules == pytest.approx(arm["energy"]["train_J"])
            shares = sum(trace["x"][k] for trace in views[f"{split}|share"]["data"])
            assert shares == pytest.approx(1.0)
    assert "real (partly metered)" in json.dumps(views["part|share"]["layout"])


def test_order_keeps_order_and_overlap(report: Report):
    for arm in report["arms"]:
        views = timeline(arm)
        bars = [
            sorted(
                (base, base + x, y)
                for trace in views[view]["data"]
                for base, x, y in zip(trace["base"], trace["x"], trace["y"], strict=True)
            )
            for view in ("scale", "order")
        ]
        true, drawn = bars
        assert [b[2] for b in true] == [b[2] for b in drawn]
        assert all(b - a >= 1 for a, b, _ in drawn)
        for (a, b, _), (c, d, _) in zip(true, drawn, strict=True):
            for (e, _, _), (f, _, _) in zip(true, drawn, strict=True):
                assert (a < e, b <= e * (1 + 1e-12)) == (c < f, d <= f)


def test_joules_that_nobody_metered_are_not_drawn(report: Report):
    by_arm = {t["name"]: t["x"] for t in learning(report)["energy"]["data"]}
    assert set(by_arm["real"]) == {None}
    assert None not in by_arm["main"]


def test_many_parts_and_devices_still_make_a_page(report: Report):
    arm = report["arms"][0]
    for k in range(100):
        s = arm["timeline"]["slices"][0]
        arm["timeline"]["slices"].append({**s, "part": f"tile {k}", "stage": f"stage{k}/1"})
        row = {**arm["energy"]["rows"][0], "kind": "train", "part": f"tile {k}"}
        arm["energy"]["rows"].append({**row, "energy_J": 1.0})
    assert light(report).scripts
    assert len(energy(report)["part|share"]["data"]) == 13


def test_a_run_without_steps_still_makes_a_page(report: Report):
    report["arms"] = report["arms"][:1]
    arm = report["arms"][0]
    arm["timeline"], arm["curve"], arm["privacy"] = None, [], []
    arm["energy"].update(rows=[], train_J=0.0, per_sample_J=None)
    arm["latency"].update(busy_s={}, train_s=0.0, per_sample_s=None)
    report["experiment"]["compare"] = {"hole": {"x": None}}
    parsed = light(report)
    assert json.loads(parsed.scripts[0]) == {}
    assert "No training step took place." in parsed.texts
