"""A headless Chromium that tests look at pages with."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

_DONE = 20_000  # milliseconds


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        missing = "chromium is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium):
    """Opens pages; none of them may have complained when the test ends."""
    size = {"width": 1280, "height": 900}
    context = chromium.new_context(viewport=size, ignore_https_errors=True)
    complaints = []

    def hear(message):
        if message.type == "error":
            complaints.append(message.text)

    def open_page(url):
        page = context.new_page()
        page.set_default_timeout(_DONE)
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.wait_for_function("window.Bokeh && Bokeh.documents.length == 1")
        return page

    yield open_page
    context.close()
    assert not complaints, complaints
