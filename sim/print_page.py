"""The page of a printed design: the front, the circuits, one of them drawn, and all sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from ..devices.printed_circuit import circuit_from_json
from .markup import Html, data, details, el, pairs, table
from .page import chapter, document
from .page_figures import figure, switch
from .plots import COLOURS, Figure, Views, axis_of, label, layout
from .print_drawing import drawing
from .print_findings import sentences
from .print_literature import published
from .print_run import area_of, cm2, power_of
from .units import count, percent, si

Report = Mapping[str, Any]


def render(report: Report) -> str:
    """Return the page of a design's report, self-contained: all texts are escaped."""
    from plotly.offline import get_plotlyjs

    chapters = [
        ("findings", "Findings", [el("ul", None, *[el("li", None, s) for s in sentences(report)])]),
        ("front", "The front", _front(report)),
        ("circuits", "The circuits", _circuits(report)),
        ("drawing", "One circuit", _drawn(report)),
        ("searches", "The searches", _searches(report)),
        ("copies", "Printed copies", _copies(report)),
        ("published", "Beside what is published", _published(report)),
        ("prices", "Cells and their sources", _prices(report)),
        ("design", "Data and design", _design(report)),
    ]
    links = [el("li", None, el("a", {"href": f"#{key}"}, title)) for key, title, _ in chapters]
    what = f"printed circuit {report['topology']['text']} on {report['data']['set']}"
    header = el(
        "header",
        None,
        el("h1", None, report["name"]),
        el("p", {"class": "sub"}, f"{what} · {report['technology']['name']}"),
        el("nav", {"aria-label": "Contents"}, el("ul", None, *links)),
    )
    footer = el(
        "footer",
        None,
        el("p", None, f"hwloop {report['hwloop']} · seed {report['seed']} · {report['digest']}"),
        el("noscript", None, el("p", None, "The plot needs JavaScript; all tables do without.")),
    )
    body = [
        el("a", {"class": "skip", "href": "#findings"}, "Skip to the findings"),
        header,
        el("main", None, *[chapter(*one) for one in chapters]),
        footer,
        data("plots", {"front": _views(report)}),
    ]
    return document(
        report["name"], report["hwloop"], body, ("page.css",), ("page.js",), [get_plotlyjs()]
    )


def _named(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    front = [(str(k), entry) for k, entry in enumerate(report["front"], 1)]
    return [("exact", report["exact"]), *front]


def _views(report: Report) -> Views:
    return {
        f"{part}|{scale}": front_figure(report, part, scale == "log")
        for part in ("test", "train")
        for scale in ("log", "linear")
    }


def front_figure(report: Report, part: str, log: bool) -> Figure:
    """Return accuracy on a part ("test" or "train") against area, beside published circuits."""
    named = _named(report)
    front = named[1:]
    said = [_hover(name, entry) for name, entry in named]
    traces: list[dict[str, Any]] = [
        _trace("this front", [1e4 * area_of(e) for _, e in front], [e[part] for _, e in front],
               said[1:], 0, "circle", True),
        _trace("exact bespoke", [1e4 * area_of(report["exact"])], [report["exact"][part]],
               said[:1], 2, "square", False),
    ]  # fmt: skip
    points = [p for p in published(report["data"]["set"]) if p.accuracy is not None]
    for kind, mapped in (("published, same mapping", True), ("published, as printed", False)):
        some = [p for p in points if p.mapped == mapped]
        if some:
            texts = [
                f"<b>{label(p.name)}</b><br>{percent(p.accuracy)}<br>{p.area_cm2:g} cm², "
                f"{p.power_mW:g} mW"
                for p in some
            ]
            traces.append(
                _trace(kind, [p.area_cm2 for p in some], [p.accuracy for p in some], texts,
                       1 if mapped else 4, "diamond" if mapped else "x", False)
            )  # fmt: skip
    ticks = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]
    more: dict[str, Any] = {"rangemode": "tozero"}
    if log:
        more = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return {
        "data": traces,
        "layout": layout(
            460,
            {
                "xaxis": axis_of("area in cm²" + (", logarithmic" if log else ""), more),
                "yaxis": axis_of(f"{part} accuracy", {"tickformat": ".1%", "nticks": 8}),
                "hovermode": "closest",
                "showlegend": True,
            },
        ),
    }


