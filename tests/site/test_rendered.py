"""A tiny book, rendered with the real settings: what its pages say, and what the checks catch."""

import re
from importlib.metadata import version

import pytest
from project_cases import FIGURE, STATES_A_CLAIM, cell, edited, make_book, notebook, run, write_book

from tools import check_browser, render
from tools.browser.chromium import browser_version
from tools.browser.passed import Passed
from tools.check_site import site_problems
from tools.pages import Page, pages

CLAIMS_TABLE = '{{ claims_table("C1") }}'
READERS = """\
Colours are sub-sampled, $x$, on pages.

```{chapter-card} 01_line
:figure: fig-line
What rises?
```

Of {{ predictions("all") }} predictions {{ predictions("partly") }} is met in part, in one thread.

{{ predictions_list("not reproduced") }}

{{ tested_in("C1") }}

```{glossary}
thread
  One of several that compute at the same time.
```
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A book of two text pages and a notebook, rendered with the real settings."""
    line = notebook(FIGURE, cell(STATES_A_CLAIM))
    text = "See {numref}`fig-line` and $\\norm{x}$.\n\n![A line](figures/fig-line.png)"
    text = f"{text}\n\n{CLAIMS_TABLE}\n\n{READERS}"
    project = make_book(tmp_path_factory.mktemp("rendered"), {"01_line": line}, text)
    assert run(project) == 0
    assert render.main(["--root", str(project.root)]) == 0
    return project


def test_the_rendered_book_has_no_problems(rendered):
    assert site_problems(rendered) == []


def test_the_table_of_claims_has_what_the_notebook_states(rendered):
    (chapter, row) = Page(rendered.site, rendered.site / "intro.html").tags(".claims tbody tr")
    assert [cell["colspan"] for cell in chapter("td")] == ["4"]
    assert chapter.a["href"] == "notebooks/01_line.html"
    assert "partly" in row["class"]
    told = ("It rises.", "1.5 (0.5 to 2)", "at least 1", "◐\xa0partly", "2 of 3 values within")
    assert [words for words in (*told, "came later") if words not in row.get_text()] == []
    assert 'href="notebooks/01_line.html#fig-line"' in str(row)
    (remark,) = Page(rendered.site, rendered.site / "intro.html").tags(".claims p.remark")
    assert remark.get_text() == "Remark 1. another pen"
    assert f'href="#{remark["id"]}"' in str(row)


def test_a_word_is_found_in_either_spelling(rendered):
    index = (rendered.site / "searchindex.js").read_text(encoding="utf-8")
    assert re.search(r'"subsampl": (\d+|\[)', index)
    search = (rendered.site / "search.html").read_text(encoding="utf-8")
    assert "search-texts.js" in search
    assert "search-texts.js" not in (rendered.site / "intro.html").read_text(encoding="utf-8")
    texts = (rendered.site / "_static" / "search-texts.js").read_text(encoding="utf-8")
    assert "sub-sampled, …, on pages." in texts


def found_in_browser(site, words):
    """What the search page shows for these words: results and extracts."""
    page = Page(site, site / "search.html")
    with check_browser.open_browser() as browser, check_browser.visit(browser, page) as seen:
        seen.tab.goto(f"{page.path.as_uri()}?q={words}")
        seen.tab.wait_for_function("document.querySelector('.search-summary')?.innerText")
        seen.tab.wait_for_timeout(200)
        assert not seen.problems
        return seen.tab.locator("#search-results li").all_inner_texts()


@pytest.mark.usefixtures("browser_installed")
@pytest.mark.parametrize("words", ["sub-sampling", "subsampling", "sub sampling", "oneword"])
def test_the_search_page_shows_extracts_from_a_disk(rendered, words):
    found = found_in_browser(rendered.site, words)
    if words == "oneword":
        assert found == []
    else:
        assert any("A book" in text and "sub-sampled, …, on pages" in text for text in found)


def test_directives_for_readers_show_what_the_notebook_states(rendered):
    page = (rendered.site / "intro.html").read_text(encoding="utf-8")
    card = page.split('class="chapter-card')[1].split("chapter-facts")[0]
    assert 'alt="A straight line" src="_images/fig-line-small.png"' in card
    assert 'href="notebooks/01_line.html"' in card
    assert ">A title</span>" in card
    assert "0 of 1 rows reproduced · ran " in page
    assert "Of 1 predictions 1 is met in part, in one thread." in page
    assert "In this edition no prediction is <em>not reproduced</em>." in page
    tested = page.split("no prediction is")[1]
    assert 'href="notebooks/01_line.html#fig-line"' in tested
    assert "0 of 1 rows reproduced" in tested


