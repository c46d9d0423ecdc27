"""Directives that write tables about the executed notebooks."""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools.executed import FOLDER


class MarkdownTable(SphinxDirective):
    """A directive that writes a Markdown table for the page's parser."""

    has_content = True

    def copies(self) -> list[Path]:
        """The executed notebooks of the book."""
        return sorted((Path(self.env.srcdir) / FOLDER).glob("*.ipynb"))

    def table(self, header: list[str], rows: list[list[str]]) -> list[nodes.Node]:
        """Parse a table of Markdown cells."""
        lines = [header, ["---"] * len(header), *rows]
        return self.parsed([f"| {' | '.join(line)} |" for line in lines])

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        """Parse Markdown."""
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, parent)
        return list(parent.children)
