"""The teachers' page names what there is, and its times are those of the build."""

import re

from tools.problems import problem_sets
from tools.project import ROOT, Project

PROJECT = Project(ROOT)
PAGE = (PROJECT.book / "teaching.md").read_text(encoding="utf-8")
NAMED = re.compile(r"(?<![\d.])([1-5])\.([1-9])(?![\d.])")


def test_every_task_that_the_page_names_exists():
    """`2.1 to 2.4` names its ends; a number with a decimal point would be found, too."""
    named = {".".join(found) for found in NAMED.findall(PAGE)}
    sources = [source.read_text(encoding="utf-8") for source in problem_sets(PROJECT)]
    there = {task for text in sources for task in re.findall(r"^## Task (\d\.\d)", text, re.M)}
    assert named
    assert named - there == set()


def test_each_set_is_part_of_the_course():
    assert {number for number, _ in NAMED.findall(PAGE)} == {
        source.stem[0] for source in problem_sets(PROJECT)
    }


def test_the_time_of_the_build_is_that_of_all_chapters_of_the_sessions():
    sessions = PAGE.split("## Two weeks")[1].split("**Computing.**")[0]
    named = set(re.findall(r"\{doc\}`notebooks/(\w+)`", sessions))
    [added_up] = re.findall(r"\{\{ runtime\((.+?)\) \}\}", PAGE)
    assert named == set(re.findall(r"\w+", added_up))


def test_every_session_takes_90_minutes():
    sessions = re.split(r"^### Session ", PAGE.split("**Computing.**")[0], flags=re.M)[1:]
    minutes = [sum(map(int, re.findall(r"^\| (\d+) \|", text, re.M))) for text in sessions]
    assert minutes == [90] * 4
