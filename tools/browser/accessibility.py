"""Accessibility by axe-core, with rules about contrast, names, roles, keyboard and structure."""

import json
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT

from tools.browser.chromium import THEMES, WIDTHS, Visit

FAILS = ("critical", "serious")
NARROW, WIDE = WIDTHS[0], WIDTHS[-1]
VIEWS = tuple((width, theme) for width in (WIDE, NARROW) for theme in THEMES)
EVERYTHING_IN = ((WIDE, "light"), (NARROW, "dark"))
SHOWN = 8
TOGGLES = "details > summary, .toggle-button"

# For the page and for each frame in it. A file has no origin that messages could be checked by.
SCRIPT = f"{AXE_SCRIPT}\naxe.configure({{allowedOrigins: ['<unsafe_all_origins>']}});"
# Contrast is slow to measure, and a page has thousands of words in a few dozen colours. Of those
# that look the same on the same grounds, the first stands for all. Frames are measured whole.
MARK = """() => {
  const grounds = new Map([[null, '']]), looks = new Set();
  const ground = element => {
    if (!grounds.has(element)) {
      const {backgroundColor, backgroundImage, opacity} = getComputedStyle(element);
      const own = backgroundColor + backgroundImage + opacity;
      const around = ground(element.parentElement);
      grounds.set(element, own === 'rgba(0, 0, 0, 0)none1' ? around : `${around}/${own}`);
    }
    return grounds.get(element);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (const element of document.querySelectorAll('[data-look]')) delete element.dataset.look;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const {color, fontSize, fontWeight, display} = getComputedStyle(element);
    const look = [color, fontSize, fontWeight, display, ground(element)].join();
    if (!looks.has(look)) element.dataset.look = '';
    looks.add(look);
  }
  for (const frame of document.querySelectorAll('iframe')) frame.dataset.look = '';
}"""
RUN = """async ([include, options]) => {
  const settings = {resultTypes: ['violations'], preload: false}; // no style sheet can be fetched
  const found = await axe.run({include}, {...settings, ...options});
  return found.violations.map(({id, impact, help, nodes}) => ({
    rule: id, impact, help,
    targets: nodes.map(node => node.target.flat(9).join(' ')),
  }));
}"""
CONTRAST: dict[str, Any] = {"runOnly": ["color-contrast"]}
ALL_BUT_CONTRAST: dict[str, Any] = {"rules": {"color-contrast": {"enabled": False}}}


def check(visit: Visit) -> tuple[list[str], list[str]]:
    """What axe finds on a page, with what can be toggled closed and then open.

    Contrast is measured in each theme and width, everything else in each of them once. Of closed
    toggles only they themselves are looked at, because the rest is there when they are open.

    Returns:
        The serious and critical findings, and the lesser ones, a line each.
    """
    found: dict[str, list[str]] = {}
    for opened in (False, True):
        visit.toggle(opened)
        if not opened and not visit.tab.locator(TOGGLES).count():
            continue
        for width, theme in VIEWS if opened else EVERYTHING_IN:
            visit.look(width, theme)
            for finding in _findings(visit, opened, (width, theme) in EVERYTHING_IN):
                found.setdefault(_described(finding), []).append(f"{width} px {theme}")
    lines = [f"{told} [{', '.join(dict.fromkeys(views))}]" for told, views in found.items()]
    serious = [line for line in lines if line.startswith(FAILS)]
    return serious, [line for line in lines if not line.startswith(FAILS)]


def _findings(visit: Visit, opened: bool, everything: bool) -> Iterator[dict[str, Any]]:
    """What axe says about the page as it is shown now."""
    if not opened:
        yield from visit.tab.evaluate(RUN, [[[TOGGLES]], {}])
        return
    visit.tab.evaluate(MARK)
    yield from visit.tab.evaluate(RUN, [[["[data-look]"]], CONTRAST])
    if everything:
        yield from visit.tab.evaluate(RUN, [[["html"]], ALL_BUT_CONTRAST])


def _described(finding: dict[str, Any]) -> str:
    targets: list[str] = finding["targets"]
    rest = f" and {len(targets) - SHOWN} more" if len(targets) > SHOWN else ""
    where = ", ".join(map(json.dumps, targets[:SHOWN]))
    return f"{finding['impact']}: {finding['rule']} ({finding['help']}) at {where}{rest}"
