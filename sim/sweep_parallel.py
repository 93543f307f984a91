"""All points of a sweep at once: a line each, across one axis a key and a measure."""

from __future__ import annotations

from .markup import Html, el
from .sweep_axis import of_key, of_measure
from .sweep_results import Results
from .sweep_svg import HEIGHT, WIDTH


def parallel(results: Results) -> Html:
    """Return every point as a line across one axis a key and a measure."""
    keys = [k for k in results.leads if len(results.levels(k)) > 1]
    measures = [m for m in results.measures if len({r.of(m.name) for r in results.rows}) > 1]
    first = results.objectives[0]
    measures = [m for m in measures if m.name not in ("loss", "epochs", "inference_s")][:5]
    names: list[tuple[str, str]] = [("key", k) for k in keys[:7]] + [
        ("m", m.name) for m in measures
    ]
    width = max(WIDTH, 130 * len(names) + 60)
    apart = (width - 150) / max(len(names) - 1, 1)
    low, high = HEIGHT - 30.0, 62.0
    of = {m.name: m for m in measures}
    axes = []
    for kind, name in names:
        if kind == "key":
            axes.append(of_key(results, name, low, high, most=12))
        else:
            found = [v for r in results.rows if (v := r.of(name)) is not None]
            axes.append(of_measure(of[name], found, low, high))
    ranks = sorted(v for r in results.rows if (v := r.of(first.name)) is not None)
    lines, frames = [], []
    for k, row in enumerate(results.rows):
        points = []
        for j, ((kind, name), axis) in enumerate(zip(names, axes, strict=True)):
            y = axis.place(row.values.get(name) if kind == "key" else row.of(name))
            if y is not None:
                points.append(f"{75 + j * apart:.0f},{y:.1f}")
        value = row.of(first.name)
        share = 0.0 if value is None else ranks.index(value) / max(len(ranks) - 1, 1)
        shade = _SHADES[min(int((share if first.higher else 1 - share) * 5), 4)]
        if len(points) == len(axes):
            about = {
                "class": "thread",
                "points": " ".join(points),
                "stroke": shade,
                "data-i": str(k),
            }
            lines.append(el("polyline", about))
    for j, axis in enumerate(axes):
        x = 75 + j * apart
        inside = [el("path", {"class": "frame", "d": f"M{x:.0f} {high - 8:.0f}V{low + 8:.0f}"})]
        inside += [
            el("text", {"x": f"{x + 6:.0f}", "y": f"{y + 4:.1f}", "class": "halo"}, said)
            for y, said in axis.ticks
        ]
        title = axis.title.replace(", logarithmic", "")
        for n, part in enumerate(_wrapped(title, max(10, int(apart / 7)))[:3]):
            about = {
                "x": f"{x:.0f}",
                "y": f"{14 + 14 * n}",
                "text-anchor": "middle",
                "class": "soft",
            }
            inside.append(el("text", about, part))
        hit = {
            "class": "hit",
            "x": f"{x - 14:.0f}",
            "y": f"{high - 8:.0f}",
            "width": "28",
            "height": f"{low - high + 16:.0f}",
            "data-axis": str(j),
        }
        frames.append(el("g", None, *inside, el("rect", hit)))
    about = {
        "viewBox": f"0 0 {width:.0f} {HEIGHT}",
        "role": "img",
        "class": "parallel",
        "aria-label": f"{len(lines)} points as lines across {len(axes)} axes",
    }
    return el("svg", about, *lines, *frames)


_SHADES = ("#5b4aa0", "#3f7cc4", "#2fa58f", "#8dbb3c", "#e0a52c")
"""From the worst fifth to the best."""


def _wrapped(text: str, width: int) -> list[str]:
    """Return a title in lines; keys may break behind their points."""
    found = [""]
    for word in text.replace(".", ". ").replace("_", "_ ").split(" "):
        glue = "" if not found[-1] or found[-1].endswith((".", "_")) else " "
        if len(found[-1]) + len(word) + 1 > width and found[-1]:
            found.append(word)
        else:
            found[-1] += glue + word
    return found
