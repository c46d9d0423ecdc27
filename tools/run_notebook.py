"""Execute one notebook with papermill and keep the result only if all of it ran."""

import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from tools.notebook import Parameter, declared_parameters, read_source
from tools.outputs import clean_outputs
from tools.project import Project

LONGEST_SOCKET_NAME = 100
KERNEL_START_SECONDS = 180
THREADS = 1
"""Threads of each numerical library: the order of sums, and so the last bits, depend on it."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    project: Project
    source: Path
    profile: str
    parameters: Mapping[str, Parameter]
    digest: str
    timeout: int | None
    """Seconds a cell may take; `None` for no limit."""

    @property
    def copy(self) -> Path:
        """Where the executed notebook goes."""
        return self.project.executed(self.profile) / f"{self.source.stem}.ipynb"

    @property
    def partial(self) -> Path:
        """Where papermill writes while it runs, and what is left of a failed run."""
        return self.project.failed / f"{self.source.stem}.ipynb"


class Progress:
    """What a notebook writes to standard error, shown on the terminal.

    A notebook on its own shows its progress bars as they are. Where several run at once, or there
    is no terminal, the latest line of each is printed, at most every `interval` seconds.
    """

    def __init__(self, name: str, *, live: bool, interval: float = 10.0) -> None:
        self.name = name
        self.live = live
        self.interval = interval
        self._next = time.monotonic() + interval

    def write(self, text: str) -> None:
        """Take a piece of the stream."""
        if self.live:
            sys.stderr.write(text)
            return
        lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
        if lines and time.monotonic() >= self._next:
            self._next = time.monotonic() + self.interval
            print(f"{self.name}: {lines[-1].strip()}", file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Show what is held back."""
        sys.stderr.flush()


def run_notebook(job: Job, *, live: bool) -> str | None:
    """Execute a notebook; return `None`, or what went wrong, with the cell it went wrong in.

    The executed copy is written only if every cell ran, in one move.
    """
    job.partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        executed = _papermill(job, live=live)
    except PapermillExecutionError as error:
        return _failure(job, f"{error.ename}: {error.evalue}")
    except CellTimeoutError:
        return _failure(job, f"the cell took longer than {job.timeout} s")
    except DeadKernelError:
        return _failure(job, "the kernel died (out of memory?)")
    except Exception:  # whatever it is, the other notebooks go on and this one is named
        return _failure(job, traceback.format_exc())
    _store(job, executed)
    return None


def _papermill(job: Job, *, live: bool) -> NotebookNode:
    notebook = read_source(job.source)
    defaults = declared_parameters(notebook)
    notebook.metadata.pop("jupytext", None)  # an executed copy is no pair
    _set_environment(job.project.root)
    with tempfile.TemporaryDirectory() as sockets:
        return papermill.execute_notebook(
            notebook,
            str(job.partial),
            parameters={k: v for k, v in job.parameters.items() if v != defaults[k]},
            kernel_name="python3",
            cwd=str(job.source.parent),
            execution_timeout=job.timeout,
            start_timeout=KERNEL_START_SECONDS,
            progress_bar=False,
            stderr_file=Progress(job.source.stem, live=live),
            config=Config({"KernelManager": _transport(sockets)}),
        )


def _set_environment(root: Path) -> None:
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(THREADS)
    os.environ["PYTHONHASHSEED"] = "0"
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))


def _transport(folder: str) -> dict[str, str]:
    """Talk to the kernel through sockets in a folder of its own, not through TCP ports.

    Kernels that share a folder would take each other's sockets. Where the system's folder for
    temporary files has too long a name for a socket, TCP it is.
    """
    name = f"{folder}/kernel"
    fits = len(os.fsencode(name)) < LONGEST_SOCKET_NAME
    return {"transport": "ipc", "ip": name} if fits else {"transport": "tcp"}


def _store(job: Job, notebook: NotebookNode) -> None:
    clean_outputs(notebook)
    notebook.metadata["companion"] = {
        "digest": job.digest,
        "profile": job.profile,
        "parameters": dict(job.parameters),
        "threads": THREADS,
    }
    root = job.project.root
    record = notebook.metadata["papermill"]
    record["input_path"] = job.source.relative_to(root).as_posix()
    record["output_path"] = job.copy.relative_to(root).as_posix()
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = f"{job.source.stem}-injected"
    nbformat.validate(notebook)
    job.copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, job.partial)
    job.partial.rename(job.copy)


def _failure(job: Job, error: str) -> str:
    lines = [f"{job.source.stem}: FAILED"]
    if job.partial.exists():
        lines.append(f"  in {_last_started_cell(job.partial)}")
        where = job.partial.relative_to(job.project.root)
        lines.append(f"  what it did until then is in {where}")
    return "\n".join([*lines, f"  {error}"])


def _last_started_cell(partial: Path) -> str:
    """Name the cell a run broke off in: papermill notes when it starts one."""
    cells = nbformat.read(partial, as_version=4).cells
    started = [
        cell
        for cell in cells
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time")
    ]
    if not started:
        return "no cell: the kernel did not start"
    first_line = next(iter(started[-1].source.strip().splitlines()), "")
    return f"cell {started[-1].get('id', '?')}: {first_line}"
