"""Train many small networks at once, as a sweep over seeds and targets on a laptop needs."""

import copy
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from cbnlib._checks import check_alike, check_finite, check_type
from cbnlib.network.model import CNN
from cbnlib.training.config import TrainConfig
from cbnlib.training.engine import obstacle
from cbnlib.training.loop import Checkpoint, History, TrainingLoop


def train_ensemble(
    models: Sequence[CNN],
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
) -> History:
    r"""Train networks of one config on the same inputs, each to its own target, in place.

    Every member ends where `train` would have brought it alone with the same batches, up to
    rounding. The loss is the sum of the members' losses, and the optimisers act on each parameter
    by itself. Small networks are slow because of the many small operations, and an ensemble takes
    hardly more of them than one network.

    A member whose loss becomes NaN or infinite, or whose norm explodes, leaves the others alone.
    Its weights are NaN at the end, and it no longer counts in the history.

    Args:
        models: Networks with equal configs.
        x: Inputs, shape `[samples, c_in, *grid]`, the same for all.
        y: Targets, shape `[members, samples, c_out, *grid]`.
        config: Ridge, optimiser, schedule and steps. The loss must be `square`.
        checkpoint: Where to resume from and to save to. The end has the same bits either way.
        progress: Whether to draw a progress bar.

    Returns:
        The history of the mean over the members that have not failed.

    Raises:
        TypeError: If a member is not a plain `CNN`. `train` takes such networks, one by one.
        ValueError: If configs, dtypes or devices differ, the targets do not fit, or data or weights
            hold NaN.
        TrainingDivergedError: If every member has failed.
    """
    _check(models, x, y, config)
    together = _Together(models, x, y)
    loop = TrainingLoop(together, len(x), config)
    history = loop.run("ensemble", checkpoint=checkpoint, progress=progress)
    together.put_back(models, failed=~(together.norms().cpu() <= loop.largest_norms))
    return history


class _Together:
    """The sum of the members' data losses, each parameter stacked over the members."""

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
        fits = (output - self.y[:, batch]).square().flatten(1).sum(1) / len(batch)
        for parameter in self.parameters:
            parameter.grad = None
        fits.sum().backward()
        return fits.detach(), output.detach().transpose(0, 1)

    @torch.no_grad()
    def norms(self) -> Tensor:
        return reduce(torch.add, (p.square().flatten(1).sum(1) for p in self.parameters))

    def after_step(self, _step: int) -> bool:
        return False

    @torch.no_grad()
    def put_back(self, models: Sequence[CNN], failed: Tensor) -> None:
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.fill_(torch.nan) if failed[i] else parameter.copy_(self.stacked[name][i])


def _check(models: Sequence[CNN], x: Tensor, y: Tensor, config: TrainConfig) -> None:
    if check_type("config", config, TrainConfig).loss != "square":
        raise ValueError(f"an ensemble needs loss 'square', got {config.loss!r}")
    if config.budget is not None:
        raise ValueError(f"an ensemble trains without a budget, got {config.budget!r}; see `train`")
    if config.shrink:
        raise ValueError(f"an ensemble trains without shrink, got {config.shrink!r}; see `train`")
    check_finite("x", x)
    check_finite("y", y)
    for i, model in enumerate(models):
        if reason := obstacle(model):
            raise TypeError(f"an ensemble needs plain CNNs, but member {i} is none: {reason}")
        for name, parameter in model.named_parameters():
            check_finite(f"member {i}: {name}", parameter.detach())
            check_alike(f"member {i}: {name}", parameter, "x", x)
    if not models or any(model.config != models[0].config for model in models):
        raise ValueError("an ensemble needs at least one network, and all of the same config")
    if len(set(map(id, models))) < len(models):
        raise ValueError("an ensemble needs different networks, but got one of them twice")
    with torch.no_grad():
        expected = (len(models), len(x), *models[0](x[:1]).shape[1:])
    if tuple(y.shape) != expected:
        raise ValueError(f"y must have shape {expected}, got {tuple(y.shape)}")
    check_alike("y", y, "x", x)
