"""The repository is found from every folder, or the error says what to do."""

import re
from pathlib import Path

import pytest

from cbnlib.book import where

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    (root / "records").mkdir(parents=True)
    (root / "notebooks" / "deep").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    return root


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/deep", "records"])
def test_the_root_is_found_from_the_folders_below(repository, folder, monkeypatch):
    monkeypatch.chdir(repository / folder)
    assert where.records_root() == repository / "records"


def test_an_editable_library_knows_its_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert where.records_root() == ROOT / "records"


@pytest.mark.parametrize("there", [[], ["pyproject.toml"], ["records/a"]])
def test_without_a_repository_the_error_says_what_to_do(there, tmp_path, monkeypatch):
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(where, "__file__", str(tmp_path / "site-packages" / "cbnlib" / "where.py"))
    with pytest.raises(FileNotFoundError, match=r"Clone .* profile 'quick' runs"):
        where.records_root()


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "notebooks").glob("*.md")), ids=lambda p: p.stem
)
def test_no_notebook_reads_beside_its_own_folder(notebook):
    code = re.findall(r"```\{code-cell\}.*?```", notebook.read_text(encoding="utf-8"), re.DOTALL)
    assert code
    assert [cell for cell in code if '"../' in cell] == []
