"""A task: inputs, targets and their loss."""

from dataclasses import dataclass

from torch import Tensor

from cbnlib.training.config import Loss


@dataclass(frozen=True, eq=False)
class Task:
    """A data set with targets.

    Attributes:
        name: Its name in tables and titles.
        x: Inputs, float32, shape `[samples, c_in, *grid]`.
        y: Targets of the shape of the output, or integer labels `[samples]`.
        loss: The kind of data loss for these targets.
        held_out: Inputs and targets of the same kinds that training does not see, or None.
    """

    name: str
    x: Tensor
    y: Tensor
    loss: Loss = "square"
    held_out: tuple[Tensor, Tensor] | None = None

    @property
    def grid(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(self.x.shape[2:])

    @property
    def variance(self) -> float:
        """Mean squared distance of a target to the mean target, summed over pixels.

        This is the square loss of the mean target, an output that ignores the input.
        """
        return float((self.y - self.y.mean(dim=0)).square().sum() / len(self.y))
