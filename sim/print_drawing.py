"""A printed circuit as a drawing: inputs, units and classes, and the wires between them, as SVG."""

from __future__ import annotations

from ..devices.printed_circuit import Circuit
from .markup import Html, el

_COLUMN, _ROW, _TOP = 300, 44, 40


def drawing(circuit: Circuit, classes: list[str]) -> Html:
    """Return an SVG of the circuit: a wire for each connection, named by what it adds.

    Solid wires add to the tree P, dashed ones to N; a wire is as thick as bits are wired. Inputs
    that no wire leaves are left out.
    """
    t = circuit.topology
    columns: list[list[tuple[int, str]]] = []
    for k, size in enumerate(t.sizes):
        if k == 0:
            names = [f"x{i}" for i in range(size)]
        elif k < len(t.sizes) - 1:
            names = [f"h{k}.{j}" for j in range(size)]
        else:
            names = [classes[j] if j < len(classes) else str(j) for j in range(size)]
        if k < len(t.sizes) - 1:
            weight, mask, _ = circuit.layer(k)
            used = ((weight != 0) & (mask != 0)).any(0)
        else:
            used = [True] * size
        columns.append([(i, names[i]) for i in range(size) if used[i]])
    height = _TOP + _ROW * max(max(len(c) for c in columns), 1)
    where: list[dict[int, tuple[float, float]]] = []
    for k, column in enumerate(columns):
        gap = (height - _TOP) / max(len(column), 1)
        where.append(
            {i: (60 + _COLUMN * k, _TOP + gap * (n + 0.5)) for n, (i, _) in enumerate(column)}
        )
    wires, labels = [], []
    for k in range(len(columns) - 1):
        weight, mask, bias = circuit.layer(k)
        for j, (x2, y2) in where[k + 1].items():
            for i, (x1, y1) in where[k].items():
                w, m = int(weight[j, i]), int(mask[j, i])
                if not w or not m:
                    continue
                said = f"{'+' if w > 0 else '-'} (x & {m:b}) * {abs(w)}"
                line = {
                    "x1": f"{x1 + 22:.0f}", "y1": f"{y1:.0f}", "x2": f"{x2 - 24:.0f}",
                    "y2": f"{y2:.0f}", "class": "p" if w > 0 else "n",
                    "stroke-width": f"{0.8 + 0.35 * m.bit_count():.1f}",
                }  # fmt: skip
                wires.append(el("line", line, el("title", None, said)))
            if bias[j]:
                at = {"x": f"{x2:.0f}", "y": f"{y2 + 30:.0f}", "class": "bias"}
                labels.append(el("text", at, f"{int(bias[j]):+d}"))
    units = []
    for k, column in enumerate(columns):
        for i, name in column:
            x, y = where[k][i]
            units.append(el("circle", {"cx": f"{x:.0f}", "cy": f"{y:.0f}", "r": "18"}))
            shown = name if len(name) <= 7 else f"{name[:6]}…"
            at = {"x": f"{x:.0f}", "y": f"{y + 4:.0f}"}
            units.append(el("text", at, shown))
    titles = ["inputs", *[f"hidden {k}" for k in range(1, len(columns) - 1)], "classes"]
    heads = [
        el("text", {"x": f"{60 + _COLUMN * k}", "y": "16", "class": "head"}, title)
        for k, title in enumerate(titles)
    ]
    style = (
        ".circuit line{stroke:#4c86d8;opacity:.75}"
        ".circuit line.n{stroke:#e08a3c;stroke-dasharray:6 3}"
        ".circuit circle{fill:none;stroke:currentColor;stroke-width:1.2}"
        ".circuit text{fill:currentColor;font:12px system-ui,sans-serif;text-anchor:middle}"
        ".circuit text.bias{font-size:10px;opacity:.8}.circuit text.head{font-weight:600}"
    )
    width = 120 + _COLUMN * (len(columns) - 1)
    about = {
        "class": "circuit",
        "viewBox": f"0 0 {width} {height:.0f}",
        "role": "img",
        "aria-label": f"The circuit {t} as a drawing; Verilog says the same.",
        "style": f"max-width:{width}px;width:100%",
    }
    return el("svg", about, Html(f"<style>{style}</style>"), *heads, *wires, *units, *labels)
