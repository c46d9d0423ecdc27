"""The page in a browser: no network, no barrier, and a table that the keyboard sorts."""

import re

import pytest
import torch
from torch import nn

from cbnlib.xray.analyse import xray
from cbnlib.xray.page import page

PAGE_BYTES = 3_000_000


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of a network with every kind of cell."""
    torch.manual_seed(0)
    blocks = (nn.Conv1d(4, 4, 3, padding=1, dilation=1, stride=1 + i % 2) for i in range(6))
    model = nn.Sequential(nn.Conv1d(1, 4, 1), nn.BatchNorm1d(4), *blocks)
    model.add_module("unused", nn.Identity())
    model.unused.conv = nn.Conv1d(1, 1, 1)
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page(xray(model, (1, 64), data=[torch.randn(5, 1, 64)])), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def seen(browser_installed, written):
    # Imported here: the library's tests run where the packages of the tools are not installed.
    from tools.browser.accessibility import SCRIPT
    from tools.browser.chromium import open_browser, visit
    from tools.pages import Page

    with (
        open_browser() as browser,
        visit(browser, Page(written.parent, written), SCRIPT) as opened,
    ):
        yield opened


def test_it_is_small(written):
    assert written.stat().st_size < PAGE_BYTES / 50


def test_it_loads_nothing_and_has_no_barriers(seen):
    from tools.browser.accessibility import check

    serious, _ = check(seen)
    assert serious == []
    assert seen.problems == []
    assert [url for url in seen.loaded if not url.endswith("index.html")] == []


def test_the_keyboard_sorts(seen):
    tab = seen.tab
    head = tab.locator("thead th", has_text=re.compile("^largest"))
    column = head.evaluate("th => th.cellIndex")
    of_row = f"row => +row.children[{column}].dataset.key"
    values = f"() => [...document.querySelector('tbody').rows].map({of_row})"
    head.locator("button").focus()
    for direction in ("ascending", "descending"):
        tab.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        found = tab.evaluate(values)
        assert found == sorted(found, reverse=direction == "descending")
    assert tab.locator("thead th:not([aria-sort=none])").count() == 1
