"""Runs are networks trained on tasks, with what they reached and what they cost.

`run_task` is the short way. `run_experiment` keeps checkpoints and a record on disk, `obtain` looks
for a record first.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from cbnlib._checks import check_flag, check_positive, check_type
from cbnlib._extras import extra
from cbnlib.network.model import CNN, CNNConfig
from cbnlib.runs import store
from cbnlib.runs.checkpoint import SECONDS, Checkpointer
from cbnlib.runs.experiment import EXPLICIT, Experiment, TaskSpec
from cbnlib.runs.format import check_room
from cbnlib.runs.provenance import Provenance
from cbnlib.runs.record import load_record, save_record
from cbnlib.runs.run import EXAMPLES, MEASURED, HeldOut, Run, TaskFacts, failed
from cbnlib.spectra.activations import pre_activation_spectra
from cbnlib.spectra.snapshots import SpectraRecorder, is_finite, snapshot_steps
from cbnlib.tasks import Task
from cbnlib.theory.explicit_network import bottleneck_network
from cbnlib.theory.same_function import deepened, widened
from cbnlib.training.budget import Budget, start_within
from cbnlib.training.config import TrainConfig
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.loop import History, TrainingDivergedError
from cbnlib.training.train import evaluate, train

with extra("runs"):
    from filelock import FileLock

RECORD = "record"
"""Name of the record in the folder where an experiment is run."""


def run_task(
    task: Task, network: CNNConfig, training: TrainConfig, *, progress: bool = True
) -> Run:
    """Draw a network, train it on a task and measure it on all of the task's data.

    The run has no spectra. `weight_spectra` and `pre_activation_spectra` give those at the end.

    Args:
        task: The data and the loss that goes with them.
        network: Sizes, head and initial gain. Its grid must be the task's.
        training: Ridge, optimiser, schedule, steps, and the one seed of the run, which draws the
            weights, too.
        progress: Whether to draw a progress bar.

    Raises:
        ValueError: If task, network and training do not fit together.
        TypeError: If one of them is of another kind.
        TrainingDivergedError: If training fails. See `train`.
    """
    check_type("task", task, Task)
    check_type("network", network, CNNConfig)
    check_type("training", training, TrainConfig)
    _check_loss(task, training)
    start = time.monotonic()
    model = CNN(network, seed=training.seed)
    history = train(model, task.x, task.y, training, progress=progress)
    provenance = Provenance.now(time.monotonic() - start)
    run = _measured(_unmeasured(task, model, training, history, provenance), task)
    if run.failure:
        raise TrainingDivergedError(run.failure, history)
    return run


def obtain(
    experiment: Experiment,
    *,
    records: Sequence[Path],
    workspace: Path | None,
    data_folder: str | Path | None = None,
    progress: bool = True,
) -> list[Run]:
    """The runs of an experiment, from a record if there is one, trained otherwise.

    Args:
        experiment: What to run.
        records: Folders that hold records, searched in order for one whose name ends in the start
            of the digest, whatever its label.
        workspace: Where an experiment without a record is run, in its own folder. None keeps
            nothing on disk.
        data_folder: As in `run_experiment`.
        progress: Whether to draw a progress bar.

    Raises:
        RecordError: If a record on the way is damaged or not what its name says. It is never
            replaced silently.
        ValueError: As in `run_experiment`.
    """
    check_type("experiment", experiment, Experiment)
    if isinstance(records, str | Path):
        raise TypeError(f"records must be a list of folders, got {records!r}")
    for folder in records:
        path = folder_of(experiment, Path(folder))
        if os.path.lexists(path):
            return load_record(path, experiment.digest())[1]
    own = folder_of(experiment, Path(workspace)) if workspace is not None else None
    return run_experiment(
        experiment, folder=own, data_folder=data_folder, records=records, progress=progress
    )


def folder_of(experiment: Experiment, root: Path) -> Path:
    """The experiment's own folder in another one, whatever label it was made with.

    Args:
        experiment: The experiment.
        root: Where experiments' folders lie.

    Returns:
        The one whose name ends in the start of the digest. If there is none, where it would be.
    """
    own = root / experiment.folder_name
    found = _folders(experiment.digest(), root)
    return own if own in found or not found else found[0]


def run_experiment(
    experiment: Experiment,
    *,
    folder: Path | None = None,
    data_folder: str | Path | None = None,
    records: Sequence[Path] = (),
    checkpoint_seconds: float = SECONDS,
    progress: bool = True,
) -> list[Run]:
    """Train the networks of an experiment, or load them if that was done before.

    One network is trained by `train`, several by `train_ensemble`, which needs tasks with the same
    inputs. Spectra are taken at `snapshot_steps`, in an ensemble at the start and the end.

    Args:
        experiment: What to run.
        folder: The experiment's own folder, made if need be. Checkpoints lie there during
            training, and a run that was killed goes on from the last of them. At the end the
            record remains, `folder/record`. A second process waits for the first. None keeps
            nothing on disk.
        data_folder: Where the files of a task that reads files lie.
        records: Folders in which the record of the experiment's `start` may lie, besides the one
            that `folder` is in.
        checkpoint_seconds: Time between two checkpoints. With 0 it saves after every step.
        progress: Whether to draw a progress bar.

    Returns:
        The runs in the order of the experiment's tasks × seeds. The process that trains them gets
        them unrounded, with provenance `live`.

    Raises:
        RecordError: If the folder has a damaged record, or one of another experiment.
        ValueError: If tasks, network and training do not fit together, or the run is too large for
            a record. It is raised before training.
        FileNotFoundError: If the experiment goes on from another one and that has no record there.
    """
    check_type("experiment", experiment, Experiment)
    check_flag("progress", progress)
    check_positive("checkpoint_seconds", checkpoint_seconds, zero=True)
    roots = [*map(Path, records), *([] if folder is None else [Path(folder).parent])]
    if folder is None:
        return _train(experiment, None, data_folder, roots, progress)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        record, digest = folder / RECORD, experiment.digest()
        checkpoint = Checkpointer(folder, digest, seconds=checkpoint_seconds)
        if os.path.lexists(record):
            runs = load_record(record, digest)[1]
        else:
            runs = _train(experiment, checkpoint, data_folder, roots, progress)
            save_record(record, experiment, runs)
        checkpoint.remove()
    return runs


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process works in the folder. A killed one's lock ends with it."""
    lock = folder / "lock"
    with FileLock(lock):
        yield
    # Who waits for the removed file finds the record, and so does who makes it anew. Windows
    # removes no file that another process has open, so that one will do it.
    with suppress(OSError):
        lock.unlink()


