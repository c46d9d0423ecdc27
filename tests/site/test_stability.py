"""Verdicts over many builds: which change, and the mark that such a prediction gets."""

import json
from copy import deepcopy

import nbformat
import pandas as pd
import pytest
from claim_cases import stated
from nbformat.v4 import new_code_cell, new_notebook, new_output

from cbnlib.book.claims import KEY, claims_of
from tools import stability
from tools.facts import counts
from tools.project import Project
from tools.render import mark_unstable


def executed(folder, *claims, profile="quick"):
    """An executed notebook that states claims."""
    outputs = [new_output("display_data", c.shown(), metadata={KEY: c.facts()}) for c in claims]
    notebook = new_notebook(cells=[new_code_cell("x", outputs=outputs)])
    notebook.metadata["companion"] = {"profile": profile, "environment": {"torch": "2"}}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / "01_some.ipynb")
    return folder / "01_some.ipynb"


@pytest.fixture
def builds(tmp_path):
    """Records of two builds: of two equal predictions only the second changes."""
    for build, value in zip(stability.MATRIX, (3, 9), strict=False):
        project = Project(tmp_path, tmp_path / build.name)
        executed(project.executed("quick"), stated(1), stated(value), stated(1, "None is."))
        facts = stability.facts_of(build, project, ["01_some", "02_other"])
        project.stability.mkdir(parents=True, exist_ok=True)
        (project.stability / f"{build.name}.json").write_text(json.dumps(facts))
    return stability.records(Project(tmp_path))


CHANGING = ("01_some", "C1", "bump", "Few are kept.", 1)


def test_what_changes_is_found(builds):
    assert stability.changing(builds) == {CHANGING}
    table = stability.stated(builds).set_index(stability.KEY).sort_index()
    assert sorted(table.loc[CHANGING, "verdict"]) == ["not reproduced", "reproduced"]
    found = counts(builds)
    assert (found["builds"], found["complete"], found["predictions"]) == (2, 0, 3)
    assert (found["same"], found["most"], found["rest"]) == (2, 0, 1)
    assert (found["rounding"], found["pairs"]) == (1, 3)


def test_some_chapters_are_made_anew(builds):
    old = builds[0]
    assert old["failed"] == ["02_other"]
    new = old | {"chapters": {"02_other": []}, "failed": [], "environment": {"torch": "3"}}
    both = stability.merged(old, new, ["02_other"])
    assert both["failed"] == []
    assert both["chapters"] == old["chapters"] | {"02_other": []}
    assert both["environment"] == {"torch": "3"}
    gone = stability.merged(old, new | {"chapters": {}, "failed": ["01_some"]}, ["01_some"])
    assert (gone["failed"], gone["chapters"]) == (["01_some", "02_other"], {})


def test_values_of_all_builds_are_counted_together():
    scores = ["2 of 3 values within", "3 of 3 values within, 1 missing", "1 value"]
    assert stability.within(pd.Series(scores)) == "5 of 6"
    assert stability.within(pd.Series(scores[-1:])) == ""


def test_a_prediction_that_changes_is_marked_in_the_quick_edition(tmp_path):
    notebook = nbformat.read(executed(tmp_path, stated(1), stated(3)), as_version=4)
    mark_unstable(notebook, "01_some", {CHANGING})
    assert [claim.unstable for claim in claims_of(notebook)] == [False, True]
    told = [output.data["text/markdown"] for output in notebook.cells[0].outputs]
    assert ["(depends on the run)" in text for text in told] == [False, True]
    paper = nbformat.read(executed(tmp_path, stated(1), stated(3), profile="paper"), as_version=4)
    before = deepcopy(paper)
    mark_unstable(paper, "01_some", {CHANGING})
    assert paper == before


def test_an_unknown_build_is_refused(capsys):
    with pytest.raises(SystemExit):
        stability.main(["9-avx2"])
    assert "no build is called '9-avx2'; there are: 0-native" in capsys.readouterr().err
