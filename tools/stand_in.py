"""What the book shows in place of a chapter that failed: its text without its results."""

import base64
import io
import re
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image, ImageDraw, ImageFont

from cbnlib.book.notebook import NOT_AVAILABLE
from tools.job import Failure
from tools.notebook import read_source
from tools.project import TITLE, BuildError, Project

FACTS = ("python", "torch", "numpy", "cbnlib", "processor")
BOX = """

{fence}`{{admonition}} This chapter failed on this machine
:class: danger

Its notebook stopped{where}. So this page has the text and the code, and no results: where a
number would stand it says *{not_available}*, and so do the other pages, which do not count this
chapter.

{fence}text
{report}
{fence}

{partial}`make book` tries it again. If it fails again, please report it at
<{url}/issues>, with all of the text above: the error, the versions, the processor.
{fence}`
"""


def stand_in(project: Project, stem: str, failure: Failure) -> NotebookNode:
    """Make the stand-in of a chapter, with all of its text, its code, and no results.

    What other pages refer to, labels and figures, is there.

    Raises:
        BuildError: Neither the source nor its pair can be read.
    """
    source = project.notebooks / f"{stem}.md"
    notebook = _cells_of(source)
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["companion"] = {"failure": failure.last_lines}
    box = _box(project, source, failure)
    first = next((cell for cell in notebook.cells if TITLE.search(cell.source)), notebook.cells[0])
    first.source = TITLE.sub(lambda title: title[0] + box, first.source, count=1)
    for cell in notebook.cells:
        if "name" in cell.metadata.get("mystnb", {}).get("figure", {}):
            cell.outputs = [new_output("display_data", {"image/png": placeholder()})]
    return notebook


def _cells_of(source: Path) -> NotebookNode:
    try:
        return read_source(source)
    except BuildError:
        pair = source.with_suffix(".ipynb")
        if not pair.exists():
            raise
        return nbformat.read(pair, as_version=4)


def _box(project: Project, source: Path, failure: Failure) -> str:
    config = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
    facts = [f"{name}: {failure.environment.get(name, 'not known')}" for name in FACTS]
    report = "\n".join([source.stem, failure.cell or "before its first cell", failure.last_lines])
    longest = max(map(len, re.findall("`+", report)), default=0)
    partial = f"What it did until then is in `{failure.partial}`. " if failure.partial else ""
    return BOX.format(
        fence="`" * (longest + 3),
        where=" in the cell named below" if failure.cell else " before its first cell",
        not_available=NOT_AVAILABLE,
        report="\n".join([report, "", *facts]),
        partial=partial,
        url=config["repository"]["url"],
    ).rstrip()


def placeholder() -> str:
    """A picture that says that there is none, as PNG in base 64."""
    picture = Image.new("RGB", (640, 240), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(24)
    draw.rectangle((0, 0, 639, 239), outline="grey")
    text = f"{NOT_AVAILABLE}: the chapter failed"
    draw.text((320, 120), text, fill="black", font=font, anchor="mm")
    written = io.BytesIO()
    picture.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()
