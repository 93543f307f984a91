"""A sweep as one HTML page: it needs no network, loads nothing, and runs no script but its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import tomli_w

from .. import __version__
from .folders import slug
from .markup import Html, data, details, el, table
from .page import chapter, document
from .sweep_console import told
from .sweep_figures import curves, hue, pareto
from .sweep_measures import MEASURES, Measure
from .sweep_parallel import parallel
from .sweep_results import Results, over_seeds, titled
from .sweep_table import MOST_ROWS, cell, sentences
from .units import percent

MOST_TABLE = 200
"""Groups of points that the page's table shows; the files beside it hold all."""
_COSTS = ("energy_J", "latency_s", "inference_J", "inference_s", "area_m2", "epsilon")
_GAINS = ("accuracy", "validation_accuracy", "chip_accuracy")
_MOST_VIEWS = 4
MOST_DRAWN = 3000
"""Points that figures show one by one; of more, the fronts and an even part of the rest."""


def views(results: Results) -> list[tuple[Measure, Measure]]:
    """Return the pairs (cost, gain) that a Pareto plot can show, the wanted ones first."""
    found: list[tuple[Measure, Measure]] = []
    wanted = list(results.objectives)
    costs = [m for m in wanted if not m.higher]
    gains = [m for m in wanted if m.higher]
    found += [(cost, gain) for gain in gains for cost in costs]
    found += [(b, a) for k, a in enumerate(costs) for b in costs[k + 1 :]]
    varied = [m for m in results.measures if len({r.of(m.name) for r in results.rows}) > 1]
    gain = next((m for m in [*gains, *varied] if m.name.rpartition(".")[2] in _GAINS), None)
    if gain is not None:
        found += [(m, gain) for m in varied if m.name in _COSTS]
    return list({(x.name, y.name): (x, y) for x, y in found}.values())[:6]


def curve_measures(results: Results) -> list[Measure]:
    """Return the measures that curves are drawn of, the objectives first."""
    varied = [m for m in results.measures if len({r.of(m.name) for r in results.rows}) > 1]
    wanted = {m.name: m for m in results.objectives}
    named = ("accuracy", "inference_J", "energy_J", "latency_s", "epsilon")
    rest = {m.name: m for m in varied if m.name in named}
    return list({**wanted, **rest}.values())[:_MOST_VIEWS]


def varying(results: Results) -> list[str]:
    """Return the keys that curves are drawn over."""
    return [k for k in results.leads if len(results.levels(k)) > 1]


def thinned(results: Results) -> Results:
    """Return the results with no more points than figures can show one by one."""
    if len(results.rows) <= MOST_DRAWN:
        return results
    best = {row.point for pair in views(results) for row in results.front(pair)}
    apart = math.ceil(len(results.rows) / MOST_DRAWN)
    kept = [r for k, r in enumerate(results.rows) if k % apart == 0 or r.point in best]
    return replace(results, rows=kept)


def render(results: Results) -> str:
    """Return the page of a sweep; all texts are escaped, and no request is allowed."""
    drawn = thinned(results)
    chapters = [
        ("pareto", "Cost against gain", _pareto(drawn)),
        ("curves", "One parameter at a time", _curves(results)),
        ("parallel", "All at once", _parallel(drawn)),
        ("importance", "What matters", _importances(results)),
        ("points", "The points", _points(results)),
        ("file", "The file", [el("pre", {"tabindex": "0"}, tomli_w.dumps(dict(results.text)))]),
    ]
    chapters = [(key, title, inside) for key, title, inside in chapters if inside]
    links = [el("li", None, el("a", {"href": f"#{key}"}, title)) for key, title, _ in chapters]
    there = len(results.rows) + len(results.gone)
    kind = "search" if results.search else "sweep"
    what = [
        f"{kind} over {', '.join(k for k in results.keys if not k.endswith('seed')) or 'seeds'}",
        f"{there:,} points in {results.total:,} trials"
        if results.search
        else f"{there:,} of {results.total:,} points",
        f"{results.trainings:,} trainings",
    ]
    body = [
        el(
            "header",
            None,
            el("h1", None, results.name),
            el("p", {"class": "sub"}, " · ".join(what)),
            el("nav", {"aria-label": "Contents"}, el("ul", None, *links)),
        ),
        el("main", None, _headline(results, len(drawn.rows)), *[chapter(*one) for one in chapters]),
        el(
            "footer",
            None,
            el("p", None, f"hwloop {__version__} · {kind} ", el("code", None, results.digest)),
            el("noscript", None, el("p", None, "Hovering and choosing need JavaScript.")),
        ),
        data("points-data", _data(drawn)),
    ]
    styles = ("page.css", "sweep.css")
    return document(results.name, __version__, body, styles, scripts=("sweep.js",))


