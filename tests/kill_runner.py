"""Kill runs or searches at random moments, let each end, and print how they ended.

python tests/kill_runner.py KILLS SEED [search]
"""

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import torch
from run_cases import SEARCH, experiment
from tqdm import tqdm

from cbnlib.runs import obtain
from cbnlib.runs.obtain import RECORD, run_experiment
from cbnlib.runs.record import load_record
from cbnlib.runs.search import DOCUMENT, search
from cbnlib.runs.store import ARRAYS, parse_npz

WHAT = experiment(steps=14)


def contents(record):
    """What must not depend on kills: all but when and how long."""
    document = json.loads((record / "record.json").read_text())
    del document["provenance"]
    return document, (record / "arrays.npz").read_bytes()


def forked(work):
    """Do this in a forked process; return its id."""
    process = os.fork()
    if process:
        return process
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def start(folder):
    """Run in a forked process, which saves after every step; return its id."""
    return forked(lambda: run_experiment(WHAT, folder=folder, checkpoint_seconds=0, progress=False))


def wait_for(folder, pattern, seconds):
    """Wait until a file of this name is there, but no longer than this."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not any(folder.glob(pattern)):
        time.sleep(0.0002)


def wait_for_a_moment(choose, folder, seconds):
    """Any moment of a run that takes so long, or one at which a file is written."""
    kind = choose.random()
    if kind < 0.4:
        time.sleep(choose.uniform(0, seconds))
        return
    pattern = "checkpoint.tmp" if kind < 0.8 else ".record.tmp"
    wait_for(folder, pattern, choose.uniform(0.5, 1) * 2 * seconds)
    if kind >= 0.8:  # a checkpoint is written faster
        time.sleep(choose.uniform(0, 0.02))


def kill_runs(kills, seed, workspace):
    """Start runs until there were enough kills; each goes on until it ends."""
    choose, counts, run = random.Random(seed), Counter(), 0
    run_experiment(WHAT, progress=False)  # so that what torch imports late is there
    began = time.monotonic()
    os.waitpid(start(workspace / "never"), 0)
    seconds = time.monotonic() - began
    expected = contents(workspace / "never" / RECORD)
    assert {layer["form"] for layer in expected[0]["networks"][0]["layers"]} == {"dense"}
    while counts["kills"] < kills:
        run += 1
        folder, killed, status = workspace / f"run-{run}", 0, 1
        while status:
            process = start(folder)
            if counts["kills"] + killed < kills:
                wait_for_a_moment(choose, folder, seconds)
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            if status == 0:
                break
            assert os.WIFSIGNALED(status), "the run failed"
            killed += 1
            counts["while writing a checkpoint"] += (folder / "checkpoint.tmp").exists()
            if os.path.lexists(folder / RECORD):
                load_record(folder / RECORD, WHAT.digest())
                counts["damaged records accepted"] += contents(folder / RECORD) != expected
        load_record(folder / RECORD, WHAT.digest())
        counts["kills"] += killed
        counts["resumed to the same bits"] += killed * (contents(folder / RECORD) == expected)
    return counts


def start_search(folder, log):
    """Search in a forked process, which logs what it trains; return its id."""

    def work():
        def logged(what, *others):
            with log.open("a") as file:
                file.write(f"{what.digest()}\n")
            return train(what, *others)

        train, obtain._train = obtain._train, logged
        search(SEARCH, folder, workers=1, progress=False)

    return forked(work)


def records_in(folder):
    """When each record of a search was written, by the start of its digest."""
    found = folder.glob(f"*/{RECORD}")
    return {path.parent.name.rsplit("-", 1)[1]: path.stat().st_mtime_ns for path in found}


def result_in(folder):
    """Table and records of a finished search: all but when and how long."""
    table = folder / SEARCH.folder_name
    numbers = parse_npz((table / ARRAYS).read_bytes())
    del numbers["seconds"]
    records = {path.parent.name: contents(path) for path in folder.glob(f"*/{RECORD}")}
    kept = {name: values.tolist() for name, values in numbers.items()}
    return (table / DOCUMENT).read_text(), kept, records


def kill_searches(kills, seed, workspace):
    """Search again and again until there were enough kills; each search goes on until it ends."""
    choose, counts = random.Random(seed), Counter()
    os.waitpid(start_search(workspace / "never", workspace / "log"), 0)
    expected = result_in(workspace / "never")
    while counts["kills"] < kills:
        counts["searches"] += 1
        folder, log, status = workspace / f"search-{counts['searches']}", workspace / "log", 1
        while status:
            before = records_in(folder)
            log.unlink(missing_ok=True)
            process = start_search(folder, log)
            if counts["kills"] < kills:
                wanted = min(len(before) + choose.randint(0, 2), len(expected[2]))
                end = time.monotonic() + 60
                while len(records_in(folder)) < wanted and time.monotonic() < end:
                    time.sleep(0.001)
                time.sleep(choose.uniform(0, 0.05))
                os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            assert status == 0 or os.WIFSIGNALED(status), "the search failed"
            counts["kills"] += status != 0
            table = (folder / SEARCH.folder_name).exists()
            counts["with records, without the table"] += bool(before) and not table
            trained = log.read_text().split() if log.exists() else []
            counts["trained again"] += sum(digest[:12] in before for digest in trained)
            counts["trained again"] += not before.items() <= records_in(folder).items()
        counts["resumed to the same result"] += result_in(folder) == expected
    return counts


if __name__ == "__main__":
    # Threads do not survive a fork, and tqdm's own lock is shared with the forked processes, where
    # one that is killed while holding it stops all others.
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0
    tqdm.set_lock(threading.RLock())
    kill = kill_searches if sys.argv[3:] == ["search"] else kill_runs
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(kill(int(sys.argv[1]), int(sys.argv[2]), Path(name))))
