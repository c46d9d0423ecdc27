"""Sphinx extension that keeps wide figures readable on a telephone.

The picture of a figure that is wide gets a box of its own, class `wide-figure`. On a narrow screen
the picture does not shrink as far as its letters would have to, and the box scrolls (`book.css`).
The caption below stays as wide as the screen. `toggles.js` lets Tab reach the box then.
No style sheet can tell how wide a picture is.
"""

from pathlib import Path

from docutils import nodes
from PIL import Image, UnidentifiedImageError
from sphinx.application import Sphinx

CSS_CLASS = "wide-figure"
WIDE_PIXELS = 950
"""The book's figures have 110 dots per inch, and those of about nine inches are wide."""


def box_wide_figures(app: Sphinx, doctree: nodes.document, _docname: str) -> None:
    """Put the pictures of wide figures into boxes, in place."""
    if app.builder.format != "html":
        return
    for figure in doctree.findall(nodes.figure):
        picture = figure[0]
        images = list(picture.findall(nodes.image))
        if len(images) == 1 and is_wide(Path(app.srcdir) / images[0]["uri"]):
            figure[0] = nodes.container("", picture, classes=[CSS_CLASS])


def is_wide(picture: Path) -> bool:
    """Whether a file is a picture of at least `WIDE_PIXELS`."""
    try:
        with Image.open(picture) as image:
            return image.width >= WIDE_PIXELS
    except (FileNotFoundError, UnidentifiedImageError):
        return False


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-resolved", box_wide_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
