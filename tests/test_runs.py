"""A run from task to measurement."""

import pytest
import torch

from cbnlib import CNN, CNNConfig, TrainConfig, evaluate, run_task
from cbnlib.tasks import Task, bump

TASK = bump(8, samples=20)
NETWORK = CNNConfig(grid=8, width=2, depth=2)
TRAINING = TrainConfig(ridge=0.01, learning_rate=0.01, steps=5, seed=3)


def test_a_run_is_measured_on_all_data() -> None:
    run = run_task(TASK, NETWORK, TRAINING, progress=False)
    assert run.fit == pytest.approx(evaluate(run.model, TASK.x, TASK.y))
    assert run.norm == pytest.approx(run.history.norm[-1])
    assert run.loss == pytest.approx(run.fit + 0.01 * run.norm)


def test_the_seed_draws_the_weights() -> None:
    untrained = TrainConfig(ridge=0.01, learning_rate=0.01, steps=0, seed=3)
    run = run_task(TASK, NETWORK, untrained, progress=False)
    assert torch.equal(run.model.convs[0].weight, CNN(NETWORK, seed=3).convs[0].weight)
    assert run.history.step == []


def test_parts_that_do_not_fit() -> None:
    classify = Task("t", TASK.x, torch.zeros(20, dtype=torch.long), "cross_entropy")
    with pytest.raises(ValueError, match="task 't' needs loss 'cross_entropy', got 'square'"):
        run_task(classify, NETWORK, TRAINING, progress=False)
    with pytest.raises(ValueError, match=r"input must live on grid \(9,\), got \(8,\)"):
        run_task(TASK, CNNConfig(grid=9, width=2, depth=2), TRAINING, progress=False)
