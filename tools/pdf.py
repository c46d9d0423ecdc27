"""Print the rendered book to one PDF with headless Chromium, offline.

    python -m tools.pdf

What was rendered last goes to `_build/book.pdf`. It has the pages in the order of the table of
contents, A4, page numbers, bookmarks and links that lead inside the document. Code that the pages
fold away is left out. The pages become one, which Chromium prints, bookmarks made from headings.
Sphinx has a builder for one page, but there the anchors of two chapters may have the same name.
"""

import html
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import Tag

from tools.browser.chromium import PATIENCE, SETTLE, open_browser
from tools.command import arguments
from tools.pages import Page
from tools.project import BuildError, Project

CHILDREN = ("parts", "chapters", "sections")
SCALE = 0.84
"""Of the print to the screen, for text of about 10 points."""
LARGEST_MEGABYTES = 30
STYLE = Path(__file__).with_suffix(".css")
LEFT_OUT = "a.headerlink, button, details.above-input, .tag_hide-input > .cell_input"
"""What one would press, and the code that it shows."""

BOOK = """\
<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>
{head}<link rel="stylesheet" href="{style}"></head>
<body class="bd-content bd-article-container">{body}</body></html>
"""


def entries(project: Project) -> dict[str, str]:
    """The pages in reading order, each with its part of the book, empty outside of parts.

    Pages are named by their paths in the site, without suffix.
    """
    toc = yaml.safe_load((project.book / "_toc.yml").read_text(encoding="utf-8"))
    return {toc["root"]: ""} | dict(_below(toc, ""))


def _below(node: dict[str, Any], part: str) -> Iterator[tuple[str, str]]:
    for child in (child for key in CHILDREN for child in node.get(key, [])):
        inside = child.get("caption", part)
        if "file" in child:
            yield child["file"], inside
        yield from _below(child, inside)


def one_page(project: Project) -> str:
    """The whole book as one page.

    Raises:
        BuildError: The book is not rendered.
    """
    parts = {project.site / f"{name}.html": part for name, part in entries(project).items()}
    if missing := [path.name for path in parts if not path.is_file()]:
        raise BuildError(f"{missing[0]} is not in {project.site}; run `make book`")
    head: dict[str, None] = {}
    body, before = [], ""
    for path, part in parts.items():
        page = Page(project.site, path)
        for tag in page.tags("head > link[rel~=stylesheet], head > script"):
            for address in ("href", "src"):
                if target := address in tag.attrs and page.target(str(tag[address])):
                    tag[address] = target.as_uri()
            if tag.name == "link" or "mathjax" in str(tag).lower():
                head[str(tag)] = None
        if part != before:
            body.append(f"<h1>{html.escape(part)}</h1>")
        body.append(str(_article(page, parts, level=2 if part else 1)))
        before = part
    config = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
    filled = {"title": html.escape(config["title"]), "style": STYLE.as_uri()}
    return BOOK.format(head="".join(head), body="".join(body), **filled)


def _article(page: Page, book: Mapping[Path, str], level: int) -> Tag:
    """What a page says, with its anchors and links as they are in the whole book.

    Args:
        page: The page.
        book: All pages of the book.
        level: Of its title among the bookmarks.
    """
    [article] = page.tags("article")
    for tag in article.select(LEFT_OUT):
        tag.decompose()
    for link in article.select("a[href]"):
        target, anchor = page.target(str(link["href"])), urlsplit(str(link["href"])).fragment
        if target and target in book:
            link["href"] = f"#{_place(page, target, unquote(anchor))}"
        elif target:
            link.unwrap()  # a file of the site
    for image in article.select("img[src]"):
        if target := page.target(str(image["src"])):
            image["src"] = target.as_uri()
    for folded in article.select("details"):
        folded["open"] = ""
    for tag in article.find_all(id=True):
        tag["id"] = _place(page, page.path, str(tag["id"]))
    for heading in article.select("h1, h2, h3, h4"):
        heading["aria-level"] = str(int(heading.name[1]) + level - 1)
    article["id"] = _place(page, page.path, "")
    return article


def _place(page: Page, target: Path, anchor: str) -> str:
    """The name of an anchor in the whole book. An empty one is the start of a page."""
    return f"{Page(page.site, target).name}--{anchor}"


def make_pdf(project: Project, target: Path) -> None:
    """Print the book.

    Raises:
        BuildError: The book is not rendered, a formula or an image is broken, or there is no
            browser.
    """
    source = project.build / "book.html"
    source.write_text(one_page(project), encoding="utf-8")
    with open_browser() as browser:
        tab = browser.new_page(color_scheme="light", viewport={"width": 900, "height": 1200})
        tab.set_default_timeout(PATIENCE)
        tab.goto(source.as_uri(), wait_until="load")
        if problems := tab.evaluate(SETTLE):  # waits for formulas and images
            raise BuildError("\n".join(problems))
        tab.pdf(
            path=target,
            prefer_css_page_size=True,
            print_background=True,
            scale=SCALE,
            outline=True,
            tagged=True,
        )
    source.unlink()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    project = Project(arguments(__doc__).parse_args(argv).root)
    target = project.build / "book.pdf"
    try:
        make_pdf(project, target)
    except BuildError as error:
        print(f"pdf: {error}", file=sys.stderr)
        return 2
    megabytes = target.stat().st_size / 1e6
    print(f"pdf: {megabytes:.1f} MB: {target.relative_to(project.root)}")
    if megabytes > LARGEST_MEGABYTES:
        print(f"pdf: it is larger than the limit of {LARGEST_MEGABYTES} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
