"""Spectra of a network's pre-activations over a data set, per frequency."""

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_finite
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import singular_values, without_dust
from cbnlib.spectra.spectrum import Spectrum


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
        ValueError: If there is no sample, the batch size is no integer >= 1, the shape does not fit
            or the data hold NaN.
    """
    check_count("samples", len(x))
    check_count("batch_size", batch_size)
    check_finite("x", x)
    triangles: list[Tensor | None] = [None] * len(model.convs)
    for batch in x.split(batch_size):
        layers = model.pre_activations(batch)[: len(triangles)]
        triangles = [_accumulate(r, a) for r, a in zip(triangles, layers, strict=True)]
    return [
        Spectrum(conv.grid, _values_at_modes(r, conv.grid) / len(x) ** 0.5)
        for conv, r in zip(model.convs, triangles, strict=True)
        if r is not None
    ]


def _accumulate(triangle: Tensor | None, activations: Tensor) -> Tensor:
    """QR of the coefficients seen so far, per frequency: keeps their singular values exactly."""
    axes = tuple(range(2, activations.ndim))
    a_hat = torch.fft.rfftn(activations, dim=axes, norm="ortho").flatten(2).permute(2, 0, 1)
    rows = a_hat if triangle is None else torch.cat([triangle, a_hat], dim=1)
    updated: Tensor = torch.linalg.qr(rows, mode="r").R
    if not updated.is_meta and not updated.isfinite().all():  # underflow, as in `_values`
        check_finite("activations", activations)
        size = torch.view_as_real(rows).abs().amax(dim=(-3, -2, -1)).view(-1, 1, 1)
        size = torch.where(size > 0, size, 1)
        updated = torch.linalg.qr(without_dust(rows / size), mode="r").R * size
    return updated


def _values_at_modes(matrices: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Singular values of matrices given at the stored frequencies, `[modes, directions]`."""
    modes = frequencies(grid).modes
    return singular_values(lambda rows: matrices[modes[rows]], len(modes), matrices.shape[1:])


_BATCH = 64  # samples per pass


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
