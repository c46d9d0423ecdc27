"""Notebooks and library import what `pip install .` brings, nothing of the book's packages."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.notebook import imported_packages, read_source
from tools.project import ROOT, Project

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
EVERYWHERE = {*sys.stdlib_module_names, "cbnlib", "IPython"}
"""Where a notebook runs, there is IPython."""


def foreign(packages):
    """Those that a plain installation lacks."""
    distributions = packages_distributions()
    names = {
        package: {canonicalize_name(name) for name in distributions.get(package, [])}
        for package in packages - EVERYWHERE
    }
    return sorted(package for package, found in names.items() if not found & CORE)


@pytest.mark.parametrize("source", Project().sources(), ids=lambda path: path.stem)
def test_a_notebook_needs_no_package_of_the_book(source):
    assert foreign(imported_packages(read_source(source))) == []


def test_the_library_needs_no_package_of_the_book_to_be_imported():
    found = set()
    for path in (ROOT / "cbnlib").rglob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import):
                found |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                found.add(statement.module.split(".")[0])
    assert "torch" in found
    assert foreign(found) == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import json, sklearn.svm\nfrom PIL import Image", []),
        ("def late():\n    from myst_nb import glue", ["myst_nb"]),
        ("%pip install x\nimport papermill as pm, sphinx.util", ["papermill", "sphinx"]),
        ("import no_such_package", ["no_such_package"]),
    ],
)
def test_what_is_foreign(code, told):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    assert foreign(imported_packages(notebook)) == told
