"""Spectra of the inputs and outputs of layers over a data set, per frequency."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cbnlib._checks import check_count, check_finite, check_flag
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.spectra._passes import SAMPLES, End, Loader, PerLayer, find_layers, inputs_of, run
from cbnlib.spectra._svd import singular_values, singular_vectors
from cbnlib.spectra._triangle import Triangles
from cbnlib.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class ActivationSpectrum:
    r"""The spectrum of a layer's input or output over a data set.

    Attributes:
        name: The layer's name, as in `named_modules`. If it is called several times in a pass, the
            number of the call follows, `name (call 2)`. If on several grids, the grid follows.
        kind: `input` or `output` of the layer.
        spectrum: Root-mean-square amplitudes along channel directions. Its values have shape
            `[modes, min(samples, channels)]`.
        samples: How many there were.
        triangle: $R(\omega)$, an upper triangular matrix with these singular values and channel
            directions. $R^*R$ is the mean of $\overline{\hat\alpha(\omega)}\,
            \hat\alpha(\omega)^\top$ over the samples. Shape `[modes, rows, channels]`.
    """

    name: str
    kind: End
    spectrum: Spectrum
    samples: int
    triangle: Tensor

    @property
    def directions(self) -> Tensor:
        r"""The channel direction of each value of the spectrum, a complex unit vector.

        $\hat\alpha(\omega)$ has the root mean square $\sigma_i(\omega)$ along
        $v_i(\omega)\in\mathbb C^c$. Shape `[modes, directions, channels]`.
        """
        return singular_vectors(self.triangle)[2][:, : self.spectrum.values.shape[1]]


def activation_spectra(
    model: nn.Module,
    loader: Loader,
    *,
    layers: Collection[str] | None = None,
    centred: bool = False,
) -> PerLayer[ActivationSpectrum]:
    r"""Spectra of the inputs and outputs of any network's layers over a data set.

    At each frequency the unitary Fourier coefficients $\hat\alpha(\omega)\in\mathbb C^c$ of all $n$
    samples form a matrix samples × channels. The values are its singular values divided by
    $\sqrt n$. They are root-mean-square amplitudes along channel directions. The non-linearity
    lies between the output of a convolution and the input of the next one.

    The data go through once. The matrices are kept as QR factors in double precision, which need
    about $8Nc^2$ bytes for $c$ channels on $N$ pixels, however many samples there are. No squares
    are formed, so small values are as exact as large ones.

    Args:
        model: Any network. It is in evaluation mode during the passes, and afterwards in the mode
            it was in before. No gradients are computed.
        loader: The data, batch by batch, moved to the network's device. A batch is a tensor, a list
            or tuple that begins with the input, such as `(x, y)`, or a dict. Of a dict the network
            gets what its `forward` names. A single tensor is split into batches.
        layers: Names of modules, as in `named_modules`, None for all convolutions.
        centred: Whether the mean over the samples is subtracted, for each pixel and channel. If
            not, the constant frequency holds the mean of the pixels.

    Returns:
        A list with two spectra for each layer and call, of the input and the output. Its attribute
        `left_out` names layers that have no spatial axes or were not called, with the reason.

    Raises:
        TypeError: If the model is no network, or a batch is of another kind.
        ValueError: If there is no batch, the network has no such layer, or signals are NaN or
            infinite. The message names the layer.
        Exception: What the network raises on the data.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv1d(4, 2, 3))
        >>> data = [(torch.randn(5, 1, 8), "labels") for _ in range(3)]
        >>> for found in activation_spectra(model, data):
        ...     print(found.name, found.kind, tuple(found.spectrum.values.shape), found.samples)
        0 input (5, 1) 15
        0 output (5, 4) 15
        2 input (5, 4) 15
        2 output (4, 2) 15
    """
    names = find_layers(model, layers)
    check_flag("centred", centred)
    triangles: dict[tuple[nn.Module, int, End, tuple[int, ...]], Triangles] = {}

    def see(module: nn.Module, call: int, end: End, signals: Tensor) -> None:
        key = module, call, end, tuple(signals.shape[1:])
        triangles.setdefault(key, Triangles(centred=centred)).add(signals)

    left_out = run(model, inputs_of(model, loader), names, see)
    found = []
    for layer, name in names.items():
        keys = [key for key in triangles if key[0] is layer]
        for key in keys:
            _, call, end, (_, *grid) = key
            several_calls = any(other[1] != call for other in keys)
            several_grids = any(other[:3] == key[:3] and other != key for other in keys)
            label = f"{name} (call {call})" if several_calls else name
            label += f" on {'×'.join(map(str, grid))}" if several_grids else ""
            found.append(_spectrum(label, end, triangles.pop(key), tuple(grid)))
    return PerLayer(found, left_out)


def _spectrum(
    name: str, end: End, triangles: Triangles, grid: tuple[int, ...]
) -> ActivationSpectrum:
    triangle, samples = triangles.finish(), triangles.samples
    values = singular_values(lambda modes: triangle[modes], len(triangle), triangle.shape[1:])
    return ActivationSpectrum(name, end, Spectrum(grid, values[:, :samples]), samples, triangle)


@torch.no_grad()
def pre_activation_spectra(model: CNN, x: Tensor) -> list[Spectrum]:
    r"""The outputs' spectra of `activation_spectra` for a network of this library.

    Pre-activations, because there the bottleneck is linear. ReLU may leave its span (S5).

    Args:
        model: The network. With the pooling head only the convolutions count.
        x: Inputs, shape `[samples, c_in, *grid]`.

    Returns:
        One spectrum per convolution, with `min(samples, channels)` directions each, in the dtype of
        the inputs.

    Raises:
        ValueError: If there is no sample, the shape does not fit or the data hold NaN.
    """
    check_count("samples", len(x))
    check_finite("x", x)
    triangles = [Triangles() for _ in model.convs]
    for batch in x.split(SAMPLES):
        for triangle, signals in zip(triangles, model.pre_activations(batch), strict=False):
            triangle.add(signals)
    pairs = zip(triangles, model.convs, strict=True)
    found = [_spectrum("", "output", triangle, conv.grid).spectrum for triangle, conv in pairs]
    return [Spectrum(spectrum.grid, spectrum.values.to(x.dtype)) for spectrum in found]


@torch.no_grad()
def mode_amplitudes(model: CNN, x: Tensor) -> list[Spectrum]:
    r"""Measure the strength of each mode in the pre-activations over a data set.

    The root mean square over the samples of $\lVert\hat{\tilde\alpha}_\ell(\omega)\rVert$ is one
    number per mode, all channels together. It is the root of the sum of the squares that
    `pre_activation_spectra` has at that mode. Like those, it is not centred.

    Args:
        model: The network. With the pooling head only the convolutions count.
        x: Inputs, shape `[samples, c_in, *grid]`.

    Returns:
        One spectrum per convolution, its values of shape `[modes, 1]`.

    Raises:
        ValueError: If the shape does not fit the network.
    """
    energies = [torch.zeros(()) for _ in model.convs]
    for batch in x.split(SAMPLES):
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
