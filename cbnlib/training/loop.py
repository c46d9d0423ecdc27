"""The loop that all training shares, with batches, optimiser, schedule, history and its state.

A loop can be stopped between any two steps and resumed with the same bits, in another process too.
`TrainingLoop.state` is all that a step depends on, and `TrainingLoop.restore` puts it back.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from cbnlib._checks import check_count
from cbnlib.training._progress import progress_bar
from cbnlib.training.config import TrainConfig
from cbnlib.training.schedule import make_optimizer, make_schedule

EXPLODED = 1e8
"""Training stops when the norm exceeds this multiple of its initial value."""


@dataclass
class History:
    r"""The course of a run, one entry per record.

    Attributes:
        step: Gradient steps taken.
        loss: Regularised loss, `fit + ridge * norm`.
        fit: The data loss, mean over the samples of the steps since the last record.
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

    @property
    def summary(self) -> str:
        """The last record in one line."""
        return f"loss {self.loss[-1]:.4g}, data loss {self.fit[-1]:.4g}, |θ|² {self.norm[-1]:.3g}"


class TrainingDivergedError(RuntimeError):
    """Training went to NaN or collapsed to an output that no longer depends on the input.

    Attributes:
        history: The records until then.
    """

    def __init__(self, message: str, history: History) -> None:
        """Keep the history beside the message."""
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from message and history, as other processes do."""
        return type(self), (*self.args, self.history), vars(self)


class Objective(Protocol):
    """Objective of a loop, without the ridge."""

    @property
    def parameters(self) -> Sequence[Tensor]:
        """The parameters that the optimiser changes in place."""

    def gradients(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradient of the data loss over a batch into the parameters' `grad`.

        Args:
            batch: Indices of samples.

        Returns:
            The data loss, a scalar tensor or one entry per member of an ensemble, and the output,
            samples first.
        """

    def norms(self) -> Tensor:
        r"""$\lVert\theta\rVert^2$, a scalar tensor or one entry per member."""

    def after_step(self, step: int) -> bool:
        """Act after this many steps, for example to keep to a budget.

        Returns:
            Whether `parameters` are other tensors from here on.
        """


class Checkpoint(Protocol):
    """Place to save a loop and resume it from. `cbnlib.runs.checkpoint` has one on disk."""

    def resume(self, loop: "TrainingLoop") -> bool:
        """Put the last saved state into a loop at its start. Return whether there was one."""

    def after_step(self, loop: "TrainingLoop") -> None:
        """Save the loop if it is time."""


