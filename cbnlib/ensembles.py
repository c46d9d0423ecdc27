"""Many small networks trained at once: what a sweep over seeds and targets needs on a laptop."""

import copy
import math
import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from tqdm import tqdm

from cbnlib.checks import check_finite
from cbnlib.model import CNN
from cbnlib.training import (
    Batches,
    History,
    TrainConfig,
    TrainingDivergedError,
    make_optimizer,
    make_schedule,
)


def train_ensemble(
    models: Sequence[CNN], x: Tensor, y: Tensor, config: TrainConfig, *, progress: bool = True
) -> History:
    r"""Train networks of one config on the same inputs, each to its own target, in place.

    Every member ends where `train` would have brought it alone with the same batches, up to
    rounding: the loss is the sum of the members' losses, and the optimisers act on each parameter
    by itself. Small networks are slow because of the many small operations, and an ensemble takes
    hardly more of them than one network.

    Args:
        models: Networks with equal configs.
        x: Inputs, shape `[samples, c_in, *grid]`, the same for all.
        y: Targets, shape `[members, samples, c_out, *grid]`.
        config: Ridge, optimiser, schedule and steps; the loss must be `square`.
        progress: Whether to draw a progress bar.

    Returns:
        The history of the mean over members.

    Raises:
        ValueError: If the configs differ, the targets do not fit, or data hold NaN.
        TrainingDivergedError: If a member's loss becomes NaN or infinite.
    """
    _check(models, x, y, config)
    stacked, _ = stack_module_state(list(models))
    parameters = {k: p.detach().requires_grad_() for k, p in stacked.items()}
    skeleton = copy.deepcopy(models[0]).to("meta")
    member = vmap(lambda p, batch: functional_call(skeleton, p, (batch,)), in_dims=(0, None))
    optimizer = make_optimizer(parameters.values(), config)
    schedule = make_schedule(optimizer, config)
    batches = Batches(len(x), config.batch_size, config.seed)
    history = History()
    every = max(1, config.steps // config.records)
    with tqdm(total=config.steps, disable=not progress, file=sys.stderr, desc="ensemble") as bar:
        for step in range(1, config.steps + 1):
            batch = batches.draw()
            output = member(parameters, x[batch])
            fit = (output - y[:, batch]).square().sum() / len(batch)
            optimizer.zero_grad()
            fit.backward()
            optimizer.step()
            schedule.step()
            if step % every == 0 or step == config.steps:
                norm = sum(float(p.detach().square().sum()) for p in parameters.values())
                mean_fit = float(fit.detach()) / len(models)
                history.append(step, mean_fit, norm / len(models), config.ridge)
                if not math.isfinite(history.loss[-1]):
                    raise TrainingDivergedError(f"a loss is not finite at step {step}", history)
                bar.update(step - bar.n)
    _put_back(models, parameters)
    return history


@torch.no_grad()
def _put_back(models: Sequence[CNN], parameters: dict[str, Tensor]) -> None:
    for i, model in enumerate(models):
        for name, parameter in model.named_parameters():
            parameter.copy_(parameters[name][i])


def _check(models: Sequence[CNN], x: Tensor, y: Tensor, config: TrainConfig) -> None:
    if not models or any(model.config != models[0].config for model in models):
        raise ValueError("an ensemble needs at least one network, and all of the same config")
    if config.loss != "square":
        raise ValueError(f"an ensemble needs loss 'square', got {config.loss!r}")
    check_finite("x", x)
    check_finite("y", y)
    with torch.no_grad():
        expected = (len(models), len(x), *models[0](x[:1]).shape[1:])
    if tuple(y.shape) != expected:
        raise ValueError(f"y must have shape {expected}, got {tuple(y.shape)}")
