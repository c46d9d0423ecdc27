"""Singular values per frequency of circular convolution filters, layers and whole networks."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cbnlib._checks import PRECISIONS, check_finite, check_grid, check_type
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import on_cores, singular_values
from cbnlib.spectra._windows import Window
from cbnlib.spectra.spectrum import Spectrum

_GROUP_BYTES = 128 * 2**20
"""Half spectra of equal layers that are decomposed together. A larger layer is taken alone."""


@torch.no_grad()
def spectrum_of_blocks(blocks: Tensor, grid: tuple[int, ...]) -> Spectrum:
    r"""Spectrum of a map given by its Fourier blocks, in their precision.

    Args:
        blocks: $\hat W(\omega)$ at the stored frequencies, shape `[c_out, c_in, *half_grid]`.
        grid: Pixels per axis.

    Raises:
        ValueError: If the shape does not fit the grid, or a block holds NaN or infinity.
    """
    grid = check_grid(grid, 3)
    if blocks.ndim < 3 or blocks.shape[2:] != frequencies(grid).half_grid:
        raise ValueError(
            f"blocks on the grid {grid} must have shape [c_out, c_in, *half_grid] with half_grid "
            f"{frequencies(grid).half_grid}, got {tuple(blocks.shape)}"
        )
    return Spectrum(grid, _values_of_halves(blocks.unsqueeze(0), grid)[0])


@torch.no_grad()
def filter_spectrum(
    w: Tensor, grid: int | Sequence[int], *, dtype: torch.dtype | None = None
) -> Spectrum:
    r"""Spectrum of the circular convolution with a filter given in pixels.

    Where the taps lie changes only the phase of the blocks, so a window may stand anywhere.

    Args:
        w: The plain filter, not in operator scale, shape `[c_out, c_in, *window]`.
        grid: Pixels per axis, at least the window's.
        dtype: Precision of the computation, `torch.float32`, `torch.float64` or None for the
            filter's own. The values are off by about 1e-6 or 1e-15 times the largest one.

    Raises:
        ValueError: If the window does not fit the grid, or the precision is another one. Also if
            the filter is on the meta device, complex, or holds NaN or infinity.

    Reference: Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> blur = torch.full((1, 1, 3), 1 / 3)
        >>> filter_spectrum(blur, 6).values.flatten()  # frequencies 0, ±1, ±2, 3
        tensor([1.0000, 0.6667, 0.0000, 0.3333])
    """
    axes = check_grid(grid, 3)
    window = tuple(w.shape[2:])
    if len(window) != len(axes) or any(k > n for k, n in zip(window, axes, strict=True)):
        raise ValueError(f"a filter with window {window} does not fit the grid {axes}")
    w, ones = w.detach().to(check_weight("filter", w, dtype)), (1,) * len(axes)
    return Window(w, axes, stride=ones, dilation=ones).spectrum()


@torch.no_grad()
def layer_spectra(
    layers: Sequence[CircularConv], *, dtype: torch.dtype | None = None
) -> list[Spectrum]:
    r"""`layer_spectrum` of many layers in one call, those of equal shape together.

    Args:
        layers: Convolutions of any shapes.
        dtype: Precision of the computation, as in `layer_spectrum`.

    Raises:
        ValueError: If weights are on the meta device or hold NaN or infinity, or the precision is
            another one.
    """
    for number, layer in enumerate(layers, start=1):
        which = f" of layer {number}" if len(layers) > 1 else ""
        check_weight(f"weight{which}", check_type("layer", layer, CircularConv).weight, dtype)
    spectra: dict[int, Spectrum] = {}
    for group in _groups(layers):
        grid = layers[group[0]].grid
        halves = _blocks_of_equal([layers[i] for i in group], dtype)
        for i, values in zip(group, _values_of_halves(halves, grid), strict=True):
            spectra[i] = Spectrum(grid, values)
    return [spectra[i] for i in range(len(layers))]


def layer_spectrum(layer: CircularConv, *, dtype: torch.dtype | None = None) -> Spectrum:
    r"""The singular values $\sigma_i(\hat W(\omega))$ of a layer's Fourier blocks.

    They are those of the operator on $\mathbb R^{c\times G}$, counted with
    `Spectrum.multiplicity`. The bias has no part in them.

    Args:
        layer: The convolution.
        dtype: Precision of the computation, `torch.float32`, `torch.float64` or None for the
            weights' own. The values are off by about 1e-6 or 1e-15 times the largest one.

    Raises:
        ValueError: If the weights hold NaN or infinity, or the precision is another one.

    Reference: Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> layer = CircularConv(2, 3, (4, 4), generator=torch.Generator().manual_seed(0))
        >>> layer_spectrum(layer).values.shape  # 10 modes on 16 pixels
        torch.Size([10, 2])
    """
    return layer_spectra([layer], dtype=dtype)[0]


def weight_spectra(model: CNN, *, dtype: torch.dtype | None = None) -> list[Spectrum]:
    """`layer_spectrum` of every convolution of a network, first layer first."""
    return layer_spectra(check_type("model", model, CNN).convs, dtype=dtype)


def check_weight(name: str, w: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Return the precision to compute in, if a weight can be computed with.

    Args:
        name: What the error calls the weight.
        w: The weight.
        dtype: The precision asked for, None for the weight's own.

    Raises:
        ValueError: If the weight is on the meta device, complex, NaN or infinite, or the precision
            is neither `torch.float32` nor `torch.float64`.
    """
    precision = dtype or w.dtype
    if precision not in PRECISIONS or w.is_complex():
        raise ValueError(
            f"{name}: the precision must be torch.float32 or torch.float64, got {precision} for a "
            f"weight of {w.dtype}; for a real weight, choose it by `dtype`"
        )
    check_finite(name, w)
    return precision


