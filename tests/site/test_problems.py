"""The problem sets can be solved, give nothing away, and answer mistakes in plain words."""

import re

import nbformat
import pytest
from problem_runner import (
    PROJECT,
    answer_of,
    editions,
    facts,
    is_answer,
    is_check,
    mistakes_of,
    other_answers_of,
    play,
)

from tools import problems
from tools.notebook import read_source
from tools.project import Project

SETS = problems.problem_sets(PROJECT)
LONGEST_CELL = 15
LONGEST_LINE = 86
SECONDS = 60  # what the pages promise; on the machine of the book it is a third of that
LISTED = ("Learning goals", "Prerequisites", "Time", "Points")

each_set = pytest.mark.parametrize("source", SETS, ids=lambda source: source.stem)


def points(cells):
    return sum(facts(cell).get("points", 0) for cell in cells)


def written(cells):
    return [cell for cell in cells if cell.cell_type == "markdown" and facts(cell)]


def test_editions_are_in_step():
    assert problems.EDITIONS.out_of_step(PROJECT) == []


@each_set
def test_every_answer_is_right_and_every_open_one_names_its_task(source):
    """The task named by the error is the one whose heading stands above the check."""
    opened, task, wrong = dict(play(source).opened), "", {}
    for cell in read_source(source).cells:
        if found := re.search(r"^## (Task \d\.\d)", cell.source, re.MULTILINE):
            task = found[1]
        if is_check(cell):
            error = opened.pop(facts(cell)["grade_id"])
            if f"{task} " not in str(error) or len(str(error)) < 30:
                wrong[task] = repr(error)
    assert (wrong, opened) == ({}, {})


@each_set
def test_typical_mistakes_are_named(source):
    played = play(source)
    assert [mistake for mistake, _ in played.mistaken] != []
    assert len(played.mistaken) == len(mistakes_of(source)), "an unknown answer is named"
    missed = [(m["told"], raised) for m, raised in played.mistaken if m["told"] not in str(raised)]
    assert missed == []


@each_set
def test_right_answers_of_another_kind_pass(source):
    played = play(source)
    assert len(played.other) == len(other_answers_of(source)), "an unknown answer is named"
    assert [(answer["code"], told) for answer, told in played.other if told] == []


@each_set
def test_the_computer_takes_less_than_a_minute(source):
    assert 0 < play(source).seconds < SECONDS