def drawings(results: Results) -> dict[str, Html]:
    """Return the figures by the name of a file for each."""
    found = {f"pareto-{x.name}-{y.name}": pareto(results, x, y) for x, y in views(results)}
    for key in varying(results):
        for m in curve_measures(results)[:2]:
            found[f"{slug(key)}-{m.name}"] = curves(results, key, m)
    return found


def _headline(results: Results, drawn: int) -> Html:
    tiles = []
    objectives = list(results.objectives)
    if not results.search:
        named = ("energy_J", "latency_s")
        objectives += [MEASURES[n] for n in named if any(r.of(n) for r in results.rows)]
    for m in objectives:
        kept = [r for r in results.rows if results.kept(r) and r.of(m.name) is not None]
        if not kept:
            continue
        if len({r.of(m.name) for r in kept}) < 2 < len(kept):
            continue
        sign = -1.0 if m.higher else 1.0
        _, position = min((sign * (r.of(m.name) or 0.0), k) for k, r in enumerate(kept))
        best = kept[position]
        told_of = ", ".join(f"{k.rpartition('.')[2]} {told(v)}" for k, v in best.values.items())
        word = "best" if m.unit == "%" else "least" if not m.higher else "most"
        tiles.append(
            el(
                "div",
                {"class": "tile"},
                el("h3", None, f"{word} {m.title}"),
                el("p", {"class": "value"}, m.said(best.of(m.name))),
                el("p", {"class": "beside"}, told_of),
            )
        )
    lines = _sentences(results)
    if drawn < len(results.rows):
        lines.append(
            f"Figures show {drawn:,} of {len(results.rows):,} points, those of the fronts among "
            "them; curves and files hold all"
        )
    said = [el("li", None, line) for line in lines]
    return el(
        "div", None, el("div", {"class": "tiles"}, *tiles), el("ul", {"class": "findings"}, *said)
    )


def _sentences(results: Results) -> list[str]:
    found = list(sentences(results))
    if results.constraints:
        kept = sum(results.kept(r) for r in results.rows)
        bounds = ", ".join(map(str, results.constraints))
        found.insert(0, f"{kept:,} of {len(results.rows):,} points keep {bounds}")
    return found


def _switch(name: str, legend: str, options: Sequence[tuple[str, str]]) -> Html:
    inside = []
    for k, (value, title) in enumerate(options):
        about = {
            "type": "radio",
            "name": name,
            "value": value,
            **({"checked": ""} if not k else {}),
        }
        inside.append(el("label", None, el("input", about), el("span", None, title)))
    return el("fieldset", None, el("legend", None, legend), *inside)


def _figure(name: str, caption: str, switches: Sequence[Html], shown: dict[str, Html]) -> Html:
    views_drawn = [
        el("div", {"data-view": key, **({"hidden": ""} if k else {})}, figure)
        for k, (key, figure) in enumerate(shown.items())
    ]
    about = {"class": "switches"}
    return el(
        "figure",
        {"data-figure": name},
        el("figcaption", None, caption),
        *([el("div", about, *switches)] if len(shown) > 1 else []),
        *views_drawn,
    )


def _pareto(results: Results) -> list[Html]:
    pairs = views(results)
    if not pairs or len(results.rows) < 2:
        return []
    shown = {f"{x.name}|{y.name}": pareto(results, x, y) for x, y in pairs}
    options = [(f"{x.name}|{y.name}", f"{y.title} – {x.title}") for x, y in pairs]
    caption = (
        "Every point; outlined and joined are those that no other beats in both. Hover for what a "
        "point is, click to hold it."
    )
    if results.constraints:
        caption += " Faint points break a constraint."
    return [_figure("pareto", caption, [_switch("pareto", "Show", options)], shown)]


