"""Runs: networks trained on tasks, with what they reached and what they cost.

`run_task` is the short way. `run_experiment` keeps checkpoints and a record on disk, `obtain` looks
for a record first.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from cbnlib.ensembles import train_ensemble
from cbnlib.experiments import Experiment
from cbnlib.loop import History, TrainingDivergedError
from cbnlib.model import CNN, CNNConfig
from cbnlib.records.checkpoint import SECONDS, Checkpointer
from cbnlib.records.contents import (
    EXAMPLES,
    MEASURED,
    HeldOut,
    Provenance,
    Run,
    SpectraSnapshot,
    TaskFacts,
)
from cbnlib.records.record import load_record, save_record
from cbnlib.records.snapshots import SpectraRecorder, snapshot_steps
from cbnlib.spectra import activation_spectra
from cbnlib.tasks import Task
from cbnlib.train_config import TrainConfig
from cbnlib.training import evaluate, train

__all__ = [
    "HeldOut",
    "Provenance",
    "Run",
    "SpectraSnapshot",
    "TaskFacts",
    "obtain",
    "run_experiment",
    "run_task",
]

RECORD = "record"
"""Name of the sealed folder in an experiment's folder."""


def run_task(
    task: Task, network: CNNConfig, training: TrainConfig, *, progress: bool = True
) -> Run:
    """Draw a network, train it on a task and measure it on all of the task's data.

    The run has no spectra; `weight_spectra` and `activation_spectra` give those at the end.

    Args:
        task: The data and the loss that goes with them.
        network: Sizes, head and initial gain; its grid must be the task's.
        training: Ridge, optimiser, schedule, steps, and the one seed of the run, which draws the
            weights, too.
        progress: Whether to draw a progress bar.

    Raises:
        ValueError: If task, network and training do not fit together.
        TrainingDivergedError: If training fails; see `train`.
    """
    _check_loss(task, training)
    start = time.monotonic()
    model = CNN(network, seed=training.seed)
    history = train(model, task.x, task.y, training, progress=progress)
    return _measured(_unmeasured(task, model, training, history, time.monotonic() - start), task)


def obtain(
    experiment: Experiment,
    *,
    records: Sequence[Path],
    workspace: Path | None,
    data_folder: str | Path | None = None,
    progress: bool = True,
) -> list[Run]:
    """The runs of an experiment: from a record if there is one, trained otherwise.

    Args:
        experiment: What to run.
        records: Folders that hold experiments' folders, searched in order for one whose name ends
            in the start of the digest, whatever its label.
        workspace: Where an experiment without a record is run, in its own folder; None keeps
            nothing on disk.
        data_folder: As in `run_experiment`.
        progress: Whether to draw a progress bar.

    Raises:
        RecordError: If a record on the way is damaged or not what its name says; it is never
            replaced silently.
        ValueError: As in `run_experiment`.
    """
    digest = experiment.digest()
    for folder in records:
        for path in sorted(folder.glob(f"*-{digest[:12]}/{RECORD}")):
            return load_record(path, digest)[1]
    own = workspace / experiment.folder_name if workspace is not None else None
    return run_experiment(experiment, folder=own, data_folder=data_folder, progress=progress)


def run_experiment(
    experiment: Experiment,
    *,
    folder: Path | None = None,
    data_folder: str | Path | None = None,
    checkpoint_seconds: float = SECONDS,
    progress: bool = True,
) -> list[Run]:
    """Train the networks of an experiment, or load them if that was done before.

    One network is trained by `train`, several by `train_ensemble`, which needs tasks with the same
    inputs. Spectra are taken at `snapshot_steps`, in an ensemble at the start and the end.

    Args:
        experiment: What to run.
        folder: The experiment's own folder, made if need be. Checkpoints lie there
            during training, and a run that was killed goes on from the last of them; at the
            end the record remains, `folder/record`. A second process waits for the first. None
            keeps nothing on disk.
        data_folder: Where the files of a task that reads files lie.
        checkpoint_seconds: Time between two checkpoints; 0 saves after every step.
        progress: Whether to draw a progress bar.

    Returns:
        The runs in the order of the experiment's tasks × seeds. The process that trains them gets
        them unrounded, with provenance `live`.

    Raises:
        RecordError: If the folder has a damaged record, or one of another experiment.
        ValueError: If tasks, network and training do not fit together.
    """
    if folder is None:
        return _train(experiment, None, data_folder, progress)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        record, digest = folder / RECORD, experiment.digest()
        checkpoint = Checkpointer(folder, digest, seconds=checkpoint_seconds)
        if os.path.lexists(record):
            runs = load_record(record, digest)[1]
        else:
            runs = _train(experiment, checkpoint, data_folder, progress)
            if any(run.failure for run in runs):
                return runs
            save_record(record, experiment, runs)
        checkpoint.remove()
    return runs


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder; a killed one's lock ends with it."""
    lock = folder / "lock"
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
        # Who waits for the removed file finds the record, and so does who makes it anew.
        lock.unlink(missing_ok=True)


