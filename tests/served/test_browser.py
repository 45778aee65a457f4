"""The forms as people see them: Prefect's own interface in a headless Chromium, from the deployment to the figures."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aelle_core.study import RunDirectory
from tests.helpers.browser import MILLISECONDS, chromium
from tests.served.conftest import Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(1800)
Picture = Callable[..., None]


@pytest.fixture(scope="module")
def page() -> "Iterator[Page]":
    """A page of Debian's Chromium. Without Chromium the tests are skipped, but where CI is set they fail."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(MILLISECONDS)
        yield page


@pytest.fixture
def picture(page: "Page", tmp_path: Path) -> Picture:
    """Take a picture of the page: into the directory that AELLE_PICTURES names, or one that goes with the test."""
    directory = Path(os.environ.get("AELLE_PICTURES", tmp_path))

    def take(name: str, width: int = 1280) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=directory / f"ui-{name}.png", clip={"x": 0, "y": 0, "width": width, "height": 900})

    return take


def test_a_study_from_its_form_to_its_figures(served: Served, page: "Page", picture: Picture) -> None:
    page.goto(served.sign_in)
    page.wait_for_url("**/v2/deployments")
    assert served.secret not in page.url
    for name in ("study", "own-data", "forecast", "screen"):
        page.get_by_role("link", name=name, exact=True).wait_for()
    picture("deployments")
    run = fill_study(page, picture)
    submit(page)

    page.get_by_role("link", name=run).first.click()
    page.get_by_role("tab", name="Task Runs").click()
    for cohort in ("digits gru 32", "digits rnn 32"):
        page.get_by_role("tabpanel").get_by_role("link", name=cohort).wait_for(timeout=600_000)
    picture("cohorts")
    wait_blank(page, served, "study")
    page.get_by_role("tab", name="Task Runs").click()
    page.get_by_role("main").get_by_text("Completed", exact=True).first.wait_for(timeout=900_000)
    page.get_by_role("tabpanel").get_by_role("link", name="publish metrics").wait_for()
    picture("completed")

    open_artifact(page, "classifier-metrics")
    page.get_by_role("link", name=run).wait_for()  # it is this run's
    page.get_by_role("columnheader", name="F1", exact=True).wait_for()
    page.get_by_role("row").nth(5).wait_for()
    picture("metrics")
    page.go_back()
    page.go_back()
    open_artifact(page, "report")
    figure = page.get_by_role("img", name="Spectra by cell")
    figure.scroll_into_view_if_needed()
    drawn = "image => image.complete && image.naturalWidth > 300"
    page.wait_for_function(drawn, arg=figure.element_handle())
    picture("report", width=850)  # beside it stands where the report lies: a path of this machine
    page.get_by_role("link", name="Open the whole report").click()
    look_at_report(page, "from-the-form")
    picture("whole-report")
    study = RunDirectory(served.runs / "from-the-form").study()
    assert (study.networks, study.epochs, study.cells) == (8, 2, ("gru", "rnn"))
    assert {study.cell_ranges(cell)["scale"].high for cell in study.cells} == {2}


def test_own_data_from_its_form(served: Served, page: "Page", picture: Picture) -> None:
    from playwright.sync_api import expect

    page.goto(served.sign_in)
    page.wait_for_url("**/v2/deployments")
    open_form(page, served, "own-data")
    page.get_by_role("button", name="Submit").click()  # the file is required
    page.get_by_text("required property").first.wait_for()
    page.get_by_role("textbox", name="file or directory").fill("pulses.csv")
    page.get_by_role("spinbutton", name="networks").fill("6")
    page.get_by_role("button", name="Select cells").click()
    page.get_by_role("option", name="gru", exact=True).click()
    page.keyboard.press("Escape")
    unfold(page, "columns of a table", "named here")
    page.get_by_role("textbox", name="sequence").fill("patient")
    page.get_by_role("textbox", name="time").fill("day")
    page.keyboard.press("Tab")
    expect(page.get_by_text("required property")).to_have_count(0)
    picture("form-own-data")
    unfold(page, "training", "changed")
    page.get_by_role("spinbutton", name="epochs").fill("1")
    choose_packed(page)
    submit(page)
    run = RunDirectory(served.runs / "pulses")

    wait_blank(page, served, "own-data")
    assert (run.study().cells, run.study().networks, run.study().epochs) == (("gru",), 6, 1)
    options = run.study().task_options
    assert (options["sequence"], options["time"]) == ("patient", "day")
    assert (run.path / "report.html").exists()


