r"""Training with the ridge.

Minimises $\frac1\#\sum_x\mathrm{fit}(f_\theta(x),y)+\lambda\lVert\theta\rVert^2$.
"""

import math
from collections.abc import Callable, Container, Mapping
from functools import partial, reduce
from typing import TypeAlias, TypeVar, get_args

import torch
from torch import Tensor, nn

from cbnlib._checks import check_choice, check_count, check_finite, check_precision, check_type
from cbnlib.network.model import CNN, evaluating
from cbnlib.training.budget import (
    EVERY,
    SHRINK_EVERY,
    Budget,
    Confinement,
    middle_of,
    shrink,
)
from cbnlib.training.config import Loss, TrainConfig
from cbnlib.training.engine import Engine, FewModes, obstacle
from cbnlib.training.loop import Checkpoint, History, TrainingLoop

Network = TypeVar("Network", bound=nn.Module)
_Gradients: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class _DataTerm:
    """The data loss of a network over the batches of a data set."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, config: TrainConfig) -> None:
        fit, self.size = fit_function(config.loss), min(len(x), config.batch_size)
        self.way: _Gradients = partial(_by_autograd, model, fit)
        if isinstance(model, CNN) and config.budget is None and not obstacle(model):
            self.way = Engine(model, fit, self.size).gradients
        self.parameters, self.x, self.y = list(model.parameters()), x.detach(), y.detach()

    def after_step(self, _step: int) -> bool:
        return False

    def write(self) -> None:
        """Bring the network up to date."""

    def gradients(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        return self.way(self.x[batch], self.y[batch])

    @torch.no_grad()
    def norms(self) -> Tensor:
        return reduce(torch.add, (p.square().sum() for p in self.parameters))


class _DataTermInBudget(_DataTerm):
    """The same, with layers that are held to a budget until they are released."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, config: TrainConfig) -> None:
        assert config.budget is not None
        assert config.layers is not None
        if not isinstance(model, CNN):
            raise TypeError(f"a budget needs a plain CNN: {obstacle(model)}")
        super().__init__(model, x, y, config)
        budget = Budget.parse(config.budget, model.config.grid)
        self.model, self.config = model, config
        self.held: Confinement | None = Confinement(model, budget, config.layers)
        self._start(self.held.few)
        held, *free = config.stretches
        self.last, self.released_at = held, held if free else math.inf

    def _start(self, few: Mapping[int, FewModes]) -> None:
        """Train with these layers held."""
        fit = fit_function(self.config.loss)
        engine = Engine(self.model, fit, self.size, few_modes=few)
        self.way, self.parameters = engine.gradients, engine.parameters

    def after_step(self, step: int) -> bool:
        if self.held is None:
            return False
        if step % EVERY == 0 or step == self.last:
            self.held.project()
        if step < self.released_at:
            return False
        self.held.write()
        self.held.release(self.config.seed)
        self.held = None
        self._start({})
        return True

    def write(self) -> None:
        if self.held is not None:
            self.held.write()


class _DataTermShrinking(_DataTerm):
    """The same, with layers whose singular values shrink by less and less."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, config: TrainConfig) -> None:
        assert config.layers is not None
        if not isinstance(model, CNN):
            raise TypeError(f"shrink needs a CNN, got {type(model).__name__}")
        super().__init__(model, x, y, config)
        self.layers, self.amount = middle_of(model, config.layers), config.shrink
        self.until = round(config.release * config.steps)

    def after_step(self, step: int) -> bool:
        if step % SHRINK_EVERY == 0 and step < self.until:
            shrink(self.layers, self.amount * (1 - step / self.until))
        return False


@torch.enable_grad()
def _by_autograd(
    model: nn.Module, fit_function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Counterpart of `Engine.gradients` for networks that are not plain `CNN`s."""
    model.zero_grad()
    output = model(x)
    fit = fit_function(output, y)
    fit.backward()
    return fit.detach(), output.detach()


