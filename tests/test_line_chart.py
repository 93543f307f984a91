"""Line charts are well-formed, escaped, and put points where the numbers are."""

from __future__ import annotations

import xml.etree.ElementTree as tree

import pytest

from hwloop.sim.line_chart import Panel, Series, svg

SVG = "{http://www.w3.org/2000/svg}"


def panel(*series: Series, **more) -> Panel:
    settings = {"ticks": [(1, "1"), (10, "10"), (100, "100")], "y_range": (0, 100), **more}
    return Panel("a & <b>", "x", "y", series=series, **settings)


def test_a_chart_is_well_formed_and_escaped():
    text = svg([panel(Series("<i>one", [1, 10, 100], [0, 50, 100], [0, 5, 0]))], 'says "so"')
    root = tree.fromstring(text)
    assert root.find(f"{SVG}title").text == 'says "so"'
    said = [node.text for node in root.iter(f"{SVG}text")]
    assert "a & <b>" in said
    assert "<i>one" in said


def test_points_lie_on_a_line_where_the_axis_is_logarithmic():
    root = tree.fromstring(svg([panel(Series("one", [1, 10, 100], [0, 50, 100], [0, 5, 0]))], "a"))
    [path] = root.iter(f"{SVG}polyline")
    (x0, y0), (x1, y1), (x2, y2) = (
        tuple(map(float, point.split(","))) for point in path.get("points").split()
    )
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y2  # up is more


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="has 1, 2 and 1 numbers in x, y and error"):
        svg([panel(Series("one", [1], [1, 2], [0]))], "a")
    with pytest.raises(ValueError, match="lies at x = 0; it takes above 0"):
        svg([panel(Series("one", [0], [1], [0]))], "a")
