"""A run from task to measurement, and experiments kept on disk."""

import multiprocessing
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model_cases import parameters
from run_cases import LOW_PASS, experiment, run_and_tell

import cbnlib.runs.obtain
from cbnlib import CNN, CNNConfig, TrainConfig, TrainingDivergedError, evaluate, run_task
from cbnlib.runs.experiment import Experiment, single
from cbnlib.runs.obtain import RECORD, folder_of, obtain, run_experiment
from cbnlib.runs.provenance import commit_of
from cbnlib.runs.store import ForeignRecordError, RecordError
from cbnlib.tasks import Task, bump

TASK = bump(8, samples=20)
NETWORK = CNNConfig(grid=8, width=2, depth=2)
BUMP = experiment(NETWORK)
TRAINING = BUMP.training


@pytest.fixture(scope="module")
def run():
    return run_task(TASK, NETWORK, TRAINING, progress=False)


def test_a_run_is_measured_on_all_data(run):
    assert run.fit == pytest.approx(evaluate(run.model, TASK.x, TASK.y))
    assert run.norm == pytest.approx(run.history.norm[-1])
    assert run.loss == pytest.approx(run.fit + 0.01 * run.norm)


def test_what_is_known_of_the_task(run):
    assert (run.task.name, run.task.samples, run.task.grid) == (TASK.name, 20, (8,))
    assert run.task.variance == TASK.variance
    assert run.task.sha256_x == run.task.sha256_y
    assert run.provenance.source == "live"
    assert run.provenance.seconds > 0
    assert (run.spectra, run.activations, run.held_out) == ([], [], None)


LABELS = Task("t", TASK.x, torch.arange(20) % 2, "cross_entropy")


def test_a_classifier_is_measured_on_held_out_samples():
    held_out = (TASK.x[:8], torch.tensor([0, 1] * 4))
    network = replace(NETWORK, c_out=2, head="pooling")
    training = replace(TRAINING, loss="cross_entropy")
    run = run_task(replace(LABELS, held_out=held_out), network, training, progress=False)
    assert run.held_out is not None
    with torch.no_grad():
        right = run.model(held_out[0]).argmax(dim=1) == held_out[1]
    assert (run.held_out.samples, run.held_out.accuracy) == (8, float(right.double().mean()))
    expected = evaluate(run.model, *held_out, loss="cross_entropy")
    assert run.held_out.fit == pytest.approx(expected)
    with pytest.raises(ValueError, match="t: labels have no variance to explain"):
        _ = run.learned


def test_the_seed_draws_the_weights():
    run = run_task(TASK, NETWORK, replace(TRAINING, steps=0), progress=False)
    assert torch.equal(run.model.convs[0].weight, CNN(NETWORK, seed=3).convs[0].weight)
    assert run.history.step == []


def test_an_experiment_is_the_run_of_its_task(run):
    (same,) = run_experiment(BUMP, progress=False)
    assert torch.equal(parameters(same.model), parameters(run.model))
    assert (same.history, same.fit, same.norm) == (run.history, run.fit, run.norm)
    assert [shot.step for shot in same.spectra] == [0, 1, 2, 3, 4, 5]
    assert len(same.activations) == 2


def test_as_many_spectra_as_asked_for():
    for count, steps in ((2, [0, 5]), (24, [0, 1, 2, 3, 4, 5])):
        what = experiment(NETWORK, snapshots=count)
        assert (what.digest() == BUMP.digest()) == (count == 24)
        [run] = run_experiment(what, progress=False)
        assert [shot.step for shot in run.spectra] == steps


def test_an_ensemble_comes_in_the_order_of_tasks_and_seeds():
    runs = run_experiment(Experiment(LOW_PASS, NETWORK, TRAINING, (7, 3)), progress=False)
    ranks = [run.task.name.removeprefix("low-pass of rank ") for run in runs]
    assert ranks == ["1", "1", "2", "2"]
    for run, (spec, seed) in zip(runs, [(s, k) for s in LOW_PASS for k in (7, 3)], strict=True):
        task = spec.load()
        assert run.fit == pytest.approx(evaluate(run.model, task.x, task.y))
        start = CNN(NETWORK, seed=seed).convs[0].weight
        assert (run.model.convs[0].weight - start).detach().abs().max() < 0.1
        assert [shot.step for shot in run.spectra] == [0, 5]


@pytest.fixture
def trainings(monkeypatch):
    """One entry per training."""
    calls = []
    original = cbnlib.runs.obtain.train

    def counted(*args, **options):
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(cbnlib.runs.obtain, "train", counted)
    return calls


def keep(experiment, records):
    """Train it and put its record where records lie."""
    run_experiment(experiment, folder=records / "run", progress=False)
    return (records / "run" / RECORD).rename(records / experiment.folder_name)


def test_records_are_searched_in_order(tmp_path, trainings):
    folders = [tmp_path / name for name in ("none", "empty", "full", "later")]
    for folder in folders[1:]:
        folder.mkdir()
    keep(replace(BUMP, label="Figure 1"), folders[2])
    (run,) = obtain(BUMP, records=folders, workspace=tmp_path / "work", progress=False)
    assert run.provenance.source == "record"
    assert len(trainings) == 1
    assert not (tmp_path / "work").exists()


def test_without_a_record_the_workspace_keeps_one(tmp_path, trainings):
    for source in ("live", "record"):
        (run,) = obtain(BUMP, records=[tmp_path / "r"], workspace=tmp_path / "w", progress=False)
        assert run.provenance.source == source
    assert (tmp_path / "w" / BUMP.folder_name / RECORD).is_dir()
    obtain(BUMP, records=[], workspace=None, progress=False)
    assert len(trainings) == 2


