"""Where things lie in the repository."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TITLE = re.compile(r"^# .*$", re.MULTILINE)
"""The title of a notebook, in Markdown."""


class BuildError(Exception):
    """The build cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Project:
    """The folders of a repository with root `root`."""

    root: Path = ROOT
    build_folder: Path | None = None
    """Where everything goes that can be made again; None for `_build` in the root."""

    @property
    def notebooks(self) -> Path:
        """The committed notebooks, a MyST `.md` and an `.ipynb` each."""
        return self.root / "notebooks"

    @property
    def problems(self) -> Path:
        """The problem sets, with solutions."""
        return self.root / "problems"

    @property
    def students(self) -> Path:
        """The student's editions of the problem sets, without solutions; committed."""
        return self.problems / "student"

    @property
    def book(self) -> Path:
        """The text pages, with the table of contents."""
        return self.root / "book"

    @property
    def build(self) -> Path:
        """Everything that can be made again."""
        return self.build_folder or self.root / "_build"

    @property
    def source(self) -> Path:
        """The Sphinx source folder: the book's pages, the executed notebooks, their figures."""
        return self.build / "source"

    @classmethod
    def of_source(cls, source: Path) -> "Project":
        """The project with this Sphinx source folder."""
        return cls(source.parents[1])

    @property
    def site(self) -> Path:
        """The rendered book."""
        return self.build / "html"

    def failed(self, profile: str) -> Path:
        """What failed executions left, to look into, and what went wrong."""
        return self.build / "failed" / profile

    def stand_ins(self, profile: str) -> Path:
        """What the book shows in place of chapters that failed."""
        return self.build / "stand-ins" / profile

    @property
    def caches(self) -> dict[str, str]:
        """Environment variables that keep caches in the build folder; none if the home will do."""
        if os.access(Path.home(), os.W_OK):
            return {}
        names = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
        return {name: str(self.build / "cache" / name.lower()) for name in names}

    def executed(self, profile: str) -> Path:
        """The executed notebooks of a profile."""
        return self.build / "executed" / profile

    @property
    def durations(self) -> Path:
        """Seconds that each notebook took where the book was made, by profile; committed."""
        return self.notebooks / "durations.json"

    @property
    def measured_durations(self) -> Path:
        """The same, of executions in this folder."""
        return self.build / "durations.json"

    @property
    def stability(self) -> Path:
        """The verdicts of many builds (`tools.stability`)."""
        return self.records / "stability"

    @property
    def records(self) -> Path:
        """The committed results of full-size runs, a folder each, and of measurements."""
        return self.root / "records"

    @property
    def runs(self) -> Path:
        """Where full-size runs without a record are trained."""
        return self.build / "runs"

    @property
    def searches(self) -> Path:
        """Where searches over budgets without a table are made."""
        return self.build / "searches"

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
