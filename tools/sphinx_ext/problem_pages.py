"""Sphinx extension for the problem sets, which the book shows without solutions.

* The buttons of a set's page lead to the committed student's edition; none leads to the source,
  which has the solutions.
* `{problem-sets}` lists the sets with what they ask for, from their own openings.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = "problems"
EDITIONS = "problems/student"
TO_SOURCE = {"source-file-button", "source-edit-button"}


def lead_to_student_edition(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Point the launch buttons of a set's page at its student's edition."""
    if not pagename.startswith(f"{FOLDER}/"):
        return
    book = app.config.html_theme_options.get("path_to_docs", "").strip("/")
    staged, committed = f"{book}/{pagename}.ipynb", f"{EDITIONS}/{Path(pagename).name}.ipynb"
    for group in context["header_buttons"]:
        shown = [b for b in group.get("buttons", []) if b.get("label") not in TO_SOURCE]
        for button in shown:
            if "url" in button:
                button["url"] = button["url"].replace(staged, committed)
        if "buttons" in group:
            group["buttons"] = shown


class ProblemSets(SphinxDirective):
    """`{problem-sets}`: a list of the sets of the book."""

    def run(self) -> list[nodes.Node]:
        """Read the openings of the staged editions."""
        lines: list[str] = []
        for edition in sorted((Path(self.env.srcdir) / FOLDER).glob("*.ipynb")):
            self.env.note_dependency(str(edition))
            opening = nbformat.read(edition, as_version=4).cells[0].source
            goals, time, points = (
                _listed(opening, word) for word in ("Learning goals", "Time", "Points")
            )
            lines += [f"- **{{doc}}`/{FOLDER}/{edition.stem}`.** You learn to {goals}.", ""]
            lines += [f"  *Time: {time}. Points: {points}.*", ""]
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, parent)
        return list(parent.children)


def _listed(opening: str, word: str) -> str:
    """What the list in a set's opening says under a word."""
    found = re.search(
        rf"^- \*\*{word}:\*\* (.+?)(?=\n- |\n\n|\Z)", opening, re.DOTALL | re.MULTILINE
    )
    return " ".join(found[1].split()).rstrip(".") if found else ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # The theme adds its own buttons at priority 501; ours must see them.
    app.connect("html-page-context", lead_to_student_edition, priority=900)
    app.add_directive("problem-sets", ProblemSets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
