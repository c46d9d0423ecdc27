"""Weight spectra taken while a network trains, a fixed number of them."""

from collections.abc import Collection

from torch import Tensor

from cbnlib.model import CNN
from cbnlib.records.contents import SpectraSnapshot
from cbnlib.spectra import Spectrum, weight_spectra

SNAPSHOTS = 24
"""How many are taken by default."""


def snapshot_steps(steps: int, count: int = SNAPSHOTS) -> list[int]:
    """Steps from 0 to the last one, dense at the start: evenly spaced in their logarithm.

    Args:
        steps: Gradient steps of the run.
        count: How many snapshots; fewer where the run has fewer steps.

    Example:
        >>> snapshot_steps(1000, 6), snapshot_steps(2, 6)
        ([0, 4, 16, 63, 251, 1000], [0, 1, 2])
    """
    if steps < count:
        return list(range(steps + 1))
    chosen = [0]
    for i in range(1, count):
        chosen.append(max(chosen[-1] + 1, round(steps ** (i / (count - 1)))))
    return chosen


class SpectraRecorder:
    """Takes a snapshot at each of the chosen steps.

    Attributes:
        taken: The snapshots so far.
    """

    def __init__(self, steps: Collection[int]) -> None:
        """Choose the steps."""
        self.steps = frozenset(steps)
        self.taken: list[SpectraSnapshot] = []

    def observe(self, step: int, model: CNN) -> None:
        """Take a snapshot if this is one of the steps."""
        if step in self.steps:
            self.taken.append(SpectraSnapshot(step, weight_spectra(model)))

    def tensors(self) -> dict[str, Tensor]:
        """The values taken so far, for a checkpoint."""
        return {
            f"snapshot.{shot.step}.{layer}": spectrum.values
            for shot in self.taken
            for layer, spectrum in enumerate(shot.layers)
        }

    def restore(self, steps: list[int], tensors: dict[str, Tensor], model: CNN) -> None:
        """Go on from the snapshots of a checkpoint.

        Args:
            steps: When they were taken.
            tensors: What `tensors` returned, or more.
            model: The network, for its grids.
        """
        self.taken = [
            SpectraSnapshot(
                step,
                [
                    Spectrum(conv.grid, tensors[f"snapshot.{step}.{layer}"])
                    for layer, conv in enumerate(model.convs)
                ],
            )
            for step in steps
        ]
