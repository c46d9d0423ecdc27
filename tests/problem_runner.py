"""Solve a problem set, leave its answers out one at a time, and give typical other ones."""

import re
import time
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
    other: list[tuple[dict[str, str], list[str]]] = field(default_factory=list)
    """Each right answer of another kind, and what the checks raised: they should not."""
    seconds: float = 0.0
    """Processor time of the cells with all solutions, without the imports of the library."""


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
    return _listed(source)["mistake"]


def other_answers_of(source):
    """The right answers of another kind that are listed for a set."""
    return _listed(source).get("right", [])


def _listed(source):
    listed = source.parent / "mistakes" / f"{source.stem}.toml"
    return tomllib.loads(listed.read_text(encoding="utf-8"))


def editions(source):
    """The cells of the instructor's edition and of the student's."""
    student = student_edition(source, grader_settings(PROJECT))
    return instructor_edition(source).cells, student.cells


@cache
def play(source):
    """Run a set from top to bottom with all solutions; try what else students do on the way."""
    solved, left_open = editions(source)
    played, names = Played(), {"__name__": "__main__"}
    tried = [(played.mistaken, mistakes_of(source)), (played.other, other_answers_of(source))]
    with _quiet():
        for cell, student in zip(solved, left_open, strict=True):
            if cell.cell_type != "code" or "remove-cell" in cell.metadata.get("tags", []):
                continue
            if is_answer(cell):
                own = facts(cell)["grade_id"]
                checks = [c for c in solved if is_check(c) and answer_of(c) == own]
                _execute(student.source, names, student.id)
                played.opened |= {facts(c)["grade_id"]: _raised(c, names) for c in checks}
                for kept, answers in tried:
                    for answer in (a for a in answers if a["answer"] == own):
                        _execute(cell.source, names, cell.id)
                        _execute(answer["code"], names, answer["answer"])
                        told = [_raised(c, names) for c in checks]
                        kept.append((answer, [str(error) for error in told if error]))
            begun = time.process_time()
            _execute(cell.source, names, cell.id)
            played.seconds += time.process_time() - begun
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
