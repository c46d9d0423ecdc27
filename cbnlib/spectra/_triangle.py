"""Singular values of tall matrices whose rows arrive in parts, without their squares."""

import torch
from torch import Tensor

from cbnlib.network.frequencies import frequencies
from cbnlib.spectra._svd import in_slices

_FEWEST = 32
"""From this many samples on, a decomposition pays."""


class Triangles:
    r"""Per mode, the factor $R$ of the matrix samples × channels of Fourier coefficients.

    $R$ has its singular values and right singular vectors, the small ones as exact as the large
    ones. Samples wait until there are as many as channels. So the memory is about that of $R$ for
    each layer, and does not depend on the number of samples.

    Attributes:
        samples: How many there were.
    """

    def __init__(self, *, centred: bool = False) -> None:
        """Begin. If centred, the mean over the samples will be subtracted."""
        self.samples = 0
        self._centred = centred
        self._waiting: list[Tensor] = []
        self._r = self._mean = torch.empty(0)

    def add(self, signals: Tensor) -> None:
        """Take some samples, shape `[samples, channels, *grid]`."""
        enough = max(_FEWEST, signals.shape[1])
        for part in signals.detach().split(enough):
            self._waiting.append(part.clone())  # the network may go on to overwrite it
            if sum(map(len, self._waiting)) >= enough:
                self._update()

    def finish(self) -> Tensor:
        r"""$R/\sqrt n$ of all $n$ samples, shape `[modes, rows, channels]`."""
        if self._waiting:
            self._update()
        r: Tensor = self._r / self.samples**0.5
        return r

    def _update(self) -> None:
        rows = coefficients(torch.cat(self._waiting))
        self._waiting = []
        new, before = rows.shape[1], self.samples
        self.samples += new
        if self._centred:
            rows = self._centre(rows, before)
        old = self._r if before else rows[:, :0]
        size = (rows.shape[1] + old.shape[1]) * rows.shape[2]

        def merge(modes: Tensor) -> Tensor:
            both = torch.cat([old[modes], rows[modes]], dim=1)
            merged: Tensor = torch.linalg.qr(both, mode="r").R
            return merged

        self._r = torch.cat(in_slices(merge, len(rows), size))

    def _centre(self, rows: Tensor, before: int) -> Tensor:
        """Rows with the same scatter about the mean of all samples, if added to the older ones."""
        mean = rows.mean(dim=1, keepdim=True)
        rows = rows - mean
        if before:
            new = self.samples - before
            step = mean - self._mean
            rows = torch.cat([rows, step * (before * new / self.samples) ** 0.5], dim=1)
            mean = self._mean + step * (new / self.samples)
        self._mean = mean
        return rows


def coefficients(signals: Tensor) -> Tensor:
    """Unitary Fourier coefficients at the modes, in double precision.

    Args:
        signals: Shape `[samples, channels, *grid]`.

    Returns:
        Shape `[modes, samples, channels]`.
    """
    if signals.device.type == "mps":  # has no double precision
        signals = signals.cpu()
    axes = tuple(range(2, signals.ndim))
    a_hat: Tensor = torch.fft.rfftn(signals.double(), dim=axes, norm="ortho").flatten(2)
    return a_hat[..., frequencies(signals.shape[2:]).modes].permute(2, 0, 1)
