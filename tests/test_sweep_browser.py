"""The page of a sweep in a real browser: hovering, choosing and keeping a part of an axis."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


def beside(name: str) -> Any:
    """Return a test file beside this one as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = beside("test_browser")
    if chromium.BINARY is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    found = chromium.Browser(chromium.BINARY, tmp_path_factory.mktemp("profile"))
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hwloop.sim.sweep_page import render
    from hwloop.sim.sweep_results import read

    folder = tmp_path_factory.mktemp("sweep") / "many"
    found = read(beside("test_sweep_results").supposed(folder, noises=25, seeds=5))
    path = folder / "sweep.html"
    path.write_text(render(found), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_thousand_points_are_drawn_without_error_or_request(
    browser: Any, page: Path, width: int, scheme: str
):
    browser.open(page, width, scheme)
    assert browser.says("document.documentElement.dataset.plots") == "drawn"
    assert browser.says("document.querySelectorAll('.thread').length") == 1000
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    content, screen = browser.says(wide)
    assert content <= screen <= width


def test_a_hover_tells_what_a_point_is_and_lights_it_everywhere(browser: Any, page: Path):
    browser.open(page)
    said, lit = browser.says("""(() => {
      const dot = document.querySelector('[data-figure="pareto"] [data-view]:not([hidden]) .best');
      dot.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      return [document.getElementById("tip").textContent, document.querySelectorAll(".on").length];
    })()""")
    assert "weight.adc_bits" in said
    assert "test accuracy" in said
    assert lit >= 2
    dark = browser.says("""(() => {
      document.body.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      return [document.getElementById("tip").hidden, document.querySelectorAll(".on").length];
    })()""")
    assert dark == [True, 0]


def test_every_choice_shows_its_figure(browser: Any, page: Path):
    browser.open(page)
    seen = browser.says("""[...document.querySelectorAll("figure input")].map((input) => {
      input.click();
      const figure = input.closest("figure");
      return figure.querySelectorAll("[data-view]:not([hidden]) svg").length;
    })""")
    assert len(seen) >= 5
    assert set(seen) == {1}


def test_a_part_of_an_axis_is_kept_in_all_figures_and_soon(browser: Any, page: Path):
    browser.open(page)
    off, back, spent_ms = browser.says("""(() => {
      const hit = document.querySelector(".hit");
      hit.setPointerCapture = () => {};
      const box = hit.getBoundingClientRect();
      const send = (kind, y) => hit.dispatchEvent(new PointerEvent(kind, {
        bubbles: true, pointerId: 1, clientX: box.x + 5, clientY: y,
      }));
      const start = performance.now();
      send("pointerdown", box.bottom - 2);
      for (let k = 1; k <= 10; k += 1) send("pointermove", box.bottom - k * box.height * 0.02);
      send("pointerup", box.bottom - box.height * 0.2);
      document.body.getBoundingClientRect();
      const spent = performance.now() - start;
      const off = document.querySelectorAll(".thread.off").length;
      send("pointerdown", box.top + 3);
      send("pointerup", box.top + 3);
      return [off, document.querySelectorAll(".off").length, spent];
    })()""")
    assert off == 750  # the lowest of four numbers of bits is kept
    assert back == 0
    assert spent_ms < 4000  # eleven moves over some thousands of marks, on a busy machine
