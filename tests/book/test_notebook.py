"""What notebooks share: the profile, and numbers for the prose."""

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from run_cases import experiment

from cbnlib.book.notebook import NOT_AVAILABLE, check_profile, glue, origins, runs_of
from cbnlib.book.where import ASKED
from cbnlib.runs.provenance import Provenance
from cbnlib.runs.store import RecordError


def test_profiles():
    assert [check_profile(p) for p in ("quick", "smoke")] == ["quick", "smoke"]
    with pytest.raises(ValueError, match="must be one of quick, paper, smoke, smoke-z"):
        check_profile("full")


@pytest.fixture
def stored(monkeypatch):
    """What reaches the book, in place of its glue."""
    kept = {}
    module = ModuleType("myst_nb")
    module.glue = lambda name, value, display: kept.update({name: value})
    monkeypatch.setitem(sys.modules, "myst_nb", module)
    return kept


def test_glue_stores_plain_python_numbers(stored):
    glue(a=np.float64(1.5), b=torch.tensor(2), c=3, d="x")
    assert stored == {"a": 1.5, "b": 2, "c": 3, "d": "x"}
    assert [type(v) for v in stored.values()] == [float, int, int, str]


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), None, torch.tensor(-np.inf)])
def test_glue_says_where_there_is_no_number(stored, value):
    glue(loss=value)
    assert repr(stored["loss"]) == NOT_AVAILABLE


def test_notebooks_run_without_the_book(monkeypatch):
    monkeypatch.setitem(sys.modules, "myst_nb", None)  # import fails
    glue(a=1.0)


EXPERIMENTS = [experiment(), experiment(seeds=(1, 2))]


def test_quick_runs_are_live_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [[one], [two, three]] = runs_of(EXPERIMENTS, "quick")
    assert [run.provenance.source for run in (one, two, three)] == ["live"] * 3
    assert not list(tmp_path.rglob("*"))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for folder in ("notebooks", "records"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def test_paper_runs_come_from_the_record_once_there_is_one(repository):
    first = runs_of(EXPERIMENTS, "paper")
    assert [run.provenance.source for [run, *_] in first] == ["live", "live"]
    for own in (repository / "_build" / "runs").iterdir():
        (own / "record").rename(repository / "records" / own.name)
        own.rmdir()
    second = runs_of(EXPERIMENTS, "paper")
    assert [run.provenance.source for [run, *_] in second] == ["record", "record"]
    assert not any((repository / "_build" / "runs").iterdir())
    for [before, *_], [after, *_] in zip(first, second, strict=True):
        assert (before.fit, before.norm) == (after.fit, after.norm)


def test_a_notebook_says_which_records_it_asked_for(repository, monkeypatch):
    """Before it reads them: who fails at a damaged one has asked, too."""
    told = []
    monkeypatch.setattr("cbnlib.book.notebook._publish", lambda *told_now: told.append(told_now))
    (repository / "records" / EXPERIMENTS[1].folder_name).mkdir()
    with pytest.raises(RecordError):
        runs_of(EXPERIMENTS, "paper")
    assert told == [({}, {ASKED: [what.digest()[:12] for what in EXPERIMENTS]})]
    runs_of(EXPERIMENTS, "quick")
    assert len(told) == 1


def test_origins_counts_networks_and_seconds_of_an_ensemble_once():
    [[one], pair] = runs_of(EXPERIMENTS, "quick")
    machine = {"processor": "P", "threads": "1", "torch": "2", "cbnlib": "0"}
    at = [Provenance("record", f"2026-01-0{day}T00:00:00", 10.0, machine) for day in (3, 1)]
    recorded = [replace(pair[0], provenance=at[0]), replace(pair[1], provenance=at[0])]
    table = origins([one, *recorded, replace(one, provenance=at[1])])
    assert table["origin"].tolist() == ["trained here", "from a record"]
    assert table["networks"].tolist() == [1, 3]
    assert table["when"][1] == "2026-01-01 to 2026-01-03"
    assert table["seconds"][1] == 20
