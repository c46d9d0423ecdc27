"""A chapter that fails costs one chapter: the book has its text, and says what is missing."""

import io
import re
from contextlib import redirect_stderr

import pytest
from project_cases import FIGURE, STATES_A_CLAIM, cell, edited, make_book, notebook, run

from cbnlib.book.notebook import NOT_AVAILABLE
from tools import render
from tools.check_site import site_problems
from tools.pages import pages

FAILS = """\
(sec-rest)=
## The rest

Its loss is {glue:text}`loss:.2f`.

```{math}
:label: eq-one
1 = 1
```
"""
BREAKS = """raise ValueError("first words\\n``` good\\n<b>:::</b>\\n" + "last words")"""
RUNS = "The other one has {glue:text}`02_fails.ipynb::loss:d`, this one {glue:text}`own:d`."
GLUES = "from myst_nb import glue\nglue('own', 12, display=False)"
QUOTES = """\
It says {glue:text}`notebooks/02_fails.ipynb::loss:d` and {glue:text}`notebooks/02_fails.ipynb::x`,
and {glue:text}`notebooks/01_runs.ipynb::own:d`.

See {numref}`fig-line`, {ref}`sec-rest` and {eq}`eq-one`. ![A line](figures/fig-line.png)

Networks: {{ networks("all") }};
time: {{ runtime("02_fails") }}; of {{ predictions("all") }} predictions.

```{chapter-card} 02_fails
:figure: fig-line
What rises?
```

{{ claims_table("C1") }}

{{ predictions_list("partly") }}

{{ tested_in("C1") }}

{{ costs_table() }}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book of which one chapter fails, and what the build of its pages told."""
    notebooks = {
        "01_runs": notebook(RUNS, cell(GLUES)),
        "02_fails": notebook(FAILS, cell(BREAKS), FIGURE, cell(STATES_A_CLAIM)),
    }
    project = make_book(tmp_path_factory.mktemp("fails"), notebooks, QUOTES)
    with redirect_stderr(io.StringIO()) as told:
        assert render.main(["--root", str(project.root)]) == 1
        assert "01_runs is not executed for profile quick" in told.getvalue()
        assert run(project) == 1
        status = render.main(["--root", str(project.root)])
    return project, status, told.getvalue().splitlines()


def text_of(project, name):
    [page] = [page for page in pages(project.site) if page.name == name]
    words = " ".join(page.soup.select_one("main article").get_text(" ").split())
    return re.sub(r" ([.,;])", r"\1", words)


def test_the_book_is_there_and_the_failure_is_the_last_that_is_told(built):
    project, status, told = built
    assert status == 1
    assert told[-1] == "render: 02_fails failed, its page has no results and says why"
    assert (project.site / "index.html").is_file()
    assert site_problems(project) == []


def test_its_page_has_all_text_and_says_what_went_wrong(built):
    project, _, _ = built
    text = text_of(project, "notebooks/02_fails")
    for told in (
        "A title # This chapter failed on this machine",
        "cell 02_fails-003: raise ValueError",
        "ValueError: first words ``` good <b>:::</b> last words",
        "processor: ",
        "_build/failed/quick/02_fails.ipynb",
        "companion#issues",  # the theme shortens the address
        "The rest",
        f"Its loss is {NOT_AVAILABLE}.",
        "_ = plt.",
        "A line",
    ):
        assert told in text


def test_other_pages_say_that_it_is_missing(built):
    project, _, _ = built
    other = text_of(project, "notebooks/01_runs")
    assert f"The other one has {NOT_AVAILABLE}, this one 12." in other
    text = text_of(project, "intro")
    for told in (
        f"It says {NOT_AVAILABLE} and {NOT_AVAILABLE}, and 12.",
        "See Fig. 1, The rest and (1)",
        f"Networks: {NOT_AVAILABLE}; time: {NOT_AVAILABLE};",
        "of 0 (without the chapters that failed) predictions.",
        "failed on this machine",
    ):
        assert told in text
    assert text.count("failed on this machine and are not counted: A title") == 4
    assert "are not counted" in text_of(project, "execution")


def test_the_next_build_tries_it_again(built, capsys):
    project, _, _ = built
    assert run(project) == 1
    assert "01_runs: unchanged" in capsys.readouterr().out
    with edited(project.notebooks / "02_fails.md", lambda text: f"{text}\nMore.\n"):
        assert render.main(["--root", str(project.root)]) == 1
    assert "02_fails is not executed" in capsys.readouterr().err
