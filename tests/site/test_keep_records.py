"""The committed records, and what keeps them."""

from dataclasses import replace

import pytest
from run_cases import experiment

from cbnlib import CNNConfig, TrainConfig, run_experiment
from cbnlib.runs.experiment import single
from cbnlib.runs.obtain import RECORD, folder_of
from cbnlib.runs.record import load_record
from cbnlib.runs.search import Search, load_search, read_search, search
from tools.keep_records import LARGEST_MEGABYTES, main, megabytes
from tools.project import Project

PROJECT = Project()
COMMITTED = sorted(set(PROJECT.records.glob("*-*")) - set(PROJECT.records.glob("search-*")))
TABLES = sorted(PROJECT.records.glob("search-*"))


def test_all_records_together_are_small():
    assert 0 < megabytes(PROJECT.records) <= LARGEST_MEGABYTES


def test_every_experiment_has_one_record():
    digests = [path.name.rpartition("-")[2] for path in COMMITTED]
    assert len(set(digests)) == len(digests) > 200


@pytest.mark.parametrize("sealed", COMMITTED, ids=lambda path: path.name)
def test_committed_record_is_sound_and_called_what_it_is(sealed):
    what, runs = load_record(sealed)
    assert sealed.name == what.folder_name
    assert folder_of(replace(what, label="another"), PROJECT.records) == sealed
    assert len(runs) == len(what.members)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.name)
def test_committed_table_is_sound_and_called_what_it_is(table):
    plan, result = read_search(table)
    assert table.name == plan.folder_name
    assert repr(load_search(table, plan)) == repr(result)  # NaN is no NaN's equal


@pytest.fixture
def trained(tmp_path):
    """A project with one finished run."""
    what = experiment(steps=1)
    folder = tmp_path / "_build" / "runs" / what.folder_name
    run_experiment(what, folder=folder, progress=False)
    return folder


def test_finished_runs_are_kept_once(trained, capsys):
    root = trained.parents[2]
    (trained.parent / "unfinished-0123456789ab").mkdir()
    (root / "records" / f".{trained.name}.tmp").mkdir(parents=True)  # of a call that was killed
    assert main(["--root", str(root)]) == 0
    kept = root / "records" / trained.name
    assert [path.name for path in kept.parent.iterdir()] == [trained.name]
    assert f"kept {kept.relative_to(root)}" in capsys.readouterr().out
    for path in (trained / RECORD).iterdir():
        assert (kept / path.name).read_bytes() == path.read_bytes()
    kept.rename(kept.with_name(f"other-label-{kept.name[-12:]}"))
    assert main(["--root", str(root)]) == 0
    assert "kept" not in capsys.readouterr().out


def test_a_search_is_kept_with_its_best_network(tmp_path):
    start = single("bump", {"n": 8, "samples": 16}, CNNConfig(8, 2, 2), TrainConfig(0.1, 0.01, 2))
    plan = Search(start, (1, 1), steps=1, rounds=1, beam=1, degree=0)
    found = search(plan, tmp_path / "_build" / "searches", workers=1, progress=False)
    assert main(["--root", str(tmp_path)]) == 0
    kept = {path.name for path in (tmp_path / "records").iterdir()}
    assert kept == {plan.folder_name, found.best.experiment.folder_name}
    [run] = load_record(folder_of(found.best.experiment, tmp_path / "records"))[1]
    assert run.loss == found.best.loss


def test_a_damaged_run_is_not_kept(trained, capsys):
    arrays = trained / RECORD / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    root = trained.parents[2]
    assert main(["--root", str(root)]) == 1
    assert "arrays.npz" in capsys.readouterr().err
    assert not (root / "records").exists()
