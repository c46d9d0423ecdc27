"""Sphinx extension for pages whose notebook was executed before the book is rendered.

* The buttons of such a page lead to the committed pair `notebooks/NN.md` and `notebooks/NN.ipynb`,
  not to the executed copy the page is rendered from, which is nowhere but in the build.
"""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

FOLDER = "notebooks"


def repair_buttons(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Point the buttons of a notebook's page at its committed pair."""
    if not pagename.startswith(f"{FOLDER}/"):
        return
    book = app.config.html_theme_options.get("path_to_docs", "").strip("/")
    executed = f"{book}/{pagename}.ipynb"
    for group in context["header_buttons"]:
        suffix = ".ipynb" if group.get("label") == "launch-buttons" else ".md"
        for button in group.get("buttons", []):
            if "url" in button:
                button["url"] = button["url"].replace(executed, f"{pagename}{suffix}")
        if group.get("label") == "download-buttons":
            group["buttons"].insert(1, _download_source(context, pagename))


def _download_source(context: dict[str, Any], pagename: str) -> dict[str, str]:
    return {
        "type": "link",
        "text": ".md",
        "icon": "fas fa-file",
        "url": context["pathto"](f"_sources/{pagename}.md", 1),
        "tooltip": "Download MyST source file",
        "label": "download-md-button",
    }


def replace_downloads(app: Sphinx, exception: Exception | None) -> None:
    """Offer the committed pair for download; Sphinx copied the executed notebooks."""
    if exception is not None or app.builder.format != "html":
        return
    for docname in sorted(app.env.found_docs):
        if docname.startswith(f"{FOLDER}/"):
            for suffix in (".ipynb", ".md"):
                committed = Path(app.srcdir).parent / f"{docname}{suffix}"
                shutil.copyfile(committed, Path(app.outdir) / "_sources" / f"{docname}{suffix}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # The theme adds its own buttons at priority 501; ours must see them.
    app.connect("html-page-context", repair_buttons, priority=900)
    app.connect("build-finished", replace_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
