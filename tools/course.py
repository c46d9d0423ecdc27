"""Make a course folder for nbgrader from the problem sets.

    python -m tools.course

`_build/course` then has, for each set, the assignment `psN` with its source (solutions), the
released student's edition, and the gradebook in which nbgrader keeps points. A gradebook that is
there already is kept.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbgrader.apps import NbGraderAPI

from tools.command import arguments
from tools.problems import grader_settings, instructor_edition, problem_sets
from tools.project import BuildError, Project


def assignment_of(source: Path) -> str:
    """The assignment's name, `ps1` for `1_name.md`."""
    return f"ps{source.stem.split('_')[0]}"


def write_course(project: Project, course: Path) -> list[str]:
    """Write the sources and settings of a course and release every assignment.

    Returns:
        The assignments' names.

    Raises:
        BuildError: nbgrader does not accept a source. The message is its log.
    """
    course.mkdir(parents=True, exist_ok=True)
    shutil.copy(project.problems / "nbgrader_config.py", course)
    beside_python = f"{Path(sys.executable).parent}{os.pathsep}"  # nbgrader calls alembic
    os.environ["PATH"] = beside_python + os.environ["PATH"]
    settings = grader_settings(project)
    settings.CourseDirectory.root = str(course)
    api = NbGraderAPI(config=settings)
    api.log.setLevel("ERROR")
    for source in problem_sets(project):
        name = assignment_of(source)
        folder = course / "source" / name
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(instructor_edition(source), folder / f"{source.stem}.ipynb")
        done = api.generate_assignment(name, force=True)
        if not done["success"]:
            raise BuildError(f"{source.name} is not released:\n{done['log']}")
    return [assignment_of(source) for source in problem_sets(project)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = arguments(__doc__)
    args = parser.parse_args(argv)
    project = Project(args.root)
    try:
        names = write_course(project, project.build / "course")
    except BuildError as error:
        print(f"course: {error}")
        return 1
    print(f"The course folder is {project.build / 'course'}, with {', '.join(names)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
