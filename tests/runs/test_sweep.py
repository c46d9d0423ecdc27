"""Sweeps: each run once, on local processes and on a real Dask cluster, whatever dies."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from run_cases import experiment

import cbnlib.runs.sweep
from cbnlib import CNNConfig
from cbnlib.runs.checkpoint import CHECKPOINT
from cbnlib.runs.record import load_record
from cbnlib.runs.sweep import grid_of, sweep

BASE = experiment(CNNConfig(grid=8, width=2, depth=2), seed=0)
WILD = experiment(BASE.network, seed=0, optimizer="sgd", learning_rate=1e4, steps=50)
DIVERGING = replace(WILD, label="bad")
LONG = experiment(BASE.network, seed=0, ridge=1e-4, steps=2000)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def local_workers():
    """Those alive; what ends while it is looked at is none."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and "LokyProcess" in str(process.cmdline()):
                found.append(process)
    return found


def stamps(folder):
    """What changes if a record is written again."""
    records = sorted(folder.glob("*/record/record.json"))
    return {path.parts[-3]: (path.stat().st_ino, path.stat().st_mtime_ns) for path in records}


def assert_all_valid(experiments, folder):
    for one in experiments:
        _, runs = load_record(folder / one.folder_name / "record", one.digest())
        assert runs[0].history.step[-1] == one.training.steps


def test_each_runs_once_and_a_failure_stops_nothing(tmp_path, capsys):
    good = grid_of(BASE, ridge=[0.01, 0.1], seed=[0, 1])
    again = replace(good[0], label="the same")
    experiments = [good[0], DIVERGING, *good[1:], again]
    result = sweep(experiments, tmp_path, workers=2)
    assert [run.digest for run in result.finished] == [e.digest() for e in good]
    assert all(run.trained and run.seconds > 0 for run in result.finished)
    assert [run.folder for run in result.finished] == [tmp_path / e.folder_name for e in good]
    (failed,) = result.failed
    assert failed.name == DIVERGING.folder_name
    assert failed.error.startswith("the norm is ")
    err = capsys.readouterr().err
    assert "5/5" in err
    assert f"4 of 5 runs finished\nfailed: {failed.name}: {failed.error}" in err
    assert_all_valid(good, tmp_path)

    before = stamps(tmp_path)
    second = sweep(good, tmp_path, workers=2, progress=False)
    assert stamps(tmp_path) == before
    assert not any(run.trained for run in second.finished)
    assert [run.digest for run in second.finished] == [e.digest() for e in good]
    assert capsys.readouterr().err == ""


def test_a_sweep_of_the_same_experiments_finds_its_records(tmp_path, monkeypatch):
    """Axes in another order, and values that mean the same, make other labels only."""
    first = grid_of(BASE, ridge=[0.01, 0.1], window=[3])
    sweep([*first, DIVERGING], tmp_path, workers=1, progress=False)
    before = stamps(tmp_path)
    monkeypatch.setattr(cbnlib.runs.sweep.joblib, "Parallel", None)
    again = grid_of(BASE, window=[(3,)], bias=[1], ridge=[0.01, 0.1])
    result = sweep([*again, replace(DIVERGING, label="")], tmp_path, progress=False)
    assert stamps(tmp_path) == before
    assert [run.name for run in result.finished] == [e.folder_name for e in first]
    (failed,) = result.failed
    assert (failed.name, failed.error[:12]) == (DIVERGING.folder_name, "the norm is ")


