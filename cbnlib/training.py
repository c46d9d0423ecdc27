r"""Training with the ridge.

Minimises $\frac1\#\sum_x\mathrm{fit}(f_\theta(x),y)+\lambda\lVert\theta\rVert^2$.
"""

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from tqdm import tqdm

from cbnlib.checks import check_choice, check_count, check_finite, check_positive
from cbnlib.model import CNN

Loss = Literal["square", "cross_entropy"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class TrainConfig:
    """What defines a training run, beside the network and the data.

    Raises:
        ValueError: On construction, if a value is out of range; the message names it.
    """

    ridge: float
    r"""$\lambda$, the weight of $\lVert\theta\rVert^2$ in the loss."""
    learning_rate: float
    """Step size at the start."""
    steps: int
    """Gradient steps; a small ridge needs many (unwanted modes decay at rate ~ rate x ridge)."""
    batch_size: int = 64
    """Samples per step; the whole data set where it is smaller."""
    optimizer: Optimizer = "adam"
    """`adam`, or `sgd` with `momentum`."""
    momentum: float = 0.9
    """Heavy-ball momentum of `sgd`; Adam ignores it."""
    schedule: Schedule = "cosine"
    """`cosine` lets the rate fall to 0 at the last step, `constant` keeps it."""
    loss: Loss = "square"
    """`square`: sum over pixels, mean over samples. `cross_entropy`: mean over samples, for
    integer labels."""
    seed: int = 0
    """Order of the samples."""
    records: int = 100
    """How many points of the history are kept."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_positive("ridge", self.ridge, zero=True)
        check_positive("learning_rate", self.learning_rate)
        check_count("steps", self.steps, minimum=0)
        check_count("batch_size", self.batch_size)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum!r}")
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("loss", self.loss, get_args(Loss))
        check_count("records", self.records)


@dataclass
class History:
    r"""The course of a run, one entry per record.

    Attributes:
        step: Gradient steps taken.
        loss: Regularised loss, `fit + ridge * norm`.
        fit: The data term: mean over the samples of the steps since the last record.
        norm: $\lVert\theta\rVert^2$.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    fit: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)

    def append(self, step: int, fit: float, norm: float, ridge: float) -> None:
        """Add one record."""
        self.step.append(step)
        self.loss.append(fit + ridge * norm)
        self.fit.append(fit)
        self.norm.append(norm)


class TrainingDivergedError(RuntimeError):
    """Training went to NaN or collapsed to an output that no longer depends on the input.

    Attributes:
        history: The records until then.
    """

    def __init__(self, message: str, history: History) -> None:
        """Keep the history beside the message."""
        super().__init__(message)
        self.history = history


def train(
    model: CNN, x: Tensor, y: Tensor, config: TrainConfig, *, progress: bool = True
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
        progress: Whether to draw a bar with loss, fit, $\lVert\theta\rVert^2/L$ and time left.

    Returns:
        The history; `steps=0` gives an empty one.

    Raises:
        ValueError: If data or weights hold NaN or infinity, or the shapes of `x`, `y` and the
            output do not fit together.
        TrainingDivergedError: If the loss becomes NaN or infinite, or the output a constant.
    """
    fit_function = _fit_function(config.loss)
    _check_data(model, x, y, config.loss)
    optimizer = make_optimizer(model.parameters(), config)
    schedule = make_schedule(optimizer, config)
    batches = Batches(len(x), config.batch_size, config.seed)
    history, watch, sum_fit = History(), _CollapseWatch(), torch.zeros(())
    every = max(1, config.steps // config.records)
    with tqdm(
        total=config.steps, disable=not progress, file=sys.stderr, mininterval=0.5, desc="train"
    ) as bar:
        for step in range(1, config.steps + 1):
            batch = batches.draw()
            output = model(x[batch])
            fit = fit_function(output, y[batch])
            optimizer.zero_grad()
            fit.backward()
            optimizer.step()
            schedule.step()
            sum_fit += fit.detach()
            if step % every == 0 or step == config.steps:
                since = step - (history.step[-1] if history.step else 0)
                norm = float(model.parameter_norm().detach())
                history.append(step, float(sum_fit) / since, norm, config.ridge)
                sum_fit.zero_()
                _check_alive(history, watch, output.detach())
                bar.set_postfix_str(_summary(history, model.config.depth), refresh=False)
                bar.update(since)
    return history


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
    fit_function = _fit_function(loss)
    pairs = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return sum(float(fit_function(model(a), b)) * len(a) for a, b in pairs) / len(x)


def _square(output: Tensor, y: Tensor) -> Tensor:
    return (output - y).square().sum() / len(y)


def _fit_function(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
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


def make_optimizer(parameters: Iterable[Tensor], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of a config, the ridge as its weight decay."""
    decay = 2 * config.ridge
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=decay,
        fused=True,
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig
) -> torch.optim.lr_scheduler.LRScheduler:
    """The course of the learning rate of a config."""
    if config.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, config.steps))
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


class Batches:
    """Batches without replacement, reshuffled for every pass; a short last one is left out."""

    def __init__(self, samples: int, size: int, seed: int) -> None:
        """Start at the first pass."""
        self.samples, self.size = samples, min(samples, size)
        self.generator = torch.Generator().manual_seed(seed)
        self.order, self.next = torch.empty(0, dtype=torch.long), 0

    def draw(self) -> Tensor:
        """Indices of the next batch, shape `[min(samples, size)]`."""
        if self.next + self.size > len(self.order):
            self.order = torch.randperm(self.samples, generator=self.generator)
            self.next = 0
        self.next += self.size
        return self.order[self.next - self.size : self.next]


class _CollapseWatch:
    """Tells when outputs that once differed between samples no longer do.

    The spread is the variance between samples relative to the mean square. A deep network with
    small weights may start with a tiny one and grow, so only a fall counts: from above `ALIVE`
    to below `DEAD`, which is rounding error.
    """

    ALIVE, DEAD = 1e-4, 1e-10

    def __init__(self) -> None:
        self.was_alive = False

    def collapsed(self, output: Tensor) -> bool:
        if len(output) == 1:
            return False
        spread = float(output.var(dim=0).sum() / output.square().mean(dim=0).sum().clamp_min(1e-30))
        self.was_alive |= spread > self.ALIVE
        return self.was_alive and spread < self.DEAD


def _check_alive(history: History, watch: _CollapseWatch, output: Tensor) -> None:
    step, loss = history.step[-1], history.loss[-1]
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"the loss is {loss} at step {step}: try a smaller learning rate", history
        )
    if watch.collapsed(output):
        raise TrainingDivergedError(
            f"the output collapsed to a constant by step {step}: try a smaller learning rate, "
            "a larger initial gain or a smaller ridge",
            history,
        )


def _summary(history: History, depth: int) -> str:
    loss, fit, norm = history.loss[-1], history.fit[-1], history.norm[-1]
    return f"loss {loss:.4g}, fit {fit:.4g}, |θ|²/L {norm / depth:.3g}"
