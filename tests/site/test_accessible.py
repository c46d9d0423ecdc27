"""What is repaired in the finished pages, and that the browser check sees what is not."""

import pytest
from page_cases import PAGE

from tools import check_browser
from tools.browser import reading
from tools.browser.chromium import open_browser, visit
from tools.pages import Page
from tools.project import ROOT
from tools.sphinx_ext.accessible import repair

TABLE = """\
<table><thead><tr><th class="blank">&nbsp;</th><th>loss</th></tr></thead>
<tbody><tr><th>bump</th><td>0.1</td></tr></tbody></table>"""


def test_headers_say_what_they_head():
    repaired = repair(TABLE)
    assert '<td class="blank">&nbsp;</td><th scope="col">loss</th>' in repaired
    assert '<th scope="row">bump</th>' in repaired
    assert repair(repaired) == repaired


def test_the_second_set_of_icons_goes():
    script = '<script defer src="../_static/scripts/fontawesome.js?digest=5"></script>'
    kept = '<script defer src="../_static/scripts/bootstrap.js"></script>'
    assert repair(script + kept) == kept


def test_the_index_of_the_search_is_for_the_search_page_only():
    names = ("_static/searchtools", "_static/language_data", "searchindex")
    scripts = "".join(f'\n    <script src="../{name}.js"></script>' for name in names)
    assert repair(f"<head>{scripts}\n  </head>") == "<head>\n  </head>"
    search = f"<head></head><body>{scripts}</body>"
    assert repair(search) == search


DOT = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"
SLIDER = """\
<div data-slideshow="a"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="A dot">
<input type="range" aria-label="picture" onkeydown="event.preventDefault()"></div>"""
PALE = "<p id='p{}' style='color: #bbb; background: #fff'>Pale words</p>"
WIDE_TABLE = """\
<div style="overflow-x: auto" tabindex="0">
<table style="width: 2000px"><tr><td>Wide table</td></tr></table></div>"""
BARRIERS = {
    "pale": (PALE.format(1), '"#p1"'),
    "nameless": ("<input id='p2'>", '"#p2"'),
    "unlabelled frame": ('<iframe srcdoc="<p>In it</p>"></iframe>', "frame-title"),
    "pale in a frame": (f'<iframe title="f" srcdoc="{PALE.format(3)}"></iframe>', '#p3"'),
    "pale in a toggle": (
        f"<details><summary>More</summary>{PALE.format(4).replace('bbb', 'bbc')}</details>",
        '"#p4"',
    ),
    "wide": ('<p style="width: 2000px">Wide</p>', "sticks out at 1400 px"),
    "hidden columns": (WIDE_TABLE, "hides a part of a table at 1100 px: Wide table"),
    "no hint": (WIDE_TABLE, "does not say that a table scrolls at 400 px: Wide table"),
    "unseen focus": ('<a href="#main" style="outline: none">Here</a>', "focus is not visible"),
    "out of reach": ('<a href="#main" onfocus="this.blur()">Here</a>', "Tab does not reach"),
    "stubborn slider": (SLIDER, "an arrow key does not move"),
    "heavy": ("<img alt='' src='heavy.gif'>", "more than 3.0 MB"),
}


@pytest.fixture(scope="module")
def browser(browser_installed):
    """One browser for the module: a second one cannot be opened beside it."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def problems_of(browser, tmp_path_factory):
    """A function that opens a page with some content and says what is wrong with it."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "heavy.gif").write_bytes(DOT.ljust(reading.PAGE_BYTES + 1))
    page = Page(folder, folder / "page.html")

    def check(content):
        page.path.write_text(PAGE.format(content=content), encoding="utf-8")
        return check_browser.check_page(browser, Page(folder, page.path)).problems

    return check


@pytest.fixture(scope="module")
def told_of_all(problems_of):
    return "\n".join(problems_of("".join(content for content, _ in BARRIERS.values())))


def test_a_page_without_barriers_passes(problems_of):
    assert problems_of("<p>Words, and <a href='#main'>a link</a>.</p>") == []


@pytest.mark.parametrize("kind", BARRIERS)
def test_a_barrier_is_told(told_of_all, kind):
    assert BARRIERS[kind][1] in told_of_all


def test_references_are_items_of_their_list(problems_of):
    entry = '<div class="citation" id="id1" role="doc-biblioentry">A. Author, a book.</div>'
    references = f'<div role="list" class="citation-list">{entry}</div>'
    assert "aria-required-children" in "\n".join(problems_of(references))
    assert problems_of(repair(references)) == []


def test_with_less_motion_a_colour_reaches_the_depth_of_a_formula_at_once(browser, tmp_path):
    css = (ROOT / "book" / "_static" / "accessible.css").read_text(encoding="utf-8")
    deep = "<span>" * 40 + "<b>deep</b>" + "</span>" * 40
    page = Page(tmp_path, tmp_path / "page.html")
    page.path.write_text(f"<style>{css}</style><body>{deep}</body>", encoding="utf-8")
    with visit(browser, page) as seen:
        colour = seen.tab.evaluate("""async () => {
          document.body.style.color = 'rgb(0, 0, 255)';
          await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
          return getComputedStyle(document.querySelector('b')).color;
        }""")
    assert colour == "rgb(0, 0, 255)"
