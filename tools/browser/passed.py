"""Which pages passed the check: one that would load the same bytes again needs no second look.

The two editions share about half of their pages. A page is known by the contents of everything that
it asked for when it was checked; a change of the checks or of the browser forgets them all.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tools.digest import files_digest
from tools.pages import Page
from tools.project import ROOT, Project

NAME = "browser_passed.json"


class Passed:
    """The pages that passed, kept in the build folder."""

    def __init__(self, project: Project, browser: str) -> None:
        """Read what is kept, if it was found by the same checks in the same browser.

        Args:
            project: Whose site is checked.
            browser: The browser's version.
        """
        self._site, self._path = project.site, project.build / NAME
        checks = [*(ROOT / "tools").rglob("*.py"), ROOT / "constraints.txt"]
        self._checks = files_digest(ROOT, checks, browser)
        kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        same = kept.get("checks") == self._checks
        self._files: dict[str, list[str]] = kept["files"] if same else {}
        self._digests: dict[str, str] = kept["digests"] if same else {}

    def holds(self, page: Page) -> bool:
        """Whether a page passed, and all that it loaded then is as it was."""
        files = [self._site / name for name in self._files.get(page.name, [])]
        if not files or not all(map(Path.is_file, files)):
            return False
        return files_digest(self._site, files) == self._digests[page.name]

    def note(self, page: Page, files: Iterable[Path]) -> None:
        """Remember that a page passed, and the files that it asked for."""
        files = sorted({page.path, *files})
        self._files[page.name] = [file.relative_to(self._site).as_posix() for file in files]
        self._digests[page.name] = files_digest(self._site, files)

    def write(self) -> None:
        """Keep what is remembered, in one step: a reader never finds half of it."""
        facts = {"checks": self._checks, "files": self._files, "digests": self._digests}
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(self._path)
