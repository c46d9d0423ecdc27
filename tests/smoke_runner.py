"""Run the code of the notebooks in the profiles `smoke…`, each in a fork of this process.

    python tests/smoke_runner.py FOLDER [NOTEBOOK ...]

For each notebook that fails, `FOLDER/<profile>-<notebook>` says in which cell, and how. A fork has
the packages imported already; with a kernel of its own, as in `make book`, each run would import
them again.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import altair  # noqa: F401  # here and below: once for all notebooks
import IPython.display  # noqa: F401
import matplotlib.pyplot as plt
import seaborn  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import cbnlib.book.plots  # noqa: F401
from cbnlib.book.profiles import PROFILES
from tools.execute import SMOKE_CELL_SECONDS
from tools.notebook import parameters_cells, read_source
from tools.project import Project

WORKERS = 2
SMOKE = [profile for profile in PROFILES if profile.startswith("smoke")]


def run(source, profile, told):
    """Run a notebook; what is in the file `told` at the end says how far it came."""
    notebook = read_source(source)
    [parameters] = parameters_cells(notebook)
    parameters.source += f"\nprofile = {profile!r}"
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        told.write_text(f"{cell.id}: it was killed, or took longer than {SMOKE_CELL_SECONDS} s")
        signal.alarm(SMOKE_CELL_SECONDS)
        result = shell.run_cell(cell.source)
        error = result.error_before_exec or result.error_in_exec
        if error:
            last = "".join(traceback.format_exception_only(error)).strip()
            told.write_text(f"{cell.id}: {last}")
            return
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")
    told.unlink()


def start(source, profile, told):
    """Run a notebook in a fork; nobody sees what it prints."""
    told.write_text("it did not begin")
    if os.fork():
        return
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        os.chdir(source.parent)
        torch.set_num_threads(1)
        run(source, profile, told)
    except BaseException as error:  # a figure that cannot be drawn, say
        told.write_text(f"{told.read_text()}: {error!r}")
    finally:
        os._exit(0)


def main(folder, *names):
    """Run all, some at a time."""
    sources = Project().sources(names)
    running = 0
    for profile in SMOKE:
        for source in sources:
            if running == WORKERS:
                os.wait()
                running -= 1
            start(source, profile, folder.resolve() / f"{profile}-{source.stem}")
            running += 1
    for _ in range(running):
        os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
