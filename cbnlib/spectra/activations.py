"""Spectra of a network's pre-activations over a data set, per frequency."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from cbnlib._checks import check_count, check_finite
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import singular_values, without_dust
from cbnlib.spectra.spectrum import Spectrum


@torch.no_grad()
def pre_activation_spectra(model: CNN, x: Tensor, *, batch_size: int = 512) -> list[Spectrum]:
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
    `pre_activation_spectra` has at that mode; like those, it is not centred.

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


T = TypeVar("T")
Loader = Iterable[Any]


class PerLayer(list[T]):
    """What was found, in the order of the network's modules.

    Attributes:
        left_out: For each layer of which nothing is known, its name and the reason.
    """

    left_out: dict[str, str]


@dataclass(frozen=True, eq=False)
class ActivationSpectrum:
    r"""The spectrum of what a layer receives or returns, over a data set.

    Attributes:
        name: The layer's name, as in `named_modules`; with the number of the call, `name (call 2)`,
            if it is called several times in a pass.
        kind: `input` for what the layer receives, `output` for what it returns.
        spectrum: Root-mean-square amplitudes along channel directions, per mode: `values` has shape
            `[modes, min(samples, channels)]`.
        samples: How many samples there were.
        triangle: $R(\omega)$, upper triangular, with $R^*R$ the mean over the samples of
            $\overline{\hat\alpha(\omega)}\,\hat\alpha(\omega)^\top$; shape
            `[modes, min(samples, channels), channels]`.
    """

    name: str
    kind: Literal["input", "output"]
    spectrum: Spectrum
    samples: int
    triangle: Tensor

    @property
    def directions(self) -> Tensor:
        r"""Channel directions $v_i(\omega)$, unit vectors, the one of the largest value first.

        Shape `[modes, directions, channels]`.
        """
        raise NotImplementedError


def activation_spectra(
    model: nn.Module,
    loader: Loader,
    *,
    layers: Collection[str] | None = None,
    centred: bool = False,
) -> PerLayer[ActivationSpectrum]:
    r"""Spectra of what the layers of a network receive and return over a data set, per frequency.

    At each frequency the coefficients $\hat\alpha(\omega)$ of all samples form a matrix samples ×
    channels. The values are its singular values divided by the root of the number of samples.

    Args:
        model: Any network. It is in evaluation mode during the passes, and afterwards in the mode
            it was in before.
        loader: The data, batch by batch: tensors; lists or tuples whose first entry is the input,
            such as `(x, y)`; or dicts, of which those entries are taken that the network's
            `forward` names. A single tensor is split into batches.
        layers: Names of modules, as in `named_modules`; None for all convolutions.
        centred: Whether the mean over the samples is subtracted, for each pixel and channel. If
            not, the constant frequency holds it.

    Returns:
        For each layer and call two: of the input and of the output. What has no spatial axes is
        named in `left_out`.

    Raises:
        TypeError: If the model is no network, or a batch is of another kind.
        ValueError: If there is no sample, a layer has another name, or activations are NaN or
            infinite; the message names the layer.
        Exception: What the network raises on the data.
    """
    raise NotImplementedError
