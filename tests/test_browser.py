"""The page in a real browser without a network: every plot drawn, no error, nothing asked for."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwloop.sim.page import render

pytestmark = pytest.mark.browser

BINARY = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)
START = """
import os, sys
there, back = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(there, 3)
os.dup2(back, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium listens on descriptor 3 and answers on 4."""
PATIENCE_S = 60.0


class Browser:
    """Chromium, driven over a pipe by the DevTools protocol."""

    def __init__(self, binary: str, folder: Path):
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        command = [sys.executable, "-c", START, str(there), str(back), binary, *OPTIONS]
        command.append(f"--user-data-dir={folder}")
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, pass_fds=(there, back), stdin=quiet, stdout=quiet, stderr=quiet
        )
        os.close(there)
        os.close(back)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def start(self) -> None:
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.on_page(f"{domain}.enable")
        offline = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.on_page("Network.emulateNetworkConditions", offline=True, **offline)

    def do(self, method: str, session: Any = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **(session or {})}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found
            self.events.append(answer)

    def on_page(self, method: str, **params: Any) -> dict[str, Any]:
        return self.do(method, self._session, **params)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], PATIENCE_S)
            more = os.read(self._read, 1 << 20) if ready else b""
            assert more, "the browser says nothing any more"
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer

    def says(self, script: str) -> Any:
        answer = self.on_page(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path: Path, width: int = 1440, scheme: str = "light") -> None:
        self.on_page(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.on_page("Emulation.setEmulatedMedia", features=[feature])
        self.events.clear()
        self.on_page("Page.navigate", url=path.as_uri())
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self._next())

    def complaints(self) -> list[str]:
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self.events if e["method"] in kinds]

    def requests(self) -> list[str]:
        sent = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        urls = [e["params"]["request"]["url"] for e in sent]
        return [url for url in urls if not url.startswith("data:")]

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                self.do("Browser.close")
                self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._write)
            os.close(self._read)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if BINARY is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    found = Browser(BINARY, tmp_path_factory.mktemp("profile"))
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.fixture
def page(report: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


DRAWN = """new Promise((done) => {
  const look = () => document.documentElement.dataset.plots === "drawn"
    ? done([...document.querySelectorAll(".plot")].map((plot) =>
        plot.querySelectorAll(".main-svg").length * plot.querySelectorAll(".point").length))
    : requestAnimationFrame(look);
  look();
})"""


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_plot_is_drawn_without_error_or_request(
    browser: Browser, page: Path, width: int, scheme: str
):
    browser.open(page, width, scheme)
    drawn = browser.says(DRAWN)
    assert len(drawn) == 6
    assert all(drawn)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    content, screen = browser.says(wide)
    assert content <= screen <= width


def test_every_switch_draws_its_view(browser: Browser, page: Path):
    browser.open(page)
    browser.says(DRAWN)
    seen = browser.says("""(async () => {
      const seen = [];
      for (const input of document.querySelectorAll("figure input")) {
        input.click();
        await new Promise(requestAnimationFrame);
        const figure = input.closest("figure");
        const title = figure.querySelector(".xtitle").textContent;
        seen.push([input.value, title, figure.querySelectorAll(".point").length]);
      }
      return seen;
    })()""")
    assert len(seen) == 3 + 6 + 4 * 2
    assert all(points for _, _, points in seen)
    titles = {value: title for value, title, _ in seen}
    assert titles["epoch"] == "epoch"
    assert titles["energy"].startswith("training energy")
    assert titles["time"].startswith("time on the hardware")
    assert titles["share"] != titles["joules"] != titles["log"]
    assert titles["scale"] != titles["order"]
    assert browser.complaints() == []


def _luminance(colour: str) -> float:
    parts = [int(c) / 255 for c in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_as_wcag_asks(browser: Browser, page: Path, scheme: str):
    browser.open(page, scheme=scheme)
    browser.says(DRAWN)
    paper, *inks = browser.says("""[
      getComputedStyle(document.body).backgroundColor,
      ...["body", ".sub", "nav a", "caption", "summary"].map(
        (what) => getComputedStyle(document.querySelector(what)).color),
      ...[".xtick text", ".xtitle", ".legendtext", ".annotation-text"].map(
        (what) => getComputedStyle(document.querySelector(`.plot ${what}`)).fill),
    ]""")
    for ink in inks:
        low, high = sorted((_luminance(paper), _luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_hostile_names_stay_text(browser: Browser, report: dict[str, Any], tmp_path: Path):
    hostile = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 2">'
    report["name"] = hostile
    for arm in report["arms"]:
        arm["name"] += hostile
        for s in arm["timeline"]["slices"]:
            s["part"] = s["device"] = hostile
    path = tmp_path / "hostile.html"
    path.write_text(render(report), encoding="utf-8")
    browser.open(path)
    assert all(browser.says(DRAWN))
    assert browser.says("window.broken ?? null") is None
    assert browser.says("document.querySelectorAll('img').length") == 0
    assert browser.says("document.querySelector('h1').textContent") == hostile
    part = "[...document.querySelectorAll('.annotation-text')].at(-1).textContent"
    assert browser.says(part) == f"{hostile[:43]}…"
    assert browser.complaints() == []


def test_the_checks_would_notice(browser: Browser, tmp_path: Path):
    path = tmp_path / "bad.html"
    policy = "default-src 'none'; script-src 'unsafe-inline'"
    path.write_text(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<script>console.error("oh")</script><script>undefined.x</script>'
        '<img src="https://example.org/x.png">'
    )
    browser.open(path)
    said = " ".join(browser.complaints())
    assert "oh" in said
    assert "TypeError" in said
    assert "Content Security Policy" in said
