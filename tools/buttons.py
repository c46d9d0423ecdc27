"""Where the launch, download, edit and source buttons of a page must lead."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import yaml

from tools.pages import Page
from tools.project import Project


class Repository:
    """The public repository as `_config.yml` tells it."""

    def __init__(self, project: Project) -> None:
        config = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
        self.url: str = config["repository"]["url"]
        self.branch: str = config["repository"]["branch"]
        self._slug = "/".join(self.url.split("/")[-2:])

    def path(self, url: str) -> tuple[str, str] | None:
        """What a URL does with a file of the repository, and that file's path.

        Returns:
            A pair such as `("edit", "book/intro.md")`; `None` for a URL of another kind.
        """
        repository, slug, branch = map(re.escape, (self.url, self._slug, self.branch))
        kinds = {
            "edit": rf"{repository}/edit/{branch}/([^?#]+)",
            "source": rf"{repository}/(?:blob|raw|tree)/{branch}/([^?#]+)",
            "binder": rf"https://mybinder\.org/v2/gh/{slug}/{branch}\?urlpath=lab/tree/([^?#]+)",
            "colab": rf"https://colab\.research\.google\.com/github/{slug}/blob/{branch}/([^?#]+)",
        }
        for kind, pattern in kinds.items():
            if found := re.match(pattern, unquote(url)):
                return kind, found.group(1)
        return None


def button_problems(project: Project, page: Page, repository: Repository) -> Iterator[str]:
    """Links of a page into the repository that lead nowhere, and buttons it lacks."""
    led = [found for link in page.links if (found := repository.path(link))]
    made = {project.staged, project.staged_problems}
    for kind, path in led:
        file = project.root / path
        if not file.is_file() or made.intersection(file.parents):
            yield f"{page.name}: {kind} leads to {path}, which is not in the repository"
    if page.name.startswith("notebooks/"):
        yield from _notebook(project, page, led)
    if page.name.startswith("problems/"):
        yield from _problem_set(project, page, led)


def _notebook(project: Project, page: Page, led: list[tuple[str, str]]) -> Iterator[str]:
    """Jupyter, Binder and Colab open the paired notebook; people edit the MyST source."""
    pair, source = f"{page.name}.ipynb", f"{page.name}.md"
    yield from _lacking(
        page, led, {"binder": pair, "colab": pair, "edit": source, "source": source}
    )
    yield from _download_problems(project, page, [pair, source])


def _problem_set(project: Project, page: Page, led: list[tuple[str, str]]) -> Iterator[str]:
    """All buttons lead to the student's edition, none to the source with the solutions."""
    name = page.path.stem
    committed = (project.students / f"{name}.ipynb").relative_to(project.root).as_posix()
    yield from _lacking(page, led, dict.fromkeys(("binder", "colab"), committed))
    yield from _download_problems(project, page, [committed])
    if any(path == f"problems/{name}.md" for _, path in led):
        yield f"{page.name}: a link leads to the solutions"


def _lacking(page: Page, led: list[tuple[str, str]], wanted: dict[str, str]) -> Iterator[str]:
    for kind, path in wanted.items():
        if (kind, path) not in led:
            yield f"{page.name}: no {kind} button leads to {path}"


def _download_problems(project: Project, page: Page, paths: list[str]) -> Iterator[str]:
    for path in paths:
        committed = project.root / path
        offered = _offered(page, committed.name)
        if offered is None:
            yield f"{page.name}: no download of {committed.name}"
        elif offered.read_bytes() != committed.read_bytes():
            yield f"{page.name}: the download of {committed.name} is not the committed file"


def _offered(page: Page, name: str) -> Path | None:
    for link in page.links:
        target = page.target(link)
        if target is not None and target.name == name and target.is_file():
            return target
    return None
