"""Sphinx extension for the page on the stability of the verdicts (`tools.stability`).

`{stability-table}` has a row for each prediction whose verdict is not the same in all builds; with
the argument `builds` it has a row for each build. With `counts` it is a list of how many builds
there are, and how many predictions have one verdict in all or most of them.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from tools.executed import FOLDER
from tools.project import Project
from tools.sphinx_ext.claims_page import MARKS
from tools.sphinx_ext.markdown_table import MarkdownTable, plain
from tools.stability import Key, records, share, verdicts

MOST = 0.8
COUNTED = """\
* {builds} builds: {seeds} seeds, {roundings} ways of rounding. {complete} builds are complete.
* {predictions} predictions and checks. {same} have the same verdict in all builds.
* {most} more have the same verdict in at least 4 of 5 builds.
* {rest} have no such majority. Do not rely on the verdict of one build for them."""


def kept(env: BuildEnvironment) -> list[dict[str, Any]]:
    """The builds, as a dependency of the page."""
    project = Project(Path(env.srcdir).parent)
    for path in project.stability.glob("*.json"):
        env.note_dependency(str(path))
    return records(project)


def counts(builds: list[dict[str, Any]]) -> dict[str, int]:
    """How many builds and predictions there are, by kind."""
    shares = [share(found) for found in verdicts(builds).values()]
    same = sum(each == 1 for each in shares)
    most = sum(MOST <= each < 1 for each in shares)
    return {
        "builds": len(builds),
        "complete": sum(not build["failed"] for build in builds),
        "seeds": len({build["seed"] for build in builds}),
        "roundings": len({build["rounding"] for build in builds}),
        "predictions": len(shares),
        "same": same,
        "most": most,
        "rest": len(shares) - same - most,
    }


class StabilityTable(MarkdownTable):
    """`{stability-table}`: verdicts over the builds."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table; without builds, say so."""
        builds = kept(self.env)
        if not builds:
            return self.parsed(["*No build of the matrix is kept.*"])
        what = self.arguments[0] if self.arguments else "changing"
        if what == "counts":
            return self.parsed(COUNTED.format(**counts(builds)).splitlines())
        if what == "builds":
            return self._of_builds(builds)
        found = verdicts(builds)
        rows: list[list[str]] = []
        for stem, keys in groupby(sorted(found), key=lambda key: key[0]):
            of_chapter = [key for key in keys if share(found[key]) < 1]
            if of_chapter:
                rows.append([f"{{doc}}`/{FOLDER}/{stem}`", *[""] * len(MARKS)])
            rows += [self._row(key, found[key]) for key in of_chapter]
        if not rows:
            return self.parsed(["*No verdict changes.*"])
        return self.table(["task and prediction", *MARKS.values()], rows)

    @staticmethod
    def _row(key: Key, found: list[str]) -> list[str]:
        _, paper, task, prediction, _ = key
        count = Counter(found)
        return [
            f"**{paper}, {task}.** {prediction}",
            *(str(count[verdict] or "") for verdict in MARKS),
        ]

    def _of_builds(self, builds: list[dict[str, Any]]) -> list[nodes.Node]:
        rows = []
        for build in builds:
            told = Counter(c["verdict"] for c in _claims(build) if c["counts"])
            where = build["environment"]
            cells = [str(build["seed"]), build["rounding"]]
            cells += [plain(where.get(name, "")) for name in ("processor", "torch", "python")]
            cells += [str(told[verdict]) for verdict in MARKS]
            rows.append([*cells, ", ".join(build["failed"]) or "none"])
        header = ["seed", "rounding", "processor", "torch", "Python"]
        return self.table([*header, *MARKS.values(), "failed chapters"], rows)


def _claims(build: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [claim for claims in build["chapters"].values() for claim in claims]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("stability-table", StabilityTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
