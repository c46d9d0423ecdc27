"""Sphinx extension that gives the pages the facts of the executed notebooks (`tools.facts`).

`{chapter-card} 01_bottleneck` is a card of the gallery. It has a figure (`:figure:`), the title,
the text given as content, how long the notebook ran and how many rows were reproduced. Where a page
quotes a result that there is not, it says *not available*.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from cbnlib.book.claims import claims_of
from tools.claims_page import MARKS, VERDICT
from tools.executed import is_stand_in, links, read_executed, without_missing
from tools.facts import COUNTS, Facts, reproduced


class ChapterCard(SphinxDirective):
    """`{chapter-card}` shows a chapter in the gallery."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"figure": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make the card. A notebook or figure that is not there is a warning."""
        stem, figure = self.arguments[0], self.options.get("figure", "")
        copy = Path(self.env.srcdir) / "notebooks" / f"{stem}.ipynb"
        notebook = read_executed(copy) if copy.exists() else None
        alt = alternative_texts(notebook).get(figure) if notebook else None
        if notebook is None or alt is None:
            told = f"chapter-card: {stem} is not executed or has no figure {figure!r}"
            return [self.state.document.reporter.warning(told, line=self.lineno)]
        picture = nodes.image(uri=f"/figures/{figure}-small.png", alt=alt)
        # Links to terms would compete with the one link that covers the card.
        card = nodes.container(classes=["chapter-card", "no-term-links"])
        card += nodes.container("", picture, classes=["chapter-picture"])
        lines = ["{.chapter-title}", links([stem]), "", *self.content]
        lines += ["", "{.chapter-facts}", card_facts(notebook)]
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, card)
        return [card]


def alternative_texts(notebook: Mapping[str, Any]) -> dict[str, str]:
    """The alternative text of each named figure of a notebook."""
    shown = [cell["metadata"].get("mystnb", {}) for cell in notebook["cells"]]
    return {
        cell["figure"]["name"]: cell["image"]["alt"]
        for cell in shown
        if "name" in cell.get("figure", {}) and "alt" in cell.get("image", {})
    }


def card_facts(notebook: NotebookNode) -> str:
    """How long an executed notebook ran, and how many of its rows were reproduced."""
    if is_stand_in(notebook):
        return "failed on this machine"
    seconds = f"ran {notebook['metadata']['papermill']['duration']:.0f} s"
    stated = claims_of(notebook)
    return f"{reproduced(stated)} · {seconds}" if COUNTS["all"](stated) else seconds


def mark_rows(_app: Sphinx, doctree: nodes.document) -> None:
    """Mark the rows of the tables of claims by their verdicts, those of chapters as such."""
    for box in doctree.findall(nodes.container):
        for row in box.findall(nodes.row) if "claims" in box["classes"] else ():
            told = row[VERDICT].astext() if len(row) > VERDICT else ""
            if not told:
                row["classes"].append("chapter")
                row[0]["morecols"] = len(row) - 1
                row[:] = row[:1]
            for verdict, mark in MARKS.items():
                if told.startswith(mark):
                    row["classes"].append(verdict.replace(" ", "-"))


def say_what_is_missing(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace what a page quotes of results that there are not."""
    source[0] = without_missing(source[0], Path(app.srcdir) / "notebooks", Path(docname).name)


def give_facts(app: Sphinx, config: Config) -> None:
    """Let the pages call the methods of `Facts` as substitutions."""
    config.myst_substitutions = Facts(Path(app.srcdir)).substitutions()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", give_facts)
    app.connect("source-read", say_what_is_missing)
    app.connect("doctree-read", mark_rows)
    app.add_directive("chapter-card", ChapterCard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
