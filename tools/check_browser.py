"""Open every page of the rendered site in headless Chromium, with the network cut.

    python -m tools.check_browser
    python -m tools.check_browser --screenshots shots --page intro

A page fails if it logs an error, asks for anything from another host or leaves a formula or an
image unrendered. It fails if it loads more than 3 MB or is wider than the window. It must hide no
columns of a table, nothing from the keyboard, and train the network that it offers. Axe-core must
find no serious or critical barrier in it. A page that passed and has not changed by a byte is not
opened again, unless it is named. The browser is the system's own Chromium or Chrome.
`--screenshots` also takes pictures of each page at three widths, in light and dark.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from playwright.sync_api import Browser, Error

from tools.browser import accessibility, keyboard, layout, reading, training
from tools.browser.chromium import browser_version, open_browser, visit
from tools.browser.passed import Passed
from tools.command import arguments
from tools.pages import Page, pages
from tools.project import BuildError, Project

WORKERS = 4


class Findings(NamedTuple):
    """What came to light about a page.

    Attributes:
        problems: What must not be, a line each.
        notes: Lesser findings of the accessibility rules, a line each.
        files: All files that it asked for.
    """

    problems: list[str]
    notes: Collection[str] = ()
    files: Collection[Path] = ()


def check_page(browser: Browser, page: Page, pictures: Path | None = None) -> Findings:
    """What is wrong with a page, and pictures of it, if a folder for them is given."""
    try:
        with visit(browser, page, accessibility.SCRIPT) as seen:
            if pictures:
                seen.take_pictures(pictures)
            problems = layout.check(seen)
            serious, lesser = accessibility.check(seen)
        # With the toggles as they were and at full width again, so in a tab of its own.
        with visit(browser, page) as fresh:
            problems += [*seen.problems, *serious]
            problems += [*keyboard.check(fresh), *reading.check(fresh), *training.check(fresh)]
    except Error as error:
        return Findings([f"{page.name}: the browser gave up: {error.message}"])
    told, notes = ([f"{page.name}: {line}" for line in lines] for lines in (problems, lesser))
    return Findings(told, notes, seen.files | fresh.files)


def check_pages(
    every: Sequence[Page], pictures: Path | None, tell: Callable[[Page, Findings], None]
) -> None:
    """Check pages, several at a time, each worker with a browser of its own.

    Args:
        every: The pages.
        pictures: A folder for pictures of them, if there are to be any.
        tell: Called with the findings of each page, as they come, one after the other.
    """
    waiting, one_by_one = iter(every), Lock()

    def work() -> None:
        with open_browser() as browser:
            for page in waiting:  # all workers take from the same pages
                found = check_page(browser, page, pictures)
                with one_by_one:
                    tell(page, found)

    workers = min(WORKERS, os.cpu_count() or 1, max(1, len(every)))
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()


def check_search(site: Path) -> list[str]:
    """Search the book for a word of its first heading."""
    (search,) = (page for page in pages(site) if page.name == "search")
    start = search.target(str(search.tags("a.navbar-brand[href]")[0]["href"])) or search.path
    title = re.findall(r"\w+", Page(site, start).tags("h1")[0].get_text())
    with open_browser() as browser:
        return reading.search_problems(browser, search, max(title, key=len))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="where to put pictures")
    parser.add_argument("--page", action="append", metavar="NAME", help="only this page")
    args = parser.parse_args(argv)
    project = Project(args.root)
    site = project.site
    every = [page for page in pages(site) if not page.is_redirect]
    chosen = [page for page in every if not args.page or page.name in args.page]
    start = time.perf_counter()
    problems: list[str] = []
    notes: list[str] = []
    try:
        if not chosen:
            which = f" named {', '.join(args.page)}" if args.page and every else ""
            raise BuildError(f"there are no pages{which} in {site}; run `make book`")
        passed = Passed(project, browser_version())
        if not args.page and not args.screenshots:
            chosen = [page for page in chosen if not passed.holds(page)]
        done = iter(range(1, len(chosen) + 1))

        def tell(page: Page, found: Findings) -> None:
            for line in found.problems:
                print(f"check_browser: {line}", flush=True)
            if not found.problems:
                passed.note(page, found.files)  # at once, so that a check that is cut keeps it
            print(f"check_browser: {next(done)} of {len(chosen)} pages", flush=True)
            problems.extend(found.problems)
            notes.extend(found.notes)

        check_pages(chosen, args.screenshots, tell)
        problems += check_search(site)
    except BuildError as error:
        print(f"check_browser: {error}", file=sys.stderr)
        return 2
    for note in sorted(notes):
        print(f"check_browser: for information: {note}")
    print(f"check_browser: {time.perf_counter() - start:.0f} s, {len(notes)} lesser findings")
    if len(chosen) < len(every) and not args.page:
        print(f"check_browser: {len(every) - len(chosen)} pages are as they were when they passed")
    for problem in sorted(problems):
        print(f"check_browser: {problem}", file=sys.stderr)
    print(f"check_browser: {len(chosen)} pages, {len(problems)} problems")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
