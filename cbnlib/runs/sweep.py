"""Sweeps run many experiments at once, on the cores of this machine or on a Dask cluster.

What a sweep has finished lies on disk as records, one folder per experiment. A sweep that was
stopped is simply called again. Finished runs are not run twice, and started ones go on from their
checkpoints.
"""

import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch

from cbnlib._checks import check_choice, check_count, check_flag, check_type
from cbnlib._extras import extra
from cbnlib.network.model import CNNConfig
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.obtain import RECORD, folder_of, run_experiment
from cbnlib.runs.record import load_record
from cbnlib.runs.run import Run
from cbnlib.training.config import TrainConfig

with extra("runs"):
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from tqdm import tqdm

CONNECT_SECONDS = 10.0
"""Seconds to wait for a Dask scheduler's answer."""


@dataclass(frozen=True)
class FinishedRun:
    """An experiment that has its record.

    Attributes:
        name: Its folder's name.
        digest: The experiment's.
        folder: The experiment's folder, with the record in it.
        seconds: Time spent training, in this sweep or before.
        trained: Whether this sweep finished it. False if the record was there before.
    """

    name: str
    digest: str
    folder: Path
    seconds: float
    trained: bool


@dataclass(frozen=True)
class FailedRun:
    """An experiment without a network, because its training failed or it has no valid record.

    Attributes:
        name: Its folder's name.
        digest: The experiment's.
        error: Why.
    """

    name: str
    digest: str
    error: str


Outcome: TypeAlias = FinishedRun | FailedRun
_Call: TypeAlias = Callable[[Experiment], Outcome]


@dataclass(frozen=True)
class SweepResult:
    """Outcomes of the experiments of a sweep, in the order in which they were given.

    Attributes:
        finished: Experiments that have a network. `load_record` or `run_experiment` reads them.
        failed: Experiments that have none.
    """

    finished: tuple[FinishedRun, ...]
    failed: tuple[FailedRun, ...]

    def report(self) -> str:
        """How many runs finished, and one line for each that did not, with its error."""
        total = len(self.finished) + len(self.failed)
        lines = [f"{len(self.finished)} of {total} runs finished"]
        return "\n".join(lines + [f"failed: {run.name}: {run.error}" for run in self.failed])


def grid_of(base: Experiment, **axes: Sequence[Any]) -> list[Experiment]:
    """The product of several values for several fields, as experiments.

    Sweeps over several tasks are sums of such lists, one for each task.

    Args:
        base: The experiment of which all others are variants.
        axes: Values for fields of `CNNConfig` and `TrainConfig`, by the field's name. `seed` is
            that of the weights as well as of the samples' order.

    Returns:
        The experiments, the last axis fastest. The labels name the values.

    Raises:
        ValueError: If there is no such field, an axis is empty, a value is out of range, or `seed`
            is an axis and the base has several seeds already.

    Example:
        >>> from cbnlib.runs.experiment import single
        >>> base = single("bump", {}, CNNConfig(16, width=12, depth=8), TrainConfig(0.01, 3e-3, 9))
        >>> [e.label for e in grid_of(base, depth=[4, 8], ridge=[0.01])]
        ['bump depth=4 ridge=0.01', 'bump depth=8 ridge=0.01']
    """
    of_network, of_training = ({f.name for f in fields(c)} for c in (CNNConfig, TrainConfig))
    check_type("base", base, Experiment)
    for name, axis in axes.items():
        check_choice("axis", name, of_network | of_training)
        if isinstance(axis, str) or not isinstance(axis, Sized):
            raise ValueError(f"values of axis {name!r} must be a list or tuple, got {axis!r}")
        check_count(f"number of values of axis {name!r}", len(axis))
    if "seed" in axes and len(base.seeds) > 1:
        raise ValueError(f"axis 'seed' needs a base with one seed, got {base.seeds}")
    experiments = []
    for point in itertools.product(*axes.values()):
        values = dict(zip(axes, point, strict=True))
        for_network, for_training = (
            {name: value for name, value in values.items() if name in fields_of}
            for fields_of in (of_network, of_training)
        )
        changes = [f"{name}={value}" for name, value in values.items()]
        experiments.append(
            replace(
                base,
                network=replace(base.network, **for_network),
                training=replace(base.training, **for_training),
                seeds=(values["seed"],) if "seed" in values else base.seeds,
                label=" ".join([base.label or base.tasks[0].name, *changes]),
            )
        )
    return experiments


