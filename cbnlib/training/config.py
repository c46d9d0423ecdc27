"""Configuration of a training run, apart from the network and the data."""

from dataclasses import dataclass
from typing import Literal, get_args

from cbnlib._checks import check_choice, check_count, check_positive, check_type, hold

Loss = Literal["square", "cross_entropy"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a training run, apart from the network and the data.

    Raises:
        ValueError: On construction, if a value is out of range. The message names it.
    """

    ridge: float
    r"""$\lambda$, the weight of $\lVert\theta\rVert^2$ in the loss."""
    learning_rate: float
    """Initial step size."""
    steps: int
    """Gradient steps. A small ridge needs many (unwanted modes decay at rate ~ rate x ridge)."""
    batch_size: int = 64
    """Samples per step, or the whole data set where it is smaller."""
    optimizer: Optimizer = "adam"
    """`adam`, or `sgd` with `momentum`."""
    momentum: float = 0.9
    """Heavy-ball momentum of `sgd`. Adam ignores it."""
    schedule: Schedule = "cosine"
    """`cosine` lets the rate fall to 0 at the last step, `constant` keeps it."""
    loss: Loss = "square"
    """`square` is the sum over pixels and mean over samples. `cross_entropy` is the mean over
    samples, for integer labels."""
    seed: int = 0
    """Order of the samples."""
    records: int = 100
    """How many points of the history are kept."""
    snapshots: int = 24
    """How many spectra over training are kept, the first and the last among them. An ensemble keeps
    these two. They are most of a record's bytes."""
    budget: str | None = None
    """The modes that some layers may carry meanwhile, as `Budget` writes them (`DC×3, ±(1,0)×2`).
    None stands for all."""
    layers: tuple[int, int] | None = None
    """The first and last layer that the budget holds, or that `shrink` is about, counted from 1."""
    release: float = 1.0
    """Share of the steps after which the network is free again. Then small random blocks are added
    at all modes, and learning rate and optimiser start anew. 1 keeps the budget to the end. With
    `shrink` it is the share of the steps over which that falls to 0, and nothing starts anew."""
    shrink: float = 0.0
    r"""Initial amount by which all singular values of the layers fall every ten steps, the proximal
    step of the nuclear norm. The amount falls linearly to 0. With 0 there is none."""

    def __post_init__(self) -> None:
        """Check every field, and store numbers as Python's own."""
        hold(
            self,
            ridge=check_positive("ridge", self.ridge, zero=True),
            learning_rate=check_positive("learning_rate", self.learning_rate),
            steps=check_count("steps", self.steps, minimum=0),
            batch_size=check_count("batch_size", self.batch_size),
            momentum=check_positive("momentum", self.momentum, zero=True),
            seed=check_count("seed", self.seed, minimum=0),
            records=check_count("records", self.records),
            snapshots=check_count("snapshots", self.snapshots, minimum=2),
            shrink=check_positive("shrink", self.shrink, zero=True),
        )
        if self.momentum >= 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum!r}")
        self._check_budget()
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("loss", self.loss, get_args(Loss))

    def _check_budget(self) -> None:
        release = check_positive("release", self.release)
        hold(self, release=release)
        if release > 1:
            raise ValueError(f"release must be a share of the steps in (0, 1], got {release!r}")
        if self.budget is not None:
            check_type("budget", self.budget, str)
        if self.budget is not None and self.shrink:
            raise ValueError(
                f"budget and shrink do not go together, got {self.budget!r} and {self.shrink!r}"
            )
        middle = self.budget is not None or self.shrink > 0
        if middle != (self.layers is not None) or (not middle and release < 1):
            raise ValueError(
                "budget or shrink needs layers, layers need one of them, and release needs both, "
                f"got budget {self.budget!r}, shrink {self.shrink!r}, layers {self.layers!r}, "
                f"release {release!r}"
            )
        if self.layers is not None:
            if len(self.layers) != 2:
                raise ValueError(f"layers must be a first and a last one, got {self.layers!r}")
            first = check_count("first of the layers", self.layers[0])
            last = check_count("last of the layers", self.layers[1], minimum=first)
            hold(self, layers=(first, last))

    @property
    def stretches(self) -> tuple[int, ...]:
        """Steps of each learning-rate course, one stretch, or two if a budget is released."""
        held = round(self.release * self.steps)
        released = self.budget is not None and 0 < held < self.steps
        return (held, self.steps - held) if released else (self.steps,)
