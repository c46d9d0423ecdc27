r"""Training with the ridge.

Minimises $\frac1\#\sum_x\mathrm{fit}(f_\theta(x),y)+\lambda\lVert\theta\rVert^2$.
"""

import sys
from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from cbnlib.checks import check_choice, check_finite
from cbnlib.engine import Engine
from cbnlib.loop import History, TrainingLoop
from cbnlib.model import CNN
from cbnlib.records.checkpoint import Checkpointer
from cbnlib.train_config import Loss, TrainConfig


class _DataTerm:
    """The data term of a network over the batches of a data set."""

    def __init__(self, model: CNN, x: Tensor, y: Tensor, config: TrainConfig) -> None:
        self.parameters, self.x, self.y = list(model.parameters()), x, y
        self.engine = Engine(model, fit_function(config.loss), min(len(x), config.batch_size))

    def gradients(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        return self.engine.gradients(self.x[batch], self.y[batch])


def train(
    model: CNN,
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    checkpoint: Checkpointer | None = None,
    observe: Callable[[int, CNN], None] | None = None,
    progress: bool = True,
) -> History:
    r"""Minimise the regularised loss of `model` in place.

    The ridge is the optimiser's `weight_decay` of $2\lambda$: with the parameters in operator scale
    this is exactly the gradient of $\lambda\lVert\theta\rVert^2$, for SGD and for Adam (not AdamW,
    which is another method). The same model, data, config, thread count and library versions
    give the same bits.

    Args:
        model: The network, in the dtype of the data.
        x: Inputs, shape `[samples, c_in, *grid]`.
        y: Targets, shape of the output; integer labels `[samples]` for cross-entropy.
        config: Ridge, optimiser, schedule, steps and seed.
        checkpoint: Where to resume from and to save to; the end has the same bits either way.
        observe: Called with the step and the network before the first step and after every one;
            it must leave the network alone. A resumed run goes on with the next step.
        progress: Whether to draw a bar with loss, fit, $\lVert\theta\rVert^2/L$ and time left.

    Returns:
        The history; `steps=0` gives an empty one.

    Raises:
        ValueError: If data or weights hold NaN or infinity, or the shapes of `x`, `y` and the
            output do not fit together.
        TrainingDivergedError: If the loss becomes NaN or infinite, the norm explodes, or the
            output becomes a constant.
    """
    _check_data(model, x, y, config.loss)
    loop = TrainingLoop(_DataTerm(model, x, y, config), len(x), config)
    resumed = checkpoint is not None and checkpoint.resume(loop, model)
    if observe is not None and not resumed:
        observe(0, model)
    with tqdm(
        total=config.steps, disable=not progress, file=sys.stderr, mininterval=0.5, desc="train"
    ) as bar:
        bar.update(loop.step)
        while not loop.finished:
            recorded = loop.advance()
            if observe is not None:
                observe(loop.step, model)
            if checkpoint is not None:
                checkpoint.after_step(loop)
            if recorded:
                bar.set_postfix_str(_summary(loop.history, model.config.depth), refresh=False)
                bar.update(loop.step - bar.n)
    return loop.history


@torch.no_grad()
def evaluate(
    model: CNN, x: Tensor, y: Tensor, *, loss: Loss = "square", batch_size: int = 1024
) -> float:
    """The data term (no ridge) over a whole data set, in batches.

    Args:
        model: The network.
        x: Inputs, shape `[samples, c_in, *grid]`.
        y: Targets, as in `train`.
        loss: `square` (sum over pixels, mean over samples) or `cross_entropy`.
        batch_size: Samples per batch; bounds the memory.

    Raises:
        ValueError: If the loss is unknown or the shapes do not fit together.
    """
    _check_data(model, x, y, loss)
    term = fit_function(loss)
    pairs = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return sum(float(term(model(a), b)) * len(a) for a, b in pairs) / len(x)


def _square(output: Tensor, y: Tensor) -> Tensor:
    return (output - y).square().sum() / len(y)


def fit_function(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The data term of a kind of loss, as a function of outputs and targets.

    Raises:
        ValueError: If there is no such loss.
    """
    check_choice("loss", loss, get_args(Loss))
    return _square if loss == "square" else nn.functional.cross_entropy


def _check_data(model: CNN, x: Tensor, y: Tensor, loss: str) -> None:
    check_finite("x", x)
    for name, parameter in model.named_parameters():
        check_finite(name, parameter.detach())
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x and y must hold the same number >= 1 of samples: {len(x)}, {len(y)}")
    with torch.no_grad():
        shape = model(x[:1]).shape[1:]
    if loss == "square":
        check_finite("y", y)
        if y.shape[1:] != shape:
            raise ValueError(f"y must have shape [samples, {tuple(shape)}], got {tuple(y.shape)}")
    elif y.ndim != 1 or y.is_floating_point() or not 0 <= int(y.min()) <= int(y.max()) < shape[0]:
        raise ValueError(f"y must hold integer labels in 0..{shape[0] - 1}, one per sample")


def _summary(history: History, depth: int) -> str:
    loss, fit, norm = history.loss[-1], history.fit[-1], history.norm[-1]
    return f"loss {loss:.4g}, fit {fit:.4g}, |θ|²/L {norm / depth:.3g}"