def test_a_damaged_record_is_never_replaced(tmp_path, trainings):
    obtain(BUMP, records=[], workspace=tmp_path, progress=False)
    own = tmp_path / BUMP.folder_name
    (own / RECORD / "record.json").write_text("{}")
    shutil.copytree(own / RECORD, tmp_path / "records" / own.name)
    with pytest.raises(RecordError, match=rf"{own.name}: record\.json: not the bytes"):
        obtain(BUMP, records=[tmp_path / "records"], workspace=tmp_path / "w", progress=False)
    with pytest.raises(RecordError, match=r"record: record\.json: not the bytes"):
        obtain(BUMP, records=[], workspace=tmp_path, progress=False)
    shutil.rmtree(own / RECORD)
    (own / RECORD).symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="no folder that can be read"):
        obtain(BUMP, records=[], workspace=tmp_path, progress=False)
    assert len(trainings) == 1


def test_a_record_in_the_wrong_folder_is_refused(tmp_path):
    other = single("bump", {"n": 8, "samples": 21}, NETWORK, TRAINING)
    keep(BUMP, tmp_path).rename(tmp_path / other.folder_name)
    with pytest.raises(
        ForeignRecordError, match=f"digest '{BUMP.digest()}', expected '{other.digest()}'"
    ):
        obtain(other, records=[tmp_path], workspace=None, progress=False)


@pytest.mark.parametrize("steps", [1, 2, 9, 900])
def test_training_that_fails_is_a_run(tmp_path, trainings, steps):
    """Also where weights are no numbers before the first record, and after the last step."""
    options = {"learning_rate": 1e30, "steps": steps, "optimizer": "sgd", "momentum": 0.0}
    wild = experiment(NETWORK, ridge=0.0, **options)
    for source in ("live", "record"):
        [run] = obtain(wild, records=[], workspace=tmp_path, progress=False)
        assert run.failure
        assert run.provenance.source == source
    assert len(trainings) == 1
    with pytest.raises(TrainingDivergedError):
        run_task(TASK, NETWORK, wild.training, progress=False)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (replace(BUMP, network=CNNConfig(8, 5000, 3)), "the weights of 1 networks have 80036"),
        (replace(BUMP, network=CNNConfig(8, 999, 3), seeds=tuple(range(30))), "of 30 netw"),
        (single("shape_texture", {"grid": [224, 224], "samples": 1, "carrier": [0, 8]},
                CNNConfig((224, 224), 64, 3, window=3), TrainConfig(0.0, 0.1, 999)),
         r"the largest for 0\.spectra\.1, have"),
    ],
    ids=["wide", "many", "spectra"],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_before_training(what, message, tmp_path, trainings):
    with pytest.raises(ValueError, match=f"too large for a record: .*{message}"):
        run_experiment(what, folder=tmp_path, progress=False)
    assert not trainings


def test_another_default_precision_is_refused_before_training(tmp_path, trainings):
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match=r"default dtype is torch\.float64, but records hold"):
            run_experiment(BUMP, folder=tmp_path, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    assert not trainings
    run_experiment(BUMP, folder=tmp_path, progress=False)


def test_an_experiment_is_found_under_another_label(tmp_path, trainings):
    for label in ("one", "two"):
        named = replace(BUMP, label=label)
        obtain(named, records=[], workspace=tmp_path, progress=False)
        assert folder_of(named, tmp_path).name.startswith("one-")
    assert len(trainings) == 1


WINDOWS = """
import os, shutil, sys
shutil._use_fd_functions = False  # as there
import torch, tqdm, joblib  # what they need of the system is theirs
sys.modules |= dict.fromkeys(["fcntl", "resource", "pwd", "grp", "termios"])
for name in ("register_at_fork", "O_NOFOLLOW", "O_NONBLOCK", "fork"):
    delattr(os, name)
open_file = os.open
def no_folders(path, flags, *more, **options):
    if os.path.isdir(path):
        raise PermissionError(path)
    return open_file(path, flags, *more, **options)
os.open = no_folders
from pathlib import Path
class Locks:
    def __init__(self, path): self.path = path
    def __enter__(self): Path(self.path).touch()
    def __exit__(self, *_): pass
import filelock
filelock.FileLock = Locks
import cbnlib, cbnlib.runs.store as store
class System:
    name = "nt"
    def __getattr__(self, key): return getattr(os, key)
store.os = System()
from cbnlib import *
what = single("bump", {"n": 8, "samples": 20}, CNNConfig(8, 2, 2), TrainConfig(0.01, 0.01, 5))
for source in ("live", "record"):
    [run] = run_experiment(what, folder=Path(sys.argv[1]), checkpoint_seconds=0, progress=False)
    assert run.provenance.source == source
print([path.name for path in Path(sys.argv[1]).iterdir()])
"""


def test_without_what_windows_lacks(tmp_path):
    command = [sys.executable, "-c", WINDOWS, str(tmp_path / "e")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['record']\n"


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit_of(Path(__file__).parents[2]) == ""


def test_two_processes_train_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    told = {"target": run_and_tell, "args": (BUMP, tmp_path, answers)}
    workers = [context.Process(**told) for _ in range(2)]
    for worker in workers:
        worker.start()
    sources = sorted(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(timeout=60)
    assert sources == ["live", "record"]
