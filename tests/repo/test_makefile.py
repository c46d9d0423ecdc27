"""How `make` sets up the environment, with a Python that only pretends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRETENDER = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "{log}"
case "$*" in
  "-c import pip") test -e "$here/pip" ;;
  "-m venv --clear .venv")
    rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python
    {venv} ;;
  "-m pip install"*) ;;
  *) exec {real} "$@" ;;
esac
"""
MAKES, HALF = "touch .venv/bin/pip", "exit 1"  # the latter: Debian without python3-venv


@pytest.fixture
def make(tmp_path):
    """Make the environment; return the exit status, what was told and what Python was asked."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)

    def run(venv=MAKES, real=sys.executable, *options):
        log, python = tmp_path / "log", tmp_path / "python3"
        log.write_text("")
        python.write_text(PRETENDER.format(log=log, venv=venv, real=real))
        python.chmod(0o755)
        env = {k: v for k, v in os.environ.items() if k not in {"PYTHON", "MAKEFLAGS"}}
        env["PATH"] = f"{tmp_path}:{env['PATH']}"
        command = ["make", "install", *options]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr, log.read_text()

    return run


def test_a_half_made_environment_is_made_again(make):
    status, told, _ = make(HALF)
    assert status
    assert "python3-venv" in told
    status, _, asked = make()
    assert status == 0
    assert "-m venv --clear .venv" in asked
    assert "-m pip install --quiet -c constraints.txt" in asked


def test_an_environment_that_lost_its_pip_is_made_again(make, tmp_path):
    assert make()[0] == 0
    (tmp_path / ".venv" / "bin" / "pip").unlink()
    status, _, asked = make()
    assert status == 0
    assert "-m venv --clear .venv" in asked


def test_a_finished_environment_is_left_alone(make):
    assert make()[0] == 0
    assert "-m" not in make()[2]


def other_python(tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 3.10.1\n")
    other.chmod(0o755)
    return f"PYTHON={other}"


def test_another_python_than_the_environment_s_is_told(make, tmp_path):
    assert make()[0] == 0
    here = ".".join(map(str, sys.version_info[:3]))
    status, told, _ = make(MAKES, sys.executable, other_python(tmp_path))
    assert status == 0
    assert f".venv has Python {here} and keeps it." in told
    assert "keeps it" not in make(MAKES, sys.executable, "PYTHON=python3")[1]


def test_a_python_out_of_range_is_refused(make, tmp_path):
    old = tmp_path / "old"
    prefix = "import sys; sys.version_info = (3, 10, 9); sys.version = '3.10.9';"
    old.write_text(f"""#!/bin/sh
exec {sys.executable} -c "{prefix} exec(sys.argv[1])" "$2"
""")
    old.chmod(0o755)
    status, told, asked = make(MAKES, old)
    assert status
    assert "Python 3.11 to 3.14 is needed, python3 is 3.10.9" in told
    assert "venv" not in asked