def test_one_worker_is_this_process_and_leaves_its_threads_alone(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert sweep([BASE], tmp_path, workers=1, progress=False).failed == ()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    _, runs = load_record(tmp_path / BASE.folder_name / "record", BASE.digest())
    assert runs[0].provenance.environment["threads"] == "1"


def test_a_damaged_record_is_reported_and_left_alone(tmp_path):
    folder = tmp_path / BASE.folder_name
    cbnlib.runs.sweep.run_experiment(BASE, folder=folder, progress=False)
    (folder / "record" / "record.json").write_text("{}")
    (failed,) = sweep([BASE], tmp_path, progress=False).failed
    assert failed.error.startswith("RecordError: ")
    assert (folder / "record" / "record.json").read_text() == "{}"


def test_a_killed_local_worker_costs_no_run(tmp_path):
    experiments = grid_of(LONG, seed=[0, 1])
    killed = []

    def kill_one():
        wait_for(lambda: list(tmp_path.glob("*/lock")))
        worker = local_workers()[0]
        worker.kill()
        killed.append(worker.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = sweep(experiments, tmp_path, workers=2, progress=False)
    killer.join()
    assert len(killed) == 1
    assert result.failed == ()
    assert_all_valid(experiments, tmp_path)


def test_local_workers_that_always_die_are_given_up(tmp_path):
    done = threading.Event()

    def kill_all():
        while not done.wait(0.02):
            if list(tmp_path.glob("*/lock")):
                for process in local_workers():
                    with suppress(psutil.NoSuchProcess):
                        process.kill()

    killer = threading.Thread(target=kill_all)
    killer.start()
    experiments = grid_of(LONG, seed=[0, 1])
    result = sweep(experiments, tmp_path, workers=2, retries=1, progress=False)
    done.set()
    killer.join()
    assert [run.name for run in result.failed] == [e.folder_name for e in experiments]
    assert all(run.error.startswith("TerminatedWorkerError: ") for run in result.failed)


PRELOAD = """
import os
import cbnlib.runs.sweep
from cbnlib.runs.obtain import run_experiment

def logged(experiment, **options):
    with open({log!r}, "a") as stream:
        stream.write(f"{{os.getpid()}} {{experiment.folder_name}}\\n")
    return run_experiment(experiment, checkpoint_seconds=0.2, **options)

cbnlib.runs.sweep.run_experiment = logged
"""


class Cluster:
    """A Dask scheduler and workers, processes of their own that listen on 127.0.0.1 only."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "starts"
        self.log.touch()
        (folder / "preload.py").write_text(PRELOAD.format(log=str(self.log)))
        self.file = folder / "scheduler.json"
        self.processes = []

    def start(self, kind, *options):
        where = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(self.file)]
        command = [sys.executable, "-m", "dask", kind, *where, *options]
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                command, cwd=Path(__file__).parents[2], stdout=output, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        return process

    def start_worker(self):
        preload = ["--preload", str(self.folder / "preload.py")]
        local = ["--local-directory", str(self.folder), "--memory-limit", "0"]
        return self.start("worker", "--nthreads", "1", "--no-nanny", *preload, *local)

    @property
    def address(self):
        return json.loads(self.file.read_text())["address"]

    def starts(self):
        """Process and experiment of every start of a run, in order."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(int(pid), name) for pid, name in lines]


@contextmanager
def dask_cluster(folder):
    folder.mkdir()
    cluster = Cluster(folder)
    try:
        cluster.start("scheduler", "--port", "0")
        wait_for(cluster.file.exists)
        yield cluster
    finally:
        for process in cluster.processes:
            process.kill()
            process.wait()


def test_a_killed_dask_worker_costs_its_run_s_retry_only(tmp_path):
    pytest.importorskip("distributed")
    long = grid_of(LONG, seed=[0, 1, 2])
    experiments = [BASE, DIVERGING, *long]
    records = tmp_path / "records"
    with dask_cluster(tmp_path / "cluster") as cluster:
        workers = [cluster.start_worker(), cluster.start_worker()]
        finished_before = {}
        lost = []

        def in_the_middle():
            begun = [run for run in cluster.starts() if (records / run[1] / CHECKPOINT).exists()]
            return [run for run in begun if not (records / run[1] / "record").exists()]

        def kill_one():
            wait_for(lambda: stamps(records) and in_the_middle())
            finished_before.update(stamps(records))
            pid, name = in_the_middle()[-1]
            (victim,) = (worker for worker in workers if worker.pid == pid)
            victim.kill()
            lost.append(name)

        killer = threading.Thread(target=kill_one)
        killer.start()
        result = sweep(experiments, records, scheduler=cluster.address, progress=False)
        killer.join()
        starts = [name for _, name in cluster.starts()]
    assert [run.name for run in result.failed] == [DIVERGING.folder_name]
    assert_all_valid([BASE, *long], records)
    assert sorted(starts) == sorted([e.folder_name for e in experiments] + lost)
    assert len(lost) == 1
    assert finished_before
    assert finished_before.items() <= stamps(records).items()


def test_grid_of_is_the_product_with_readable_labels():
    grid = grid_of(BASE, depth=[2, 3], learning_rate=[0.01, 0.02])
    assert [e.network.depth for e in grid] == [2, 2, 3, 3]
    assert [e.training.learning_rate for e in grid] == [0.01, 0.02, 0.01, 0.02]
    assert grid[3].label == "bump depth=3 learning_rate=0.02"
    assert grid[3].folder_name.startswith("bump-depth-3-learning-rate-0-02-")
    assert grid[0].digest() == BASE.digest()
    (other,) = grid_of(BASE, seed=[3])
    assert (other.seeds, other.training.seed) == ((3,), 3)
    (named,) = grid_of(replace(BASE, seeds=(1, 2), label="mine"), gain=[2.0])
    assert (named.label, named.seeds, named.network.gain) == ("mine gain=2.0", (1, 2), 2.0)


def test_a_scheduler_needs_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"needs Dask: pip install 'cbnlib\[cluster\]'"):
        sweep([BASE], tmp_path, scheduler="tcp://127.0.0.1:1", progress=False)


def test_an_address_without_a_scheduler_is_named(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cbnlib.runs.sweep, "CONNECT_SECONDS", 0.5)
    with pytest.raises(ValueError, match="no Dask scheduler answers at"):
        sweep([BASE], tmp_path, scheduler="tcp://127.0.0.1:1", progress=False)
