"""nbgrader accepts the course folder, and marks what students hand in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from problem_runner import PROJECT, facts, is_answer

from tools.problems import instructor_edition, problem_sets
from tools.project import Project

SOURCE = problem_sets(PROJECT)[0]
POINTS = """
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db", "which-frequencies") as book:
    for handed_in in book.assignment_submissions("ps1"):
        print(handed_in.student.id, handed_in.score, handed_in.max_code_score, handed_in.max_score)
"""


def run(folder, *command):
    """Run a module or code with this Python, as a teacher would in the course folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(PROJECT.root)}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hand_in(course, student, notebook):
    folder = course / "submitted" / student / "ps1"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{SOURCE.stem}.ipynb")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with the first set, for which one student did everything and one did nothing."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.problems.mkdir()
    for file in ("nbgrader_config.py", SOURCE.name):
        shutil.copy(PROJECT.problems / file, project.problems)
    run(PROJECT.root, "-m", "tools.course", "--root", project.root)
    made = project.build / "course"
    released = nbformat.read(made / "release" / "ps1" / f"{SOURCE.stem}.ipynb", as_version=4)
    hand_in(made, "nothing", released)
    for cell, solved in zip(released.cells, instructor_edition(SOURCE).cells, strict=True):
        if is_answer(cell):
            cell.source = solved.source
    hand_in(made, "everything", released)
    run(made, "-m", "nbgrader", "autograde", "ps1", "--create")
    return made


def test_nbgrader_releases_what_is_committed(course):
    released = nbformat.read(course / "release" / "ps1" / f"{SOURCE.stem}.ipynb", as_version=4)
    committed = nbformat.read(PROJECT.students / f"{SOURCE.stem}.ipynb", as_version=4)
    assert released.cells == committed.cells


def test_points_of_who_did_everything_and_who_did_nothing(course):
    cells = instructor_edition(SOURCE).cells
    most = sum(facts(cell).get("points", 0) for cell in cells)
    by_checks = sum(facts(cell).get("points", 0) for cell in cells if cell.cell_type == "code")
    lines = [line.split() for line in run(course, "-c", POINTS).splitlines()]
    assert sorted((student, *map(float, numbers)) for student, *numbers in lines) == [
        ("everything", by_checks, by_checks, most),
        ("nothing", 0, by_checks, most),
    ]
