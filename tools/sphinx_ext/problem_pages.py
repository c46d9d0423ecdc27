"""Sphinx extension for the problem sets, which the book shows without solutions.

* The buttons of a set's page lead to the committed student's edition; none leads to the source,
  which has the solutions.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # The theme adds its own buttons at priority 501; ours must see them.
    app.connect("html-page-context", lead_to_student_edition, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
