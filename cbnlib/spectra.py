r"""Singular values per frequency: of layers, and of activations over a data set."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cbnlib.checks import check_count, check_finite, check_positive
from cbnlib.frequencies import frequencies
from cbnlib.layers import CircularConv
from cbnlib.model import CNN


@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Singular values of a translation-equivariant map (or of a data matrix), mode by mode.

    One row per *mode*: a self-conjugate frequency, or one representative of a pair $\pm\omega$.

    Attributes:
        grid: Pixels per axis.
        values: Singular values, largest first, shape `[modes, directions]`.
    """

    grid: tuple[int, ...]
    values: Tensor

    @property
    def omega(self) -> Tensor:
        """Frequency vectors, shape `[modes, axes]`."""
        freqs = frequencies(self.grid)
        return freqs.omega[freqs.modes]

    @property
    def degree(self) -> Tensor:
        r"""$\lvert\omega_1\rvert+\lvert\omega_2\rvert$, shape `[modes]`."""
        freqs = frequencies(self.grid)
        return freqs.degree[freqs.modes]

    @property
    def multiplicity(self) -> Tensor:
        """Real dimensions of one singular direction, 1 or 2, shape `[modes]`."""
        freqs = frequencies(self.grid)
        return freqs.multiplicity[freqs.modes]

    def real_dimensions(self, threshold: float) -> int:
        """Real dimensions whose singular value exceeds `threshold`.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        return int(((self.values > threshold).sum(dim=1) * self.multiplicity).sum())

    def gap(self, threshold: float) -> tuple[float, float]:
        """The smallest singular value above `threshold` and the largest one not above it.

        Returns:
            `(smallest kept, largest other)`; infinity and 0 stand for "there is none".

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        kept = self.values > threshold
        smallest = self.values[kept].min() if kept.any() else float("inf")
        largest = self.values[~kept].max() if not kept.all() else 0.0
        return float(smallest), float(largest)

    def kept_by_degree(self, threshold: float) -> dict[int, int]:
        r"""How many singular directions of each degree exceed `threshold`.

        A pair $\pm\omega$ counts once per direction, as in "3 constant frequencies, 4 of degree 1".

        Returns:
            Degree to count, lowest degree first, without zeros.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        per_mode = (self.values > threshold).sum(dim=1)
        counts = {int(d): int(per_mode[self.degree == d].sum()) for d in self.degree.unique()}
        return {d: count for d, count in counts.items() if count}

    def largest(self) -> Tensor:
        """The largest singular value at every frequency of the whole grid, in the order of `fftn`.

        Returns:
            Tensor of shape `grid`, symmetric under negation of the frequency.
        """
        full = self.values.new_zeros(self.grid)
        for omega in (self.omega, -self.omega):  # negative indices wrap around
            full[omega.unbind(dim=1)] = self.values[:, 0]
        return full

    def operator_values(self) -> Tensor:
        r"""$\sigma_i$ over all of $\hat G$: every value as often as its real dimensions.

        Returns:
            Singular values, largest first, shape `[N * directions]`.
        """
        return (
            self.values.repeat_interleave(self.multiplicity, dim=0)
            .flatten()
            .sort(descending=True)[0]
        )


def spectrum_of_blocks(blocks: Tensor, grid: tuple[int, ...]) -> Spectrum:
    r"""Spectrum of a map given by its Fourier blocks.

    Args:
        blocks: $\hat W(\omega)$ at the stored frequencies, shape `[c_out, c_in, *half_grid]`.
        grid: Pixels per axis.

    Raises:
        ValueError: If a block holds NaN or infinity.
    """
    check_finite("Fourier blocks", blocks)
    per_mode = blocks.flatten(2).permute(2, 0, 1)[frequencies(grid).modes]
    return Spectrum(grid, torch.linalg.svdvals(per_mode))


@torch.no_grad()
def layer_spectrum(layer: CircularConv) -> Spectrum:
    r"""The singular values $\sigma_i(\hat W(\omega))$ of a layer's Fourier blocks.

    They are those of the operator on $\mathbb R^{c\times G}$, counted with
    `Spectrum.multiplicity`; the bias has no part in them. Precision is the layer's own dtype.

    Raises:
        ValueError: If the weights hold NaN or infinity.

    Reference: Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> layer = CircularConv(2, 3, (4, 4), generator=torch.Generator().manual_seed(0))
        >>> layer_spectrum(layer).values.shape  # 10 modes on 16 pixels
        torch.Size([10, 2])
    """
    return spectrum_of_blocks(layer.blocks(), layer.grid)


def weight_spectra(model: CNN) -> list[Spectrum]:
    """`layer_spectrum` of every convolution of a network, first layer first."""
    return [layer_spectrum(conv) for conv in model.convs]


@torch.no_grad()
def activation_spectra(model: CNN, x: Tensor, *, batch_size: int = 512) -> list[Spectrum]:
    r"""Spectra of the pre-activations over a data set.

    At each frequency the coefficients $\hat{\tilde\alpha}_\ell(\omega)$ of all samples form a
    matrix samples × channels; the values are its singular values divided by the root of the
    number of samples, i.e. root-mean-square amplitudes along channel directions. They are not
    centred: the constant frequency holds the mean.

    Pre-activations, because there the bottleneck is linear; ReLU may leave its span (S5).

    Args:
        model: The network; of the pooling head only the convolutions count.
        x: Inputs, shape `[samples, c_in, *grid]`.
        batch_size: Samples per pass; bounds the memory, does not change the result.

    Returns:
        One spectrum per convolution, with `min(samples, channels)` directions each.

    Raises:
        ValueError: If there is no sample, the shape does not fit or the data hold NaN.
    """
    check_count("samples", len(x))
    check_finite("x", x)
    triangles: list[Tensor | None] = [None] * len(model.convs)
    for batch in x.split(batch_size):
        layers = model.pre_activations(batch)[: len(triangles)]
        triangles = [_accumulate(r, a) for r, a in zip(triangles, layers, strict=True)]
    return [
        Spectrum(conv.grid, torch.linalg.svdvals(r[frequencies(conv.grid).modes]) / len(x) ** 0.5)
        for conv, r in zip(model.convs, triangles, strict=True)
        if r is not None
    ]


def _accumulate(triangle: Tensor | None, activations: Tensor) -> Tensor:
    """QR of the coefficients seen so far, per frequency: keeps their singular values exactly."""
    axes = tuple(range(2, activations.ndim))
    a_hat = torch.fft.rfftn(activations, dim=axes, norm="ortho").flatten(2).permute(2, 0, 1)
    rows = a_hat if triangle is None else torch.cat([triangle, a_hat], dim=1)
    updated: Tensor = torch.linalg.qr(rows, mode="r").R
    return updated
