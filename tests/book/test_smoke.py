"""Every notebook runs whatever training gives: little learned, zeros, or a training that failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cbnlib.book.profiles import PROFILES
from tools.project import ROOT

RUNNER = Path(__file__).parents[1] / "smoke_runner.py"
SMOKE = [profile for profile in PROFILES if profile.startswith("smoke")]


def failures_of(folder, *names):
    """Run the notebooks in all profiles; what failed, and how."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    subprocess.run([sys.executable, RUNNER, folder, *names], env=environment, check=True)
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def failures(tmp_path_factory):
    return failures_of(tmp_path_factory.mktemp("smoke"))


@pytest.mark.parametrize("profile", SMOKE)
def test_every_notebook_runs_whatever_training_gives(failures, profile):
    told = [
        f"{name}: {why}" for name, why in failures.items() if name.rpartition("-")[0] == profile
    ]
    assert told == []
