"""Sphinx extension for the page of all claims.

* `{claims-table} C1` lists what the notebooks state about a claim of the paper, chapter by chapter,
  with the verdicts; a remark that several rows share stands once, below; `own` lists what is no
  claim of the paper. Without a name it counts the verdicts of each, but for checks.
* `{claims-filter}` is a form that hides rows; `claims.js` shows and runs it.
* the role `{verdicts}` says how many of a notebook's predictions were reproduced.
"""

from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from cbnlib._checks import check_choice
from cbnlib.book.claims import SUBJECTS, Claim, Verdict, claims_of
from cbnlib.book.notebook import NOT_AVAILABLE
from tools.executed import chapters, is_stand_in, links, missing, read_chapter
from tools.sphinx_ext.markdown_table import MarkdownTable
from tools.sphinx_ext.predictions import COUNTS, reproduced

MARKS: dict[Verdict, str] = {
    "reproduced": "✓",
    "partly": "◐",
    "not reproduced": "✗",
    "not tested": "○",
}
HEADER = ["task and prediction", "measured", "verdict"]
FORM = """\
<form class="claims-filter" aria-label="Choose predictions" hidden>
<fieldset><legend>Verdict</legend>
{boxes}
</fieldset>
<label>Words in task, prediction or chapter
<input type="search" autocomplete="off" spellcheck="false"></label>
<output></output>
</form>"""
BOX = '<label><input type="checkbox" value="{value}" checked> {mark} {verdict}</label>'


class Verdicts(SphinxRole):
    """`{verdicts}`: of the predictions of the notebook with this stem, how many were reproduced."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count them in the executed copy."""
        notebook = read_chapter(self.env, self.text)
        told = NOT_AVAILABLE if is_stand_in(notebook) else reproduced(claims_of(notebook))
        return [nodes.Text(told)], []


class ClaimsFilter(SphinxDirective):
    """`{claims-filter}`: chooses rows of the tables by verdict and words."""

    def run(self) -> list[nodes.Node]:
        """Write the form, hidden: without its script all rows are there and it is not."""
        boxes = (
            BOX.format(value=css_class(verdict), mark=mark, verdict=verdict)
            for verdict, mark in MARKS.items()
        )
        return [nodes.raw("", FORM.format(boxes="\n".join(boxes)), format="html")]


class ClaimsTable(MarkdownTable):
    """`{claims-table}`: the claims that the executed notebooks state, with their verdicts."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make a row for each claim of the named one, or count the verdicts of each.

        A claim that no notebook tests is a warning, and so an error of the build, unless chapters
        failed: the table names them.
        """
        paper = self.arguments[0] if self.arguments else None
        told = [
            (stem, claim) for stem, notebook in chapters(self.env) for claim in claims_of(notebook)
        ]
        note = self.parsed([missing(self.env)])
        if paper is None:
            return [*self._overview([claim for _, claim in told]), *note]
        check_choice("claim", paper, SUBJECTS)
        found = [(stem, claim) for stem, claim in told if claim.paper == paper]
        if not found:
            if note:
                return note
            warning = f"no notebook states anything about {paper}"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        remarks = remarks_of([claim for _, claim in found])
        table = self._table(found)
        for row, claim in zip(table.findall(_is_claim), (claim for _, claim in found), strict=True):
            if claim.remark:
                number = remarks.index(claim.remark) + 1
                row[-1][-1] += [nodes.Text(", "), _link(paper, number)]
        listed = [self._remark(paper, k, text) for k, text in enumerate(remarks, start=1)]
        return [nodes.container("", table, *listed, *note, classes=["claims"])]

    def _table(self, found: list[tuple[str, Claim]]) -> nodes.table:
        """Rows of claims, marked by their verdicts, and one for each chapter above its own."""
        rows: list[list[str]] = []
        marks: list[str] = []
        for stem, group in groupby(found, key=lambda each: each[0]):
            rows.append([links([stem]), "", ""])
            marks.append("chapter")
            for _, claim in group:
                rows.append(self._row(claim))
                marks.append(css_class(claim.verdict))
        [table] = self.table(HEADER, rows)
        [body] = table.findall(nodes.tbody)
        for row, mark in zip(body, marks, strict=True):
            row["classes"].append(mark)
            if mark == "chapter":
                row[0]["morecols"] = len(HEADER) - 1
                row[:] = row[:1]
        return table

    @staticmethod
    def _row(claim: Claim) -> list[str]:
        added = f" *After looking:* {claim.added}" if claim.added else ""
        check = f" *A check:* {claim.check}" if claim.check else ""
        return [
            f"**{claim.task}.** {claim.prediction}{added}{check}",
            f"{claim.quantity}: **{claim.measured}**, {claim.score}; predicted {claim.tolerance}. "
            f"{{numref}}`{claim.figure}`",
            f"{MARKS[claim.verdict]}\N{NO-BREAK SPACE}{claim.verdict_text}",
        ]

    def _remark(self, paper: str, number: int, text: str) -> nodes.Node:
        [paragraph] = self.parsed([f"**Remark {number}.** {text}"])
        paragraph["ids"].append(remark_id(paper, number))
        paragraph["classes"].append("remark")
        return paragraph

    def _overview(self, stated: list[Claim]) -> list[nodes.Node]:
        rows = []
        for paper, text in SUBJECTS.items():
            about = [claim for claim in stated if claim.paper == paper]
            counts = [str(COUNTS[what](about)) for what in (*MARKS, "checks")]
            rows.append([f"{{ref}}`{paper} <claim-{paper.lower()}>`", text, *counts])
        return self.table(["claim", "in short", *MARKS.values(), "checks"], rows)


def remarks_of(claims: list[Claim]) -> list[str]:
    """What was tried where a prediction failed, or why it was not tested; each text once."""
    return list(dict.fromkeys(claim.remark for claim in claims if claim.remark))


def css_class(verdict: Verdict) -> str:
    """The class of the rows with a verdict.

    >>> css_class("not reproduced")
    'not-reproduced'
    """
    return verdict.replace(" ", "-")


def remark_id(paper: str, number: int) -> str:
    """Where a remark about a claim of the paper stands on its page."""
    return f"remark-{paper.lower()}-{number}"


def _is_claim(node: nodes.Node) -> bool:
    classes = set(map(css_class, MARKS))
    return isinstance(node, nodes.row) and bool(classes.intersection(node["classes"]))


def _link(paper: str, number: int) -> nodes.reference:
    """To a remark; the figure's number would read the same without the words around it."""
    return nodes.reference("", f"remark {number}", refid=remark_id(paper, number), internal=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_role("verdicts", Verdicts())
    app.add_directive("claims-filter", ClaimsFilter)
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
