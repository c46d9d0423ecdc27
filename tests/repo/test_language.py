"""The book and the docstrings are in plain English, as far as that can be measured."""

import pytest

from tools.language import LIMITS, measure, paragraphs
from tools.project import Project, files_in

PROJECT = Project()
LIBRARY = PROJECT.root / "cbnlib"
ROOMS = [LIBRARY, *sorted(init.parent for init in LIBRARY.glob("*/__init__.py"))]
PAGES = [*PROJECT.sources(), *files_in(PROJECT.book, "*.md")]


def beyond_limits(found):
    return {what: found[what] for what, limit in LIMITS.items() if found[what] > limit}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_in_plain_english(page):
    found = measure(paragraphs(page))
    assert beyond_limits(found) == {}
    assert found["ease"] >= 55


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_docstrings_are_in_plain_english(room):
    texts = [text for path in files_in(room, "*.py") for text in paragraphs(path)]
    assert beyond_limits(measure(texts)) == {}


def problems(text, path):
    path.write_text(text, encoding="utf-8")
    return list(beyond_limits(measure(paragraphs(path))))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A layer keeps two modes. The ridge removes all others.", []),
        ("A layer keeps two modes; the ridge removes all others.", ["semicolons"]),
        ("This is what the layer keeps: two modes.", ["colons"]),
        ("The data term\nis large.", ["phrases"]),
        (f"We see {'one mode and ' * 8} no more.", ["words"]),
        ("```python\na: int; b: int\n```\n\n| a: b; c |\n\nTwo $a:b;c$ and `a:b;`.\n", []),
        ("Minimise\n\n$$\na;b:c\n$$ (eq-a)\n\nwith respect to $a$.", []),
        (
            "```{figure} a.png\n:alt: Two lines; one falls.\n:width: 80%\nCaption.\n```",
            ["semicolons"],
        ),
        (":::{dropdown} More: why\nOne mode; one layer.\n:::", ["semicolons"]),
    ],
)
def test_what_is_not_plain_is_told(text, told, tmp_path):
    assert problems(text, tmp_path / "page.md") == told


def test_a_rendered_page_is_read_as_its_source(tmp_path):
    body = "<nav>a: b; c</nav><article><h1>A: B</h1><p>One <span class='math'>a;b</span>.</p>"
    (tmp_path / "page.html").write_text(
        body + "<table><tr><td><p>a;</p></td></tr></table></article>"
    )
    assert paragraphs(tmp_path / "page.html") == ["One x."]


MODULE = '''"""Spectra.

We take those of a network.

    python -m spectra  # all: layers; modes
"""

RIDGE = 1  # a: b; c
"""The ridge."""


def of(layer):
    r"""Take the spectrum of $a:b$.

    Args:
        layer: A layer
            of the network.

    Returns:
        The values.

    Raises:
        ValueError: If there is none.

    Source: statement S1.

    Example:
        >>> of({"a": 1});
        {"a": 1}
    """
    return "a: b; c"
'''


def test_docstrings_are_read_without_their_code(tmp_path):
    path = tmp_path / "spectra.py"
    path.write_text(MODULE, encoding="utf-8")
    assert paragraphs(path) == [
        "Spectra.",
        "We take those of a network.",
        "The ridge.",
        "Take the spectrum of x.",
        "A layer of the network.",
        "The values.",
        "If there is none.",
        "statement S1.",
    ]


def test_a_docstring_that_is_not_plain_is_told(tmp_path):
    text = '"""One mode; one layer.\n\nThis is it: one.\n"""'
    assert problems(text, tmp_path / "spectra.py") == ["semicolons", "colons"]