def _trace(
    name: str,
    x: Sequence[float],
    y: Sequence[Any],
    texts: Sequence[str],
    colour: int,
    symbol: str,
    line: bool,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if line else "markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": {"color": COLOURS[colour], "width": 2, "shape": "hv"},
        "marker": {"size": 10, "symbol": symbol, "color": COLOURS[colour]},
        "hovertext": list(texts),
        "hoverinfo": "text",
    }


def _hover(name: str, entry: Mapping[str, Any]) -> str:
    power_W = power_of(entry)
    power = "" if power_W is None else f", {si(power_W, 'W')}"
    return (
        f"<b>{name}</b><br>test {percent(entry['test'])}, training {percent(entry['train'])}<br>"
        f"{cm2(area_of(entry))}{power}"
    )


def _front(report: Report) -> list[Html]:
    caption = (
        "Accuracy of every circuit against the area of its cells. The front was chosen on the "
        "training rows; the test rows had no say in it."
    )
    switches = [
        switch("front", "Accuracy on", [("test", "test rows"), ("train", "training rows")]),
        switch("front", "Area", [("log", "logarithmic"), ("linear", "linear")]),
    ]
    alt = "Plot of accuracy against area of the circuits found; its numbers are in the table below."
    return [figure("front", caption, alt, switches)]


def _circuits(report: Report) -> list[Html]:
    rows = []
    for name, entry in _named(report):
        mapped = entry["mapped"] or {}
        total = mapped.get("total_W")
        rows.append(
            [
                name,
                percent(entry["train"]),
                percent(entry["test"]),
                cm2(area_of(entry)),
                si(mapped.get("static_W"), "W"),
                si(mapped.get("dynamic_W"), "W"),
                si(mapped.get("critical_path_s"), "s"),
                count(sum(mapped["cells"].values())) if mapped else "unknown",
                str(mapped.get("inputs", "unknown")),
                si(total, "W"),
                "unknown" if total is None else "fits" if mapped["fits_battery"] else "too much",
                "not run" if entry["mismatches"] is None else str(entry["mismatches"]),
            ]
        )
    columns = ["Circuit", "Training", "Test", "Area", "Static", "Dynamic", "Slowest path", "Cells",
               "Inputs", "With converters", "Battery", "Verilog mismatches"]  # fmt: skip
    note = (
        "Static power is the mean over the states of each cell; dynamic power is counted on the "
        "test rows in their order, one a clock. With converters: the circuit, a converter for each "
        "input that is wired, and its sensor."
    )
    return [
        table("The exact circuit and the front", columns, rows, numeric=tuple(range(1, 12))),
        el("p", {"class": "note"}, note),
    ]


def _drawn(report: Report) -> list[Html]:
    if not report["front"]:
        return [el("p", None, "No circuit keeps the bound on the loss.")]
    k = report["gains"][-1]["circuit"] if report["gains"] else 0
    circuit = circuit_from_json(report["front"][k]["circuit"])
    note = (
        f"Circuit {k + 1} of the front. Solid wires are added, dashed ones subtracted; a wire is "
        "as thick as bits of its source are wired, and says so when it is pointed at. Numbers "
        "below units are their biases."
    )
    return [
        drawing(circuit, report["data"]["classes"]),
        el("p", {"class": "note"}, note),
        el("p", {"class": "note"}, f"Its Verilog lies in circuits/{k + 1}/printed.v."),
    ]