@dataclass(frozen=True, eq=False)
class LoopState:
    """Everything that the rest of a run depends on.

    Attributes:
        tensors: Parameters, the optimiser's moments, the order of the samples, the generator.
        facts: Numbers, texts and lists of them, as JSON can hold them without loss.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class TrainingLoop:
    r"""Minimise a data loss plus $\lambda\lVert\theta\rVert^2$, step by step.

    A member of an ensemble fails alone. The history is the mean over those that have not failed.

    Attributes:
        history: The records so far.
        step: Gradient steps taken.
    """

    def __init__(self, objective: Objective, samples: int, config: TrainConfig) -> None:
        """Start at step 0.

        Args:
            objective: The data loss with its parameters.
            samples: Size of the data set.
            config: Ridge, optimiser, schedule, steps and seed.
        """
        self.objective, self.config = objective, config
        self._start_stretch(0)
        self.batches = Batches(samples, config.batch_size, config.seed)
        self.history, self.watch, self.step = History(), _CollapseWatch(), 0
        norms = objective.norms()
        self.sum_fit, self.largest_norms = torch.zeros_like(norms), largest_norm(norms)
        self.every = max(1, config.steps // config.records)

    def _start_stretch(self, number: int) -> None:
        """Start optimiser and learning rate anew."""
        self.optimizer = make_optimizer(self.objective.parameters, self.config)
        steps = self.config.stretches[number]
        self.schedule = make_schedule(self.optimizer, self.config, steps)

    def _after_step(self, step: int) -> None:
        if self.objective.after_step(step):
            self._start_stretch(-1)

    @property
    def finished(self) -> bool:
        """Whether all steps are taken."""
        return self.step >= self.config.steps

    def run(
        self,
        label: str,
        *,
        checkpoint: Checkpoint | None = None,
        observe: Callable[[int], None] | None = None,
        progress: bool = True,
    ) -> History:
        """Take all steps that are left.

        Args:
            label: Text of the progress bar.
            checkpoint: Where to resume from and to save to.
            observe: Called with the step before the first step and after every one.
            progress: Whether to draw a bar.

        Returns:
            The history.

        Raises:
            TrainingDivergedError: As `advance`.
        """
        resumed = checkpoint is not None and checkpoint.resume(self)
        if observe is not None and not resumed:
            observe(0)
        with progress_bar(self.config.steps, label, shown=progress) as show:
            show(self.step, "")
            while not self.finished:
                recorded = self.advance()
                if observe is not None:
                    observe(self.step)
                if checkpoint is not None:
                    checkpoint.after_step(self)
                if recorded:
                    show(self.step, self.history.summary)
        return self.history

    def advance(self) -> bool:
        """Take one gradient step and return whether it added a record to the history.

        Raises:
            TrainingDivergedError: At a record, if the loss is NaN or infinite or the norm is
                `EXPLODED` times its initial value (or 1, if that was less). In an ensemble, this
                must hold for all members. Also if the output of a single network once depended on
                the input and no longer does.
        """
        term, output = self.objective.gradients(self.batches.draw())
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.sum_fit += term
        self._after_step(self.step)
        if self.step % self.every and not self.finished:
            return False
        self._record(output)
        return True

    def _record(self, output: Tensor) -> None:
        fits = self.sum_fit.cpu().double() / (self.step - (self.history.step or [0])[-1])
        norms = self.objective.norms().cpu().double()
        alive = (fits + self.config.ridge * norms).isfinite() & (norms <= self.largest_norms)
        counted = alive if alive.any() else torch.ones_like(alive)
        fit, norm = (float(values[counted].mean()) for values in (fits, norms))
        self.history.append(self.step, fit, norm, self.config.ridge)
        self.sum_fit.zero_()
        if not alive.any():
            raise TrainingDivergedError(_what_failed(self.history, fits.numel()), self.history)
        if not fits.ndim and self.watch.collapsed(output):
            raise TrainingDivergedError(
                f"the output collapsed to a constant by step {self.step}: try a smaller learning "
                "rate, a larger initial gain or a smaller ridge",
                self.history,
            )

    def state(self) -> LoopState:
        """Copies of all that the steps to come depend on. Later steps leave them alone."""
        tensors = {
            "order": self.batches.order,
            "generator": self.batches.generator.get_state(),
            "sum_fit": self.sum_fit,
        }
        for i, parameter in enumerate(self.objective.parameters):
            tensors[f"parameter.{i}"] = parameter.detach()
            for name, moment in self.optimizer.state[parameter].items():
                if moment is not None:
                    tensors[f"optimizer.{i}.{name}"] = moment
        facts = {
            "step": self.step,
            "next": self.batches.next,
            "was_alive": self.watch.was_alive,
            "history": vars(self.history),
            "rates": [group["lr"] for group in self.optimizer.param_groups],
            "schedule": self.schedule.state_dict(),
        }
        return LoopState({k: t.clone() for k, t in tensors.items()}, copy.deepcopy(facts))

    @torch.no_grad()
    def restore(self, state: LoopState) -> None:
        """Go on from where another loop of the same objective and config was.

        Raises:
            ValueError: If the state is that of other parameters or of another number of samples.
        """
        tensors, facts = state.tensors, state.facts
        if len(tensors["order"]) not in (0, self.batches.samples):
            raise ValueError(f"the state is of {len(tensors['order'])} samples, not of this data")
        if tensors["sum_fit"].shape != self.sum_fit.shape:
            raise ValueError("the state is of another number of networks")
        self._after_step(facts["step"])  # the parameters may be others by then
        for i, parameter in enumerate(self.objective.parameters):
            saved = tensors.get(f"parameter.{i}", torch.empty(0))
            if saved.shape != parameter.shape or saved.dtype != parameter.dtype:
                raise ValueError(f"parameter {i} of the state does not fit this network")
            parameter.copy_(saved)
            prefix = f"optimizer.{i}."
            moments = {k: t for k, t in tensors.items() if k.startswith(prefix)}
            for name, moment in moments.items():
                self.optimizer.state[parameter][name.removeprefix(prefix)] = moment.to(
                    parameter.device, copy=True
                )
        self.batches.order, self.batches.next = tensors["order"].clone(), facts["next"]
        self.batches.generator.set_state(tensors["generator"])
        self.sum_fit.copy_(tensors["sum_fit"])
        self.step, self.watch.was_alive = facts["step"], facts["was_alive"]
        self.history = History(**copy.deepcopy(facts["history"]))
        for group, rate in zip(self.optimizer.param_groups, facts["rates"], strict=True):
            group["lr"] = rate
        self.schedule.load_state_dict(facts["schedule"])


def largest_norm(at_start: Tensor) -> Tensor:
    """The norm above which training that began with another one counts as blown up."""
    return EXPLODED * at_start.cpu().double().clamp(min=1)


class Batches:
    """Batches without replacement, reshuffled for every pass, without a short last one."""

    def __init__(self, samples: int, size: int, seed: int) -> None:
        """Start at the first pass.

        Raises:
            ValueError: If there is no sample.
        """
        self.samples = check_count("samples", samples)
        self.size = min(samples, check_count("batch size", size))
        self.generator = torch.Generator("cpu").manual_seed(seed)
        self.order, self.next = torch.empty(0, dtype=torch.long), 0

    def draw(self) -> Tensor:
        """Indices of the next batch, shape `[min(samples, size)]`."""
        if self.next + self.size > len(self.order):
            self.order = torch.randperm(self.samples, generator=self.generator, device="cpu")
            self.next = 0
        self.next += self.size
        return self.order[self.next - self.size : self.next]


class _CollapseWatch:
    """Tells when outputs that once differed between samples no longer do.

    The spread is the variance between samples relative to the mean square. A deep network with
    small weights may start with a tiny one and grow. So only a fall counts, from above `ALIVE`
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


def _what_failed(history: History, members: int) -> str:
    loss, norm = history.loss[-1], history.norm[-1]
    what = f"the norm is {norm:.1e}" if math.isfinite(loss) else f"the loss is {loss}"
    where = f"step {history.step[-1]}" + (f", in all {members} members" if members > 1 else "")
    return f"{what} at {where}: try a smaller learning rate"
