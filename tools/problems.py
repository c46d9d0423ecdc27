"""Make the student's editions of the problem sets.

The MyST file `problems/N_name.md` is the source, with solutions. From it this command writes
`problems/student/N_name.ipynb`, by the preprocessors with which nbgrader releases an assignment.

    python -m tools.problems            # write the student's editions
    python -m tools.problems --check    # write nothing, exit 1 and name what is out of step
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.nbgraderformat import ValidationError
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config.loader import Config, PyFileConfigLoader

from tools.derived import Derived
from tools.notebook import read_source
from tools.project import BuildError, Project, files_in

RELEASE = (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ComputeChecksums)
"""What `nbgrader generate_assignment` does to a notebook of ours, without its gradebook."""


def problem_sets(project: Project) -> list[Path]:
    """The sources of the problem sets, in order."""
    return [path for path in files_in(project.problems, "*.md") if path.stem[0].isdigit()]


def grader_settings(project: Project) -> Config:
    """The settings of nbgrader for our sets."""
    settings: Config = PyFileConfigLoader(
        "nbgrader_config.py", path=str(project.problems)
    ).load_config()
    return settings


def instructor_edition(source: Path) -> NotebookNode:
    """A problem set with its solutions, as the source of an nbgrader assignment."""
    notebook = read_source(source)
    notebook.metadata = NotebookNode(kernelspec=notebook.metadata.get("kernelspec", {}))
    return notebook


def student_edition(source: Path, settings: Config) -> NotebookNode:
    """A problem set without its solutions, as nbgrader releases it.

    Raises:
        BuildError: nbgrader does not accept the source. The message says why.
    """
    notebook = instructor_edition(source)
    log = logging.getLogger("tools.problems")
    log.disabled = True  # what it tells is in the error
    for step in RELEASE:
        try:
            notebook, _ = step(config=settings, log=log).preprocess(notebook, {})
        except (RuntimeError, ValidationError) as error:
            raise BuildError(f"{source.name}: {error}") from error
    return notebook


EDITIONS = Derived(
    "problems",
    problem_sets,
    "student",
    lambda source: student_edition(source, grader_settings(Project(source.parents[1]))),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return EDITIONS.main(__doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
