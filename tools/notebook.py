"""Read a notebook's MyST source, its cells and its parameters."""

import ast
import math
import re
from pathlib import Path

import jupytext
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode

from tools.project import BuildError, Parameter

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

SCALARS: dict[str, type[Parameter]] = {"str": str, "int": int, "float": float, "bool": bool}


def read_source(source: Path) -> NotebookNode:
    """Read a MyST notebook and number its cells' ids, `<stem>-000` and so on.

    The reader draws cell ids at random. With fixed ones two runs of a notebook can be compared.

    Raises:
        BuildError: It is no such notebook. The message names it.
    """
    return parse_source(source, source.read_bytes())


def parse_source(source: Path, content: bytes) -> NotebookNode:
    """As `read_source`, of what was in the file when it was read."""
    try:
        text = content.decode("utf-8")
        notebook = jupytext.reads(text, fmt="md:myst", config=load_jupytext_config(str(source)))
    except Exception as error:  # the reader has no kind of its own for what it cannot read
        raise BuildError(f"{source.name} is no MyST notebook in UTF-8: {error}") from error
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{source.stem}-{index:03d}"
    return notebook


def parameters_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells tagged `parameters`."""
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def declared_parameters(notebook: NotebookNode) -> dict[str, Parameter]:
    """The parameters of a notebook and their default values.

    Raises:
        BuildError: There is not exactly one `parameters` cell, or a line in it is not of the form
            `name: type = value` with one of the types `str`, `int`, `float`, `bool`.
    """
    cells = parameters_cells(notebook)
    if len(cells) != 1:
        raise BuildError(f"{len(cells)} cells are tagged `parameters`, there must be exactly one")
    try:
        lines = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise BuildError(f"the `parameters` cell is not Python: {error}") from error
    return dict(_declaration(line) for line in lines)


def _declaration(statement: ast.stmt) -> tuple[str, Parameter]:
    match statement:
        case ast.AnnAssign(ast.Name(name), ast.Name(annotation), ast.expr() as value):
            default = ast.literal_eval(value)
            if annotation in SCALARS and isinstance(default, SCALARS[annotation]):
                return name, default
    raise BuildError(
        f"`{ast.unparse(statement)}` in the `parameters` cell must read `name: type = value` "
        f"with a type out of {', '.join(SCALARS)} and a value of that type"
    )


def parse_parameter(name: str, text: str, default: Parameter) -> Parameter:
    """Turn a command line's `text` into a value of the same type as `default`.

    Raises:
        BuildError: The text is not a value of that type.
    """
    kind = type(default)
    if kind is str:
        return text
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is int and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    if kind is float and NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise BuildError(f"parameter {name} must be of type {kind.__name__}, got {text!r}")
