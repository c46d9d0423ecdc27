"""Sphinx extension with the directive `{lab}`, for networks that train in the reader's browser.

Style, script, and the worker's script as text all stand in the page. A page from a disk may load
neither modules nor a worker's file. With `:small:` there is one figure and no controls. The content
of the directive is what readers without JavaScript see.
"""

from pathlib import Path
from string import Template
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tools.lab import bundle

UNSCRIPTED = "<noscript><style>.lab-recorded { display: block; }</style></noscript>"


def widget(folder: Path, name: str) -> str:
    """The HTML of a page's lab.

    Args:
        folder: Where its modules lie.
        name: Which of its pages.
    """
    page = Template((folder / f"{name}.html").read_text(encoding="utf-8"))
    style = (folder / "lab.css").read_text(encoding="utf-8")
    scripts = {part: bundle(folder / f"{part}.js") for part in ("worker", "page")}
    return f"<style>\n{style}</style>\n{UNSCRIPTED}\n{page.substitute(scripts)}"


class Lab(SphinxDirective):
    """`{lab}` puts training into the page."""

    has_content = True
    option_spec: ClassVar = {"small": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Make the page's part, and what stands there without JavaScript."""
        folder = Path(self.env.srcdir) / "lab"
        for file in folder.iterdir():
            self.env.note_dependency(str(file))
        name = "lab_small" if "small" in self.options else "lab"
        recorded = nodes.container(classes=["lab-recorded"])
        self.state.nested_parse(self.content, self.content_offset, recorded)
        return [nodes.raw("", widget(folder, name), format="html"), recorded]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("lab", Lab)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
