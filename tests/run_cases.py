"""Experiments that train in a moment, for the tests of what is kept of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cbnlib import CNNConfig, Experiment, TaskSpec, TrainConfig, run_experiment
from cbnlib.runs.checkpoint import Checkpointer
from cbnlib.runs.experiment import single
from cbnlib.runs.search import Search

BUMP = TaskSpec("bump", {"n": 8, "samples": 20})
LOW_PASS = tuple(
    TaskSpec("low_pass", {"supports": supports, "grid": 8, "samples": 20})
    for supports in ([[0]], [[1, -1]])
)


def experiment(network: CNNConfig | None = None, seeds: Any = None, **training: Any) -> Experiment:
    """The autoencoder of 20 bumps; as options, what is to be trained otherwise."""
    default = {"ridge": 0.01, "learning_rate": 0.01, "steps": 5, "batch_size": 8, "seed": 3}
    how = TrainConfig(**default | training)
    return Experiment((BUMP,), network or CNNConfig(8, 3, 3), how, seeds or (how.seed,))


SEARCH = Search(
    single(
        "bump",
        {"n": 8, "samples": 32},
        CNNConfig(grid=8, width=4, depth=4),
        TrainConfig(ridge=1e-2, learning_rate=1e-2, steps=60, snapshots=2),
    ),
    (2, 3),
    steps=20,
    rounds=2,
    beam=1,
    degree=2,
)
"""A search of a few seconds."""


def run_and_tell(what: Experiment, folder: Path, answers: Any) -> None:
    """Run in a process of its own, and say where the run came from."""
    torch.set_num_threads(1)
    answers.put(run_experiment(what, folder=folder, progress=False)[0].provenance.source)


class StoppedError(Exception):
    """Ends a run from inside."""


def run_until(step: int, folder: Path, what: Experiment, every: float = 0.0) -> None:
    """Run in this process and stop after a step, as if killed."""

    def stop(self: Checkpointer, loop: Any) -> None:
        original(self, loop)
        if loop.step == step:
            raise StoppedError

    original = Checkpointer.after_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpointer, "after_step", stop)
        with pytest.raises(StoppedError):
            run_experiment(what, folder=folder, checkpoint_seconds=every, progress=False)
