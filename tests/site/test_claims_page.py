"""The page of all claims: a filter that hides rows and unfolds those that it leaves."""

import re
import shutil

import pytest

from tools.browser.chromium import open_browser, visit
from tools.claims_page import MARKS
from tools.pages import Page
from tools.project import ROOT


def row(kind, text, remark=""):
    link = f'<a href="#{remark}">remark</a>' if remark else ""
    return f'<tr class="{kind}"><td>{text} {link}</td></tr>'


TABLES = "".join(
    '<details class="claims-rows"><summary>Rows</summary>'
    f'<div class="claims"><table><tbody>{rows}</tbody></table>{remarks}</div></details>'
    for rows, remarks in (
        (
            row("chapter", "Copying")
            + row("reproduced", "bump")
            + row("partly", "zeros", "r1")
            + row("chapter", "Down-sampling")
            + row("partly", "bump", "r1")
            + row("not-reproduced", "zeros", "r2"),
            '<p class="remark" id="r1">One</p><p class="remark" id="r2">Two</p>',
        ),
        (row("chapter", "Motion") + row("reproduced", "a body"), ""),
    )
)
SHOWN = """[...document.querySelectorAll('tr, .remark')]
  .filter(e => e.checkVisibility()).map(e => e.innerText.trim())"""


@pytest.fixture(scope="module")
def page(browser_installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    for name in ("claims.js", "claims.css"):
        shutil.copy(ROOT / "book" / "_static" / name, folder)
    source = (ROOT / "book" / "claims.md").read_text(encoding="utf-8")
    [form] = re.findall("<form.*</form>", source, re.DOTALL)
    assert all(f"> {mark} {verdict}</label>" in form for verdict, mark in MARKS.items())
    (folder / "page.html").write_text(
        '<!DOCTYPE html><link rel="stylesheet" href="claims.css"><script src="claims.js"></script>'
        + form
        + TABLES,
        encoding="utf-8",
    )
    return Page(folder, folder / "page.html")


@pytest.fixture
def tab(page):
    with open_browser() as browser, visit(browser, page) as seen:
        yield seen.tab
        assert seen.problems == []


def test_at_first_everything_is_there_and_folded(tab):
    assert tab.locator("output").inner_text() == "5 of 5 shown"
    assert tab.evaluate(SHOWN) == []
    tab.evaluate("document.querySelectorAll('details').forEach(box => box.open = true)")
    assert len(tab.evaluate(SHOWN)) == 10


def test_verdicts_are_chosen_by_keyboard(tab):
    tab.locator("[value=reproduced]").focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    assert tab.locator("output").inner_text() == "1 of 5 shown"
    assert tab.evaluate(SHOWN) == ["Down-sampling", "zeros remark", "Two"]


def test_words_are_sought_in_row_and_chapter_in_either_spelling(tab):
    tab.locator("[type=search]").fill("downSampling bump")
    assert tab.locator("output").inner_text() == "1 of 5 shown"
    assert tab.evaluate(SHOWN) == ["Down-sampling", "bump remark", "One"]
    tab.keyboard.press("Enter")
    assert tab.url.endswith("page.html")
    tab.locator("[type=search]").fill("nowhere")
    assert tab.locator("output").inner_text() == "0 of 5 shown"
    assert tab.evaluate(SHOWN) == []
    tab.locator("[type=search]").fill("")
    assert tab.locator("output").inner_text() == "5 of 5 shown"


def test_without_its_script_the_page_has_all_rows_and_no_form(page):
    with open_browser() as browser:
        tab = browser.new_context(java_script_enabled=False).new_page()
        tab.goto(page.path.as_uri())
        for summary in tab.locator("summary").all():
            summary.click()
        assert tab.locator("tr:visible").count() == 8
        assert tab.locator("form").is_hidden()