def _curves(results: Results) -> list[Html]:
    measures = curve_measures(results)
    keys = varying(results)[:8]
    if not measures or not keys:
        return []
    shown = {f"{k}|{m.name}": curves(results, k, m) for k in keys for m in measures}
    switches = [
        _switch("curve-key", "Against", [(k, titled(k)) for k in keys]),
        _switch("curve-measure", "Show", [(m.name, m.title) for m in measures]),
    ]
    lone = len(keys) <= 2 and any(hue(results, without=[k]) for k in keys)
    over = "seeds" if lone else "seeds and everything else that varies"
    caption = f"Means, and one standard deviation to each side, over {over}."
    return [_figure("curves", caption, switches, shown)]


def _parallel(results: Results) -> list[Html]:
    if len(results.rows) < 2 or not varying(results):
        return []
    caption = (
        f"Every point is a line, coloured by {results.objectives[0].title}: yellow is the best "
        "fifth, violet the worst. Drag along an axis to keep a part of it, here and in all "
        "figures; click the axis to let go."
    )
    drawn = el("div", {"class": "wide"}, parallel(results))
    return [_figure("parallel", caption, [], {"all": drawn})]


def _importances(results: Results) -> list[Html]:
    if not results.importances:
        return []
    found: list[Html] = [
        el(
            "p",
            {"class": "note"},
            "The share of an objective's variance over the search space that each parameter "
            "explains by itself, estimated from the trials by fANOVA (Hutter, Hoos and "
            "Leyton-Brown, 2014).",
        )
    ]
    for name, shares in results.importances.items():
        m = next(m for m in results.objectives if m.name == name)
        rows = []
        for key, share in sorted(shares.items(), key=lambda i: -i[1]):
            bar = el("div", {"class": "bar", "style": f"width: {100 * share:.1f}%"})
            rows.append([key, percent(share), bar])
        columns = ["Parameter", "Share", ""]
        found.append(table(f"For {m.title}", columns, rows, numeric=(1,)))
    return found


def _points(results: Results) -> list[Html]:
    groups = over_seeds(results)
    if not groups:
        return [el("p", None, "No point is there yet.")]
    keys = [k for k in results.keys if not k.endswith("seed")]
    measures = results.measures
    best = {row.point for row in results.front([*results.objectives])}
    first = results.objectives[0]
    sign = -1 if first.higher else 1
    groups = sorted(groups, key=lambda g: sign * (g[1][0].of(first.name) or 0.0))
    if results.search:
        groups = sorted(groups, key=lambda g: not any(r.point in best for r in g[1]))
    rows = []
    for values, members in groups[:MOST_TABLE]:
        cells = [told(values[k]) if k in values else "" for k in keys]
        mark = "★ " if results.search and any(r.point in best for r in members) else ""
        heads = cells or [members[0].point]
        rows.append([mark + heads[0], *heads[1:], *[cell(members, m) for m in measures]])
    columns = [*(titled(k) for k in keys), *(m.title for m in measures)] if keys else []
    columns = columns or ["Point", *(m.title for m in measures)]
    more = f"the best {MOST_TABLE:,} of {len(groups):,}; " if len(groups) > MOST_TABLE else ""
    caption = f"Means over seeds, and their spread; {more}all points are in sweep.csv"
    if results.search:
        caption += "; ★: no other beats it in all objectives"
    made = table(caption, columns, rows, numeric=range(1, len(columns)))
    shown = made if len(rows) <= MOST_ROWS else details(f"The table of {len(rows):,} rows", made)
    found = [shown]
    if results.gone:
        reasons = [
            [
                ", ".join(f"{k} {told(v)}" for k, v in row["values"].items()),
                next((row[k] for k in ("error", "failed", "pruned") if k in row), ""),
            ]
            for row in results.gone[:MOST_TABLE]
        ]
        found.append(
            details(
                f"{len(results.gone):,} points without numbers",
                table("What became of them", ["Point", "Why"], reasons),
            )
        )
    return found


def _data(results: Results) -> dict[str, object]:
    """Return what a hover says of each point."""
    measures = results.measures
    return {
        "names": [*results.keys, *(m.title for m in measures), "training"],
        "rows": [
            [
                *(told(row.values[k]) if k in row.values else "" for k in results.keys),
                *(m.said(row.measures.get(m.name)) for m in measures),
                row.training,
            ]
            for row in results.rows
        ],
    }
