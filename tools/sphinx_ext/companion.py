"""Sphinx extension for pages whose notebook was executed before the book is rendered.

* The buttons of such a page lead to the committed pair `notebooks/NN.md` and `notebooks/NN.ipynb`,
  not to the executed copy the page is rendered from, which is nowhere but in the build.
* `{claims-table} C1` lists what the notebooks state about a claim of the paper, and the verdicts;
  without a name it counts the verdicts of all claims.
* the role `{verdicts}` says how many of a notebook's predictions were reproduced.
* `{versions-table}` lists the versions of Python and of the packages that are named in it.
"""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from cbnlib.checks import check_choice
from cbnlib.claims import PAPER, Claim, Verdict, claims_of
from tools.executed import FOLDER, read_executed
from tools.sphinx_ext.markdown_table import MarkdownTable

MARKS: dict[Verdict, str] = {"reproduced": "✓", "partly": "◐", "not reproduced": "✗"}


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


class Verdicts(SphinxRole):
    """`{verdicts}`: of the predictions of the notebook with this stem, how many were reproduced."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count them in the executed copy."""
        copy = Path(self.env.srcdir) / FOLDER / f"{self.text}.ipynb"
        self.env.note_dependency(str(copy))
        verdicts = [claim.verdict for claim in claims_of(read_executed(copy))]
        counted = f"{verdicts.count('reproduced')} of {len(verdicts)}"
        return [nodes.Text(counted)], []


class ClaimsTable(MarkdownTable):
    """`{claims-table}`: the claims that the executed notebooks state, with their verdicts."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make a row for each claim of the named one, or count the verdicts of each.

        A claim that no notebook tests is a warning, and so an error of the build.
        """
        paper = self.arguments[0] if self.arguments else None
        stated = [found for copy in self.copies() for found in self._claims(copy)]
        if paper is None:
            return self._overview([claim for claim, *_ in stated])
        check_choice("claim", paper, PAPER)
        rows = [self._row(*found) for found in stated if found[0].paper == paper]
        if not rows:
            warning = f"no notebook states anything about {paper}"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        table = self.table(["task and prediction", "measured", "verdict", "seen in"], rows)
        return [nodes.container("", *table, classes=["claims"])]

    def _claims(self, copy: Path) -> list[tuple[Claim, str, str]]:
        self.env.note_dependency(str(copy))
        notebook = read_executed(copy)
        edition = notebook.metadata["companion"]["profile"]
        return [(claim, copy.stem, edition) for claim in claims_of(notebook)]

    def _row(self, claim: Claim, stem: str, edition: str) -> list[str]:
        runs = f"{claim.seeds} {'value' if claim.seeds == 1 else 'values'}, {edition}"
        tried = f"<br>*{claim.tried}*" if claim.verdict != "reproduced" else ""
        return [
            f"**{claim.task}.** {claim.prediction}",
            f"{claim.quantity}: **{claim.measured}**<br>predicted {claim.tolerance}",
            f"{MARKS[claim.verdict]} {claim.verdict}{tried}",
            f"{{numref}}`{claim.figure}`, {{doc}}`/{FOLDER}/{stem}`<br>{runs}",
        ]

    def _overview(self, stated: list[Claim]) -> list[nodes.Node]:
        rows = []
        for paper, text in PAPER.items():
            verdicts = [claim.verdict for claim in stated if claim.paper == paper]
            counts = [str(verdicts.count(verdict)) for verdict in MARKS]
            rows.append([f"{{ref}}`{paper} <claim-{paper.lower()}>`", text, *counts])
        return self.table(["claim", "in short", *MARKS.values()], rows)


class VersionsTable(MarkdownTable):
    """`{versions-table}`: the installed versions of the packages its content names."""

    def run(self) -> list[nodes.Node]:
        """Make a row for each name."""
        names = " ".join(self.content).split()
        rows = [["Python", platform.python_version()], *([name, version(name)] for name in names)]
        return self.table(["package", "version"], rows)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # The theme adds its own buttons at priority 501; ours must see them.
    app.connect("html-page-context", repair_buttons, priority=900)
    app.connect("build-finished", replace_downloads)
    app.add_role("verdicts", Verdicts())
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("versions-table", VersionsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
