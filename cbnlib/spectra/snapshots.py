"""Spectra of weights and activations taken while a network trains, a fixed number of times."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from torch import Tensor

from cbnlib.network.model import CNN
from cbnlib.spectra.activations import mode_amplitudes
from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.spectra.spectrum import Spectrum

SNAPSHOTS = 24
"""How many are taken by default."""

SAMPLES = 512
"""Most samples that a snapshot sends through the network, the first ones of the data."""


@dataclass(frozen=True, eq=False)
class SpectraSnapshot:
    """The spectra at one step.

    Attributes:
        step: Gradient steps taken.
        layers: Weight spectra, one per convolution, first layer first.
        activations: What `mode_amplitudes` gave for the first samples of the data, at most
            `SAMPLES`, one value per mode and layer. Empty in records made before it was kept.
    """

    step: int
    layers: list[Spectrum]
    activations: list[Spectrum] = field(default_factory=list)


def snapshot_steps(steps: int, count: int = SNAPSHOTS) -> list[int]:
    """Steps from 0 to the last one, dense at the start, evenly spaced in their logarithm.

    Args:
        steps: Gradient steps of the run.
        count: How many snapshots, fewer where the run has fewer steps.

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


def is_finite(model: CNN) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(bool(p.isfinite().all()) for p in model.parameters())


class SpectraRecorder:
    """Takes a snapshot at each of the chosen steps.

    Attributes:
        taken: The snapshots so far.
    """

    def __init__(self, model: CNN, steps: Collection[int], x: Tensor) -> None:
        """Choose the steps.

        Args:
            model: The network that trains.
            steps: When to take one.
            x: Inputs, of which the first `SAMPLES` are sent through the network.
        """
        self.model, self.steps, self.x = model, frozenset(steps), x[:SAMPLES]
        self.taken: list[SpectraSnapshot] = []

    def observe(self, step: int) -> None:
        """Take a snapshot if this is one of the steps, but not of weights that are no numbers."""
        if step in self.steps and is_finite(self.model):
            with suppress(ValueError):  # activations overflow: the loop ends at its next record
                amplitudes = mode_amplitudes(self.model, self.x)
                self.taken.append(SpectraSnapshot(step, weight_spectra(self.model), amplitudes))

    def tensors(self) -> dict[str, Tensor]:
        """The values taken so far, for a checkpoint."""
        return {
            f"snapshot.{shot.step}.{kind}{layer}": spectrum.values
            for shot in self.taken
            for kind, spectra in (("", shot.layers), ("activations.", shot.activations))
            for layer, spectrum in enumerate(spectra)
        }

    def restore(self, steps: list[int], tensors: dict[str, Tensor]) -> None:
        """Go on from the snapshots of a checkpoint.

        Args:
            steps: When they were taken.
            tensors: What `tensors` returned, or more.
        """

        def spectra(prefix: str) -> list[Spectrum]:
            return [
                Spectrum(conv.grid, tensors[f"{prefix}{layer}"])
                for layer, conv in enumerate(self.model.convs)
                if f"{prefix}{layer}" in tensors  # checkpoints had no activations once
            ]

        self.taken = [
            SpectraSnapshot(
                step, spectra(f"snapshot.{step}."), spectra(f"snapshot.{step}.activations.")
            )
            for step in steps
        ]
