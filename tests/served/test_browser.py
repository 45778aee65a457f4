"""The forms as people see them: Prefect's own interface in a headless Chromium, from the deployment to the figures."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aelle_core.study import RunDirectory
from tests.served.conftest import Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

Picture = Callable[[str], None]
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    """A page of Debian's Chromium. Without Chromium the tests are skipped, but where CI is set they fail."""
    if (chromium := shutil.which("chromium")) is None:
        reason = "no chromium here: expected Debian's package of that name"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def picture(page: "Page", tmp_path: Path) -> Picture:
    """Take a picture of the page: into the directory that AELLE_PICTURES names, or one that goes with the test."""
    directory = Path(os.environ.get("AELLE_PICTURES", tmp_path))

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=directory / f"ui-{name}.png")

    return take


def test_a_study_from_its_form_to_its_figures(served: Served, page: "Page", picture: Picture) -> None:
    from playwright.sync_api import expect

    page.goto(f"{served.url}/deployments")
    page.get_by_role("link", name="study", exact=True).wait_for()
    picture("deployments")
    page.get_by_role("link", name="study", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()

    expect(page.get_by_role("button", name="Select preset")).to_have_text("digits")
    page.get_by_role("button", name="Select preset").click()
    page.get_by_role("option", name="small-target").wait_for()
    page.get_by_role("option", name="digits", exact=True).click()
    page.get_by_role("textbox", name="results").fill("from-the-form")
    page.get_by_role("spinbutton", name="networks").fill("8")
    page.get_by_role("spinbutton", name="epochs").fill("2")
    page.get_by_role("button", name="Select cells").click()
    for cell in ("gru", "rnn"):
        page.get_by_role("option", name=cell, exact=True).click()
    picture("form-cells")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add item").last.click()  # of the ranges
    page.get_by_role("button", name="Select quantity").click()
    page.get_by_role("option", name="scale", exact=True).click()
    page.get_by_role("spinbutton", name="low").fill("0.5")
    page.get_by_role("spinbutton", name="high").fill("2")
    page.get_by_role("spinbutton", name="splits").fill("2")
    page.get_by_role("spinbutton", name="high").scroll_into_view_if_needed()
    picture("form-ranges")
    page.get_by_role("textbox", name="results").scroll_into_view_if_needed()
    picture("form")
    run = page.get_by_role("textbox", name="Run Name").input_value()
    page.get_by_role("button", name="Submit").click()

    page.get_by_role("link", name=run).first.click()
    page.get_by_text("Running", exact=True).first.wait_for(timeout=120_000)
    page.get_by_text("digits gru 32").first.wait_for(timeout=240_000)
    picture("running")
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=240_000)
    study = RunDirectory(served.runs / "from-the-form").study()
    assert (study.networks, study.epochs, study.cells) == (8, 2, ("gru", "rnn"))
    assert {study.cell_ranges(cell)["scale"].high for cell in study.cells} == {2}
    picture("completed")
