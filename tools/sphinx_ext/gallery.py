"""Sphinx extension for the gallery of chapters on the landing page.

`{chapter-card} 01_bottleneck` makes one card out of an executed notebook: a small version of one of
its figures with that figure's alternative text, the title, the text given as content, how long the
notebook ran, and how many of its predictions were reproduced. `:figure:` names the figure.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from nbformat import NotebookNode
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cbnlib.book.claims import claims_of
from tools.executed import FOLDER, is_stand_in, read_chapter
from tools.sphinx_ext.predictions import COUNTS, reproduced


class ChapterCard(SphinxDirective):
    """`{chapter-card}`: a chapter in the gallery."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"figure": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make the card; a notebook or figure that is not there is a warning."""
        stem = self.arguments[0]
        try:
            notebook = read_chapter(self.env, stem)
        except FileNotFoundError:
            return self._warning(f"there is no executed notebook {stem}")
        figure = self.options.get("figure", "")
        alt = alternative_texts(notebook).get(figure)
        if alt is None:
            return self._warning(f"{stem} has no figure {figure!r}")
        picture = nodes.image(uri=f"/figures/{figure}-small.png", alt=alt)
        # Links to terms would compete with the one link that covers the card.
        card = nodes.container(classes=["chapter-card", "no-term-links"])
        card += [nodes.container("", picture, classes=["chapter-picture"]), self._title(stem)]
        self.state.nested_parse(self.content, self.content_offset, card)
        card += nodes.paragraph("", facts(notebook), classes=["chapter-facts"])
        return [card]

    def _title(self, stem: str) -> nodes.Node:
        link = addnodes.pending_xref(
            "",
            nodes.inline(stem, stem),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{FOLDER}/{stem}",
            refdoc=self.env.docname,
            refexplicit=False,
            refwarn=True,
        )
        return nodes.paragraph("", "", link, classes=["chapter-title"])

    def _warning(self, told: str) -> list[nodes.Node]:
        return [self.state.document.reporter.warning(f"chapter-card: {told}", line=self.lineno)]


def alternative_texts(notebook: Mapping[str, Any]) -> dict[str, str]:
    """The alternative text of each named figure of a notebook."""
    shown = [cell["metadata"].get("mystnb", {}) for cell in notebook["cells"]]
    return {
        cell["figure"]["name"]: cell["image"]["alt"]
        for cell in shown
        if "name" in cell.get("figure", {}) and "alt" in cell.get("image", {})
    }


def facts(notebook: NotebookNode) -> str:
    """How long an executed notebook ran, and how many of its predictions were reproduced."""
    if is_stand_in(notebook):
        return "failed on this machine"
    seconds = f"ran {notebook['metadata']['papermill']['duration']:.0f} s"
    stated = claims_of(notebook)
    if not COUNTS["all"](stated):
        return seconds
    return f"{reproduced(stated)} predictions reproduced · {seconds}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("chapter-card", ChapterCard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