def _searches(report: Report) -> list[Html]:
    exact, rows = report["exact"], []
    for s in report["searches"]:
        near = [a for loss, a in zip(s["loss"], s["estimate_m2"], strict=True)
                if loss <= 1 - exact["train"] + 0.05]  # fmt: skip
        best = f"{1 - min(s['loss']):.1%}" if s["loss"] else "none"
        rows.append(
            [
                s["name"],
                count(s["evaluations"]),
                best,
                cm2(min(near)) if near else "none",
                f"{s['hypervolume']:.3f}",
            ]
        )
    columns = ["Search", "Evaluations", "Best training accuracy", "Area within 5 points",
               "Hypervolume"]  # fmt: skip
    note = (
        "Areas are those of the count of adders here. Hypervolume: the share of the rectangle up "
        "to the bound on the loss and the largest area that the front dominates; more is better. "
        "An epoch of gradients counts as three evaluations, and what evolution and annealing start "
        "from is charged to them."
    )
    return [
        table("What each search found", columns, rows, numeric=(1, 2, 3, 4)),
        el("p", {"class": "note"}, note),
    ]


def _copies(report: Report) -> list[Html]:
    rows = []
    for name, entry in _named(report):
        f = entry["faults"]
        if f is not None:
            rows.append(
                [
                    name,
                    percent(entry["test"]),
                    percent(f["mean"]),
                    percent(f["worst_twentieth"]),
                    percent(f["within_a_point"]),
                    si(f.get("slowest_twentieth_s"), "s"),
                    percent(f.get("in_time")),
                ]
            )
    if not rows:
        return [el("p", None, "No faulty copies were looked at.")]
    table_ = report["design"].get("faults", {})
    stuck, std = table_.get("stuck", 0.001), table_.get("delay_std", 0.1)
    note = (
        f"Of each copy every gate is stuck at 0 or 1 with chance {stuck:g}, its delay is off by "
        f"a lognormal factor of std {std:g}. Both are assumptions of the design file, not measured "
        "of a printer."
    )
    columns = ["Circuit", "Whole", "Mean copy", "Worst twentieth", "Within a point",
               "Slowest twentieth", "In time"]  # fmt: skip
    return [
        table("Test accuracy and delay of printed copies", columns, rows, (1, 2, 3, 4, 5, 6)),
        el("p", {"class": "note"}, note),
    ]


def _published(report: Report) -> list[Html]:
    rows = [
        [
            p.name,
            percent(p.accuracy),
            f"{p.area_cm2:g} cm²",
            f"{p.power_mW:g} mW",
            f"{p.volt:g} V",
            "mapped here" if p.mapped else "as published",
            p.source,
        ]
        for p in published(report["data"]["set"])
    ]
    if not rows:
        return [el("p", None, "No published circuit on this set is known here.")]
    columns = ["Circuit", "Accuracy", "Area", "Power", "Supply", "Figures", "Source"]
    return [table("Published printed circuits on this set", columns, rows, (1, 2, 3, 4))]


def _prices(report: Report) -> list[Html]:
    rows = [
        [name, si(p["value"], p["unit"] if p["unit"] != "1" else ""), p["source"]]
        for name, p in report["technology"]["parameters"].items()
    ]
    listed = table("Every number and where it was read", ["What", "Value", "Source"], rows, (1,))
    return [el("p", None, report["technology"]["description"]), details("All numbers", listed)]


def _design(report: Report) -> list[Html]:
    d = report["data"]
    rows = [
        ("Set", d["set"]),
        ("Source", d["source"]),
        ("Licence", d["licence"]),
        ("Rows", f"{d['train']:,} train, {d['test']:,} test, stratified 70 to 30"),
        ("Inputs", f"{d['features']} words of {d['bits']} bits; {d['saturated']:,} of the test "
                   "part lay outside the training part's range and saturate"),
        ("Classes", ", ".join(d["classes"])),
        *[("Note", note) for note in d["notes"]],
    ]  # fmt: skip
    text = tomli_w.dumps(dict(report["design"]))
    return [pairs(rows), details("The design file", el("pre", None, el("code", None, text)))]