def test_a_term_is_linked_on_pages_other_than_the_glossary(rendered):
    own, other = ((rendered.site / f"{name}.html").read_text() for name in ("intro", "execution"))
    link = '<a class="term-link reference internal" href="intro.html#term-thread">'
    assert other.count(link) == 1
    assert 'class="term-link' not in own


def test_the_page_of_a_notebook_says_how_it_came_about(rendered):
    (page,) = [p for p in pages(rendered.site) if p.name == "notebooks/01_line"]
    (line,) = page.tags("h1 + p.provenance")
    told = line.get_text()
    assert told.startswith("Quick edition · seed 0 · cbnlib ")
    for name in ("no commit known", f"torch {version('torch')}", "1 thread", " UTC, "):
        assert name in told
    assert line.a["href"] == "../execution.html"
    table = (rendered.site / "execution.html").read_text(encoding="utf-8")
    assert "1 notebook: " in table
    assert "<strong>all</strong>" in table


BROKEN = {
    "link": ('href="../execution.html"', 'href="../gone.html"', "link to ../gone.html"),
    "anchor": ('href="#"', 'href="#nowhere"', "no such anchor"),
    "alternative text": ('alt="A straight line"', 'alt=""', "no alternative text"),
    "image": ('src="../_images/', 'src="../_imagined/', "is not in the site"),
    "other host": ("<head>", '<head><script src="https://x.org/a.js"></script>', "another host"),
    "style": ("<head>", "<head><style>a{background:url(//x.org/a.png)}</style>", "another host"),
    "launch": ("lab/tree/notebooks/", "lab/tree/book/notebooks/", "no binder button"),
    "colab": ("blob/main/notebooks/01_line.ipynb", "blob/main/gone.ipynb", "leads to gone.ipynb"),
    "edit": ("edit/main/notebooks/01_line.md", "edit/main/book/notebooks/01_line.ipynb", "edit"),
    "download": ("01_line.md", "01_lime.md", "no download of 01_line.md"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_page_is_caught(rendered, kind):
    page = rendered.site / "notebooks" / "01_line.html"
    old, new, told = BROKEN[kind]
    assert old in page.read_text(encoding="utf-8")
    with edited(page, lambda text: text.replace(old, new)):
        assert any(told in problem for problem in site_problems(rendered))


def test_an_executed_notebook_offered_for_download_is_caught(rendered):
    executed = (rendered.executed("quick") / "01_line.ipynb").read_text(encoding="utf-8")
    with edited(rendered.site / "_sources" / "notebooks" / "01_line.ipynb", lambda _: executed):
        assert any("is not the committed file" in line for line in site_problems(rendered))


@pytest.mark.usefixtures("browser_installed")
def test_the_browser_check_passes_and_fails(rendered):
    assert check_browser.main(["--root", str(rendered.root)]) == 0
    every = [page for page in check_browser.pages(rendered.site) if not page.is_redirect]
    passed = Passed(rendered, browser_version())
    assert all(map(passed.holds, every))
    assert not any(map(Passed(rendered, "another browser").holds, every))
    broken = '<script>oops()</script><img src="gone.png"><img src="http://x.org/a.png"></body>'

    def spoil(text):
        return text.replace("\\norm{x}", "\\unknown{x}").replace("</body>", broken)

    with edited(rendered.site / "intro.html", spoil), check_browser.open_browser() as browser:
        (intro,) = [p for p in every if p.name == "intro"]
        assert not passed.holds(intro)
        problems = "\n".join(check_browser.check_page(browser, intro).problems)
    for told in ("script error", "broken image", "asked for http://x.org", "error in a formula"):
        assert told in problems


def test_rendering_again_does_nothing(rendered, capsys):
    assert render.main(["--root", str(rendered.root)]) == 0
    assert "unchanged" in capsys.readouterr().out


def test_a_stale_notebook_is_not_rendered(rendered, capsys):
    with edited(rendered.notebooks / "01_line.md", lambda text: f"{text}\nMore.\n"):
        assert render.main(["--root", str(rendered.root)]) == 1
    assert "01_line is not executed for profile quick" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("See {numref}`fig-gone`.", "fig-gone"),
        (CLAIMS_TABLE.replace("C1", "C2"), "no notebook states anything about C2"),
        (CLAIMS_TABLE.replace("C1", "C9"), "unknown claim 'C9'"),
        (READERS.replace("fig-line", "fig-gone"), "01_line is not executed or has no figure"),
    ],
)
def test_a_warning_fails_the_book_and_removes_the_site(rendered, capsys, text, told):
    write_book(rendered, text)
    assert render.main(["--root", str(rendered.root)]) == 1
    assert told in capsys.readouterr().err
    assert not rendered.site.exists()
