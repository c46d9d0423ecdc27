"""Pictures of a page at each width, in light and dark."""

from pathlib import Path

from tools.browser.chromium import THEMES, WIDTHS, Visit


def take(visit: Visit, folder: Path) -> None:
    """Write `<page>-<width>-<theme>.png` for each width and theme into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for theme in THEMES:
            visit.look(width, theme)
            # As tall as the page: Chromium leaves parts blank when it stretches a window itself.
            tall = visit.tab.evaluate("() => document.documentElement.scrollHeight")
            visit.tab.set_viewport_size({"width": width, "height": tall})
            name = f"{visit.page.name.replace('/', '-')}-{width}-{theme}.png"
            visit.tab.screenshot(path=folder / name)
