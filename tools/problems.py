"""Make the student's editions of the problem sets.

The MyST file `problems/N_name.md` is the source, with solutions. From it this command writes
`problems/student/N_name.ipynb`, by the preprocessors with which nbgrader releases an assignment.
The same source gives the same bytes on every machine.

    python -m tools.problems            # write the student's editions
    python -m tools.problems --check    # write nothing, exit 1 and name what is out of step
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import nbformat
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

from tools.command import arguments, keep_in_step
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
        BuildError: nbgrader does not accept the source; the message says why.
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


def student_text(source: Path, settings: Config) -> str:
    """The committed student's edition of a problem set, as text."""
    notebook = student_edition(source, settings)
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook, version=4)
    return f"{text}\n"


def out_of_step(project: Project) -> list[str]:
    """What is wrong with the committed student's editions, a line each."""
    settings, problems = grader_settings(project), []
    sources = problem_sets(project)
    for source in sources:
        edition = project.students / f"{source.stem}.ipynb"
        if not edition.exists():
            problems.append(f"student/{edition.name} is missing")
        elif edition.read_text(encoding="utf-8") != student_text(source, settings):
            problems.append(f"student/{edition.name} differs from {source.name}")
    stems = {source.stem for source in sources}
    strays = [path for path in files_in(project.students) if path.stem not in stems]
    return problems + [f"student/{stray.name} has no {stray.stem}.md" for stray in strays]


def write_editions(project: Project) -> None:
    """Write the student's edition of every set.

    Raises:
        BuildError: nbgrader does not accept a source.
    """
    settings = grader_settings(project)
    project.students.mkdir(exist_ok=True)
    for source in problem_sets(project):
        edition = project.students / f"{source.stem}.ipynb"
        edition.write_text(student_text(source, settings), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return keep_in_step("problems", arguments(__doc__), argv, write_editions, out_of_step)


if __name__ == "__main__":
    raise SystemExit(main())
