"""The search over budgets: its moves, that nothing is trained twice, that a kill loses nothing."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import run_cases

from cbnlib.runs.obtain import RECORD, folder_of
from cbnlib.runs.record import load_record
from cbnlib.runs.search import SearchResult, load_search, read_search, search
from cbnlib.runs.store import ForeignRecordError, RecordError
from cbnlib.training.budget import Budget

RUNNER = Path(__file__).parents[1] / "kill_runner.py"
PLAN = run_cases.SEARCH
START = PLAN.start


def told(result: SearchResult) -> list[tuple[str, str, str, float]]:
    rows = (*result.tried, *result.prices)
    return [(t.move, str(t.budget), str(t.uses), t.loss) for t in rows]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    folder = tmp_path_factory.mktemp("search")
    return folder, search(PLAN, folder, workers=1, progress=False)


def test_each_budget_is_tried_once_from_the_network_of_its_parent(found):
    folder, result = found
    budgets = [str(t.budget) for t in result.tried[1:]]
    assert len(set(budgets)) == len(budgets) > 5
    assert {t.move for t in result.tried} >= {"start", "stay", "drop", "add", "swap"}
    assert len(list(folder.glob("*/record"))) == len(result.tried) + len(result.prices)
    known = {t.experiment.digest() for t in result.tried}
    assert {t.experiment.start for t in result.tried[1:]} <= known
    assert result.best.loss == min(t.loss for t in result.tried)
    assert result.network is not None
    assert result.network.loss == result.best.loss


def test_the_moves_of_a_round_are_the_neighbours_of_its_parent(found):
    _, result = found
    uses = result.tried[0].uses
    expected = {uses}
    modes = [(0,), (1,), (2,)]  # up to degree 2
    for new in modes:
        expected |= {uses.changed(new, 1)} if uses.directions.get(new, 0) < 4 else set()
    for old in uses.directions:
        less = uses.changed(old, -1)
        near = [w for w in modes if w != old and abs(w[0] - old[0]) <= 1]
        expected |= {less, *(less.changed(w, 1) for w in near if uses.directions.get(w, 0) < 4)}
    first = [t for t in result.tried[1:] if t.experiment.start == START.digest()]
    assert {t.budget for t in first} == expected


def test_no_move_needs_more_directions_than_a_held_layer_has_channels():
    """The first layer reads one channel."""
    uses = Budget(START.network.grid, {(0,): 1, (1,): 1})
    for layers, most in (((2, 3), 2), ((1, 3), 1)):
        moved = [budget for budget, _ in replace(PLAN, layers=layers).moves(uses)]
        assert max(max(b.directions.values(), default=0) for b in moved) == most


def test_moves_that_add_no_mode_are_made_again_from_a_better_network(tmp_path):
    """And no experiment twice; who does not ask for it has the digest that searches had before."""
    plan = replace(PLAN, again=True, rounds=4)
    assert "again" not in PLAN.facts()
    assert plan.digest() != replace(PLAN, rounds=4).digest()
    result = search(plan, tmp_path, workers=1, progress=False)
    assert len({t.experiment.digest() for t in result.tried}) == len(result.tried)
    first, repeated = dict[str, str](), 0
    for t in result.tried:
        if str(t.budget) in first:
            assert t.move in ("stay", "drop")
            repeated += first[str(t.budget)] != t.experiment.start
        first.setdefault(str(t.budget), t.experiment.start)
    assert repeated > 0
    assert read_search(tmp_path / plan.folder_name) == (plan, result)


def test_outcomes_are_those_of_the_records(found):
    folder, result = found
    for t in (*result.tried, *result.prices):
        _, [run] = load_record(folder_of(t.experiment, folder) / RECORD, t.experiment.digest())
        assert (t.loss, t.fit, t.norm) == (run.loss, run.fit, run.norm)
        assert t.uses == Budget.of(run.weight_spectra[1:3])


def test_the_price_of_each_direction(found):
    """The best network, held to what it uses, and to that without one direction."""
    _, result = found
    uses = result.best.uses
    held, *others = result.prices
    assert held.budget == uses
    assert {t.budget for t in others} == {uses.changed(w, -1) for w in uses.directions}
    for t in result.prices:
        assert t.experiment.start == result.best.experiment.digest()
        assert t.experiment.training.release == 1
        assert t.stays


def test_the_best_network_is_trained_further_in_the_end(found, tmp_path):
    """The finish goes on from the best; its own steps; the table gives it back."""
    folder, result = found
    plan = replace(PLAN, rounds=result.rounds, finish=50)
    for record in folder.glob(f"*/{RECORD}"):
        shutil.copytree(record, tmp_path / record.parent.name / RECORD)
    again = search(plan, tmp_path, workers=1, progress=False)
    *before, last = again.tried
    assert told(replace(again, tried=tuple(before), prices=())) == told(replace(result, prices=()))
    assert last.move == "finish"
    assert last.budget == result.best.uses
    assert last.experiment.start == result.best.experiment.digest()
    assert last.experiment.training.steps == 50
    assert {t.experiment.start for t in again.prices} == {again.best.experiment.digest()}
    assert load_search(tmp_path / plan.folder_name, plan) == again
    assert plan.folder_name != PLAN.folder_name


def test_what_is_there_is_not_trained_again(found, tmp_path, monkeypatch):
    folder, result = found

    def train(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("cbnlib.runs.obtain._train", train)
    assert search(PLAN, folder, workers=1, progress=False) == result
    copies = tmp_path / "copies"
    shutil.copytree(folder, copies, ignore=shutil.ignore_patterns(PLAN.folder_name))
    assert told(search(PLAN, copies, workers=1, progress=False)) == told(result)


def test_records_elsewhere_are_found(found, tmp_path):
    folder, result = found
    for record in folder.glob(f"*/{RECORD}"):
        shutil.copytree(record, tmp_path / "records" / record.parent.name)
    shutil.copytree(folder / PLAN.folder_name, tmp_path / "tables" / PLAN.folder_name)
    for name in ("records", "tables"):
        new = tmp_path / "new" / name
        again = search(PLAN, new, records=[tmp_path / name], workers=1, progress=False)
        assert told(again) == told(result)
        assert not list(new.glob("*/record"))
        assert (again.network is None) == (name == "tables")


@pytest.mark.parametrize("file", ["search.json", "arrays.npz", "SHA256SUMS"])
def test_a_damaged_table_is_refused(found, tmp_path, file):
    table = tmp_path / PLAN.folder_name
    shutil.copytree(found[0] / PLAN.folder_name, table)
    data = bytearray((table / file).read_bytes())
    data[len(data) // 2] ^= 1
    (table / file).write_bytes(data)
    with pytest.raises(RecordError):
        search(PLAN, tmp_path, workers=1, progress=False)


def test_a_table_belongs_to_one_search(found):
    with pytest.raises(ForeignRecordError, match="digest"):
        load_search(found[0] / PLAN.folder_name, replace(PLAN, beam=2))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_search_killed_20_times_trains_nothing_twice():
    command = [sys.executable, RUNNER, "20", "0", "search"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == 20
    assert result["resumed to the same result"] == result["searches"] > 0
    assert result["with records, without the table"] > 10
    assert not result.get("trained again")


def test_one_budget_is_one_experiment():
    """However it is written."""
    held = {"layers": (2, 3), "release": 0.5}
    digests = set()
    for text in ("±1×2, DC×1", "DC, -1x2"):
        training = replace(START.training, budget=text, **held)
        digests.add(replace(START, training=training).digest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layers": (2, 9)}, "must lie in 1..4"),
        ({"steps": 0}, "steps must be an integer >= 1"),
        ({"beam": 0}, "beam must be an integer >= 1"),
        ({"rounds": 1.5}, "rounds must be an integer >= 1"),
        ({"finish": -1}, "finish must be an integer >= 0"),
        ({"degree": -1}, "degree must be an integer >= 0"),
        ({"again": "yes"}, "again must be True or False"),
        ({"release": 2.0}, "release must be a share"),
        ({"start": replace(START, seeds=(0, 1))}, "starts from one network, got 2"),
        ({"start": None}, "start must be a Experiment"),
    ],
)
def test_bad_plans(change, told):
    with pytest.raises((ValueError, TypeError), match=told):
        replace(PLAN, **change)


def test_a_start_that_fails_ends_the_search(tmp_path):
    bad = replace(
        START, training=replace(START.training, optimizer="sgd", learning_rate=1e4, steps=50)
    )
    with pytest.raises(ValueError, match="the start of the search failed"):
        search(replace(PLAN, start=bad), tmp_path, workers=1, progress=False)
