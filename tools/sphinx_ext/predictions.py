"""Sphinx extension for pages that speak of all predictions of the book at once.

* the role `{predictions}` counts them, those apart that are mere checks: those with a verdict
  (`reproduced`, `partly`, `not reproduced`) or `all`; `checks`; `fewest values` and `most values`
  are what stands behind one.
* the role `{networks}` counts the trained networks that the notebooks list, page by page.
* `{predictions-list} not reproduced` lists those with this verdict.
* `{tested-in} C1` lists where a claim of the paper is tested, by which figures, how it went.
"""

from collections.abc import Callable
from itertools import groupby
from typing import get_args

import nbformat
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from cbnlib.book.claims import PAPER, Claim, Verdict, claims_of
from cbnlib.book.notebook import NOT_AVAILABLE
from tools.executed import chapters, links, missing


def count_of(verdict: Verdict) -> Callable[[list[Claim]], int]:
    """A function that counts the predictions with a verdict, but for mere checks."""
    return lambda stated: sum(claim.counts and claim.verdict == verdict for claim in stated)


COUNTS: dict[str, Callable[[list[Claim]], int]] = {
    "all": lambda stated: sum(claim.counts for claim in stated),
    "checks": lambda stated: sum(not claim.counts for claim in stated),
    **{verdict: count_of(verdict) for verdict in get_args(Verdict)},
    "fewest values": lambda stated: min((len(claim.values) for claim in stated), default=0),
    "most values": lambda stated: max((len(claim.values) for claim in stated), default=0),
}


def reproduced(stated: list[Claim]) -> str:
    """How many predictions were reproduced, of how many, but for mere checks."""
    return f"{COUNTS['reproduced'](stated)} of {COUNTS['all'](stated)}"


def stated(env: BuildEnvironment) -> list[tuple[str, Claim]]:
    """All predictions, each with the stem of its notebook."""
    return [(stem, claim) for stem, notebook in chapters(env) for claim in claims_of(notebook)]


def networks(notebook: nbformat.NotebookNode) -> int:
    """How many networks a notebook's tables of origins list."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    tables = [BeautifulSoup(page, "html.parser") for page in pages if "networks" in page]
    return sum(_networks_in(table) for table in tables)


def _networks_in(table: BeautifulSoup) -> int:
    header = [cell.get_text().strip() for cell in table.select("thead th")]
    if not {"origin", "networks"} <= set(header):
        return 0
    column = header.index("networks")
    rows = [row.find_all("td") for row in table.select("tbody tr")]
    return sum(int(cells[column].get_text()) for cells in rows)


class Predictions(SphinxRole):
    """`{predictions}`: a count over all predictions."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count them; another word than those of `COUNTS` is a warning."""
        if self.text not in COUNTS:
            there = ", ".join(COUNTS)
            told = self.inliner.reporter.warning(f"no count {self.text!r}; there are: {there}")
            return [], [told]
        claims = [claim for _, claim in stated(self.env)]
        without = " (without the chapters that failed)" if missing(self.env) else ""
        told = f"{COUNTS[self.text](claims)}{without * (self.text == 'all')}"
        return [nodes.Text(told)], []


class Networks(SphinxRole):
    """`{networks}`: trained networks of the notebook with this stem, or of `all`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count them in the executed copies."""
        counts = {stem: networks(notebook) for stem, notebook in chapters(self.env)}
        number = sum(counts.values()) if self.text == "all" else counts.get(self.text, 0)
        if not number and missing(self.env):
            return [nodes.Text(NOT_AVAILABLE)], []
        if not number:
            told = self.inliner.reporter.warning(f"no trained networks in {self.text!r}")
            return [], [told]
        return [nodes.Text(str(number))], []


class MarkdownList(SphinxDirective):
    """A directive that writes a Markdown list for the page's parser."""

    def parse(self, lines: list[str]) -> list[nodes.Node]:
        """Parse lines of Markdown."""
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, parent)
        return list(parent.children)


class PredictionsList(MarkdownList):
    """`{predictions-list}`: the predictions with this verdict, and what was measured."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make an item for each; without any, say so."""
        verdict = self.arguments[0]
        lines = [self._item(stem, c) for stem, c in stated(self.env) if c.verdict == verdict]
        lines = lines or [f"In this edition no prediction is *{verdict}*."]
        return self.parse([*lines, "", missing(self.env)])

    @staticmethod
    def _item(stem: str, claim: Claim) -> str:
        task = claim.task[:1].upper() + claim.task[1:]
        return (
            f"- **{task}.** {claim.prediction} Measured, {claim.quantity}: {claim.measured}; "
            f"predicted {claim.tolerance}. ({links([stem])})"
        )


class TestedIn(MarkdownList):
    """`{tested-in}`: the chapters that test a claim of the paper."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make an item for each chapter, with its figures and counts."""
        paper = self.arguments[0]
        found = [(stem, claim) for stem, claim in stated(self.env) if claim.paper == paper]
        failed = missing(self.env)
        if paper not in PAPER or not (found or failed):
            told = f"no notebook states anything about {paper}"
            return [self.state.document.reporter.warning(told, line=self.lineno)]
        grouped = groupby(found, key=lambda each: each[0])
        lines = [self._item(stem, [c for _, c in group]) for stem, group in grouped]
        return self.parse([*lines, "", failed])

    @staticmethod
    def _item(stem: str, claims: list[Claim]) -> str:
        figures = ", ".join(
            f"{{numref}}`{name}`" for name in dict.fromkeys(c.figure for c in claims)
        )
        return f"- {links([stem])}, {figures}: {reproduced(claims)} predictions reproduced"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_role("predictions", Predictions())
    app.add_role("networks", Networks())
    app.add_directive("predictions-list", PredictionsList)
    app.add_directive("tested-in", TestedIn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
