"""The order of the book's pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tools.project import Project

CHILDREN = ("parts", "chapters", "sections")


@dataclass(frozen=True)
class Entry:
    """A page in the table of contents.

    Attributes:
        name: Its path in the site, without suffix.
        part: The caption of the part it is in; empty outside of parts.
    """

    name: str
    part: str


def entries(project: Project) -> list[Entry]:
    """The pages in reading order."""
    toc = yaml.safe_load((project.book / "_toc.yml").read_text(encoding="utf-8"))
    return [Entry(toc["root"], ""), *_below(toc, "")]


def _below(node: dict[str, Any], part: str) -> Iterator[Entry]:
    for key in CHILDREN:
        for child in node.get(key, []):
            inside = child.get("caption", part)
            if "file" in child:
                yield Entry(child["file"], inside)
            yield from _below(child, inside)
