"""Sphinx extension that says how each notebook of the book came about.

* Under the title of each notebook's page a line: edition, seed, networks, versions, device, time.
* `{execution-table}` lists when and how long each notebook ran, and the sum.
* `{execution-environments}` lists on what they ran.
* `{costs-table}` lists time and memory of each notebook, and what the records took that it shows
  (in the paper edition); the last row has those of all records.
"""

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

from tools.executed import FOLDER, chapters, is_stand_in, links, missing, read_executed
from tools.provenance import Execution, Records
from tools.sphinx_ext.markdown_table import MarkdownTable, plain


def add_line(app: Sphinx, doctree: nodes.document) -> None:
    """Put the line under the title of a notebook's page."""
    docname = app.env.docname
    if not docname.startswith(f"{FOLDER}/"):
        return
    notebook = read_executed(Path(app.srcdir) / f"{docname}.ipynb")
    if is_stand_in(notebook):
        return
    execution = Execution.of(notebook)
    link = pending_xref(
        "",
        nodes.inline("", f"{execution.edition.capitalize()} edition"),
        refdomain="std",
        reftype="doc",
        reftarget="/execution",
        refdoc=docname,
        refexplicit=True,
        refwarn=True,
    )
    line = nodes.paragraph("", "", link, nodes.Text(f" · {execution.line()}"))
    line["classes"].append("provenance")
    title = next(doctree.findall(nodes.title))
    title.parent.insert(title.parent.index(title) + 1, line)


class AboutExecutions(MarkdownTable):
    """A directive about the executions of all notebooks, but for those that failed."""

    def executions(self) -> dict[str, Execution]:
        """They, by the notebooks' stems."""
        every = chapters(self.env)
        return {stem: Execution.of(one) for stem, one in every if not is_stand_in(one)}

    def table(self, header: list[str], rows: list[list[str]]) -> list[nodes.Node]:
        """A table, and below it which chapters are not in it."""
        return [*super().table(header, rows), *self.parsed([missing(self.env)])]


class ExecutionTable(AboutExecutions):
    """`{execution-table}`: how each executed notebook of the book came about."""

    header: ClassVar = [
        "notebook",
        "edition, seed",
        "networks from records",
        "trained here",
        "seconds",
        "longest cell",
        "ended (UTC)",
    ]

    def run(self) -> list[nodes.Node]:
        """Make a row for each notebook from what papermill and the build wrote into it."""
        found = self.executions()
        rows = [self._row(links([stem]), run) for stem, run in found.items()]
        return self.table(self.header, [*rows, self._sums(list(found.values()))])

    def _row(self, name: str, run: Execution) -> list[str]:
        return [
            name,
            f"{run.edition}, {run.seed}",
            *(str(run.networks.get(kind, "")) for kind in ("from records", "trained here")),
            f"{run.seconds:.0f}",
            f"{run.longest_cell:.0f}",
            f"{run.ended:%Y\u2011%m\u2011%d %H:%M}",  # hyphens at which no line breaks
        ]

    def _sums(self, runs: list[Execution]) -> list[str]:
        networks = [
            str(sum(run.networks.get(kind, 0) for run in runs))
            for kind in ("from records", "trained here")
        ]
        return ["**all**", "", *networks, f"{sum(run.seconds for run in runs):.0f}", "", ""]


class CostsTable(AboutExecutions):
    """`{costs-table}`: what to expect when the notebooks run again."""

    header: ClassVar = [
        "N",
        "notebook",
        "in this build, s",
        "memory, MB",
        "training at full size, min",
        "records, MB",
    ]

    def run(self) -> list[nodes.Node]:
        """Make a row for each notebook, and one for all."""
        runs = self.executions()
        root = Path(self.env.srcdir).parent / "records"
        records = {
            stem: Records.of(found for name in run.records for found in root.glob(f"*-{name}"))
            for stem, run in runs.items()
        }
        rows = [
            [
                stem.partition("_")[0],
                links([stem]),
                *self._costs(run.seconds, run.memory_mb, records[stem]),
            ]
            for stem, run in runs.items()
        ]
        every = Records.of(root.glob("*-*"))
        seconds = sum(run.seconds for run in runs.values())
        most = max((run.memory_mb for run in runs.values()), default=0.0)
        return self.table(self.header, [*rows, ["", "**all**", *self._costs(seconds, most, every)]])

    def _costs(self, seconds: float, memory_mb: float, records: Records) -> list[str]:
        minutes = f"{records.minutes:.1f}" if records.minutes else ""
        megabytes = f"{records.megabytes:.1f}" if records.megabytes else ""
        return [f"{seconds:.0f}", f"{memory_mb:.0f}", minutes, megabytes]


class ExecutionEnvironments(AboutExecutions):
    """`{execution-environments}`: the machines, versions and commits of the executions."""

    def run(self) -> list[nodes.Node]:
        """Make an item for each combination, with the number of its notebooks."""
        told = [
            plain(f"{run.device}; {run.versions}; {run.library}")
            for run in self.executions().values()
        ]
        counts = {line: told.count(line) for line in told}
        plural = {line: "notebook" if count == 1 else "notebooks" for line, count in counts.items()}
        return self.parsed([f"* {count} {plural[line]}: {line}" for line, count in counts.items()])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", add_line)
    app.add_directive("execution-table", ExecutionTable)
    app.add_directive("costs-table", CostsTable)
    app.add_directive("execution-environments", ExecutionEnvironments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
