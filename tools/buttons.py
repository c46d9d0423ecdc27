"""Where the launch, download, edit and source buttons of a page must lead."""

import re
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import unquote

import yaml

from tools.pages import Page
from tools.project import Project


class Buttons:
    """The buttons of a project's pages."""

    def __init__(self, project: Project) -> None:
        self.root = project.root

    @cached_property
    def patterns(self) -> dict[str, str]:
        """What the URLs of each kind look like. The group is a path in the repository."""
        config = yaml.safe_load((self.root / "_config.yml").read_text(encoding="utf-8"))
        url, branch = map(re.escape, (config["repository"]["url"], config["repository"]["branch"]))
        slug = "/".join(url.split("/")[-2:])
        return {
            "edit": rf"{url}/edit/{branch}/([^?#]+)",
            "source": rf"{url}/(?:blob|raw|tree)/{branch}/([^?#]+)",
            "binder": rf"https://mybinder\.org/v2/gh/{slug}/{branch}\?urlpath=lab/tree/([^?#]+)",
            "colab": rf"https://colab\.research\.google\.com/github/{slug}/blob/{branch}/([^?#]+)",
        }

    def problems(self, page: Page) -> Iterator[str]:
        """Links of a page into the repository that lead nowhere, and buttons it lacks."""
        led = [
            (kind, found[1])
            for kind, pattern in self.patterns.items()
            for link in page.links
            if (found := re.match(pattern, unquote(link)))
        ]
        for kind, path in led:
            if not (self.root / path).is_file():
                yield f"{page.name}: {kind} leads to {path}, which is not in the repository"
        folder, _, stem = page.name.partition("/")
        if folder == "notebooks":  # people edit the MyST source
            pair, source = f"{page.name}.ipynb", f"{page.name}.md"
            wanted = {"binder": pair, "colab": pair, "edit": source, "source": source}
        elif folder == "problems":  # the source has the solutions
            wanted = dict.fromkeys(("binder", "colab"), f"problems/student/{stem}.ipynb")
            if any(path == f"problems/{stem}.md" for _, path in led):
                yield f"{page.name}: a link leads to the solutions"
        else:
            return
        for kind, path in wanted.items():
            if (kind, path) not in led:
                yield f"{page.name}: no {kind} button leads to {path}"
        for path in sorted(set(wanted.values())):
            committed = (self.root / path).read_bytes()
            offered = [file for file in map(page.target, page.links) if file and file.is_file()]
            same = [file for file in offered if file.name == path.rpartition("/")[2]]
            if not same:
                yield f"{page.name}: no download of {path.rpartition('/')[2]}"
            elif any(file.read_bytes() != committed for file in same):
                yield f"{page.name}: the download of {path} is not the committed file"
