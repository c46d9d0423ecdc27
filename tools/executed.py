"""Read executed notebooks, each once however many tables ask for it."""

import functools
from pathlib import Path

import nbformat
from nbformat import NotebookNode

FOLDER = "notebooks"
"""Where the book's source folder has them."""


def read_executed(copy: Path) -> NotebookNode:
    """Read an executed notebook, not to be changed."""
    return _read(copy, copy.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read(copy: Path, _changed: int) -> NotebookNode:
    return nbformat.read(copy, as_version=4)
