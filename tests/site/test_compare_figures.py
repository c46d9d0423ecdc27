"""Figures that changed, appeared or vanished are named; what fonts and last digits do passes."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from project_cases import FIGURE, notebook

from tools import compare_figures
from tools.compare_figures import changes, fingerprint
from tools.notebook import read_source
from tools.project import Project


def drawn(**changed):
    """A figure with two curves, as PNG."""
    look = {"colour": "C0", "shift": 0.0, "title": "", "width": 6.0, "font": 10.0} | changed
    x = np.linspace(0, 1, 50)
    with plt.rc_context({"font.size": look["font"]}):
        fig, ax = plt.subplots(figsize=(look["width"], 3), layout="constrained")
        ax.plot(x, x**2 + look["shift"], color=look["colour"], linewidth=2)
        ax.plot(x, 1 - x, "k--")
        ax.set_title(look["title"])
        stream = io.BytesIO()
        fig.savefig(stream, dpi=100)
        plt.close(fig)
    return stream.getvalue()


@pytest.fixture(scope="module")
def accepted():
    return {"fig-a": fingerprint(drawn())}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"shift": 1e-3}, []),
        ({"shift": 0.15}, ["fig-a differs by"]),
        ({"colour": "C3"}, ["fig-a differs by"]),
        ({"title": "Another title"}, ["fig-a differs by"]),
        ({"width": 7.0}, ["fig-a was 600 × 300 pixels large and is 700 × 300"]),
    ],
)
def test_what_counts_as_a_change(accepted, changed, told):
    found = changes(accepted, {"fig-a": fingerprint(drawn(**changed))})
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_new_and_vanished_figures_are_named(accepted):
    assert changes(accepted, {"fig-b": accepted["fig-a"]}) == ["fig-a vanished", "fig-b is new"]


@pytest.fixture
def project(tmp_path):
    """A project whose notebook was executed and drew a figure."""
    project = Project(tmp_path)
    source = project.notebooks / "01_line.md"
    copy = project.executed("paper") / "01_line.ipynb"
    for folder in (source.parent, copy.parent, tmp_path / "tests"):
        folder.mkdir(parents=True)
    source.write_text(notebook(FIGURE), encoding="utf-8")
    put(copy, drawn())
    return project


def put(copy, picture):
    """Write an executed copy with this picture."""
    executed = read_source(copy.parents[3] / "notebooks" / f"{copy.stem}.md")
    data = {"image/png": base64.b64encode(picture).decode()}
    for cell in executed.cells:
        if "mystnb" in cell.metadata:
            cell.outputs = [nbformat.v4.new_output("display_data", data)]
    nbformat.write(executed, copy)


def run(project, *options):
    return compare_figures.main(["--root", str(project.root), *options])


def test_a_change_fails_until_it_is_accepted(project, capsys):
    copy = project.executed("paper") / "01_line.ipynb"
    assert run(project) == 2
    assert "`make figures` writes it" in capsys.readouterr().err
    assert run(project, "--accept") == 0
    assert run(project) == 0
    put(copy, drawn(shift=0.15))
    capsys.readouterr()
    assert run(project) == 1
    assert "fig-line differs by" in capsys.readouterr().err
    assert run(project, "--accept") == 0
    assert run(project) == 0
    copy.unlink()
    assert run(project) == 2
    assert "01_line is not executed" in capsys.readouterr().err
