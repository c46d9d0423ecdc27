"""The core imports PyTorch and NumPy alone; notebooks what the extra `book` brings."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import nbformat
import pytest
from dependencies import brought
from IPython.core.inputtransformer2 import TransformerManager
from packaging.utils import canonicalize_name

from tools.notebook import read_source
from tools.project import ROOT, Project

ROOMS = {"network", "training", "spectra", "interventions", "theory"}
"""The core."""
EVERYWHERE = {*sys.stdlib_module_names, "cbnlib", "IPython"}
"""Where a notebook runs, there is IPython."""


def foreign(packages, *extras):
    """Those that an installation with these extras lacks."""
    distributions = packages_distributions()
    names = {
        package: {canonicalize_name(name) for name in distributions.get(package, [])}
        for package in packages - EVERYWHERE
    }
    return sorted(package for package, found in names.items() if not found & brought(*extras))


def imported_packages(notebook):
    """The packages that the code cells import."""
    manager = TransformerManager()
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    nodes = [n for source in code for n in ast.walk(ast.parse(manager.transform_cell(source)))]
    plain = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
    members = [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    return {name.split(".")[0] for name in plain + members}


@pytest.mark.parametrize("source", Project().sources(), ids=lambda path: path.stem)
def test_a_notebook_needs_no_package_of_the_book(source):
    assert foreign(imported_packages(read_source(source)), "book") == []


def run(code):
    """The error output of Python without the packages that are not the core's; empty if fine."""
    command = [sys.executable, "-c", BLOCK + code]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True).stderr


def test_the_core_needs_torch_and_numpy_alone():
    """Everything else is blocked; the README's first example runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    assert not run("".join(f"import cbnlib.{name}\n" for name in core_modules()) + first)


@pytest.mark.parametrize(("module", "extra"), [("runs.obtain", "runs"), ("book.plots", "plots")])
def test_a_missing_package_names_its_extra(module, extra):
    assert f'it comes with pip install "cbnlib[{extra}]"' in run(f"import cbnlib.{module}")


def core_modules():
    files = (path for room in sorted(ROOMS) for path in (ROOT / "cbnlib" / room).glob("*.py"))
    return [f"{path.parent.name}.{path.stem}".removesuffix(".__init__") for path in files]


BLOCKED = sorted({*brought("book", "build")} - brought() - {"cbnlib"})
BLOCK = f"""
import sys
from importlib.metadata import packages_distributions
import numpy, torch

class Block:
    names = {{p for p, found in packages_distributions().items() if {{*found}} & {{*{BLOCKED}}}}}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())
"""


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
    assert foreign(imported_packages(notebook), "book") == told