def _train(
    experiment: Experiment,
    checkpoint: Checkpointer | None,
    data_folder: str | Path | None,
    roots: Sequence[Path],
    progress: bool,
) -> list[Run]:
    tasks = [spec.load(data_folder=data_folder) for spec in experiment.tasks]
    for task in tasks:
        _check_loss(task, experiment.training)
    if checkpoint is not None:
        check_room(experiment, [len(task.x) for task in tasks])
    training = experiment.training
    of_member = [task for task in tasks for _ in experiment.seeds]
    if len(of_member) == 1:
        models = [_first_network(experiment, roots)]
        steps = snapshot_steps(training.steps, training.snapshots)
    else:
        models = [CNN(experiment.network, seed=seed) for _, seed in experiment.members]
        steps = [0, training.steps]
    recorders = [SpectraRecorder(model, steps, tasks[0].x) for model in models]
    start, failure = time.monotonic(), ""
    try:
        history = _history(recorders, of_member, training, checkpoint, progress)
    except TrainingDivergedError as error:
        history, failure = error.history, str(error)
    spent = checkpoint.seconds_spent if checkpoint is not None else time.monotonic() - start
    provenance = Provenance.now(spent)
    runs = []
    for task, recorder in zip(of_member, recorders, strict=True):
        run = _unmeasured(task, recorder.model, training, history, provenance)
        runs.append(failed(run, failure) if failure else _measured(run, task, recorder))
    return runs


def _history(
    recorders: Sequence[SpectraRecorder],
    tasks: Sequence[Task],
    training: TrainConfig,
    checkpoint: Checkpointer | None,
    progress: bool,
) -> History:
    """Train the recorders' networks, one alone and several as an ensemble."""
    x, models = tasks[0].x, [recorder.model for recorder in recorders]
    if len(recorders) == 1:
        [recorder] = recorders
        if checkpoint is not None:
            checkpoint.snapshots = recorder
        return train(
            recorder.model,
            x,
            tasks[0].y,
            training,
            checkpoint=checkpoint,
            observe=lambda step, _: recorder.observe(step),
            observe_at=recorder.steps,
            progress=progress,
        )
    if not all(torch.equal(task.x, x) for task in tasks):
        raise ValueError("the tasks of an ensemble must have the same inputs")
    for recorder in recorders:
        recorder.observe(0)
    y = torch.stack([task.y for task in tasks])
    history = train_ensemble(models, x, y, training, checkpoint=checkpoint, progress=progress)
    if training.steps:
        for recorder in recorders:
            recorder.observe(training.steps)
    return history


