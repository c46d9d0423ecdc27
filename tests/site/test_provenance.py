"""What an executed notebook says of how it came about."""

import subprocess

import pytest

from cbnlib.book.notebook import ORIGINS
from cbnlib.runs.provenance import commit_of
from tools.executed import Execution
from tools.facts import Records

MACHINE = {
    "cbnlib": "0.1.0",
    "commit": "0123456789abcdef with changes",
    "python": "3.12.1",
    "torch": "2.5",
    "numpy": "2.1",
    "processor": "A processor",
    "threads": "2",
}


def counts(records, trained):
    return {"metadata": {ORIGINS: {"from records": records, "trained here": trained}}}


def executed(*outputs, **environment):
    companion = {
        "profile": "paper",
        "parameters": {"seed": 3},
        "environment": MACHINE | environment,
        "longest_cell": 1.5,
        "memory_mb": 300.0,
    }
    record = {"end_time": "2026-01-02T03:04:05", "duration": 12.4}
    metadata = {"companion": companion, "papermill": record}
    return {"metadata": metadata, "cells": [{"outputs": [output]} for output in outputs]}


def test_the_line_says_it_all():
    line = Execution.of(executed(counts(8, 0), {}, counts(1, 2))).line()
    assert line == (
        "seed 3 · networks: 9 from records, 2 trained here · "
        "cbnlib 0.1.0, commit 0123456 with changes · Python 3.12.1, torch 2.5, numpy 2.1 · "
        "A processor, 2 threads · 2026-01-02 03:04 UTC, 12 s"
    )


def test_what_is_not_known_is_not_made_up():
    line = Execution.of(executed(commit="")).line()
    assert "networks" not in line
    assert "cbnlib 0.1.0, no commit known" in line


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


def test_a_commit_is_marked_if_what_counts_changed(tmp_path):
    for name in ("counts", "other"):
        (tmp_path / name).write_text("1")
    assert commit_of(tmp_path, "counts") == ""
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = commit_of(tmp_path, "counts")
    assert len(clean) == 40
    (tmp_path / "other").write_text("2")
    assert commit_of(tmp_path, "counts") == clean
    (tmp_path / "counts").write_text("2")
    assert commit_of(tmp_path, "counts") == f"{clean} with changes"
    (tmp_path / "inside").mkdir()
    assert commit_of(tmp_path / "inside", "counts") == ""


@pytest.mark.parametrize("missing", ["environment", "longest_cell"])
def test_a_notebook_without_its_facts_is_refused(missing):
    notebook = executed()
    del notebook["metadata"]["companion"][missing]
    with pytest.raises(KeyError, match=missing):
        Execution.of(notebook)


def test_records_tell_what_they_took(tmp_path):
    for name, seconds in {"a": 30, "b": 60}.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        text = f'{{"provenance": {{"seconds": {seconds}}}}}'
        (folder / "record.json").write_text(text.ljust(500_000), encoding="utf-8")
    assert Records.of(tmp_path.iterdir()) == Records(minutes=1.5, megabytes=1.0)
    assert Records.of([]) == Records(0, 0)
