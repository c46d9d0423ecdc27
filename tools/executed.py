"""Read executed notebooks, each once however often they are asked for."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cbnlib.book.notebook import NOT_AVAILABLE

QUOTED = re.compile(r"\{glue:\w*\}`(?:[^`:]*?(\w+)\.ipynb::)?([^`:]+)(?::[^`]*)?`")
"""A result in Markdown: the stem of the notebook that it is from, if another one, and its name."""


def read_executed(copy: Path) -> NotebookNode:
    """Read an executed notebook, not to be changed."""
    return _read(copy, copy.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read(copy: Path, _changed: int) -> NotebookNode:
    return nbformat.read(copy, as_version=4)


def is_stand_in(notebook: NotebookNode) -> bool:
    """Whether this stands in place of a chapter that failed."""
    return "failure" in notebook.metadata.get("companion", {})


def links(stems: Iterable[str]) -> str:
    """Links to chapters, in Markdown."""
    return ", ".join(f"{{doc}}`/notebooks/{stem}`" for stem in stems)


def without_missing(text: str, folder: Path, own: str) -> str:
    """Markdown that says *not available* where it quotes what a notebook does not have.

    That is each result of a chapter that failed, and each number that training did not give. To the
    words glued for it MyST-NB would apply the number format of `` {glue:text}`key:.2f` `` and fail.

    Args:
        text: The Markdown.
        folder: Where the executed notebooks lie.
        own: The stem of the page's own notebook, if it is one.
    """

    def replace(found: re.Match[str]) -> str:
        copy = folder / f"{found[1] or own}.ipynb"
        gone = copy.exists() and _gives_nothing(read_executed(copy), found[2].strip())
        return NOT_AVAILABLE if gone else found[0]

    return QUOTED.sub(replace, text)


def _gives_nothing(notebook: NotebookNode, name: str) -> bool:
    if is_stand_in(notebook):
        return True
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    glued = [o for o in outputs if o.get("metadata", {}).get("scrapbook", {}).get("name") == name]
    return any(NOT_AVAILABLE in output["data"].values() for output in glued)
