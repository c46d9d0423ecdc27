"""Print the rendered book to one PDF with headless Chromium, offline.

    python -m tools.pdf

What was rendered last, pages in the order of the table of contents, A4, page numbers, bookmarks and
links that lead inside the document; `_build/book.pdf`. Code that the pages fold away is left out.
No maintained tool joins printed pages so that their links lead inside the document.
"""

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from playwright.sync_api import Browser, PdfMargins
from pypdf import PdfReader, PdfWriter

from tools.browser.chromium import SETTLE, open_browser
from tools.command import arguments
from tools.pages import Page
from tools.pdf_join import Printed, join
from tools.project import BuildError, Project

CHILDREN = ("parts", "chapters", "sections")
MARGINS: PdfMargins = {"top": "16mm", "bottom": "20mm", "left": "17mm", "right": "17mm"}
SCALE = 0.84
"""Of the print to the screen: text of about 10 points."""
LARGEST_MEGABYTES = 30
STYLE = (Path(__file__).parent / "pdf.css").read_text(encoding="utf-8")

# Run in the page before it is printed: opens what is folded, and links to each anchor that is
# needed, for only of those does Chromium note where they are.
PREPARE = """anchors => {
  document.querySelectorAll('details').forEach(folded => { folded.open = true; });
  document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
  document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; });
  const links = document.createElement('div');
  links.className = 'anchors-for-print';
  for (const anchor of anchors) {
    const link = document.createElement('a');
    link.href = '#' + encodeURIComponent(anchor);
    links.append(link);
  }
  document.querySelector('article').append(links);
}"""


@dataclass(frozen=True)
class Entry:
    """A page in the table of contents.

    Attributes:
        name: Its path in the site, without suffix.
        part: The caption of the part it is in; empty outside of parts.
    """

    name: str
    part: str


def entries(project: Project) -> list[Entry]:
    """The pages in reading order."""
    toc = yaml.safe_load((project.book / "_toc.yml").read_text(encoding="utf-8"))
    return [Entry(toc["root"], ""), *_below(toc, "")]


def _below(node: dict[str, Any], part: str) -> Iterator[Entry]:
    for key in CHILDREN:
        for child in node.get(key, []):
            inside = child.get("caption", part)
            if "file" in child:
                yield Entry(child["file"], inside)
            yield from _below(child, inside)


def needed_anchors(every: Sequence[Page]) -> dict[Path, set[str]]:
    """For each page the anchors that the book's pages link to, and those of its sections."""
    needed = {page.path: {anchor for anchor, _ in sections(page)} for page in every}
    for page in every:
        for url in page.links:
            target, anchor = page.target(url), unquote(urlsplit(url).fragment)
            if target in needed and anchor:
                needed[target].add(anchor)
    return {page.path: needed[page.path] & page.anchors for page in every}


def sections(page: Page) -> list[tuple[str, str]]:
    """Anchors and titles of a page's sections."""
    return [
        (str(section["id"]), section.find("h2").get_text().rstrip("#").strip())  # type: ignore[union-attr]
        for section in page.tags("article section[id]:has(> h2)")
    ]


def title_of(page: Page) -> str:
    """The title, with its number."""
    return page.tags("article h1")[0].get_text().rstrip("#").strip()


def printed(browser: Browser, page: Page, part: str, anchors: set[str]) -> Printed:
    """Print a page."""
    tab = browser.new_page(color_scheme="light", viewport={"width": 900, "height": 1200})
    tab.goto(page.path.as_uri(), wait_until="load")
    tab.emulate_media(media="print", color_scheme="light")
    tab.add_style_tag(content=STYLE)
    tab.evaluate(PREPARE, sorted(anchors))
    tab.evaluate(SETTLE)  # waits for formulas and images
    pdf = tab.pdf(format="A4", margin=MARGINS, print_background=True, scale=SCALE)
    tab.close()
    return Printed(page.path, title_of(page), part, sections(page), pdf)


def number_pages(browser: Browser, writer: PdfWriter) -> None:
    """Print the page's number at the foot of every page but the first, then compress each page."""
    sheets = "".join(
        f"<div><span>{number if number > 1 else ''}</span></div>"
        for number in range(1, len(writer.pages) + 1)
    )
    style = (
        "@page{size:A4;margin:0} body{margin:0;font:9pt sans-serif;color:#555}"
        "div{height:297mm;position:relative;break-after:page;overflow:hidden}"
        "div:last-child{break-after:auto}"
        "span{position:absolute;bottom:9mm;width:100%;text-align:center}"
    )
    tab = browser.new_page()
    tab.set_content(f"<style>{style}</style>{sheets}")
    numbers = PdfReader(io.BytesIO(tab.pdf(prefer_css_page_size=True))).pages
    tab.close()
    for page, number in zip(writer.pages, numbers, strict=True):
        page.merge_page(number)
        page.compress_content_streams()


def make_pdf(project: Project) -> PdfWriter:
    """The book as one PDF.

    Raises:
        BuildError: The book is not rendered, or there is no browser.
    """
    contents: Mapping[Path, Entry] = {
        project.site / f"{entry.name}.html": entry for entry in entries(project)
    }
    if missing := [path.name for path in contents if not path.is_file()]:
        raise BuildError(f"{missing[0]} is not in {project.site}; run `make book`")
    every = [Page(project.site, path) for path in contents]
    anchors = needed_anchors(every)
    config = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
    with open_browser() as browser:
        chapters = [
            printed(browser, page, contents[page.path].part, anchors[page.path]) for page in every
        ]
        writer = join(chapters, config["title"])
        number_pages(browser, writer)
    return writer


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = arguments(__doc__)
    args = parser.parse_args(argv)
    project = Project(args.root)
    target = project.build / "book.pdf"
    try:
        writer = make_pdf(project)
    except BuildError as error:
        print(f"pdf: {error}", file=sys.stderr)
        return 2
    writer.compress_identical_objects()
    writer.write(target)
    megabytes = target.stat().st_size / 1e6
    print(f"pdf: {len(writer.pages)} pages, {megabytes:.1f} MB: {target.relative_to(project.root)}")
    if megabytes > LARGEST_MEGABYTES:
        print(f"pdf: it is larger than the limit of {LARGEST_MEGABYTES} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
