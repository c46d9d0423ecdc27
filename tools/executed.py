"""Read executed notebooks, each once however many tables ask for it."""

import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbformat import NotebookNode

from cbnlib.book.notebook import NOT_AVAILABLE

if TYPE_CHECKING:
    from sphinx.environment import BuildEnvironment

FOLDER = "notebooks"
"""Where the book's source folder has them."""

QUOTED = re.compile(r"\{glue:\w*\}`(?:[^`:]*?(\w+)\.ipynb::)?[^`:]+(?::[^`]*)?`")
"""A result in Markdown, and the stem of the notebook that it is from, if that is another one."""


def read_executed(copy: Path) -> NotebookNode:
    """Read an executed notebook, not to be changed."""
    return _read(copy, copy.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read(copy: Path, _changed: int) -> NotebookNode:
    return nbformat.read(copy, as_version=4)


def read_chapter(env: "BuildEnvironment", stem: str) -> NotebookNode:
    """Read a notebook of the book that is being rendered, for a page that depends on it."""
    copy = Path(env.srcdir) / FOLDER / f"{stem}.ipynb"
    env.note_dependency(str(copy))
    return read_executed(copy)


def chapters(env: "BuildEnvironment") -> Iterator[tuple[str, NotebookNode]]:
    """The stems and contents of the notebooks of the book that is being rendered."""
    for copy in sorted((Path(env.srcdir) / FOLDER).glob("*.ipynb")):
        yield copy.stem, read_chapter(env, copy.stem)


def is_stand_in(notebook: NotebookNode) -> bool:
    """Whether this stands in place of a chapter that failed."""
    return "failure" in notebook.metadata.get("companion", {})


def missing(env: "BuildEnvironment") -> str:
    """In Markdown: the chapters that failed, so that nothing of them counts; empty if none did."""
    stems = [stem for stem, notebook in chapters(env) if is_stand_in(notebook)]
    told = "*Chapters that failed on this machine and are not counted:*"
    return f"{told} {links(stems)}." if stems else ""


def without_results(text: str, *stems: str) -> str:
    """Markdown that quotes no results of some notebooks; the stem of its own is empty.

    >>> without_results("{glue:text}`notebooks/01_a.ipynb::norm:.1f`, {glue:text}`loss:g`", "01_a")
    'not available, {glue:text}`loss:g`'
    """
    return QUOTED.sub(lambda found: NOT_AVAILABLE if (found[1] or "") in stems else found[0], text)


def links(stems: Iterable[str]) -> str:
    """Links to chapters, in Markdown."""
    return ", ".join(f"{{doc}}`/{FOLDER}/{stem}`" for stem in stems)
