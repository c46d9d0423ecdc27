"""Who stops a build stops its notebooks, too; and who waits for it sees where they are."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from project_cases import cell, make_project, notebook

from tools.progress import Progress
from tools.project import ROOT

SECONDS = 60
SLEEPS = """\
import os, pathlib, time
pathlib.Path("kernel.tmp").write_text(str(os.getpid()))
pathlib.Path("kernel.tmp").rename("kernel")
time.sleep(1000)"""


def until(holds):
    """Wait until something holds; say whether it did in time."""
    end = time.monotonic() + SECONDS
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return held


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def ctrl_c_is_heard():
    """What a shell starts in the background ignores SIGINT, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGINT"])
def test_no_kernel_outlives_the_build(tmp_path, kind):
    project = make_project(tmp_path, {"01_sleeps": notebook(cell(SLEEPS))})
    command = [sys.executable, "-m", "tools.execute", "--root", str(tmp_path)]
    stderr = (tmp_path / "stderr").open("w")
    build = subprocess.Popen(command, cwd=ROOT, stderr=stderr, start_new_session=True)
    try:
        told = project.notebooks / "kernel"
        assert until(told.exists)
        kernel = int(told.read_text())
        if kind == "SIGINT":  # as a terminal sends it: to all of them
            os.killpg(build.pid, signal.SIGINT)
        else:
            build.kill()
        assert build.wait(SECONDS) == {"SIGKILL": -signal.SIGKILL, "SIGINT": 130}[kind]
        assert until(lambda: is_gone(kernel))
    finally:
        build.kill()
        build.wait()
    assert not list(project.build.rglob("executed/*/*.ipynb"))
    stderr.close()
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_a_silent_cell_is_shown_with_its_number(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    progress = Progress("02_digits", interval=0.01)
    with progress.shown(3):
        progress.next_cell()
        progress.next_cell()
        until(lambda: "cell 2 of 3" in sys.stderr.getvalue())
    assert "02_digits: cell 2 of 3, 0:00\n" in sys.stderr.getvalue()
