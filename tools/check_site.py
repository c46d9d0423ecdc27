"""Check the rendered site without a browser.

Links and anchors inside the site lead somewhere. Images exist and say in words what they show.
Nothing is loaded from another host. Every button leads to a file that is committed.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.buttons import Buttons
from tools.pages import Page, pages
from tools.project import Project

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
    """Images that a screen reader could not describe."""
    for tag in page.tags("img[src]"):
        if not str(tag.get("alt") or "").strip():
            yield f"{page.name}: image {str(tag['src'])[:80]} has no alternative text"


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
