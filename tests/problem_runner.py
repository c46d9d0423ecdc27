"""Solve a problem set, leave its answers out one at a time, and give typical wrong ones."""

import re
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from unittest.mock import patch

import matplotlib.pyplot as plt
import torch

from tools.problems import grader_settings, instructor_edition, student_edition
from tools.project import ROOT, Project

PROJECT = Project(ROOT)


@dataclass
class Played:
    """What the checks of a set said."""

    opened: dict[str, Exception | None] = field(default_factory=dict)
    """By check: what it raised while its answer was open."""
    mistaken: list[tuple[dict[str, str], list[str]]] = field(default_factory=list)
    """Each typical mistake, and what the checks of its answer raised."""


def facts(cell):
    """What nbgrader knows of a cell."""
    return cell.metadata.get("nbgrader", {})


def is_answer(cell):
    return cell.cell_type == "code" and facts(cell).get("solution", False)


def is_check(cell):
    return cell.cell_type == "code" and facts(cell).get("grade", False)


def answer_of(check):
    """The grade_id of the answer that a check is about."""
    return re.sub(r"-check(-\d+)?$", "", facts(check)["grade_id"])


def mistakes_of(source):
    """The typical mistakes that are listed for a set."""
    listed = source.parent / "mistakes" / f"{source.stem}.toml"
    return tomllib.loads(listed.read_text(encoding="utf-8"))["mistake"]


def editions(source):
    """The cells of the instructor's edition and of the student's."""
    student = student_edition(source, grader_settings(PROJECT))
    return instructor_edition(source).cells, student.cells


@cache
def play(source):
    """Run a set from top to bottom with all solutions; try what else students do on the way."""
    solved, left_open = editions(source)
    played, names = Played(), {"__name__": "__main__"}
    mistakes = mistakes_of(source)
    with _quiet():
        for cell, student in zip(solved, left_open, strict=True):
            if cell.cell_type != "code" or "remove-cell" in cell.metadata.get("tags", []):
                continue
            if is_answer(cell):
                own = facts(cell)["grade_id"]
                checks = [c for c in solved if is_check(c) and answer_of(c) == own]
                _execute(student.source, names, student.id)
                played.opened |= {facts(c)["grade_id"]: _raised(c, names) for c in checks}
                for mistake in (m for m in mistakes if m["answer"] == own):
                    _execute(cell.source, names, cell.id)
                    _execute(mistake["code"], names, "mistake")
                    raised = [str(_raised(c, names)) for c in checks]
                    played.mistaken.append((mistake, raised))
            _execute(cell.source, names, cell.id)
    return played


def _execute(code, names, where):
    exec(compile(code, where, "exec"), names)


def _raised(check, names):
    try:
        _execute(check.source, names, check.id)
    except Exception as error:
        return error
    return None


@contextmanager
def _quiet():
    """No window for a figure, one thread, and everything as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with plt.rc_context(), patch.object(plt, "show", lambda: plt.close("all")):
            yield
    finally:
        torch.set_num_threads(threads)
