"""Which pages passed the check, as one that would load the same bytes needs no second look.

The two editions share about half of their pages. A page is known by the contents of everything that
it asked for when it was checked. A change of the checks or of the browser forgets them all.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tools.digest import files_digest, stored_json
from tools.pages import Page
from tools.project import ROOT, Project


class Passed:
    """The pages that passed, kept in the build folder."""

    def __init__(self, project: Project, browser: str) -> None:
        """Read what is kept.

        Args:
            project: Whose site is checked.
            browser: The browser's version.
        """
        self._site, self._path = project.site, project.build / "browser_passed.json"
        checks = [*(ROOT / "tools").rglob("*.py"), ROOT / "constraints.txt"]
        self._checks = files_digest(ROOT, checks, browser)
        self._kept = stored_json(self._path)

    def holds(self, page: Page) -> bool:
        """Whether a page passed, and all that it loaded then is as it was."""
        kept = self._kept.get(page.name, {"files": [], "digest": ""})
        files = [self._site / name for name in kept["files"]]
        return all(map(Path.is_file, files)) and self._digest(files) == kept["digest"]

    def note(self, page: Page, files: Iterable[Path]) -> None:
        """Remember that a page passed, and the files that it asked for."""
        files = sorted({page.path, *files})
        names = [file.relative_to(self._site).as_posix() for file in files]
        self._kept[page.name] = {"files": names, "digest": self._digest(files)}
        part = self._path.with_suffix(".part")  # a reader never finds half of it
        part.write_text(json.dumps(self._kept, indent=1, sort_keys=True), encoding="utf-8")
        part.replace(self._path)

    def _digest(self, files: Iterable[Path]) -> str:
        return files_digest(self._site, files, self._checks)