def train(
    model: Network,
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    checkpoint: Checkpoint | None = None,
    observe: Callable[[int, Network], None] | None = None,
    observe_at: Container[int] | None = None,
    progress: bool = True,
) -> History:
    r"""Minimise the regularised loss of `model` in place.

    The ridge is the optimiser's `weight_decay` of $2\lambda$. With the parameters in operator scale
    this is exactly the gradient of $\lambda\lVert\theta\rVert^2$, for SGD and for Adam. (AdamW is
    another method.) The same model, data, config, thread count and library versions give the same
    bits.

    The module `engine` trains a plain `CNN`. Automatic differentiation, which is slower, trains any
    other module, also a `CNN` with a frozen or shared weight, a hook or a method of its own.

    Args:
        model: The network, a `CNN` or any module that maps `x` to one output per sample. It has the
            dtype of the data.
        x: Inputs, shape `[samples, c_in, *grid]`.
        y: Targets, shape of the output, or integer labels `[samples]` for cross-entropy.
        config: Ridge, optimiser, schedule, steps and seed.
        checkpoint: Where to resume from and to save to. The end has the same bits either way.
        observe: Called with the step and the network before the first step and after every one.
            It must leave the network alone. A resumed run goes on with the next step.
        observe_at: The steps at which `observe` is called, None for all of them. Within a budget
            few of them are faster, as the network is brought up to date for each.
        progress: Whether to draw a bar with loss, fit, $\lVert\theta\rVert^2$ and time left.
            Without the package tqdm there is none.

    Returns:
        The history. `steps=0` gives an empty one.

    Raises:
        TypeError: If the network is not a module, the data are not tensors, or the config is not a
            `TrainConfig`.
        ValueError: If data or weights hold NaN or infinity, the shapes of `x`, `y` and the output
            do not fit together, or no parameter requires a gradient.
        TrainingDivergedError: If the loss becomes NaN or infinite, the norm explodes, or the
            output becomes a constant.
    """
    check_data(model, x, y, check_type("config", config, TrainConfig).loss)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("the network has no parameter that requires a gradient")
    kind = _DataTerm if config.budget is None else _DataTermInBudget
    if config.shrink:
        kind = _DataTermShrinking
    term = kind(model, x, y, config)

    def watch(step: int) -> None:
        if observe is not None and (observe_at is None or step in observe_at):
            term.write()
            observe(step, model)

    loop = TrainingLoop(term, len(x), config)
    try:
        return loop.run("train", checkpoint=checkpoint, observe=watch, progress=progress)
    finally:
        term.write()


@torch.no_grad()
def evaluate(
    model: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = "square", batch_size: int = 1024
) -> float:
    """Return the data loss (no ridge) over a whole data set, in batches.

    Args:
        model: The network.
        x: Inputs, shape `[samples, c_in, *grid]`.
        y: Targets, as in `train`.
        loss: `square` (sum over pixels, mean over samples) or `cross_entropy`.
        batch_size: Samples per batch, a bound for the memory.

    Raises:
        TypeError: If the network is not a module or the data are not tensors.
        ValueError: If the loss is unknown, data or weights hold NaN or infinity, or the shapes do
            not fit together.
    """
    check_count("batch_size", batch_size)
    term = fit_function(loss)
    check_data(model, x, y, loss)
    pairs = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return sum(float(term(model(a), b)) * len(a) for a, b in pairs) / len(x)


def _square(output: Tensor, y: Tensor) -> Tensor:
    return (output - y).square().sum() / len(y)


def fit_function(loss: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the data loss of a kind as a function of outputs and targets.

    Raises:
        ValueError: If there is no such loss.
    """
    check_choice("loss", loss, get_args(Loss))
    return _square if loss == "square" else nn.functional.cross_entropy


def check_data(model: nn.Module, x: Tensor, y: Tensor, loss: str) -> None:
    """Check that a network and its data fit and are finite. `train` says what is raised."""
    check_finite("x", x)
    check_type("y", y, Tensor)
    for name, parameter in check_type("model", model, nn.Module).named_parameters():
        check_precision(name, check_finite(name, parameter.detach()))
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x and y must hold the same number >= 1 of samples: {len(x)}, {len(y)}")
    if x.device != y.device:
        raise ValueError(f"x and y must lie on one device, got {x.device} and {y.device}")
    shape = tuple(_output(model, x[:1]).shape[1:])
    if loss == "square":
        check_finite("y", y)
        if y.shape[1:] != shape:
            raise ValueError(f"y must have shape {(len(x), *shape)}, got {tuple(y.shape)}")
    elif len(shape) != 1:
        raise ValueError(
            "loss 'cross_entropy' needs a network with one output per class, such as "
            f"head='pooling'; the output of this one has shape {shape}"
        )
    elif y.ndim != 1 or y.dtype != torch.int64 or not 0 <= int(y.min()) <= int(y.max()) < shape[0]:
        raise ValueError(
            f"y must hold integer labels in 0..{shape[0] - 1}, one per sample, as torch.int64, "
            f"got {y.dtype} of shape {tuple(y.shape)} in {y.min()}..{y.max()}"
        )


@torch.no_grad()
def _output(model: nn.Module, x: Tensor) -> Tensor:
    """Return the network's outputs, in evaluation mode, so that looking changes nothing."""
    with evaluating(model):
        return check_type("the network's output", model(x), Tensor)