def _first_network(experiment: Experiment, roots: Sequence[Path]) -> CNN:
    """Make the initial network by `Experiment.start`, ready for the budget."""
    [(spec, seed)], training = experiment.members, experiment.training
    model = CNN(experiment.network, seed=seed)
    if experiment.start == EXPLICIT:
        _make_explicit(model, spec, seed)
    elif experiment.start:
        model.load_state_dict(_parent(experiment, roots).state_dict())
    if training.budget is not None and training.layers is not None:
        budget = Budget.parse(training.budget, experiment.network.grid)
        start_within(model, budget, training.layers, grow=seed if experiment.start else None)
    return model


def _parent(experiment: Experiment, roots: Sequence[Path]) -> CNN:
    """The network of the record that an experiment goes on from, as deep as it wants it."""
    path = record_of(experiment.start, roots)
    if path is None:
        told = [str(root) for root in roots]
        raise FileNotFoundError(f"no record of {experiment.start} in {told}")
    [run] = load_record(path, experiment.start)[1]
    wanted = experiment.network
    shallow = min(run.network.depth, wanted.depth)
    if run.failure or replace(wanted, depth=shallow) != run.network:
        raise ValueError(
            f"cannot go on from {path}: it has {run.failure or f'a network of {run.network}'}"
        )
    return run.model if run.network == wanted else deepened(run.model, wanted.depth)


@torch.no_grad()
def _make_explicit(model: CNN, spec: TaskSpec, seed: int) -> None:
    """Give a network the weights of S3 for a low-pass, exact on its data, with spare channels."""
    supports, relu = cast("Any", spec.options["supports"]), bool(spec.options["relu"])
    linear = replace(spec, options={**spec.options, "relu": False})
    bound, wanted = float(linear.load().y.abs().max()), model.config
    least = bottleneck_network(supports, wanted.grid, wanted.depth, bound, relu_output=relu)
    begun = widened(least, wanted.width, seed=seed)
    made = replace(begun.config, gain=wanted.gain, parametrization=wanted.parametrization)
    if made != wanted:
        raise ValueError(f"the explicit network is one of {begun.config}, not of {wanted}")
    for new, old in zip(model.convs, begun.convs, strict=True):
        new.set_blocks(old.blocks().to(new.weight.dtype.to_complex()))
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)


def _folders(digest: str, root: Path) -> list[Path]:
    return sorted(root.glob(f"*-{digest[:12]}"))


def record_of(digest: str, roots: Sequence[Path]) -> Path | None:
    """The record of an experiment, by its digest, or None if there is none.

    Args:
        digest: The experiment's.
        roots: Folders that hold records, or the folders of experiments with records in them.
    """
    for root in roots:
        for folder in _folders(digest, root):
            for path in (folder / RECORD, folder):
                if (path / store.SUMS).exists():
                    return path
    return None


def _unmeasured(
    task: Task, model: CNN, training: TrainConfig, history: History, provenance: Provenance
) -> Run:
    return Run(
        network=model.config,
        training=training,
        model=model,
        history=history,
        fit=math.nan,
        norm=math.nan,
        task=TaskFacts.of(task),
        provenance=provenance,
        examples=(task.x[:EXAMPLES].clone(), task.y[:EXAMPLES].clone()),
    )


def _measured(run: Run, task: Task, recorder: SpectraRecorder | None = None) -> Run:
    """The run with what its network reached and, with a recorder, its snapshots and activations."""
    model = run.model
    if not is_finite(model):
        return failed(run, "the weights became NaN or infinite at the last step")
    fit = evaluate(model, task.x, task.y, loss=task.loss)
    if not math.isfinite(fit):
        return failed(run, f"the data loss is {fit} after the last step")
    norm, held_out = float(model.parameter_norm().detach()), _on_held_out(model, task)
    run = replace(run, fit=fit, norm=norm, held_out=held_out)
    if recorder is None:
        return run
    activations = pre_activation_spectra(model, task.x[:MEASURED])
    return replace(run, spectra=recorder.taken, activations=activations)


@torch.no_grad()
def _on_held_out(model: CNN, task: Task) -> HeldOut | None:
    """Measure a classifier on the held-out samples, in batches that bound the memory."""
    if task.held_out is None or task.loss != "cross_entropy":
        return None
    x, y = task.held_out
    guesses = torch.cat([model(batch).argmax(dim=1) for batch in x.split(512)])
    accuracy = float((guesses == y).double().mean())
    return HeldOut(len(x), evaluate(model, x, y, loss=task.loss), accuracy)


def _check_loss(task: Task, training: TrainConfig) -> None:
    if training.loss != task.loss:
        raise ValueError(f"task {task.name!r} needs loss {task.loss!r}, got {training.loss!r}")