@each_set
def test_the_students_edition_gives_nothing_away(source):
    solved, left_open = editions(source)
    for cell, student in zip(solved, left_open, strict=True):
        assert "SOLUTION" not in student.source
        assert not student.get("outputs")
        assert not student.get("execution_count")
        region = re.search(r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", cell.source, re.DOTALL)
        if region:
            assert region[1] not in student.source
            assert "# YOUR CODE HERE" in student.source
        elif facts(cell).get("solution"):
            assert student.source == "*Your answer here: double-click to edit.*"
        else:
            assert student.source == cell.source
    everything = "\n".join(cell.source for cell in left_open)
    hidden = [line for line in _solution_lines(solved) if len(line) > 25 and line in everything]
    assert hidden == []


@each_set
def test_hints_do_not_hold_the_answer(source):
    """A hint may name a function of NumPy or torch; the expression is for the student to find."""
    told = []
    for cells in _tasks(read_source(source).cells):
        solutions = "".join("".join(_solution_lines(cells)).split())
        text = "\n".join(cell.source for cell in cells)
        hints = "\n".join(re.findall(r"<details>(.+?)</details>", text, re.DOTALL))
        spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", hints)
        formulas = [span for span in spans if re.search(r" ([-+*/%]|//|\*\*|==) ", span)]
        own = [span for span in formulas if not span.startswith(("np.", "torch."))]
        told += [span for span in own if "".join(span.split()) in solutions]
    assert told == []


def _tasks(cells):
    """The cells of each task, from its heading on."""
    tasks = [[]]
    for cell in cells:
        tasks += [[]] if cell.source.startswith("## Task") else []
        tasks[-1].append(cell)
    return tasks


@pytest.mark.parametrize(
    ("stem", "before", "unsaid"),
    [
        ("2_linear_cost", "## Task 2.3", r"2\s*/\s*L|\\frac2L"),
        ("4_downsampling", "The training: three seeds", r"three pixels|3 pixels"),
    ],
)
def test_what_is_to_be_found_is_not_said_before(stem, before, unsaid):
    [source] = [source for source in SETS if source.stem == stem]
    _, left_open = editions(source)
    text = "\n".join(cell.source for cell in left_open)
    assert before in text
    assert re.findall(unsaid, text.split(before)[0]) == []


def _solution_lines(cells):
    for cell in cells:
        if facts(cell).get("solution"):
            regions = r"### BEGIN SOLUTION\n(.*?)### END SOLUTION"
            for region in re.findall(regions, cell.source, re.DOTALL) or [cell.source]:
                yield from (line.strip() for line in region.splitlines())


@each_set
def test_answers_are_functions_with_a_region_and_a_check(source):
    cells = read_source(source).cells
    checked = {answer_of(cell) for cell in cells if is_check(cell)}
    for cell in filter(is_answer, cells):
        assert "### BEGIN SOLUTION" in cell.source, cell.id
        assert "raise NotImplementedError" in cell.source.split("### END SOLUTION")[-1], cell.id
        assert facts(cell)["grade_id"] in checked, cell.id
    assert checked == {facts(cell)["grade_id"] for cell in filter(is_answer, cells)}


@each_set
def test_opening_and_points(source):
    cells = read_source(source).cells
    opening = cells[0].source
    assert opening.startswith(f"# Problem set {source.stem[0]}: ")
    assert [word for word in LISTED if f"- **{word}:** " not in opening] == []
    by_hand = points(written(cells))
    assert by_hand > 0
    stated = re.search(r"\*\*Points:\*\* (\d+), of which (\d+) for", opening)
    assert stated
    assert (int(stated[1]), int(stated[2])) == (points(cells), by_hand)


@each_set
def test_points_of_every_task(source):
    """The heading of a task says what its cells give."""
    stated, given = {}, {}
    task = ""
    for cell in read_source(source).cells:
        headings = r"^## (Task (\d)\.\d): .+ \((\d+) points?\)$"
        if found := re.search(headings, cell.source, re.MULTILINE):
            task, number, worth = found.groups()
            assert number == source.stem[0]
            stated[task] = int(worth)
        if facts(cell).get("grade"):
            given[task] = given.get(task, 0) + facts(cell)["points"]
    assert stated == given


@each_set
def test_cells(source):
    cells = read_source(source).cells
    ids = [facts(cell)["grade_id"] for cell in cells if facts(cell)]
    assert len(ids) == len(set(ids))
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [c.source for c in code if len(c.source.splitlines()) > LONGEST_CELL] == []
    shown = [c for c in code if "remove-cell" not in c.metadata.get("tags", [])]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > LONGEST_LINE] == []
    drawing = [c for c in code if "plt.show()" in c.source]
    assert [
        c for c in drawing if not c.metadata.get("mystnb", {}).get("image", {}).get("alt")
    ] == []
    text = "\n".join(cell.source for cell in cells)
    assert text.count("<details><summary>Hint</summary>\n\n") == text.count("\n\n</details>") > 0


@pytest.fixture
def copied(tmp_path):
    """The first problem set alone, to break."""
    folder = tmp_path / "problems"
    folder.mkdir()
    for file in ("nbgrader_config.py", SETS[0].name):
        (folder / file).write_bytes((PROJECT.problems / file).read_bytes())
    problems.EDITIONS.write(Project(tmp_path))
    return Project(tmp_path)


def test_writing_is_repeatable(copied):
    [edition] = copied.students.iterdir()
    assert edition.read_bytes() == (PROJECT.students / edition.name).read_bytes()
    assert nbformat.read(edition, as_version=4).metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Run the cells", "Run all cells", "differs from"),
        ("grade_id: block,", "grade_id: circulant,", "failed to validate"),
        ("    ### END SOLUTION", "", "no end solution statement found"),
    ],
)
def test_a_broken_set_is_named(copied, capsys, old, new, told):
    [source] = problems.problem_sets(copied)
    source.write_text(source.read_text("utf-8").replace(old, new), encoding="utf-8")
    assert problems.main(["--check", "--root", str(copied.root)]) == 1
    out = capsys.readouterr().out
    assert told in out
    assert source.name in out