def test_forecasters_from_their_form_to_their_report(served: Served, page: "Page", picture: Picture) -> None:
    from playwright.sync_api import expect

    page.goto(served.sign_in)
    page.wait_for_url("**/v2/deployments")
    open_form(page, served, "forecast")
    page.get_by_role("button", name="Select system").click()
    page.get_by_role("option", name="rossler", exact=True).click()
    expect(page.get_by_role("button", name="Select system")).to_have_text("rossler")
    picture("form-forecast")
    page.get_by_role("button", name="Select cells").click()
    page.get_by_role("option", name="gru", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_role("spinbutton", name="networks").fill("6")
    unfold(page, "training", "changed")
    page.get_by_role("spinbutton", name="epochs").fill("1")
    unfold(page, "analysis", "changed")
    page.get_by_role("spinbutton", name="splits").fill("2")
    choose_packed(page)
    started = page.get_by_role("textbox", name="Run Name").input_value()
    submit(page)

    page.get_by_role("link", name=started).first.click()
    page.wait_for_url("**/flow-run/**")
    wait_blank(page, served, "forecast")
    open_artifact(page, "open-the-report")
    page.get_by_role("link", name=started).wait_for()  # it is this run's
    page.get_by_role("main").get_by_role("link", name="Open the report", exact=True).click()
    look_at_report(page, "forecast-rossler")
    run = RunDirectory(served.runs / "forecast-rossler")
    study = run.study()
    assert (study.cells, study.networks, study.epochs) == (("gru",), 6, 1)
    assert study.task_options["system"] == "rossler"
    assert json.loads((run.analysis / "analysis.json").read_text())["splits"] == 2


def test_networks_are_screened_from_their_form(served: Served, page: "Page", picture: Picture) -> None:
    page.goto(served.sign_in)
    page.wait_for_url("**/v2/deployments")
    open_form(page, served, "screen")
    picture("form-screen")
    page.get_by_role("spinbutton", name="candidates").fill("20")
    page.get_by_role("spinbutton", name="keep").fill("3")
    page.get_by_role("switch", name="train").click()  # only ranked
    run = page.get_by_role("textbox", name="Run Name").input_value()
    submit(page)
    page.get_by_role("link", name=run).first.click()
    page.wait_for_url("**/flow-run/**")
    wait_blank(page, served, "screen")
    kept = json.loads((served.runs / "digits-screened" / "kept.json").read_text())["kept"]
    open_artifact(page, "kept-networks")
    page.get_by_role("columnheader", name="expected loss").wait_for()
    rows = [row.inner_text().split()[0] for row in page.get_by_role("row").all()[1:]]
    assert rows == [row["network"] for row in kept]
    assert len(rows) == 3
    picture("kept")


def fill_study(page: "Page", picture: Picture) -> str:
    """Fill the form of a small study; the run's name."""
    from playwright.sync_api import expect

    page.get_by_role("link", name="study", exact=True).click()
    custom_run(page, "study")
    expect(page.get_by_role("button", name="Select preset")).to_have_text("digits")
    expect(page.get_by_role("spinbutton")).to_have_count(0)  # all numbers are folded
    picture("form")
    page.get_by_role("button", name="Select preset").click()
    page.get_by_role("option", name="small-target").wait_for()
    page.get_by_role("option", name="digits", exact=True).click()
    page.get_by_role("textbox", name="results").fill("from-the-form")
    unfold(page, "changes", "changed")
    page.get_by_role("spinbutton", name="networks").fill("8")
    page.get_by_role("spinbutton", name="epochs").fill("2")
    page.get_by_role("button", name="Select cells").click()
    for cell in ("gru", "rnn"):
        page.get_by_role("option", name=cell, exact=True).click()
    picture("form-cells")
    page.keyboard.press("Escape")
    unfold(page, "details", "changed")
    page.get_by_role("button", name="Add item").last.click()  # of the ranges
    page.get_by_role("button", name="Select quantity").click()
    page.get_by_role("option", name="scale", exact=True).click()
    page.get_by_role("spinbutton", name="low").fill("0.5")
    page.get_by_role("spinbutton", name="high").fill("2")
    page.get_by_role("spinbutton", name="high").scroll_into_view_if_needed()
    picture("form-ranges")
    unfold(page, "analysis", "changed")
    page.get_by_role("spinbutton", name="splits").fill("2")
    choose_packed(page)
    assert not page.get_by_text("is not one of").is_visible()
    return page.get_by_role("textbox", name="Run Name").input_value()


def open_form(page: "Page", served: Served, name: str) -> None:
    """From anywhere to the form of a deployment."""
    page.goto(f"{served.url.removesuffix('/api')}/v2/deployments")
    page.get_by_role("link", name=name, exact=True).click()
    custom_run(page, name.replace("-", "_"))


def custom_run(page: "Page", function: str) -> None:
    """From a deployment's page to its form."""
    page.get_by_text(f"flows.served.deployed_{function}.{function}").wait_for()  # the page is there
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.get_by_role("textbox", name="results").wait_for()
    page.get_by_text("AeLLE").first.wait_for()  # the flow's name, which comes last


def unfold(page: "Page", group: str, tab: str) -> None:
    """Show the fields of a group."""
    label = page.locator("div.group").filter(has=page.get_by_text(f"{group} (Optional)", exact=True)).last
    label.get_by_role("tab", name=tab, exact=True).click()


def choose_packed(page: "Page") -> None:
    """Choose how packs are trained from a list: without it all ways are measured first."""
    unfold(page, "resources", "changed")
    page.get_by_role("button", name="Select way").click()
    page.get_by_role("option", name="packed", exact=True).click()


def submit(page: "Page") -> None:
    """Submit the form."""
    with page.expect_response(lambda answer: "create_flow_run" in answer.url, timeout=600_000) as created:
        page.get_by_role("button", name="Submit").click()
    assert created.value.ok, created.value.text()


def wait_blank(page: "Page", served: Served, deployment: str) -> None:
    """Wait until the run of a deployment is done, on an empty page: one that is drawn again and again takes the cores
    that the run needs."""
    shown = page.url
    page.goto("about:blank")
    (run,) = served.post("flow_runs/filter", deployments={"name": {"any_": [deployment]}})
    state = served.wait(run["id"], 1200)
    assert state["type"] == "COMPLETED", state
    page.goto(shown)


def look_at_report(page: "Page", results: str) -> None:
    """The report itself, from the server: its own script and pictures run, and the password is out of its reach."""
    page.wait_for_url(f"**/reports/{results}/report.html")
    page.get_by_role("heading", level=1).wait_for()
    drawn = "Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)"
    page.wait_for_function(drawn)
    assert page.locator("script").count() == 1
    assert page.evaluate("() => { try { return localStorage.length } catch (error) { return error.name } }") == (
        "SecurityError"
    )


def open_artifact(page: "Page", key: str) -> None:
    """From a run's page to the content of its artifact."""
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("tabpanel").locator(f'a[href$="/artifacts/key/{key}"]').first.click()
    page.wait_for_url(f"**/artifacts/key/{key}")
    page.get_by_role("main").locator("a[href*='/artifacts/artifact/']").first.click()  # the newest
