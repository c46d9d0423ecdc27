"""What readers rely on: chapters that open and close alike, a gallery, a glossary, a tour."""

import re
from io import BytesIO

import pytest
from docutils import nodes
from docutils.utils import new_document
from PIL import Image

from tools.notebook import read_source
from tools.project import ROOT, Project
from tools.sphinx_ext.glossary_links import CSS_CLASS, link_terms, term_pattern
from tools.thumbnails import THUMBNAIL_PIXELS, thumbnail

PROJECT = Project(ROOT)
BOOK = PROJECT.book
EXPERIMENTS = [source for source in PROJECT.sources() if "01" <= source.stem[:2] <= "15"]
GLOSSARY = (BOOK / "glossary.md").read_text(encoding="utf-8")
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in BOOK.glob("*.md")}
PAGES |= {f"notebooks/{s.stem}": s.read_text(encoding="utf-8") for s in PROJECT.sources()}
CODE = re.compile(r"^```\{code-cell\}.*?^```$", re.MULTILINE | re.DOTALL)
SYMBOL_ROW = re.compile(r"^\| (\$.*?) \| .* \| (\{.*?\}`[\w/-]+`) \|$", re.MULTILINE)
WORDS_PER_MINUTE = 190


def running_text(name):
    """A page's text, without code cells and directives' options."""
    return re.sub(r"^:\w+:.*$", "", CODE.sub("", PAGES[name]), flags=re.MULTILINE)


@pytest.mark.parametrize("source", EXPERIMENTS, ids=lambda source: source.stem)
def test_a_chapter_opens_with_its_question_and_ends_with_what_was_found_and_is_open(source):
    texts = [c.source for c in read_source(source).cells if c.cell_type == "markdown"]
    appendix = [i for i, text in enumerate(texts) if "\n## Appendix." in text]
    end, *_ = texts[appendix[0] if appendix else -1].split("\n\n## Appendix.")
    assert re.fullmatch(r"# [^\n]+\n\n\*\*Question\.\*\* .*", texts[0], re.DOTALL)
    assert re.fullmatch(r"\*\*Found\.\*\*\s.*\s\*\*Open\.\*\*\s.*", end, re.DOTALL)


def test_every_notebook_has_a_card_in_the_gallery():
    cards = re.findall(r"\{chapter-card\} (\w+)", PAGES["intro"])
    assert cards == [source.stem for source in PROJECT.sources()]


def terms():
    listed = GLOSSARY.split("```{glossary}\n")[1].split("```")[0]
    return re.findall(r"^(\S.*)$", listed, re.MULTILINE)


def test_glossary_terms_are_sorted_and_defined_once():
    assert terms() == sorted(set(terms()), key=str.lower)
    assert len({term.lower() for term in terms()}) == len(terms())


@pytest.mark.parametrize("term", terms())
def test_a_glossary_term_is_used(term):
    texts = (running_text(name) for name in PAGES if name != "glossary")
    assert any(term_pattern([term]).search(text) for text in texts)


SYMBOLS = [
    (symbol, place)
    for cell, place in SYMBOL_ROW.findall(GLOSSARY)
    for symbol in re.findall(r"\$(.+?)\$", cell)
]


def page_of(place):
    """The text of the page on which a role's target stands."""
    role, target = re.fullmatch(r"\{(.*)\}`(.*)`", place).groups()
    if role == "doc":
        return PAGES[target]
    mark = f"$$ ({target})" if role == "eq" else f":label: {target}"
    (page,) = [text for text in PAGES.values() if mark in text]
    return page


def test_all_rows_of_the_symbol_table_are_read():
    rows = GLOSSARY.split("| symbol |")[1].strip().splitlines()[2:]
    rows = [row for row in rows if row.startswith("| $")]  # the others are names
    assert len(rows) == len(SYMBOL_ROW.findall(GLOSSARY)) > 20


@pytest.mark.parametrize(("symbol", "place"), SYMBOLS, ids=[symbol for symbol, _ in SYMBOLS])
def test_a_symbol_stands_where_the_table_says(symbol, place):
    assert symbol.replace(" ", "") in page_of(place).replace(" ", "")


def test_the_ten_minute_tour_takes_ten_minutes():
    text = re.sub(r"\{glue:text\}`[^`]*`", "number", running_text("tour"))
    words = len(re.sub(r"[`:{}$]+", " ", text).split())
    assert 8 <= words / WORDS_PER_MINUTE <= 10.5


def test_every_question_has_a_place():
    answers = re.findall(r":::\{dropdown\} (\d+)\. (.*?\n:::)", PAGES["questions"], re.DOTALL)
    assert [int(number) for number, _ in answers] == list(range(1, 11))
    for _, answer in answers:
        assert re.search(r"\{(doc|eq|prf:ref|numref)\}`", answer)


TARGETS = {"ridge": "g.html#ridge", "kept mode": "g.html#kept", "mode": "g.html#mode"}


def linked(*parts):
    """The links that a page with these parts gets."""
    page = new_document("page")
    page += list(parts)
    link_terms(page, TARGETS)
    found = [link for link in page.findall(nodes.reference) if CSS_CLASS in link["classes"]]
    return [(link.astext(), link["refuri"]) for link in found]


def paragraph(*parts):
    return nodes.paragraph("", "", *(nodes.Text(p) if isinstance(p, str) else p for p in parts))


def test_the_first_mention_is_linked_and_no_other():
    text = "A Ridge, two kept\nmodes; a ridge, a bridge, a mode."
    assert linked(paragraph(text)) == [
        ("Ridge", "g.html#ridge"),
        ("kept\nmodes", "g.html#kept"),
        ("mode", "g.html#mode"),
    ]
    page = paragraph(text)
    link_terms(page, TARGETS)
    assert page.astext() == text


def test_an_explicit_link_counts_as_the_first_mention():
    there = nodes.reference("", "the price", refuri="g.html#ridge")
    assert linked(paragraph("See ", there, ", the ridge.")) == []


@pytest.mark.parametrize(
    "part",
    [
        nodes.title("", "The ridge"),
        nodes.caption("", "The ridge"),
        nodes.literal_block("", "ridge"),
        paragraph(nodes.literal("", "ridge")),
        paragraph(nodes.math("", "ridge")),
        paragraph(nodes.reference("", "ridge", refuri="other.html")),
        nodes.container("", paragraph("ridge"), classes=["cell_output"]),
        nodes.container("", paragraph("ridge"), classes=["no-term-links"]),
        nodes.citation("", paragraph("ridge")),
    ],
    ids=lambda part: part.pformat().replace("\n", " ")[:40],
)
def test_only_running_text_is_linked(part):
    assert linked(part.deepcopy()) == []


@pytest.mark.parametrize("size", [(1920, 400), (400, 1920), (40, 30)])
def test_thumbnails_fit_and_keep_their_shape(size):
    written = BytesIO()
    Image.new("RGBA", size, (0, 0, 0, 0)).save(written, "PNG")
    small = Image.open(BytesIO(thumbnail(written.getvalue())))
    assert all(got <= most for got, most in zip(small.size, THUMBNAIL_PIXELS, strict=True))
    assert small.width / small.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert small.getpixel((0, 0)) == (255, 255, 255)
