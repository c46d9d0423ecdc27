"""The optimiser and the learning rate of a config, and the decay that the ridge alone causes."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from cbnlib.training.config import TrainConfig


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a config, the ridge as its weight decay."""
    rate, decay = config.learning_rate, 2 * config.ridge
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    momentum = config.momentum
    return torch.optim.SGD(parameters, rate, momentum, weight_decay=decay, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The course of the learning rate of a config over a stretch of steps."""
    if config.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def learning_rates(config: TrainConfig) -> list[float]:
    """The learning rate of every step of a config."""
    rates = []
    for steps in config.stretches:
        optimizer = make_optimizer([torch.zeros(1)], config)
        schedule = make_schedule(optimizer, config, steps)
        for _ in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()  # without a gradient it does nothing, but the schedule wants it
            schedule.step()
    return rates


def ridge_decay(training: TrainConfig) -> np.ndarray:
    r"""$-\log$ of the share of a parameter that SGD's ridge alone leaves, after each step.

    Without a data loss a step is $m\leftarrow\mu m+2\lambda v$, $v\leftarrow v-\eta_tm$, with
    $\eta_t$ the rate and $\mu$ the momentum. To leading order $v_t=v_0e^{-2\lambda S}$ with
    $S=\sum_t\eta_t/(1-\mu)$. This is the recursion itself.

    Args:
        training: With the optimiser `sgd`, a ridge, and a rate small enough that the parameter
            falls steadily.

    Returns:
        Shape `[steps + 1]`, from 0 upwards.

    Raises:
        ValueError: If the optimiser is another one, or the rate is so large that the parameter
            changes its sign. (Adam divides by the size of past gradients, which the ridge alone
            does not know.)

    Example:
        >>> training = TrainConfig(0.5, 0.1, 2, optimizer="sgd", momentum=0.0, schedule="constant")
        >>> np.exp(-ridge_decay(training)).round(3)
        array([1.  , 0.9 , 0.81])
    """
    if training.optimizer != "sgd":
        raise ValueError(f"the optimiser must be 'sgd', got {training.optimizer!r}")
    left, moment = [1.0], 0.0
    for rate in learning_rates(training):
        moment = training.momentum * moment + 2 * training.ridge * left[-1]
        left.append(left[-1] - rate * moment)
    if min(left) <= 0:
        raise ValueError(
            f"with rate {training.learning_rate} and ridge {training.ridge} the parameter changes "
            "its sign; need a smaller rate or ridge"
        )
    decay: np.ndarray = -np.log(left)
    return decay + 0.0
