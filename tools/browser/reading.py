"""A reader with a copy on disk and no network: weight, light and dark, page by page, search."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser
from playwright.sync_api import TimeoutError as NothingCame

from tools.browser.chromium import SHOWN, Visit, visit
from tools.pages import Page

PAGE_BYTES = 3_000_000
SHARED = re.compile(r"\.(woff2?|ttf|otf)$|/_static/mathjax/")
"""Fonts and MathJax (1.2 MB), the same files for all pages, which a browser fetches once."""

LISTS = ("genindex", "search", "prf-prf")
"""Pages that Sphinx makes. They are in no order of reading."""

SWITCH = ".theme-switch-button"
GROUND = "() => getComputedStyle(document.body).backgroundColor"
RESULTS = "#search-results ul.search > li > a, #search-results .search li a"


def check(visit: Visit) -> list[str]:
    """What such a reader would miss on a page, a line each."""
    return [*_weight(visit), *_neighbours(visit), *_theme_switch(visit)]


def _weight(visit: Visit) -> list[str]:
    """Everything the browser asked for, uncompressed, without what is shared."""
    own = [file for file in visit.files if not SHARED.search(file.as_posix())]
    weight = sum(file.stat().st_size for file in own)
    if weight <= PAGE_BYTES:
        return []
    return [f"loads {weight / 1e6:.2f} MB, more than {PAGE_BYTES / 1e6} MB"]


def _neighbours(visit: Visit) -> list[str]:
    if visit.page.name in LISTS or visit.page.tags("a.left-prev[href], a.right-next[href]"):
        return []
    return ["leads neither to a previous nor to a next page"]


def _theme_switch(visit: Visit) -> list[str]:
    """Of the switch's positions (light, dark, as the system) two give different grounds."""
    tab, grounds = visit.tab, set()
    switch = tab.locator(SWITCH).locator("visible=true").first
    for _ in range(3):
        switch.evaluate("e => e.click()")
        tab.evaluate(SHOWN, 0)
        grounds.add(tab.evaluate(GROUND))
    return [] if len(grounds) > 1 else ["the switch between light and dark changes nothing"]


def search_problems(browser: Browser, page: Page, word: str) -> list[str]:
    """What is wrong with searching for a word that the book has.

    Args:
        browser: Where to search.
        page: The page to search from.
        word: What to type.
    """
    with visit(browser, page) as seen:
        tab = seen.tab
        tab.keyboard.press("Control+k")
        tab.keyboard.type(word)
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/search.html?*")
        try:
            tab.wait_for_selector(RESULTS, timeout=20_000)
        except NothingCame:
            return [f"search for {word!r} finds nothing"]
        links = tab.locator(RESULTS).evaluate_all("links => links.map(link => link.href)")
        gone = [link for link in links if not Path(unquote(urlsplit(link).path)).is_file()]
        tab.locator(RESULTS).first.click()
        tab.wait_for_load_state()
        if word.lower() not in tab.locator("main").inner_text().lower():
            gone.append("a page without the word")
        return seen.problems + [f"search for {word!r} leads to {link}" for link in gone]
