"""Links to other hosts are listed; a check tells broken from unwilling."""

import shutil

import pytest

from tools import external_links
from tools.external_links import problem
from tools.project import ROOT, Project

PAGE = """<h1>A</h1><a href="https://a.org/x#part">x</a> <a href="b.html">b</a> <a href="#c">c</a>
<a href="mailto:a@b.c">mail</a> <a href="https://a.org/x">again</a> <a href="http://b.org">y</a>
<a href="https://github.com/your_account/cbn-companion/issues">ours</a>"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    project.site.mkdir(parents=True)
    for name in ("a", "b"):
        (project.site / f"{name}.html").write_text(PAGE, encoding="utf-8")
    return project


def test_each_link_is_listed_once_with_its_pages(project, capsys):
    assert external_links.main(["--root", str(project.root)]) == 0
    listed = (project.build / "external_links.txt").read_text(encoding="utf-8")
    assert listed == "http://b.org  a b\nhttps://a.org/x  a b\n"
    assert "2 links to 2 other hosts" in capsys.readouterr().out


def test_broken_links_are_named_with_their_pages(project, capsys, monkeypatch):
    answers = {"http://b.org": 404, "https://a.org/x": 200}
    monkeypatch.setattr(problem, "__defaults__", (answers.__getitem__, 0.0))
    assert external_links.main(["--root", str(project.root), "--check"]) == 1
    told = capsys.readouterr()
    assert "http://b.org: status 404; linked from a, b" in told.err
    assert "1 of 2 lead nowhere" in told.out


def answering(*statuses):
    """A host that gives these answers in turn, and what it was asked."""
    left = list(statuses)

    def answer(_url):
        status = left.pop(0)
        if status is None:
            raise OSError("no such host")
        return status

    return answer, left


@pytest.mark.parametrize(
    ("statuses", "told", "unused"),
    [
        ((200,), "", 0),
        ((403,), "", 0),
        ((404, 200), "status 404", 1),
        ((500, None, 200), "", 0),
        ((500, 503, 502, 200), "status 502", 1),
        ((None, None, None), "no such host", 0),
    ],
)
def test_what_counts_as_broken(statuses, told, unused):
    answer, left = answering(*statuses)
    assert problem("https://a.org", answer, wait=0.0) == told
    assert len(left) == unused


def test_without_a_site_it_says_what_to_do(project, capsys):
    shutil.rmtree(project.site)
    assert external_links.main(["--root", str(project.root)]) == 2
    assert "make book" in capsys.readouterr().err