def sweep(
    experiments: Iterable[Experiment],
    folder: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    data_folder: str | Path | None = None,
    records: Sequence[Path] = (),
    retries: int = 2,
    progress: bool = True,
) -> SweepResult:
    """Run experiments side by side, each once, and keep their records.

    Every run has one thread, so that its bits do not depend on where it runs. A run that fails, for
    example because it diverges, is reported and the others go on. One that diverged has a record
    that says so, and is not trained again.

    A run whose process is killed is run again and goes on from its last checkpoint. On local cores
    one killed process takes the runs of the others along, which go on in the same way. On a Dask
    cluster only that one run starts again. The scheduler's own setting
    `distributed.scheduler.allowed-failures` says how often.

    Args:
        experiments: What to run. Equal ones, whatever their labels, run once.
        folder: Where the records go, each into its `Experiment.folder_name`, or where there is
            one of the same digest already, whatever its label. On a Dask cluster the folder must be
            on a file system that this process and all workers share. It needs the same path on all
            of them, and locks that hold between machines.
        workers: Local processes. None for one per core, 1 for this process alone. Not for a Dask
            cluster, which has its own.
        scheduler: Address of a Dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers have
            this package installed. None for local processes.
        data_folder: As in `run_experiment`. On a cluster, shared like `folder`.
        records: Where the records of experiments that others go on from may lie, besides `folder`.
            On a cluster, shared like it.
        retries: How often local runs that were lost with their processes are taken up again.
        progress: Whether to draw one bar for the whole sweep (runs done, time left) and, in the
            end, write the names and errors of those that failed.

    Returns:
        Which experiments have their records now, and which failed why.

    Raises:
        ValueError: If both workers and a scheduler are given, a number is out of range, no
            scheduler answers at the address, or Dask is not installed.
        TypeError: If something is no experiment.
    """
    if isinstance(experiments, Experiment | str) or not isinstance(experiments, Iterable):
        raise TypeError(f"experiments must be a list of them, got {experiments!r:.80}")
    check_flag("progress", progress)
    if workers is not None and scheduler is not None:
        raise ValueError("workers are local processes: give either workers or a scheduler")
    cores = check_count("workers", int(joblib.cpu_count()) if workers is None else workers)
    check_count("retries", retries, minimum=0)
    root = Path(folder).resolve()
    jobs: dict[str, Experiment] = {}
    for experiment in experiments:
        check_type("experiment", experiment, Experiment)
        jobs.setdefault(experiment.digest(), experiment)
    outcomes = {digest: _earlier(job, root) for digest, job in jobs.items()}
    todo = [job for digest, job in jobs.items() if outcomes[digest] is None]
    call = partial(
        _work,
        root=root,
        data_folder=Path(data_folder).resolve() if data_folder is not None else None,
        records=tuple(Path(folder).resolve() for folder in records),
    )
    arriving = _locally(call, todo, cores, retries)
    if scheduler is not None and todo:
        arriving = _on_cluster(call, todo, scheduler)
    with (
        tqdm(
            total=len(jobs),
            initial=len(jobs) - len(todo),
            disable=not progress,
            file=sys.stderr,
            desc="sweep",
            unit="run",
        ) as bar,
        closing(arriving),
    ):
        for outcome in arriving:
            outcomes[outcome.digest] = outcome
            bar.update()
    known = [outcome for outcome in outcomes.values() if outcome is not None]
    result = SweepResult(
        tuple(o for o in known if isinstance(o, FinishedRun)),
        tuple(o for o in known if isinstance(o, FailedRun)),
    )
    if progress and result.failed:
        print(result.report(), file=sys.stderr)
    return result


def _work(experiment: Experiment, *, root: Path, **where: Any) -> Outcome:  # noqa: ANN401
    """Run an experiment in a worker. It returns a summary, and models stay where they are."""
    folder, threads = folder_of(experiment, root), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = run_experiment(experiment, folder=folder, progress=False, **where)
    except Exception as error:
        return _failure(experiment, error)
    finally:
        torch.set_num_threads(threads)
    return _outcome(experiment, folder, runs, trained=True)


def _earlier(experiment: Experiment, root: Path) -> Outcome | None:
    """The outcome of an experiment that has a record already."""
    folder = folder_of(experiment, root)
    if not os.path.lexists(folder / RECORD):
        return None
    try:
        _, runs = load_record(folder / RECORD, experiment.digest())
    except ValueError as error:
        return _failure(experiment, error)
    return _outcome(experiment, folder, runs, trained=False)


def _outcome(experiment: Experiment, folder: Path, runs: list[Run], *, trained: bool) -> Outcome:
    if all(run.failure for run in runs):
        return FailedRun(folder.name, experiment.digest(), runs[0].failure)
    seconds = runs[0].provenance.seconds
    return FinishedRun(folder.name, experiment.digest(), folder, seconds, trained)


def _failure(experiment: Experiment, error: BaseException) -> FailedRun:
    text = f"{type(error).__name__}: {error}"
    return FailedRun(experiment.folder_name, experiment.digest(), text)


def _locally(call: _Call, todo: list[Experiment], cores: int, retries: int) -> Generator[Outcome]:
    """The outcomes as they arrive from processes of this machine."""
    lost = {experiment.digest(): experiment for experiment in todo}
    for _ in range(1 + retries):
        if not lost:
            return
        parallel = joblib.Parallel(
            n_jobs=cores, backend="loky", batch_size=1, return_as="generator_unordered"
        )
        try:
            for outcome in parallel(joblib.delayed(call)(job) for job in list(lost.values())):
                del lost[outcome.digest]
                yield outcome
        except TerminatedWorkerError as error:
            reason = error
    for experiment in lost.values():
        yield _failure(experiment, reason)


def _on_cluster(call: _Call, todo: list[Experiment], scheduler: str) -> Generator[Outcome]:
    """The outcomes as they arrive from the workers of a Dask scheduler."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ValueError(
            f"the scheduler {scheduler!r} needs Dask: pip install 'cbnlib[cluster]'"
        ) from error
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler!r}: {error}") from error
    with client:
        futures = {client.submit(call, job, pure=False): job for job in todo}
        for future in as_completed(futures, loop=client.loop):
            experiment = futures.pop(future)
            failure = future.exception()  # not the run's: its worker or the cluster failed
            outcome = future.result() if failure is None else _failure(experiment, failure)
            future.release()  # or it would be computed again if the worker that holds it dies
            yield outcome
