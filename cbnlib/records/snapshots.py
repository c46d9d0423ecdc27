"""Spectra of weights and activations taken while a network trains, a fixed number of times."""

from collections.abc import Collection
from contextlib import suppress

import torch
from torch import Tensor

from cbnlib.frequencies import frequencies
from cbnlib.model import CNN
from cbnlib.records.contents import SpectraSnapshot
from cbnlib.spectra import Spectrum, weight_spectra

SNAPSHOTS = 24
"""How many are taken by default."""

SAMPLES = 512
"""Of the data, at most so many are sent through the network for a snapshot: the first ones."""

_BATCH = 64  # samples per pass


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


@torch.no_grad()
def mode_amplitudes(model: CNN, x: Tensor) -> list[Spectrum]:
    r"""How strongly each mode is present in the pre-activations over a data set.

    The root mean square over the samples of $\lVert\hat{\tilde\alpha}_\ell(\omega)\rVert$: one
    number per mode, all channels together. It is the root of the sum of the squares that
    `activation_spectra` has at that mode; like those, it is not centred.

    Args:
        model: The network; of the pooling head only the convolutions count.
        x: Inputs, shape `[samples, c_in, *grid]`.

    Returns:
        One spectrum per convolution, its values of shape `[modes, 1]`.

    Raises:
        ValueError: If the shape does not fit the network.
    """
    energies = [torch.zeros(()) for _ in model.convs]
    for batch in x.split(_BATCH):
        layers = model.pre_activations(batch)[: len(energies)]
        energies = [e + _energy(a) for e, a in zip(energies, layers, strict=True)]
    return [
        Spectrum(conv.grid, (e[frequencies(conv.grid).modes] / len(x)).sqrt().unsqueeze(1))
        for conv, e in zip(model.convs, energies, strict=True)
    ]


def _energy(activations: Tensor) -> Tensor:
    """Sum of squares over samples and channels, at every stored frequency."""
    axes = tuple(range(2, activations.ndim))
    a_hat = torch.view_as_real(torch.fft.rfftn(activations, dim=axes, norm="ortho"))
    return a_hat.square().sum(dim=(0, 1, -1)).flatten()


def is_finite(model: CNN) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(bool(p.isfinite().all()) for p in model.parameters())


class SpectraRecorder:
    """Takes a snapshot at each of the chosen steps.

    Attributes:
        taken: The snapshots so far.
    """

    def __init__(self, steps: Collection[int], x: Tensor) -> None:
        """Choose the steps.

        Args:
            steps: When to take one.
            x: Inputs; the first `SAMPLES` of them are sent through the network.
        """
        self.steps, self.x = frozenset(steps), x[:SAMPLES]
        self.taken: list[SpectraSnapshot] = []

    def observe(self, step: int, model: CNN) -> None:
        """Take a snapshot if this is one of the steps; of weights that are no numbers, none."""
        if step in self.steps and is_finite(model):
            with suppress(ValueError):  # activations overflow: the loop ends at its next record
                amplitudes = mode_amplitudes(model, self.x)
                self.taken.append(SpectraSnapshot(step, weight_spectra(model), amplitudes))

    def tensors(self) -> dict[str, Tensor]:
        """The values taken so far, for a checkpoint."""
        return {
            f"snapshot.{shot.step}.{kind}{layer}": spectrum.values
            for shot in self.taken
            for kind, spectra in (("", shot.layers), ("activations.", shot.activations))
            for layer, spectrum in enumerate(spectra)
        }

    def restore(self, steps: list[int], tensors: dict[str, Tensor], model: CNN) -> None:
        """Go on from the snapshots of a checkpoint.

        Args:
            steps: When they were taken.
            tensors: What `tensors` returned, or more.
            model: The network, for its grids.
        """

        def spectra(prefix: str) -> list[Spectrum]:
            return [
                Spectrum(conv.grid, tensors[f"{prefix}{layer}"])
                for layer, conv in enumerate(model.convs)
                if f"{prefix}{layer}" in tensors  # checkpoints had no activations once
            ]

        self.taken = [
            SpectraSnapshot(
                step, spectra(f"snapshot.{step}."), spectra(f"snapshot.{step}.activations.")
            )
            for step in steps
        ]
