"""The report in a headless Chromium: on a desk, on a phone, in the dark, on paper, and without scripts."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aelle_core.report import ReportData, draw_figures, write_report
from aelle_core.report.page import rendered
from tests.helpers.browser import chromium
from tests.helpers.reports import random_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(1800)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}


@pytest.fixture(scope="module")
def address(report: ReportData, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the page lies."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(report, draw_figures(report), path, ["analysis/networks.csv"])
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A Chromium that is shared by the tests."""
    with chromium() as shared:
        yield shared


@pytest.mark.parametrize(("name", "size", "scheme"), [
    ("desk", DESK, "light"), ("phone", PHONE, "light"), ("dark", DESK, "dark"),
])  # fmt: skip
def test_the_page_fits_and_its_words_can_be_read(
    name: str, size: dict[str, int], scheme: str, browser: "Browser", address: str, tmp_path: Path
) -> None:
    """Nothing makes the page wider than the screen, and ink and paper are far apart."""
    page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    errors: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    directory = Path(os.environ.get("AELLE_PICTURES", tmp_path))
    page.screenshot(path=directory / f"report-{name}.png")
    page.screenshot(path=directory / f"report-{name}-whole.png", full_page=True)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate("[...document.querySelectorAll('.fits')].every(e => e.scrollWidth <= e.clientWidth)")
    assert not errors
    assert [url for url in requests if not url.startswith("data:")] == [address]
    ink, paper = (_lightness(page, name) for name in ("color", "backgroundColor"))
    assert abs(ink - paper) > 150
    assert (paper < 60) is (scheme == "dark")
    page.close()


def _lightness(page: "Page", which: str) -> float:
    """The mean of the body's red, green and blue, from 0 to 255."""
    colour: str = page.evaluate(f"getComputedStyle(document.body).{which}")
    numbers = [float(part) for part in colour.strip("rgb()").split(",")]
    return sum(numbers) / 3


def test_tables_sort_and_filter_and_points_speak(browser: "Browser", address: str) -> None:
    page = browser.new_page(viewport=DESK)
    page.goto(address + "#all-networks")  # which opens what is folded
    table = page.locator("#all-networks table")
    table.wait_for()
    assert table.is_visible()
    losses = (
        "table => [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => Number(row.cells[5].textContent))"
    )
    table.get_by_role("button", name="Final loss").click()
    rising = table.evaluate(losses)
    assert len(rising) == 60
    assert rising == sorted(rising)
    table.get_by_role("button", name="Final loss").click()
    assert table.evaluate(losses) == rising[::-1]
    page.locator("#all-networks").get_by_label("Show cell").select_option("gru")
    assert len(table.evaluate(losses)) == 20
    assert page.locator("#all-networks .filter").get_by_text("20 rows").is_visible()
    letter = page.locator("#networks a.letter").first
    letter.click()
    label = page.locator("#plane .told")
    network = (letter.get_attribute("aria-label") or "").removesuffix(" in the plane")
    label.filter(has_text=f"{network}:").wait_for()
    page.close()


def test_without_scripts_and_on_paper_everything_is_there(browser: "Browser", address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("table").count() > 5
    assert page.get_by_role("button").count() == 0
    page.locator("summary", has_text="All networks").click()
    assert page.locator("#all-networks tbody tr").first.is_visible()
    assert page.locator("#plane .point title").count() == 60
    page.emulate_media(media="print")
    assert page.locator("#settings code").first.is_visible()
    assert not page.locator("nav.contents").is_visible()
    context.close()


def test_a_print_is_whole_and_short(browser: "Browser", tmp_path: Path) -> None:
    """On paper pictures stand side by side, nothing is cut off at the right, and of many networks the first are
    listed."""
    path = tmp_path / "report.html"
    path.write_text(rendered(random_report(400), []))
    page = browser.new_page(viewport={"width": 700, "height": 1000})
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.evaluate("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth)")
    plane, by_epoch = (page.locator(f"#{name}").bounding_box() for name in ("plane", "by-epoch"))
    assert plane is not None and by_epoch is not None
    assert plane["y"] == by_epoch["y"]
    rows = page.locator("#all-networks tbody tr")
    assert (rows.count(), rows.locator("visible=true").count()) == (400, 60)
    assert rows.first.evaluate("row => row.offsetHeight") < 30  # no column is a word wide
    assert page.get_by_text("On paper the first 60").is_visible()
    sheets = len(re.findall(rb"/Type ?/Page\b", page.pdf(format="A4")))
    assert 3 <= sheets <= 12, sheets
    page.close()
