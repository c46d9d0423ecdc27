"""Kill runs at random moments, let each end, and print how many ended with the right bits.

python tests/kill_runner.py KILLS SEED
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
from run_cases import experiment
from tqdm import tqdm

from cbnlib.runs.obtain import RECORD, run_experiment
from cbnlib.runs.record import load_record

WHAT = experiment(steps=14)


def contents(record):
    """What must not depend on kills: all but when and how long."""
    document = json.loads((record / "record.json").read_text())
    del document["provenance"]
    return document, (record / "arrays.npz").read_bytes()


def start(folder):
    """Run in a forked process, which saves after every step; return its id."""
    process = os.fork()
    if process:
        return process
    try:
        run_experiment(WHAT, folder=folder, checkpoint_seconds=0, progress=False)
        os._exit(0)
    finally:
        os._exit(1)


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


if __name__ == "__main__":
    # Threads do not survive a fork, and tqdm's own lock is shared with the forked processes, where
    # one that is killed while holding it stops all others.
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0
    tqdm.set_lock(threading.RLock())
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(kill_runs(int(sys.argv[1]), int(sys.argv[2]), Path(name))))
