"""The report in a real browser: nothing fails, nothing is fetched, nothing overflows, controls do what they say.

Runs where ``ECC_DEPLOY_CHROMIUM`` names a Chromium: ``make test-report`` finds or installs one, and sets it.
``ECC_DEPLOY_SCREENSHOTS`` names a folder for pictures of the pages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecc_deploy.report.evaluations import write_curves
from ecc_deploy.report.html import write_report
from tests.evaluation.made_up import evaluation
from tests.report.fake_bench import fake_bench
from tests.report.fake_links import LTE, fake_links_bench

CHROMIUM = os.environ.get("ECC_DEPLOY_CHROMIUM", "")
SCREENSHOTS = os.environ.get("ECC_DEPLOY_SCREENSHOTS", "")
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="the report was not opened in a browser: ECC_DEPLOY_CHROMIUM is not set (`make test-report`)"
)
WIDTHS = (360, 768, 1280)
# Elements that reach beyond the page; what lies in a box that scrolls by itself does not count.
BEYOND = """() => [...document.querySelectorAll("body *")].filter((one) =>
    one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll") && one.getClientRects().length
    && !one.closest(".hidden") && !one.closest("svg svg")).map((one) => one.outerHTML.slice(0, 120))"""
# Luminance contrast of each text against the paper behind it, as WCAG 2 defines it; below 4.5 it is hard to read.
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.getClientRects().length || one.closest(".hidden") || one.closest("script, style")) continue;
    const style = getComputedStyle(one), isDrawn = one instanceof SVGElement;
    const [a, b] = [light(parse(isDrawn ? style.fill : style.color)), light(behind(isDrawn ? one.closest("div") : one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.tagName}.${one.getAttribute("class")} ${one.textContent.slice(0, 40)}`);
  }
  return found;
}"""  # noqa: E501


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (extra `dev`) is not installed")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root; what is opened here are our own files.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "one": write_report([fake_bench(400)], folder / "one.html"),
        "two": write_report([fake_bench(400), fake_bench(200, 5, link_ms=20)], folder / "two.html"),
        "links": write_report([fake_links_bench(150)], folder / "links.html"),
        "devices": write_report(
            [fake_links_bench(150), fake_links_bench(100, 5, links=[LTE], cpu="Cortex-A76")], folder / "devices.html"
        ),
        "curves": write_curves(evaluation(), folder / "curves.html"),
    }


class Opened:
    """A page, and what it did that it must not: errors, requests."""

    def __init__(
        self, browser: Any, path: Path, width: int, scheme: str = "light", choice: str = "", **options: Any
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", **options
        )
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        self.page.on("request", self._requested)
        self._own = path.as_uri()
        self.page.goto(self._own + choice)
        if options.get("java_script_enabled", True):
            self.settle()

    def _requested(self, request: Any) -> None:
        if request.url.partition("#")[0] != self._own:
            self.troubles.append(f"request: {request.url}")

    def settle(self) -> None:
        """Wait until what is shown is drawn."""
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.plot')].every((plot) =>"
            " !plot.clientWidth || plot.dataset.drawn === String(Math.floor(plot.clientWidth)))"
        )

    def shot(self, name: str) -> None:
        if SCREENSHOTS:
            self.page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


PAGES = [
    *(("one", ""), ("two", "#device=1"), ("curves", "")),
    *(("links", ""), ("links", "#link=1"), ("devices", ""), ("devices", "#device=all&link=1")),
]


@pytest.mark.parametrize(("name", "choice"), PAGES)
def test_nothing_fails_nothing_is_fetched_nothing_overflows(browser: Any, pages: dict, name: str, choice: str) -> None:
    with Opened(browser, pages[name], WIDTHS[0], choice=choice) as opened:
        for width in WIDTHS:
            opened.page.set_viewport_size({"width": width, "height": 900})
            opened.settle()
            opened.shot(f"{name}{re.sub('[^a-z0-9]+', '-', choice)}-{width}")
            assert opened.page.locator(".plot > svg:visible, .headlines:visible").count() > 0
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert opened.page.evaluate(BEYOND) == []
        assert opened.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "choice"), [("links", "#link=1"), ("devices", ""), ("curves", "")])