def _blocks_of_equal(layers: Sequence[CircularConv], dtype: torch.dtype | None) -> Tensor:
    """Fourier blocks of layers of equal shape, `[layers, c_out, c_in, *half_grid]`."""
    first = layers[0]
    precision = dtype or first.weight.dtype
    shape = (len(layers), first.c_out, first.c_in, *frequencies(first.grid).half_grid)
    blocks = torch.empty(shape, dtype=precision.to_complex(), device=first.weight.device)

    def fill(layer: CircularConv, out: Tensor) -> None:
        if layer.weight.dtype != precision:
            layer = copy.deepcopy(layer).to(precision)
        out.copy_(layer.blocks())

    on_cores(fill, layers, blocks)
    return blocks


def _groups(layers: Sequence[CircularConv]) -> Iterator[list[int]]:
    """Indices of layers with equal blocks, in groups that are together of a bounded size."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i, layer in enumerate(layers):
        key = (layer.c_out, layer.c_in, layer.grid, layer.weight.dtype, layer.weight.device)
        alike.setdefault(key, []).append(i)
    for (c_out, c_in, grid, *_), members in alike.items():
        half_spectrum = 8 * c_out * c_in * math.prod(grid)  # in float64
        most = max(1, _GROUP_BYTES // half_spectrum)
        yield from (members[i : i + most] for i in range(0, len(members), most))


def _values_of_halves(halves: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Singular values of maps given by half spectra `[maps, c_out, c_in, *half_grid]`.

    Returns:
        Shape `[maps, modes, directions]`.
    """
    per_frequency, modes = halves.flatten(3).permute(0, 3, 1, 2), frequencies(grid).modes

    def blocks_at(rows: Tensor) -> Tensor:
        return per_frequency[rows // len(modes), modes[rows % len(modes)]]

    values = singular_values(blocks_at, len(halves) * len(modes), halves.shape[1:3])
    return values.reshape(len(halves), len(modes), -1)
