"""One browser, with the modules of the page loaded, for all tests of this folder."""

from pathlib import Path

import pytest

from tools.browser.chromium import PATIENCE, open_browser
from tools.lab import bundle
from tools.project import ROOT

LAB = ROOT / "book" / "lab"


@pytest.fixture(scope="module")
def tab(browser_installed):
    with open_browser() as browser:
        opened = browser.new_page()
        opened.set_default_timeout(PATIENCE)
        yield opened


@pytest.fixture(scope="module")
def run(tab):
    """Run a check of `cases.js` on many cases at once."""
    tab.add_script_tag(content=bundle(LAB / "worker.js", LAB / "page.js"))
    tab.add_script_tag(content=Path(__file__).with_name("cases.js").read_text(encoding="utf-8"))
    return lambda check, cases: tab.evaluate(f"cases => cases.map(checks.{check})", cases)