def _train(
    experiment: Experiment,
    checkpoint: Checkpointer | None,
    data_folder: str | Path | None,
    progress: bool,
) -> list[Run]:
    tasks = [spec.load(data_folder=data_folder) for spec in experiment.tasks]
    for task in tasks:
        _check_loss(task, experiment.training)
    if len(experiment.members) == 1:
        return [_train_one(experiment, tasks[0], checkpoint, progress)]
    return _train_several(experiment, tasks, checkpoint, progress)


def _train_one(
    experiment: Experiment, task: Task, checkpoint: Checkpointer | None, progress: bool
) -> Run:
    training, start = experiment.training, time.monotonic()
    model = CNN(experiment.network, seed=experiment.seeds[0])
    recorder = SpectraRecorder(snapshot_steps(training.steps, training.snapshots), task.x)
    if checkpoint is not None:
        checkpoint.snapshots = recorder
    try:
        history = train(
            model,
            task.x,
            task.y,
            training,
            checkpoint=checkpoint,
            observe=recorder.observe,
            progress=progress,
        )
        failure = ""
    except TrainingDivergedError as error:
        history, failure = error.history, str(error)
    run = _unmeasured(task, model, training, history, _spent(checkpoint, start))
    return failed(run, failure) if failure else _measured(run, task, recorder)


def _spent(checkpoint: Checkpointer | None, start: float) -> float:
    """Seconds of training, over all processes that took part."""
    return checkpoint.seconds_spent if checkpoint is not None else time.monotonic() - start


def _train_several(
    experiment: Experiment, tasks: list[Task], checkpoint: Checkpointer | None, progress: bool
) -> list[Run]:
    training, start = experiment.training, time.monotonic()
    x = tasks[0].x
    if not all(torch.equal(task.x, x) for task in tasks):
        raise ValueError("the tasks of an ensemble must have the same inputs")
    of_member = [task for task in tasks for _ in experiment.seeds]
    models = [CNN(experiment.network, seed=seed) for _, seed in experiment.members]
    recorders = [SpectraRecorder({0, training.steps}, x) for _ in models]
    for model, recorder in zip(models, recorders, strict=True):
        recorder.observe(0, model)
    y = torch.stack([task.y for task in of_member])
    try:
        history = train_ensemble(models, x, y, training, checkpoint=checkpoint, progress=progress)
        failure = ""
    except TrainingDivergedError as error:
        history, failure = error.history, str(error)
    seconds = _spent(checkpoint, start)
    runs = []
    for task, model, recorder in zip(of_member, models, recorders, strict=True):
        run = _unmeasured(task, model, training, history, seconds)
        lost = failure or ("" if _is_finite(model) else "the weights became NaN or infinite")
        if training.steps and not lost:
            recorder.observe(training.steps, model)
        runs.append(failed(run, lost) if lost else _measured(run, task, recorder))
    return runs


def _is_finite(model: CNN) -> bool:
    return all(bool(torch.isfinite(p).all()) for p in model.parameters())


def failed(run: Run, failure: str) -> Run:
    """The run as one whose training failed; the weights of its network become NaN.

    Args:
        run: Before it failed.
        failure: Why.
    """
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.fill_(math.nan)
    return replace(
        run,
        fit=math.nan,
        norm=math.nan,
        spectra=[],
        activations=[],
        held_out=None,
        failure=failure,
    )


def _unmeasured(
    task: Task, model: CNN, training: TrainConfig, history: History, seconds: float
) -> Run:
    return Run(
        network=model.config,
        training=training,
        model=model,
        history=history,
        fit=math.nan,
        norm=math.nan,
        task=TaskFacts.of(task),
        provenance=Provenance.now(seconds),
        examples=(task.x[:EXAMPLES].clone(), task.y[:EXAMPLES].clone()),
    )


def _measured(run: Run, task: Task, recorder: SpectraRecorder | None = None) -> Run:
    """The run with what its network reached; with a recorder, its snapshots and activations."""
    model = run.model
    return replace(
        run,
        fit=evaluate(model, task.x, task.y, loss=task.loss),
        norm=float(model.parameter_norm().detach()),
        spectra=recorder.taken if recorder is not None else [],
        activations=activation_spectra(model, task.x[:MEASURED]) if recorder is not None else [],
        held_out=_on_held_out(model, task),
    )


@torch.no_grad()
def _on_held_out(model: CNN, task: Task) -> HeldOut | None:
    """What a classifier reaches on the held-out samples, in batches that bound the memory."""
    if task.held_out is None or task.loss != "cross_entropy":
        return None
    x, y = task.held_out
    guesses = torch.cat([model(batch).argmax(dim=1) for batch in x.split(512)])
    accuracy = float((guesses == y).double().mean())
    return HeldOut(len(x), evaluate(model, x, y, loss=task.loss), accuracy)


def _check_loss(task: Task, training: TrainConfig) -> None:
    if training.loss != task.loss:
        raise ValueError(f"task {task.name!r} needs loss {task.loss!r}, got {training.loss!r}")
