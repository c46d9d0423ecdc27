"""The book is written in plain English, as far as that can be measured."""

import pytest

from tools.language import LIMITS, measure, paragraphs
from tools.project import Project, files_in

PROJECT = Project()
PAGES = [*PROJECT.sources(), *files_in(PROJECT.book, "*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_in_plain_english(page):
    found = measure(paragraphs(page))
    assert {what: n for what, n in found.items() if n > LIMITS.get(what, n)} == {}
    assert found["ease"] >= 55


def problems(text, path):
    path.write_text(text, encoding="utf-8")
    found = measure(paragraphs(path))
    return [what for what, limit in LIMITS.items() if found[what] > limit]


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
