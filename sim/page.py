"""A report as one HTML page: it needs no network, loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from . import page_deploy as chips
from . import page_figures as figures
from . import page_headline as headline
from . import page_tables as tables
from .endurance import wear_table
from .gantt import timeline
from .markup import Html, data, el
from .page_fabric import fabrics
from .plots import Views, energy, learning
from .units import count


def render(report: Mapping[str, Any]) -> str:
    """Return the page of a report: what `assemble` returns, or its JSON read back.

    All texts are escaped. The page's own policy forbids every request, and every script whose
    hash is not that of plotly.js or of the page's script.
    """
    from plotly.offline import get_plotlyjs

    plots: dict[str, Views] = {"learning": learning(report), "energy": energy(report)}
    for k, arm in enumerate(report["arms"]):
        if arm["timeline"] is not None and arm["timeline"]["slices"]:
            plots[f"timeline-{k}"] = timeline(arm)
    if on_chips := chips.views(report):
        plots[chips.KEY] = on_chips
    if not any(arm["curve"] for arm in report["arms"]):
        del plots["learning"]
    if not any(views["data"] for views in plots["energy"].values()):
        del plots["energy"]
    on = [arm["deploy"] for arm in report["arms"] if "deploy" in arm]
    whole = {**report, "arms": [*report["arms"], *on]}
    chapters = [
        ("findings", "Findings", headline.findings_list(report)),
        ("learning", "Learning", figures.learning(report, "learning" in plots)),
        *([("deploy", "On chips", chips.chapter(report, bool(on_chips)))] if on else []),
        ("energy", "Energy", figures.energy(report, "energy" in plots)),
        ("timeline", "Time of a training step", figures.timelines(report, set(plots))),
        *([("fabric", "Where it sits", placed)] if (placed := fabrics(report)) else []),
        ("privacy", "Privacy", tables.privacy(report)),
        ("devices", "Devices", [*tables.devices(whole), *wear_table(report)]),
        ("prices", "Prices and their sources", tables.prices(whole)),
        ("experiment", "Data and experiment", tables.experiment(report)),
    ]
    body = [
        el("a", {"class": "skip", "href": "#findings"}, "Skip to the findings"),
        _header(report, [(key, title) for key, title, _ in chapters]),
        el(
            "main",
            None,
            headline.headline(report),
            *[chapter(key, title, inside) for key, title, inside in chapters],
        ),
        _footer(report),
        data("plots", plots),
    ]
    return document(
        report["name"], report["hwloop"], body, ("page.css",), ("page.js",), [get_plotlyjs()]
    )


def document(
    title: str,
    version: str,
    body: Sequence[Html],
    styles: Sequence[str],
    scripts: Sequence[str],
    libraries: Sequence[str] = (),
) -> str:
    """Return a page: `styles` and `scripts` are files beside this one, `libraries` are texts.

    The page's own policy forbids every request, and every script whose hash is not theirs.
    """
    texts = [*libraries, *map(_own, scripts)]
    head = el(
        "head",
        None,
        el("meta", {"charset": "utf-8"}),
        el("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(texts)}),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("meta", {"name": "generator", "content": f"hwloop {version}"}),
        el("title", None, f"{title} · hwloop"),
        el("link", {"rel": "icon", "href": "data:,"}),
        Html(f"<style>{''.join(map(_own, styles))}</style>"),
    )
    inside = el("body", None, *body, *[Html(f"<script>{text}</script>") for text in texts])
    return f"<!DOCTYPE html>\n{el('html', {'lang': 'en'}, head, inside)}\n"


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {hashes}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def chapter(key: str, title: str, inside: list[Html]) -> Html:
    """Return a section of a page under its heading."""
    heading = el("h2", {"id": f"{key}-title"}, title)
    return el("section", {"id": key, "aria-labelledby": f"{key}-title"}, heading, *inside)


def _header(report: Mapping[str, Any], chapters: list[tuple[str, str]]) -> Html:
    main = report["arms"][0]
    layers = main["network"]
    widths = " – ".join(str(n) for n in [*_ins(layers[:1]), *_outs(layers)])
    what = [
        f"{main['rule']} on {report['data']['set']}",
        f"network {widths}" if layers and len(layers) <= 8 else f"{len(layers)} layers",
        f"{count(main['parameters'])} parameters",
        f"{main['epochs']:,} epochs, {main['steps']:,} steps, {main['samples']:,} samples",
    ]
    links = [el("li", None, el("a", {"href": f"#{key}"}, title)) for key, title in chapters]
    return el(
        "header",
        None,
        el("h1", None, report["name"]),
        el("p", {"class": "sub"}, " · ".join(what)),
        el("nav", {"aria-label": "Contents"}, el("ul", None, *links)),
    )


def _ins(layers: list[Mapping[str, Any]]) -> list[Any]:
    return [a.get("width", a["n_in"]) for a in layers]


def _outs(layers: list[Mapping[str, Any]]) -> list[Any]:
    """Return the outputs of every layer; a recurrent one's with how many steps it takes."""
    return [f"{a['n_out']} × {a['steps']} steps" if "steps" in a else a["n_out"] for a in layers]


def _footer(report: Mapping[str, Any]) -> Html:
    wall_s = sum(arm["wall_s"] for arm in report["arms"])
    seed = el("code", None, str(report["seed"]))
    digest = el("code", None, report["digest"])
    return el(
        "footer",
        None,
        el("p", None, f"hwloop {report['hwloop']} · seed ", seed, " · experiment ", digest),
        el("p", None, f"The computer that ran this took {wall_s:,.1f} s for all arms."),
        el("noscript", None, el("p", None, "The plots need JavaScript; all tables do without.")),
    )
