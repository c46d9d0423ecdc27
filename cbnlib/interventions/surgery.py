r"""Frequency surgery, which removes some frequencies of a trained network.

A *mask* of a layer says which of its singular directions stay, mode by mode. It is a Boolean tensor
of the shape of `Spectrum.values`. Where it is false, the singular value is set to zero. The others,
the biases and all other layers stay as they are. The result is an ordinary network, so what a
frequency does is measured by running it, not read off a singular value.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cbnlib._checks import check_count
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import singular_vectors
from cbnlib.spectra.bottleneck import KeptMode
from cbnlib.spectra.convolutions import layer_spectrum
from cbnlib.spectra.spectrum import Spectrum


def mode_mask(spectrum: Spectrum, modes: Sequence[KeptMode]) -> Tensor:
    """The largest singular directions of some modes, as many as each mode says.

    Args:
        spectrum: Spectrum of the layer.
        modes: Frequencies and numbers of directions, as in `Bottleneck.modes`.

    Returns:
        Boolean tensor of the shape of `spectrum.values`.

    Raises:
        ValueError: If a mode is none of the grid's, or has more directions than the layer.

    Example:
        >>> spectrum = Spectrum((4,), torch.tensor([[2.0, 1.0], [3.0, 0.5], [0.1, 0.0]]))
        >>> mode_mask(spectrum, [KeptMode((1,), 2, 1)]).tolist()
        [[False, False], [True, False], [False, False]]
    """
    rows = {tuple(omega): row for row, omega in enumerate(spectrum.omega.tolist())}
    mask = torch.zeros_like(spectrum.values, dtype=torch.bool)
    for mode in modes:
        if mode.omega not in rows:
            raise ValueError(f"no mode {mode.omega} on the grid {spectrum.grid}")
        if not 0 <= mode.directions <= mask.shape[1]:
            raise ValueError(f"mode {mode} of a layer with {mask.shape[1]} directions")
        mask[rows[mode.omega], : mode.directions] = True
    return mask


def second_directions(spectrum: Spectrum, modes: Sequence[KeptMode]) -> Tensor:
    """The directions at the frequencies of some modes that these modes do not keep.

    Args:
        spectrum: Spectrum of the layer.
        modes: As in `mode_mask`.

    Returns:
        Boolean tensor of the shape of `spectrum.values`. What is neither in it nor in `mode_mask`
        stands at other frequencies.

    Raises:
        ValueError: As `mode_mask`.

    Example:
        >>> spectrum = Spectrum((4,), torch.tensor([[2.0, 1.0], [3.0, 0.5], [0.1, 0.0]]))
        >>> second_directions(spectrum, [KeptMode((1,), 2, 1)]).tolist()
        [[False, False], [False, True], [False, False]]
    """
    kept = mode_mask(spectrum, modes)
    return kept.any(dim=1, keepdim=True) & ~kept


def random_mask(
    candidates: Tensor, multiplicity: Tensor, real_dimensions: int, generator: torch.Generator
) -> Tensor:
    """Draw singular directions at random until they have a given number of real dimensions.

    Args:
        candidates: Mask of the directions to draw from.
        multiplicity: Real dimensions of a direction at each mode, `Spectrum.multiplicity`.
        real_dimensions: How many are wanted. One more is drawn if only pairs are left for the
            last one, one fewer if there are no more.
        generator: Source of randomness.

    Returns:
        The mask of those drawn.

    Raises:
        ValueError: If the number is not an integer >= 0, or exceeds that of the candidates.
    """
    check_count("real_dimensions", real_dimensions, minimum=0)
    rows = candidates.nonzero()
    available = int(multiplicity[rows[:, 0]].sum())
    if available < real_dimensions:
        raise ValueError(f"{real_dimensions} real dimensions wanted, {available} there")
    drawn, left = torch.zeros_like(candidates), real_dimensions
    for row, direction in rows[torch.randperm(len(rows), generator=generator)].tolist():
        if left > 0:
            drawn[row, direction] = True
            left -= int(multiplicity[row])
    return drawn


@torch.no_grad()
def with_directions(model: CNN, masks: Mapping[int, Tensor]) -> CNN:
    """A copy of a network in which only some singular directions of some layers are left.

    Args:
        model: The network, which stays as it is.
        masks: For each layer that changes, counted from 1, the directions that stay.

    Raises:
        ValueError: If there is no such layer, a mask has another shape than the singular values of
            its layer, or the layer's filters are smaller than the grid.
    """
    changed = copy.deepcopy(model)
    for layer, mask in masks.items():
        conv = layer_at(changed, layer)
        u, s, vh = singular_vectors(conv.modes())
        if mask.shape != s.shape:
            raise ValueError(f"a mask of shape {tuple(mask.shape)} for values {tuple(s.shape)}")
        conv.set_modes((u * (s * mask).unsqueeze(1)) @ vh)
    return changed


def keep_modes(model: CNN, layers: Sequence[int], modes: Sequence[KeptMode]) -> CNN:
    """A copy of a network that keeps only these modes in the chosen layers.

    Args:
        model: The network, which stays as it is.
        layers: Which layers, counted from 1.
        modes: Number of singular directions to keep at each frequency, largest first.

    Raises:
        ValueError: As `mode_mask` and `with_directions`.
    """
    return with_directions(model, _masks(model, layers, modes))


def remove_modes(model: CNN, layers: Sequence[int], modes: Sequence[KeptMode]) -> CNN:
    """A copy of a network that keeps all but these modes in the chosen layers.

    Args:
        model: The network, which stays as it is.
        layers: Which layers, counted from 1.
        modes: Number of singular directions to remove at each frequency, largest first.

    Raises:
        ValueError: As `mode_mask` and `with_directions`.
    """
    kept = _masks(model, layers, modes)
    return with_directions(model, {layer: ~mask for layer, mask in kept.items()})


@torch.no_grad()
def unread_share(conv: CircularConv, modes: Sequence[KeptMode], signal: Tensor) -> float:
    r"""The share of a signal's energy that the kept directions of a layer do not read.

    With $V_\omega$ the right singular vectors of $\hat W(\omega)$ that the modes keep, it is
    $1-\sum_\omega\lVert V_\omega^*\hat x(\omega)\rVert^2/\lVert x\rVert^2$, over all of $\hat G$.
    NaN for the signal 0.

    Args:
        conv: The layer.
        modes: Directions to keep, as in `mode_mask`.
        signal: Input of the layer, shape `[batch, c_in, *grid]`.

    Raises:
        ValueError: As `mode_mask`.
    """
    freqs, spectrum = frequencies(conv.grid), layer_spectrum(conv)
    vh = singular_vectors(conv.modes())[2]
    x_hat = torch.fft.rfftn(signal, dim=conv.axes, norm="ortho").flatten(2)[..., freqs.modes]
    coordinates = torch.einsum("mki,bim->mkb", vh, x_hat).abs().square().sum(dim=2)
    read = (coordinates * mode_mask(spectrum, modes) * spectrum.multiplicity.unsqueeze(1)).sum()
    return float(1 - read / signal.square().sum())


def layer_at(model: CNN, layer: int) -> CircularConv:
    """A convolution by its number.

    Args:
        model: The network.
        layer: Counted from 1.

    Raises:
        ValueError: If there is no such layer.
    """
    if check_count("layer", layer) > len(model.convs):
        raise ValueError(f"layer must be <= {len(model.convs)}, got {layer}")
    return model.convs[layer - 1]


def _masks(model: CNN, layers: Sequence[int], modes: Sequence[KeptMode]) -> dict[int, Tensor]:
    return {i: mode_mask(layer_spectrum(layer_at(model, i)), modes) for i in layers}
