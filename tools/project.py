"""Where things lie in the repository."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TITLE = re.compile(r"^# .*$", re.MULTILINE)
"""The title of a notebook, in Markdown."""

Parameter = str | int | float | bool
"""What a parameter of a notebook may be."""


class BuildError(Exception):
    """The build cannot go on. The message says what to do."""


class Project:
    """The folders of a repository.

    Args:
        root: Its root.
        build: Where everything goes that can be made again. By default `_build` in the root.
    """

    def __init__(self, root: Path = ROOT, build: Path | None = None) -> None:
        self.root = root
        self.notebooks = root / "notebooks"  # a MyST `.md` and an `.ipynb` each
        self.problems = root / "problems"  # the problem sets, with solutions
        self.students = self.problems / "student"  # their editions without solutions
        self.book = root / "book"  # the text pages, with the table of contents
        self.records = root / "records"  # results of full-size runs, and of measurements
        self.stability = self.records / "stability"  # verdicts of many builds
        self.durations = self.notebooks / "durations.json"  # seconds where the book was made
        self.build = build or root / "_build"
        self.source = self.build / "source"  # Sphinx's, with pages, executed notebooks, figures
        self.site = self.build / "html"  # the rendered book
        self.runs = self.build / "runs"  # full-size runs without a record
        self.searches = self.build / "searches"  # searches over budgets without a table
        self.measured_durations = self.build / "durations.json"  # seconds here

    @classmethod
    def of_source(cls, source: Path) -> "Project":
        """The project with this Sphinx source folder."""
        return cls(source.parents[1])

    def executed(self, profile: str) -> Path:
        """The executed notebooks of a profile."""
        return self.build / "executed" / profile

    def failed(self, profile: str) -> Path:
        """What failed executions left, to look into, and what went wrong."""
        return self.build / "failed" / profile

    @property
    def caches(self) -> dict[str, str]:
        """Environment variables that keep caches in the build folder, none if the home will do."""
        if os.access(Path.home(), os.W_OK):
            return {}
        names = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
        return {name: str(self.build / "cache" / name.lower()) for name in names}

    def sources(self, names: Sequence[str] = ()) -> list[Path]:
        """The `.md` notebooks, or those that `names` pick by stem or by number.

        Raises:
            BuildError: A name picks no notebook, or there are no notebooks.
        """
        every = files_in(self.notebooks, "*.md")
        if not every:
            raise BuildError(f"no notebooks (*.md) in {self.notebooks}")
        if not names:
            return every
        picked = {source for name in names for source in _matching(name, every)}
        return sorted(picked)


def files_in(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files of a folder that match a pattern, in order, without what is hidden.

    Editors, Jupyter and interrupted copies leave hidden files and folders, which are nobody's work.
    """
    paths = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(path for path in paths if "/." not in f"/{path.relative_to(folder).as_posix()}")


def _matching(name: str, sources: list[Path]) -> list[Path]:
    found = [s for s in sources if s.stem == name or s.stem.startswith(f"{name}_")]
    if not found:
        there = ", ".join(source.stem for source in sources)
        raise BuildError(f"no notebook is called {name!r}; there are: {there}")
    return found
