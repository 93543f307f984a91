"""HTML written so that text cannot become markup: whatever is not Html already is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, final

_EMPTY = ("meta", "link", "input", "br")


@final
class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: str) -> Html:
    """Return the value as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(html.escape(value))


def el(tag: str, attributes: Mapping[str, str] | None = None, *inside: str) -> Html:
    """Return an element; attributes and text are escaped, elements inside stay as they are.

    >>> el("p", {"title": '"'}, "a < b ", el("b", None, "!"))
    '<p title="&quot;">a &lt; b <b>!</b></p>'
    """
    said = "".join(f' {name}="{html.escape(v)}"' for name, v in (attributes or {}).items())
    if tag in _EMPTY:
        return Html(f"<{tag}{said}>")
    return Html(f"<{tag}{said}>{''.join(text(part) for part in inside)}</{tag}>")


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[int] = (),
    cards: bool = False,
) -> Html:
    """Return a table in a region that scrolls sideways; the first cell of a row is its header.

    `numeric` holds the columns whose cells are set to the right. With `cards` a narrow screen
    shows a row as a card of named values; the roles keep it a table for screen readers.
    """

    def kind(column: int) -> dict[str, str]:
        return {"class": "num"} if column in numeric else {}

    head = [
        el("th", {"scope": "col", "role": "columnheader", **kind(k)}, name)
        for k, name in enumerate(columns)
    ]
    body = []
    for row in rows:
        cells = [el("th", {"scope": "row", "role": "rowheader"}, row[0])]
        for k, cell in enumerate(row[1:], 1):
            about = {"role": "cell", "data-label": columns[k], **kind(k)}
            cells.append(el("td", about, el("div", None, cell)))
        body.append(el("tr", {"role": "row"}, *cells))
    inside = el(
        "table",
        {"role": "table", **({"class": "cards"} if cards else {})},
        el("caption", None, caption),
        el("thead", {"role": "rowgroup"}, el("tr", {"role": "row"}, *head)),
        el("tbody", {"role": "rowgroup"}, *body),
    )
    about = {"class": "scroll", "role": "region", "aria-label": caption, "tabindex": "0"}
    return el("div", about, inside)


def pairs(rows: Sequence[tuple[str, str]]) -> Html:
    """Return a description list of names and values."""
    inside = [el("div", None, el("dt", None, name), el("dd", None, value)) for name, value in rows]
    return el("dl", None, *inside)


def details(summary: str, *inside: str) -> Html:
    """Return what is folded away under a line."""
    return el("details", None, el("summary", None, summary), *inside)


def data(name: str, value: Any) -> Html:
    """Return a block of JSON for a script, written so that no text in it can end the block."""
    said = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        said = said.replace(sign, f"\\u{ord(sign):04x}")
    return Html(f'<script type="application/json" id="{html.escape(name)}">{said}</script>')
