"""Many small networks trained at once: what a sweep over seeds and targets needs on a laptop."""

import copy
import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from tqdm import tqdm

from cbnlib.checks import check_finite
from cbnlib.loop import History, TrainingLoop
from cbnlib.model import CNN
from cbnlib.records.checkpoint import Checkpointer
from cbnlib.train_config import TrainConfig


def train_ensemble(
    models: Sequence[CNN],
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    checkpoint: Checkpointer | None = None,
    progress: bool = True,
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
        checkpoint: Where to resume from and to save to; the end has the same bits either way.
        progress: Whether to draw a progress bar.

    Returns:
        The history of the mean over members.

    Raises:
        ValueError: If the configs differ, the targets do not fit, or data hold NaN.
        TrainingDivergedError: If a member's loss becomes NaN or infinite, or the norms explode.
    """
    _check(models, x, y, config)
    together = _Together(models, x, y)
    loop = TrainingLoop(together, len(x), config)
    if checkpoint is not None:
        checkpoint.resume(loop, models[0])
    with tqdm(total=config.steps, disable=not progress, file=sys.stderr, desc="ensemble") as bar:
        bar.update(loop.step)
        while not loop.finished:
            recorded = loop.advance()
            if checkpoint is not None:
                checkpoint.after_step(loop)
            if recorded:
                bar.update(loop.step - bar.n)
    together.put_back(models)
    mean = History()
    for step, fit, norm in zip(loop.history.step, loop.history.fit, loop.history.norm, strict=True):
        mean.append(step, fit / len(models), norm / len(models), config.ridge)
    return mean


class _Together:
    """The sum of the members' data terms, each parameter stacked over the members."""

    def __init__(self, models: Sequence[CNN], x: Tensor, y: Tensor) -> None:
        stacked, _ = stack_module_state(list(models))
        self.stacked = {k: p.detach().requires_grad_() for k, p in stacked.items()}
        self.x, self.y = x, y
        skeleton = copy.deepcopy(models[0]).to("meta")
        self.member = vmap(lambda p, x: functional_call(skeleton, p, (x,)), in_dims=(0, None))

    @property
    def parameters(self) -> Sequence[Tensor]:
        return list(self.stacked.values())

    def gradients(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        output = self.member(self.stacked, self.x[batch])
        fit = (output - self.y[:, batch]).square().sum() / len(batch)
        for parameter in self.parameters:
            parameter.grad = None
        fit.backward()
        return fit.detach(), output.detach().transpose(0, 1)

    @torch.no_grad()
    def put_back(self, models: Sequence[CNN]) -> None:
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(self.stacked[name][i])


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
