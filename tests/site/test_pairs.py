"""The notebooks are what CONTRIBUTING.md asks of them, and their two forms are in step."""

import shutil

import nbformat
import pytest

from tools.notebook import declared_parameters, parameters_cells, read_source
from tools.pair import PAIRS, main
from tools.project import ROOT, BuildError, Project, files_in

PROJECT = Project(ROOT)
SOURCES = PROJECT.sources()
LONGEST_LINE = 86

each_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@pytest.fixture
def copied(tmp_path):
    """A copy of the notebooks to break."""
    hidden = shutil.ignore_patterns(".*")
    shutil.copytree(PROJECT.notebooks, tmp_path / "notebooks", ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return Project(tmp_path)


@each_notebook
def test_parameters(source):
    notebook = read_source(source)
    assert len(parameters_cells(notebook)) == 1
    parameters = declared_parameters(notebook)
    assert parameters["profile"] == "quick"
    assert type(parameters["seed"]) is int


@each_notebook
def test_visible_code_fits_the_page(source):
    """A longer line is cut off on a page 1400 pixels wide."""
    cells = [cell for cell in read_source(source).cells if cell.cell_type == "code"]
    shown = [cell for cell in cells if "remove-cell" not in cell.metadata.get("tags", [])]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_writing_pairs_is_repeatable(copied):
    PAIRS.write(copied)
    for committed in files_in(PROJECT.notebooks, "*.*"):
        assert (copied.notebooks / committed.name).read_bytes() == committed.read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("\n# ", "\n# More on ", "{stem}.ipynb differs from {stem}.md"),
        ("formats: md:myst,ipynb", "formats: md:myst", "{stem}.md does not say `formats:"),
        ("kernelspec:", "kernel:", "{stem}.md names no kernelspec"),
    ],
)
def test_a_source_out_of_step_is_named(copied, capsys, old, new, told):
    source = copied.sources()[0]
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main(["--check", "--root", str(copied.root)]) == 1
    assert told.format(stem=source.stem) in capsys.readouterr().out


def test_missing_and_stray_pairs_are_named(copied):
    pairs = sorted(copied.notebooks.glob("*.ipynb"))
    pairs[0].rename(copied.notebooks / "stray.ipynb")
    assert PAIRS.out_of_step(copied) == [
        f"{pairs[0].name} is missing",
        "stray.ipynb has no stray.md",
    ]


@pytest.mark.parametrize("line", ["seed = 0", "seed: int = 0.5", "seed: list = []", "print(1)"])
def test_untyped_parameters_are_refused(line):
    cell = nbformat.v4.new_code_cell(line, metadata={"tags": ["parameters"]})
    with pytest.raises(BuildError, match="must read"):
        declared_parameters(nbformat.v4.new_notebook(cells=[cell]))
