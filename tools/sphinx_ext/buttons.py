"""Sphinx extension that lets the buttons of a page lead to files that are committed.

A chapter is rendered from its executed copy, which is nowhere but in the build. So its buttons lead
to the pair `notebooks/NN.md` and `notebooks/NN.ipynb`. Those of a problem set lead to the student's
edition, none to the source with the solutions. The theme has no setting for this.
"""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from tools.project import Project

TO_SOURCE = {"source-file-button", "source-edit-button"}


def repair_buttons(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Point the buttons of a chapter or a problem set at what is committed."""
    folder, _, stem = pagename.partition("/")
    if folder not in ("notebooks", "problems"):
        return
    staged = f"{app.config.html_theme_options['path_to_docs'].strip('/')}/{pagename}.ipynb"
    for group in context["header_buttons"]:
        buttons, label = group.get("buttons", []), group.get("label")
        committed = pagename + (".ipynb" if label == "launch-buttons" else ".md")
        if folder == "problems":
            committed = f"problems/student/{stem}.ipynb"
            buttons[:] = [b for b in buttons if b.get("label") not in TO_SOURCE]
        for button in buttons:
            if "url" in button:
                button["url"] = button["url"].replace(staged, committed)
        if label == "download-buttons" and folder == "notebooks":
            url = context["pathto"](f"_sources/{pagename}.md", 1)
            buttons.insert(1, DOWNLOAD_SOURCE | {"url": url})


DOWNLOAD_SOURCE = {
    "type": "link",
    "text": ".md",
    "icon": "fas fa-file",
    "tooltip": "Download MyST source file",
    "label": "download-md-button",
}


def replace_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Offer the committed pair for download, as Sphinx copied the executed notebooks."""
    if exception is not None or app.builder.format != "html":
        return
    for docname in app.env.found_docs:
        if docname.startswith("notebooks/"):
            for name in (f"{docname}.ipynb", f"{docname}.md"):
                committed = Project.of_source(Path(app.srcdir)).root / name
                shutil.copyfile(committed, Path(app.outdir) / "_sources" / name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # The theme adds its own buttons at priority 501, and ours must see them.
    app.connect("html-page-context", repair_buttons, priority=900)
    app.connect("build-finished", replace_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
