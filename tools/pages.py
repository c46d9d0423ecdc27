"""The pages of a rendered site and what they point at."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

REDIRECT = 'meta[http-equiv="refresh" i][content*="url="]'
NOT_PAGES = ("_static", "_sources")


@dataclass(frozen=True)
class Page:
    """A rendered page."""

    site: Path
    path: Path

    @property
    def name(self) -> str:
        """The page's path in the site, without its suffix."""
        return self.path.relative_to(self.site).with_suffix("").as_posix()

    @cached_property
    def soup(self) -> BeautifulSoup:
        """The parsed page."""
        return BeautifulSoup(self.path.read_text(encoding="utf-8"), "html.parser")

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after `#`."""
        return {str(tag["id"]) for tag in self.soup.find_all(id=True)}

    @property
    def links(self) -> list[str]:
        """Where the page's links lead, and where it sends the reader on to, if it does."""
        links = [str(tag["href"]) for tag in self.tags("a[href]")]
        return links + [str(tag["content"]).split("url=")[-1] for tag in self.tags(REDIRECT)]

    @property
    def is_redirect(self) -> bool:
        """Whether the page only sends the reader on to another."""
        return bool(self.tags(REDIRECT))

    def tags(self, selector: str) -> list[Tag]:
        """The elements a CSS selector picks."""
        return list(self.soup.select(selector))

    def target(self, url: str) -> Path | None:
        """The file of the site a URL leads to, `None` if it leads out of it."""
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            return None
        if not parts.path:
            return self.path
        target = (self.path.parent / unquote(parts.path)).resolve()
        return target / "index.html" if target.is_dir() else target


def pages(site: Path) -> list[Page]:
    """The pages of a site, without those that belong to bundled scripts."""
    paths = sorted(site.rglob("*.html"))
    return [Page(site, p) for p in paths if p.relative_to(site).parts[0] not in NOT_PAGES]
