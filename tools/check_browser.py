"""Open every page of the rendered site in headless Chromium, with the network cut.

    python -m tools.check_browser
    python -m tools.check_browser --screenshots shots

A page fails if it logs an error, asks for anything from another host, or leaves a formula or an
image unrendered. The browser is the system's own Chromium or Chrome; `--screenshots` also takes
pictures of each page at three widths, in light and dark.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Route, sync_playwright
from playwright.sync_api import Page as Tab

from tools.pages import Page, pages
from tools.project import ROOT, BuildError, Project

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND")
WIDTHS = (400, 800, 1400)
THEMES = ("light", "dark")

# Run in the page: waits until formulas are set and images decoded, returns what is wrong.
INSPECT = """async () => {
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


def find_browser() -> str:
    """The path of an installed Chromium or Chrome.

    Raises:
        BuildError: There is none.
    """
    for name in (*BROWSERS, *MACOS_BROWSERS):
        if path := shutil.which(name):
            return path
    raise BuildError(f"no browser found; install one of {', '.join(BROWSERS)}")


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


def page_problems(browser: Browser, page: Page) -> list[str]:
    """What is wrong with a page, a line each."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"console error: {message.text}")

    def on_request(route: Route) -> None:
        if urlsplit(route.request.url).scheme in ("file", "data", "blob"):
            route.continue_()
        else:
            problems.append(f"asked for {route.request.url}")
            route.abort()

    tab = browser.new_page()
    tab.on("console", on_console)
    tab.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    tab.route("**/*", on_request)
    tab.goto(page.path.as_uri(), wait_until="load")
    problems += tab.evaluate(INSPECT)
    tab.close()
    return [f"{page.name}: {problem}" for problem in problems]


def take_screenshots(browser: Browser, page: Page, folder: Path) -> None:
    """Picture a page at each width and in each theme."""
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for theme in THEMES:
            tab: Tab = browser.new_page(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if theme == "dark" else "light",
            )
            tab.goto(page.path.as_uri(), wait_until="load")
            tab.evaluate(INSPECT)
            name = f"{page.name.replace('/', '-')}-{width}-{theme}.png"
            tab.screenshot(path=folder / name, full_page=True)
            tab.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="where to put pictures")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    args = parser.parse_args(argv)
    site = Project(args.root.resolve()).site
    every = [page for page in pages(site) if not page.is_redirect]
    try:
        if not every:
            raise BuildError(f"there are no pages in {site}; run `make book`")
        with open_browser() as browser:
            problems = [line for page in every for line in page_problems(browser, page)]
            for page in every if args.screenshots else []:
                take_screenshots(browser, page, args.screenshots)
    except BuildError as error:
        print(f"check_browser: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"check_browser: {problem}", file=sys.stderr)
    print(f"check_browser: {len(every)} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
