"""The system's own Chromium or Chrome, headless, with the network cut."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Route, sync_playwright
from playwright.sync_api import Page as Tab

from tools.pages import Page
from tools.project import BuildError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND")
WIDTHS = (400, 800, 1400)
HEIGHT = 900
THEMES = ("light", "dark")
# The page hears of a new size with the next frame. A busy one takes its time for each.
SHOWN = """async settled => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  await frame();
  await frame();
  await new Promise(done => setTimeout(done, settled));
  await frame();
}"""
SETTLED = 400
"""Milliseconds. The theme looks 300 ms after a change of size at what scrolls."""

PATIENCE = 120_000
"""Milliseconds that anything may take, on a busy machine."""

# Opens or closes everything that can be folded.
TOGGLE = """open => {
  for (const details of document.querySelectorAll('details')) details.open = open;
  for (const button of document.querySelectorAll('.toggle-button'))
    if (open === (button.getAttribute('aria-expanded') === 'false')) button.click();
}"""

# Run in the page. It waits until formulas are set and images decoded, and returns what is wrong.
SETTLE = """async () => {
  const problems = [];
  const formulas = [...document.querySelectorAll('.math.notranslate')];
  if (formulas.length) {
    if (!window.MathJax?.startup?.promise) return ['MathJax did not start'];
    await window.MathJax.startup.promise;
  }
  for (const formula of formulas)
    if (!formula.querySelector('mjx-container'))
      problems.push(`formula not rendered: ${formula.textContent.slice(0, 60)}`);
  for (const bad of document.querySelectorAll('mjx-merror, [mathcolor=red], [style*="color: red"]'))
    problems.push(`error in a formula: ${bad.textContent.slice(0, 60)}`);
  for (const image of document.images) {
    image.loading = 'eager';
    await image.decode().catch(() => problems.push(`broken image: ${image.src}`));
  }
  return problems;
}"""


@dataclass
class Visit:
    """A page open in a tab, and what has come to light about it.

    Attributes:
        page: The page of the site.
        tab: Where it is open.
        problems: What is wrong, a line each. Errors of scripts and requests to other hosts are
            added as they happen.
        loaded: Addresses of the files it asked for, each once.
    """

    page: Page
    tab: Tab
    problems: list[str] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)

    @property
    def files(self) -> set[Path]:
        """The files that it asked for and that exist."""
        urls = (urlsplit(url) for url in self.loaded)
        asked = {Path(unquote(url.path)) for url in urls if url.scheme == "file"}
        return {file for file in asked if file.is_file()}

    def look(self, width: int, theme: str) -> None:
        """Show the page at a width, in pixels, and in a theme."""
        self.tab.set_viewport_size({"width": width, "height": HEIGHT})
        self.tab.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        self.tab.evaluate(SHOWN, SETTLED)

    def toggle(self, opened: bool) -> None:
        """Open or close everything that can be folded."""
        self.tab.evaluate(TOGGLE, opened)

    def take_pictures(self, folder: Path) -> None:
        """Write `<page>-<width>-<theme>.png` for each width and theme into a folder."""
        for width, theme in product(WIDTHS, THEMES):
            self.look(width, theme)
            # As tall as the page, as Chromium leaves parts blank when it stretches a window itself.
            tall = self.tab.evaluate("() => document.documentElement.scrollHeight")
            self.tab.set_viewport_size({"width": width, "height": tall})
            name = f"{self.page.name.replace('/', '-')}-{width}-{theme}.png"
            self.tab.screenshot(path=folder / name)  # makes the folder

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console error: {message.text}")

    def _on_request(self, route: Route) -> None:
        url = route.request.url
        if urlsplit(url).scheme in ("file", "data", "blob"):
            self.loaded.add(url)
            route.continue_()
        else:
            self.problems.append(f"asked for {url}")
            route.abort()


def find_browser() -> str:
    """The path of an installed Chromium or Chrome.

    Raises:
        BuildError: There is none.
    """
    for name in (*BROWSERS, *MACOS_BROWSERS):
        if path := shutil.which(name):
            return path
    raise BuildError(f"no browser found; install one of {', '.join(BROWSERS)}")


def browser_version() -> str:
    """What the browser says of its version."""
    with open_browser() as browser:
        return browser.version


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless browser, closed at the end."""
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, page: Page, script: str = "") -> Iterator[Visit]:
    """A page, wide and light, with formulas and images in place, in a tab without network.

    Args:
        browser: Where to open it.
        page: What to open.
        script: To run first, in the page and in each frame of it.
    """
    # Without motion, nothing is looked at halfway between two colours.
    tab = browser.new_page(
        viewport={"width": WIDTHS[-1], "height": HEIGHT},
        reduced_motion="reduce",
        color_scheme="light",
    )
    tab.set_default_timeout(PATIENCE)
    seen = Visit(page, tab)
    tab.on("console", seen._on_console)
    tab.on("pageerror", lambda error: seen.problems.append(f"script error: {error}"))
    tab.route("**/*", seen._on_request)
    if script:
        tab.add_init_script(script)
    try:
        tab.goto(page.path.as_uri(), wait_until="load")
        seen.problems += tab.evaluate(SETTLE)
        tab.evaluate(SHOWN, SETTLED)  # formulas may have made a table wide enough to scroll
        yield seen
    finally:
        tab.close()
