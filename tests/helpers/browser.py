"""A browser for tests of what people see."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.helpers.needs import tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MILLISECONDS = 240_000  # generous: a machine may have other things to do
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


@contextmanager
def chromium() -> "Iterator[Browser]":
    """Run Debian's Chromium. Without Chromium the test is skipped, but where CI is set it fails."""
    program = tool("chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=ARGUMENTS, timeout=MILLISECONDS
        )
        yield browser
        browser.close()
