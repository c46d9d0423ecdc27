"""Where things lie in the repository."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROFILES = ("quick", "paper", "smoke", "smoke-zeros", "smoke-diverged")
"""Editions of the book: `quick` trains live in minutes, `paper` is full size. The others force
extreme outcomes of training (`cbnlib.smoke`), to check that every notebook copes with them."""

ROOT = Path(__file__).resolve().parents[1]


class BuildError(Exception):
    """The build cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Project:
    """The folders of a repository with root `root`."""

    root: Path = ROOT

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
        """The Sphinx source folder."""
        return self.root / "book"

    @property
    def staged(self) -> Path:
        """The executed notebooks that the next rendering shows."""
        return self.book / "notebooks"

    @property
    def staged_problems(self) -> Path:
        """The student's editions that the next rendering shows."""
        return self.book / "problems"

    @property
    def figures(self) -> Path:
        """The notebooks' named figures, as files that other pages can show."""
        return self.book / "figures"

    @property
    def build(self) -> Path:
        """Everything that can be made again."""
        return self.root / "_build"

    @property
    def site(self) -> Path:
        """The rendered book."""
        return self.build / "html"

    @property
    def failed(self) -> Path:
        """What a failed execution left, to look into."""
        return self.build / "failed"

    def executed(self, profile: str) -> Path:
        """The executed notebooks of a profile."""
        return self.build / "executed" / profile

    def records(self, source: Path) -> Path:
        """The committed results of long runs that a notebook draws."""
        return self.root / "records" / source.stem

    def runs(self, source: Path) -> Path:
        """Where a notebook's full-size runs without a record are trained."""
        return self.build / "runs" / source.stem

    def sources(self, names: Sequence[str] = ()) -> list[Path]:
        """The `.md` notebooks, or those that `names` pick by stem or by number.

        Raises:
            BuildError: A name picks no notebook, or there are no notebooks.
        """
        every = sorted(self.notebooks.glob("*.md"))
        if not every:
            raise BuildError(f"no notebooks (*.md) in {self.notebooks}")
        if not names:
            return every
        picked = {source for name in names for source in _matching(name, every)}
        return sorted(picked)


def _matching(name: str, sources: list[Path]) -> list[Path]:
    found = [s for s in sources if s.stem == name or s.stem.startswith(f"{name}_")]
    if not found:
        there = ", ".join(source.stem for source in sources)
        raise BuildError(f"no notebook is called {name!r}; there are: {there}")
    return found
