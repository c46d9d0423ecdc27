"""Check the rendered site without a browser.

    python -m tools.check_site

Links and anchors inside the site lead somewhere; images exist and say in words what they show;
nothing is loaded from another host; no page is heavier than 3 MB; every button leads to a file that
is committed.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.buttons import Buttons
from tools.command import arguments, report
from tools.pages import Page, pages
from tools.project import Project

PAGE_BYTES = 3_000_000
LOADED = (
    "script[src], img[src], iframe[src], source[src],"
    "link[rel~=stylesheet][href], link[rel~=preload][href], link[rel~=icon][href]"
)
CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""")


def site_problems(project: Project) -> list[str]:
    """What is wrong with the rendered site, a line each."""
    every = {page.path: page for page in pages(project.site)}
    if not every:
        return [f"there are no pages in {project.site}"]
    buttons = Buttons(project)
    problems: list[str] = []
    for page in every.values():
        problems += link_problems(page, every)
        problems += image_problems(page)
        problems += loading_problems(page)
        problems += buttons.problems(page)
    return problems


def link_problems(page: Page, every: dict[Path, Page]) -> Iterator[str]:
    """Links to files or anchors that are not there."""
    for url in page.links:
        target = page.target(url)
        if target is None:
            continue
        if not target.is_file():
            yield f"{page.name}: link to {url}, which is not in the site"
            continue
        anchor = unquote(urlsplit(url).fragment)
        if anchor and target in every and anchor not in every[target].anchors:
            yield f"{page.name}: link to {url}, but there is no such anchor"


def image_problems(page: Page) -> Iterator[str]:
    """Images that a screen reader could not describe; heavy pages."""
    weight = page.path.stat().st_size
    for tag in page.tags("img[src]"):
        url = str(tag["src"])
        target = page.target(url)
        if not str(tag.get("alt") or "").strip():
            yield f"{page.name}: image {url[:80]} has no alternative text"
        if target and target.is_file():
            weight += target.stat().st_size
    if weight > PAGE_BYTES:
        yield f"{page.name}: {weight / 1e6:.1f} MB with its images, more than {PAGE_BYTES / 1e6} MB"


def loading_problems(page: Page) -> Iterator[str]:
    """Scripts, styles and images that are missing or would be fetched from another host."""
    styles = [("a style element", tag.get_text()) for tag in page.tags("style")]
    for tag in page.tags(LOADED):
        url = str(tag.get("src") or tag["href"])
        target = page.target(url)
        if target is None and urlsplit(url).scheme != "data":
            yield f"{page.name}: loads {url} from another host"
        elif target is not None and not target.is_file():
            yield f"{page.name}: loads {url}, which is not in the site"
        elif target is not None and target.suffix == ".css":
            styles.append((target.name, target.read_text(encoding="utf-8")))
    for where, css in styles:
        for url in CSS_URL.findall(css):
            if urlsplit(url).netloc:
                yield f"{page.name}: {where} loads {url} from another host"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = arguments(__doc__)
    args = parser.parse_args(argv)
    project = Project(args.root)
    return report("check_site", len(pages(project.site)), site_problems(project))


if __name__ == "__main__":
    raise SystemExit(main())
