"""Execute one notebook with papermill and keep the result only if all of it ran."""

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from multiprocessing.connection import wait

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from tools.job import Failure, Job
from tools.notebook import declared_parameters, parse_source
from tools.outputs import clean_outputs
from tools.progress import Progress
from tools.project import BuildError, Project

LONGEST_SOCKET_NAME = 100
KERNEL_START_SECONDS = 180
KERNEL_END_SECONDS = 15
THREADS = 1
"""Threads of each numerical library. The order of sums, so the last bits, depend on it."""


def run_in_own_process(job: Job) -> Failure | None:
    """As `run_notebook`, in a process that runs nothing else and ends when its parent does.

    papermill shuts a kernel down only if its own process ends in order.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return run_notebook(job)
    except (SystemExit, KeyboardInterrupt):
        os._exit(1)  # nobody waits for a result


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(KERNEL_END_SECONDS)
        os._exit(1)


def run_notebook(job: Job) -> Failure | None:
    """Execute a notebook and return `None`, or what went wrong.

    The executed copy is written only if every cell ran, in one move.
    """
    try:
        job.partial.parent.mkdir(parents=True, exist_ok=True)
        _store(job, _papermill(job))
    except PapermillExecutionError as error:
        return Failure.of(job, f"{error.ename}: {error.evalue}")
    except CellTimeoutError:
        return Failure.of(job, f"the cell took longer than {job.timeout} s")
    except DeadKernelError:
        return Failure.of(job, "the kernel died (out of memory?)")
    except (BuildError, OSError) as error:
        return Failure.of(job, str(error))
    except Exception:  # whatever it is, the other notebooks go on and this one is named
        return Failure.of(job, traceback.format_exc())
    return None


def _papermill(job: Job) -> NotebookNode:
    notebook = parse_source(job.source, job.content)
    defaults = declared_parameters(notebook)
    notebook.metadata.pop("jupytext", None)  # an executed copy is no pair
    _set_environment(job.project)
    changed = {k: v for k, v in job.parameters.items() if v != defaults[k]}
    cells = sum(cell.cell_type == "code" for cell in notebook.cells) + bool(changed)
    progress = Progress(job.name)
    with tempfile.TemporaryDirectory() as sockets, progress.shown(cells):
        return papermill.execute_notebook(
            notebook,
            str(job.partial),
            parameters=changed,
            kernel_name="python3",
            cwd=str(job.source.parent),
            execution_timeout=job.timeout,
            start_timeout=KERNEL_START_SECONDS,
            progress_bar=False,
            stderr_file=progress,
            on_cell_execute=progress.next_cell,
            config=Config({"KernelManager": _transport(sockets)}),
        )


def _set_environment(project: Project) -> None:
    os.environ.update(project.caches)
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(THREADS)
    os.environ["PYTHONHASHSEED"] = "0"
    path = [str(project.root), os.environ.get("PYTHONPATH", "")]
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
    times = [cell.metadata.get("papermill", {}).get("duration") for cell in notebook.cells]
    records = job.asked(notebook.cells)
    clean_outputs(notebook)
    notebook.metadata["companion"] = {
        "digest": job.digest,
        "profile": job.profile,
        "parameters": dict(job.parameters),
        "records": records,
        "environment": dict(job.environment) | {"threads": str(THREADS)},
        "longest_cell": max(filter(None, times), default=0.0),
        "memory_mb": _peak_megabytes(),
    }
    root = job.project.root
    record = notebook.metadata["papermill"]
    record["input_path"] = job.source.relative_to(root).as_posix()
    record["output_path"] = job.copy.relative_to(root).as_posix()
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = f"{job.name}-injected"
    nbformat.validate(notebook)
    job.copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, job.partial)
    job.partial.rename(job.copy)


def _peak_megabytes() -> float:
    """The most memory of the kernel, which has ended. This process has no other children."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
