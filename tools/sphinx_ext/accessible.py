"""Sphinx extension that opens the finished pages to readers whom the theme leaves out.

* Headers of tables say whether they head a column or a row. An empty corner is no header.
* The entries of a list of references are its items. The role that docutils gives them is outdated.
* The book's name and its search button stand in a landmark, as all else does.
* Icons come from the theme's style sheet and fonts, which every page loads in any case. The script
  of 1.5 MB that would draw them a second time goes.
* The index of the search is for the search page. The theme loads it into every page, for results
  while one types, which this book does not show.

The theme has no settings for these.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

PART = re.compile(r"<(thead|tbody)\b.*?</\1>", re.DOTALL)
EMPTY = re.compile(r"<th\b([^>]*)>((?:\s|&nbsp;|<p></p>)*)</th>")
HEADER = re.compile(r"<th\b(?![^>]*\bscope=)")
SCOPES = {"thead": "col", "tbody": "row"}
SEARCH = r'<script src="[^"]*(searchtools|language_data|searchindex)\.js"></script>'
REPAIRS = (
    (
        re.compile(r'<div class="sidebar-primary-items__start sidebar-primary__section">'),
        '<div class="sidebar-primary-items__start sidebar-primary__section"'
        ' role="complementary" aria-label="Book">',
    ),
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    (re.compile(r'<script defer src="[^"]*/scripts/fontawesome\.js[^"]*"></script>'), ""),
    (re.compile(rf"(?<!\s)(\s*{SEARCH}){{3}}(?=\s*</head>)"), ""),  # search.html has it in its body
)


def repair(page: str) -> str:
    """The HTML of a page, repaired. What is repaired already stays as it is.

    >>> repair("<thead><tr><th></th><th>loss</th></tr></thead>")
    '<thead><tr><td></td><th scope="col">loss</th></tr></thead>'
    """
    page = PART.sub(_with_scopes, page)
    for pattern, replacement in REPAIRS:
        page = pattern.sub(replacement, page)
    return page


def _with_scopes(part: re.Match[str]) -> str:
    """A table's head or body whose headers say what they head."""
    filled = EMPTY.sub(r"<td\1>\2</td>", part.group(0))
    return HEADER.sub(f'<th scope="{SCOPES[part.group(1)]}"', filled)


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Repair every page that was written."""
    if exception is not None or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir).rglob("*.html")):
        if path.relative_to(app.outdir).parts[0] not in ("_static", "_sources"):
            path.write_text(repair(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", repair_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
