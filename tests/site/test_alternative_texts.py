"""Every figure says in words what it shows, in the sources: of notebooks and of pages of text."""

import re

import pytest

from tools.notebook import read_source
from tools.project import ROOT, Project, files_in

LEAST = 30
EMPTY_WORDS = ("figure of", "image of", "picture of", "plot of", "graph of", "a figure", "an image")
SHOWS = re.compile(r"^plt\.show\(\)", re.MULTILINE)  # further in, a function would show it later
IMAGE = re.compile(r"^(`{3,}|:{3,})\{(?:figure|image)\}.*\n((?::[\w-]+:.*\n)*)", re.MULTILINE)
INLINE_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
ALT = re.compile(r"^:alt: (.+)$", re.MULTILINE)


def plain(text):
    """Text without markup, in small letters."""
    return re.sub(r"[\W_]+", " ", text).strip().lower()


def alt_problems(alt, caption=""):
    """What is wrong with an alternative text."""
    if len(alt.strip()) < LEAST:
        return [f"shorter than {LEAST} characters: {alt!r}"]
    if plain(alt) == plain(caption):
        return [f"says what the caption says: {alt!r}"]
    if alt.strip().lower().startswith(EMPTY_WORDS):
        return [f"begins with words that say nothing: {alt!r}"]
    return []


def cell_problems(source, metadata):
    """What is wrong with how a cell describes the figure that it draws."""
    figure = metadata.get("mystnb", {}).get("figure", {})
    alt = metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    if not figure and not SHOWS.search(source):
        return []
    problems = [f"no {key}" for key in ("caption", "name") if not figure.get(key, "").strip()]
    if figure and not figure.get("name", "fig-").startswith("fig-"):
        problems.append(f"name {figure['name']!r} does not begin with fig-")
    if "slideshow(" not in source:  # which carries a text for each of its pictures
        problems += alt_problems(alt, figure.get("caption", ""))
    return problems


def text_problems(text):
    """What is wrong with the alternative texts of a page of text."""
    problems = []
    for _, options in IMAGE.findall(text):
        problems += alt_problems((ALT.search(options) or [None, ""])[1])
    for alt in INLINE_IMAGE.findall(text):
        problems += alt_problems(alt)
    return problems


@pytest.mark.parametrize("source", Project(ROOT).sources(), ids=lambda path: path.stem)
def test_figures_of_notebooks(source):
    cells = read_source(source).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    told = [cell_problems(cell.source, cell.metadata) for cell in code]
    assert [line for lines in told for line in lines] == []
    assert [
        p for cell in cells if cell.cell_type == "markdown" for p in text_problems(cell.source)
    ] == []


@pytest.mark.parametrize("page", files_in(ROOT / "book", "**/*.md"), ids=lambda path: path.stem)
def test_images_of_text_pages(page):
    assert text_problems(page.read_text(encoding="utf-8")) == []


GOOD = "Three lines rise and one falls, all of them to the same value."
FIGURE = {"figure": {"name": "fig-a", "caption": "Four runs."}, "image": {"alt": GOOD}}


def test_a_described_figure_passes():
    assert cell_problems("plt.show()", {"mystnb": FIGURE}) == []
    assert cell_problems("x = 1", {}) == []
    assert text_problems(f"```{{figure}} a.png\n:name: fig-a\n:alt: {GOOD}\nCaption\n```") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": {}}, "shorter"),
        ({"image": {"alt": "Lines"}}, "shorter"),
        ({"image": {"alt": "Figure of " + GOOD}}, "say nothing"),
        ({"figure": {"name": "fig-a", "caption": f"**{GOOD}**"}}, "the caption says"),
        ({"figure": {"name": "fig-a"}}, "no caption"),
        ({"figure": {"caption": "Four runs."}}, "no name"),
        ({"figure": {"name": "a", "caption": "Four runs."}}, "fig-"),
        ({"figure": {}}, "no caption"),
    ],
)
def test_what_a_figure_lacks_is_told(change, told):
    assert told in str(cell_problems("plt.show()", {"mystnb": FIGURE | change}))


@pytest.mark.parametrize("text", ["![Lines](a.png)", "```{image} a.png\n:width: 80%\n```\n"])
def test_an_image_without_words_is_told(text):
    assert "shorter" in str(text_problems(text))
