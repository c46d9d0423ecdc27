"""Training in the page (`book/lab`) runs, pauses and tells what it found, by keyboard alone."""

from playwright.sync_api import TimeoutError as NothingCame

from tools.browser.chromium import Visit

LAB = "[data-lab]"
STEP = "() => Number(document.querySelector('[data-part=clock]').textContent.match(/\\d+/)?.[0])"
WENT_ON = f"before => ({STEP})() > before"
PAUSED = "() => document.querySelector('[data-do=run]').textContent !== 'Pause'"
WORDS = "[data-part=words]"


def check(visit: Visit) -> list[str]:
    """What does not work in the training of a page, a line each, and nothing on a page without."""
    tab, known = visit.tab, len(visit.problems)
    if not tab.locator(LAB).count():
        return []
    run, before = tab.locator("[data-do=run]").first, tab.locator(WORDS).first.inner_text()
    try:
        run.focus()
        tab.keyboard.press("Enter")
        tab.wait_for_function(WENT_ON, arg=0)
        tab.wait_for_function(WENT_ON, arg=tab.evaluate(STEP))
        tab.keyboard.press("Enter")
        tab.wait_for_function(PAUSED)
    except NothingCame:
        return ["Enter does not start and pause the training"]
    after = tab.locator(WORDS).first.inner_text()
    silent = [] if after and after != before else ["the words do not say what training does"]
    return visit.problems[known:] + silent
