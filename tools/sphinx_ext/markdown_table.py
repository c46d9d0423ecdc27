"""Directives that write tables about the executed notebooks."""

import re

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class MarkdownTable(SphinxDirective):
    """A directive that writes a Markdown table for the page's parser."""

    has_content = True

    def table(self, header: list[str], rows: list[list[str]]) -> list[nodes.Node]:
        """Parse a table of Markdown cells."""
        lines = [header, ["---"] * len(header), *rows]
        return self.parsed([f"| {' | '.join(line)} |" for line in lines])

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        """Parse Markdown."""
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, parent)
        return list(parent.children)


def plain(text: str) -> str:
    r"""Markdown for a text that comes from elsewhere, so that none of it is read as Markdown.

    >>> print(plain("<img src=x> a|b"))
    \<img src\=x\> a\|b
    """
    return PUNCTUATION.sub(r"\\\1", " ".join(text.split()))
