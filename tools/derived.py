"""Committed notebooks that a command writes from their MyST sources.

The same source gives the same bytes on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.command import arguments
from tools.project import BuildError, Project, files_in


@dataclass(frozen=True)
class Derived:
    """Such notebooks.

    Attributes:
        command: What writes them, for `make`.
        sources: Finds their sources.
        folder: Where they lie, from there.
        make: Makes one from its source. Raises `BuildError` if that cannot be.
    """

    command: str
    sources: Callable[[Project], list[Path]]
    folder: str
    make: Callable[[Path], NotebookNode]

    def write(self, project: Project) -> None:
        """Write them.

        Raises:
            BuildError: One cannot be made.
        """
        for source in self.sources(project):
            path, text = self._path(source), self._text(source)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def out_of_step(self, project: Project) -> list[str]:
        """What is wrong with those that are committed, a line each."""
        by_path = {self._path(source): source for source in self.sources(project)}
        problems = list(filter(None, map(self._problem, by_path.values())))
        there = [path for folder in {p.parent for p in by_path} for path in files_in(folder)]
        strays = [path for path in there if path.suffix == ".ipynb" and path not in by_path]
        return problems + [f"{Path(self.folder, p.name)} has no {p.stem}.md" for p in strays]

    def main(self, description: str | None, argv: Sequence[str] | None) -> int:
        """Run the command and return its exit status."""
        parser = arguments(description)
        parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
        args = parser.parse_args(argv)
        problems: list[str] = []
        try:
            if args.check:
                problems = self.out_of_step(Project(args.root))
            else:
                self.write(Project(args.root))
        except BuildError as error:
            problems = [str(error)]
        for problem in problems:
            print(f"{self.command}: {problem}")
        if problems:
            print(f"{self.command}: edit the .md, then run `make {self.command}`")
        return 1 if problems else 0

    def _path(self, source: Path) -> Path:
        return source.parent / self.folder / f"{source.stem}.ipynb"

    def _text(self, source: Path) -> str:
        notebook = self.make(source)
        nbformat.validate(notebook)
        return f"{nbformat.writes(notebook, version=4)}\n"

    def _problem(self, source: Path) -> str:
        path = self._path(source)
        name = Path(self.folder, path.name)
        if not path.exists():
            return f"{name} is missing"
        try:
            same = path.read_text(encoding="utf-8") == self._text(source)
        except BuildError as error:
            return str(error)
        return "" if same else f"{name} differs from {source.name}"