def test_texts_can_be_read_in_light_and_dark(browser: Any, pages: dict, name: str, choice: str, scheme: str) -> None:
    with Opened(browser, pages[name], 1280, scheme, choice) as opened:
        opened.shot(f"{name}-{scheme}")
        paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper))) > 382) is (scheme == "light")
        assert opened.page.evaluate(CONTRAST) == []


def shown(opened: Opened) -> list[tuple[str, str]]:
    """Device and link of the views that can be seen."""
    every = opened.page.locator(".view").all()
    return [(v.get_attribute("data-device"), v.get_attribute("data-link")) for v in every if v.is_visible()]


def test_a_link_is_chosen_by_keyboard_and_the_address_keeps_it(browser: Any, pages: dict) -> None:
    with Opened(browser, pages["links"], 1280) as opened:
        page = opened.page
        assert shown(opened) == [("0", ""), ("0", "all"), ("0", "")]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "link"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        opened.settle()
        assert shown(opened) == [("0", ""), ("0", "1"), ("0", "")]
        assert page.locator(".view.link:visible .headline").inner_text().startswith("On lte, ECC-D")
        assert page.evaluate("location.hash") == "#device=0&link=1"
        assert page.locator("#shown").text_content() == "Shown: lte"
        floors = page.locator(".plot:visible[data-figure='b0l1-sent'] .bar-part")
        assert floors.count() > 40
        assert opened.troubles == []
    with Opened(browser, pages["links"], 1280, choice="#link=2") as opened:
        assert shown(opened) == [("0", ""), ("0", "2"), ("0", "")]
        opened.page.locator("input[value=all]").check(force=True)
        opened.page.locator(".headlines a", has_text="wifi").click()
        opened.settle()
        assert shown(opened) == [("0", ""), ("0", "0"), ("0", "")]


def test_a_device_without_a_link_does_not_offer_it(browser: Any, pages: dict) -> None:
    with Opened(browser, pages["devices"], 1280) as opened:
        page = opened.page
        assert set(shown(opened)) == {("all", "all"), ("all", "")}
        page.locator("input[name=link][value='2']").check(force=True)
        assert page.locator(".view:visible").first.inner_text().startswith("3g: one benchmark alone")
        page.locator("input[name=device][value='1']").check(force=True)
        opened.settle()
        assert page.locator("input[name=link]:enabled").count() == 1
        assert set(shown(opened)) == {("1", ""), ("1", "1")}
        page.locator("input[name=device][value='0']").check(force=True)
        assert page.locator("input[name=link]:enabled").count() == 4
        assert opened.troubles == []


def test_plots_are_drawn_with_their_intervals_and_labels(browser: Any, pages: dict) -> None:
    with Opened(browser, pages["one"], 1280) as opened:
        bench = fake_bench(400)
        drawn = opened.page.locator("[data-figure='b0-bytes']")
        assert drawn.locator(".error").count() == len(bench.arms)
        assert "ECC-D" in drawn.locator(".label.lead").all_text_contents()
        bars = opened.page.locator("[data-figure='b0-breakdown'] .bar-part")
        parts = sum(value > 0 for arm in bench.arms for key, value in arm.stages_mean_ms.items() if key != "total")
        assert bars.count() == parts
        drawn.locator(".marker").last.hover(force=True)
        tip = opened.page.locator(".tip")
        assert tip.is_visible()
        assert "ECC-D · int4+zstd" in tip.inner_text()


def test_without_scripts_the_figures_are_in_tables(browser: Any, pages: dict) -> None:
    with Opened(browser, pages["one"], 360, java_script_enabled=False) as opened:
        page = opened.page
        assert page.locator(".noscript").is_visible()
        assert page.locator("table.comparison").first.is_visible()
        assert page.locator(".plot").first.is_hidden()


def test_a_heading_sorts_by_keyboard(browser: Any, pages: dict) -> None:
    with Opened(browser, pages["one"], 1280) as opened:
        heading = opened.page.locator("th[data-key='payload'] button")
        heading.focus()
        opened.page.keyboard.press("Enter")
        cells = opened.page.locator("table.comparison td[data-key='payload']")
        values = [float(cell.get_attribute("data-value")) for cell in cells.all()]
        assert values == sorted(values)
        opened.page.keyboard.press("Enter")
        values = [float(cell.get_attribute("data-value")) for cell in cells.all()]
        assert values == sorted(values, reverse=True)
