"""What defines a training run, beside the network and the data."""

from dataclasses import dataclass
from typing import Literal, get_args

from cbnlib._checks import check_choice, check_count, check_positive

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
    snapshots: int = 24
    """How many spectra over training are kept, the first and the last among them; an ensemble keeps
    these two. They are most of a record's bytes."""

    def __post_init__(self) -> None:
        """Check every field, and store numbers as Python's own."""
        clean = {
            "ridge": check_positive("ridge", self.ridge, zero=True),
            "learning_rate": check_positive("learning_rate", self.learning_rate),
            "steps": check_count("steps", self.steps, minimum=0),
            "batch_size": check_count("batch_size", self.batch_size),
            "momentum": check_positive("momentum", self.momentum, zero=True),
            "seed": check_count("seed", self.seed, minimum=0),
            "records": check_count("records", self.records),
            "snapshots": check_count("snapshots", self.snapshots, minimum=2),
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)
        if self.momentum >= 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum!r}")
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("loss", self.loss, get_args(Loss))
