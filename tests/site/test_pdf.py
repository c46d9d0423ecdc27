"""The order of the pages in the PDF, and links that lead inside it."""

import pytest
from pypdf import PdfReader

from tools import pdf
from tools.project import Project

TOC = """\
format: jb-book
root: intro
parts:
  - caption: First
    chapters:
      - file: a
        sections:
          - file: notebooks/b
  - caption: Second
    chapters:
      - url: https://a.org
      - file: c
"""
INTRO = """<article><h1>A book<a class="headerlink" href="#">#</a></h1>
<p>See <a href="a.html#there">there</a>, <a href="https://a.org">a.org</a>.</p></article>"""
CHAPTER = """<header class="bd-header">PRESS ME</header><article><h1>1. A chapter</h1>
<div class="cell"><details class="hide above-input"><summary>Show</summary>secret()</details></div>
<section id="one"><h2>1.1. One<a class="headerlink" href="#one">#</a></h2>
<p style="height:2000px">Long.</p></section>
<section id="two"><h2>1.2. Two</h2><p id="there">Here. <a href="#one">Up.</a>
<a href="intro.html">Start.</a> <a href="a.html.md">File</a></p></section></article>"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.book.mkdir()
    project.site.mkdir(parents=True)
    return project


def write_toc(project, toc):
    (project.book / "_toc.yml").write_text(toc, encoding="utf-8")


def test_the_order_is_that_of_the_table_of_contents(project):
    write_toc(project, TOC)
    expected = [("intro", ""), ("a", "First"), ("notebooks/b", "First"), ("c", "Second")]
    assert list(pdf.entries(project).items()) == expected


@pytest.mark.usefixtures("browser_installed")
def test_the_pages_become_one_document(project):
    caption = "parts:\n- caption: First\n  chapters:\n  - file: a\n"
    write_toc(project, f"format: jb-book\nroot: intro\n{caption}")
    (project.root / "_config.yml").write_text("title: A book\n", encoding="utf-8")
    for name, text in {"intro": INTRO, "a": CHAPTER}.items():
        html = f"<!doctype html><html><body>{text}</body></html>"
        (project.site / f"{name}.html").write_text(html, encoding="utf-8")
    assert pdf.main(["--root", str(project.root)]) == 0
    book = PdfReader(project.build / "book.pdf")
    text = [page.extract_text() for page in book.pages]
    assert len(text) == 3
    assert "PRESS ME" not in "".join(text)
    assert "secret" not in "".join(text)
    assert [str(n) in page.split() for n, page in enumerate(text, 1)] == [0, 1, 1]
    assert list(leads(book)) == [(0, 2), (0, "https://a.org/"), (2, 1), (2, 0)]
    first, part, [chapter, sections] = book.outline
    assert [item.title for item in (first, part, chapter)] == ["A book", "First", "1. A chapter"]
    assert [item.title for item in sections] == ["1.1. One", "1.2. Two"]


def leads(book):
    """From which page each link leads to which, or out of the document."""
    for number, page in enumerate(book.pages):
        for reference in page.get("/Annots", []):
            link = reference.get_object()
            inside = book.named_destinations.get(link.get("/Dest"))
            yield number, book.get_destination_page_number(inside) if inside else link["/A"]["/URI"]


def test_an_unfinished_site_is_not_printed(project, capsys):
    write_toc(project, TOC)
    assert pdf.main(["--root", str(project.root)]) == 2
    assert "intro.html is not in" in capsys.readouterr().err


def test_a_file_above_the_limit_is_said_to_be_one(project, monkeypatch, capsys):
    monkeypatch.setattr(pdf, "make_pdf", lambda _, target: target.write_bytes(b"%PDF"))
    monkeypatch.setattr(pdf, "LARGEST_MEGABYTES", 1e-6)
    assert pdf.main(["--root", str(project.root)]) == 1
    assert "larger than the limit of 1e-06 MB" in capsys.readouterr().err
