"""Read executed notebooks, how they came about and what they hold for the pages to quote."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from cbnlib.book.notebook import NOT_AVAILABLE, ORIGINS

QUOTED = re.compile(r"\{glue:\w*\}`(?:[^`:]*?(\w+)\.ipynb::)?([^`:]+)(?::[^`]*)?`")
"""A result in Markdown, by the stem of its notebook, if another one, and its name."""

COMMIT_DIGITS = 7


def read_executed(copy: Path) -> NotebookNode:
    """Read an executed notebook, once however often it is asked for. It must not be changed."""
    return _read(copy, copy.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read(copy: Path, _changed: int) -> NotebookNode:
    return nbformat.read(copy, as_version=4)


def outputs_with(key: str, cells: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The outputs of a notebook's cells whose metadata have an entry under a key."""
    for cell in cells:
        yield from (out for out in cell.get("outputs", ()) if key in out.get("metadata", {}))


@dataclass(frozen=True)
class Execution:
    """What an executed notebook says of its execution.

    Attributes:
        edition: Its profile.
        seed: The parameter.
        environment: On what it ran, as `tools.execute` noted it.
        networks: How many came from records and how many were trained. Empty if it shows none.
        ended: When, in UTC.
        seconds: The whole of it.
        longest_cell: Seconds of the cell that took longest.
        memory_mb: The most memory its kernel had, in MB.
        records: Which ones it asked for, as the starts of their experiments' digests.
    """

    edition: str
    seed: str
    environment: Mapping[str, str]
    networks: Mapping[str, int]
    ended: datetime
    seconds: float
    longest_cell: float
    memory_mb: float
    records: tuple[str, ...] = ()

    @classmethod
    def of(cls, notebook: Mapping[str, Any]) -> "Execution":
        """Read it from a notebook's JSON."""
        ours, record = notebook["metadata"]["companion"], notebook["metadata"]["papermill"]
        networks: Counter[str] = Counter()
        for output in outputs_with(ORIGINS, notebook["cells"]):
            networks.update(output["metadata"][ORIGINS])
        return cls(
            edition=ours["profile"],
            seed=str(ours["parameters"]["seed"]),
            environment=ours["environment"],
            networks=dict(networks),
            ended=datetime.fromisoformat(record["end_time"]),
            seconds=record["duration"],
            longest_cell=ours["longest_cell"],
            memory_mb=ours["memory_mb"],
            records=tuple(ours.get("records", ())),
        )

    @property
    def library(self) -> str:
        """Version and commit of the library."""
        name, _, changes = self.environment.get("commit", "").partition(" ")
        commit = f"commit {name[:COMMIT_DIGITS]} {changes}".strip() if name else "no commit known"
        return f"cbnlib {self.environment['cbnlib']}, {commit}"

    @property
    def versions(self) -> str:
        """Python and the packages that compute."""
        names = {"python": "Python", "torch": "torch", "numpy": "numpy"}
        return ", ".join(f"{name} {self.environment[key]}" for key, name in names.items())

    @property
    def device(self) -> str:
        """Processor and threads."""
        threads = self.environment["threads"]
        return f"{self.environment['processor']}, {threads} thread{'s' * (threads != '1')}"

    def line(self) -> str:
        """All of it but the edition, on one line."""
        networks = ", ".join(f"{count} {kind}" for kind, count in self.networks.items())
        parts = [f"seed {self.seed}", *([f"networks: {networks}"] if networks else [])]
        when = f"{self.ended:%Y-%m-%d %H:%M} UTC, {self.seconds:.0f} s"
        return " · ".join([*parts, self.library, self.versions, self.device, when])


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
    glued = outputs_with("scrapbook", notebook.cells)
    mine = (output for output in glued if output["metadata"]["scrapbook"].get("name") == name)
    return any(NOT_AVAILABLE in output["data"].values() for output in mine)
