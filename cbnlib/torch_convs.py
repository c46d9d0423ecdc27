"""Spectra of convolutions that were not made here: any stride-1 `torch.nn.Conv1d` or `Conv2d`."""

from collections.abc import Sequence

import torch
from torch import nn

from cbnlib.checks import check_grid
from cbnlib.spectra import Spectrum, filter_spectrum


@torch.no_grad()
def conv_spectrum(
    conv: nn.Conv1d | nn.Conv2d, grid: int | Sequence[int], *, dtype: torch.dtype | None = None
) -> Spectrum:
    r"""Singular values per frequency of a PyTorch convolution on a grid.

    Circular padding that keeps the grid's size is translation-equivariant and the spectrum is
    **exact**. With zero padding the operator is not circular: the spectrum is that of the
    **circular approximation** (the same filter, wrapped around), which differs near the borders
    and the less the larger the grid is against the filter.

    PyTorch computes cross-correlations: its Fourier blocks are $\overline{\hat W(\omega)}$, with
    the same singular values. A convolution with $g$ groups is block-diagonal over channels; its
    spectrum is the union of the $g$ blocks'. Dilated filters are exact, too. The bias has no part.

    Args:
        conv: The layer.
        grid: Pixels per axis of the signals that it acts on.
        dtype: Precision of the computation, as in `filter_spectrum`; None for the layer's own.

    Returns:
        Spectrum with `g * min(c_out / g, c_in / g)` directions per frequency.

    Raises:
        TypeError: If it is another kind of module (a transposed one, say).
        ValueError: If the grid does not have the layer's number of axes, the stride is not 1, the
            padding changes the grid's size, its mode is neither circular nor zeros, the
            (dilated) filter is larger than the grid, or the weights hold NaN.

    Reference: Sedghi, Gupta and Long (ICLR 2019).

    Example:
        >>> conv = nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", groups=2)
        >>> conv_spectrum(conv, (8, 8)).values.shape  # 34 modes, 2 groups of min(3, 2)
        torch.Size([34, 4])
    """
    axes = check_grid(grid)
    _check_supported(conv, axes)
    weight = conv.weight
    spans = [(k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    w = weight.new_zeros(*weight.shape[:2], *spans)
    w[..., *(slice(None, None, d) for d in conv.dilation)] = weight  # type: ignore[index]  # torch declares no unpacked slices
    groups = [filter_spectrum(each, axes, dtype=dtype).values for each in w.chunk(conv.groups)]
    return Spectrum(axes, torch.cat(groups, dim=1).sort(dim=1, descending=True)[0])


def _check_supported(conv: nn.Conv1d | nn.Conv2d, grid: tuple[int, ...]) -> None:
    if not isinstance(conv, nn.Conv1d | nn.Conv2d):
        raise TypeError(f"need a torch.nn.Conv1d or Conv2d, got {type(conv).__name__}")
    if len(conv.kernel_size) != len(grid):
        raise ValueError(f"{type(conv).__name__} acts on {len(conv.kernel_size)} axes, grid {grid}")
    if any(s != 1 for s in conv.stride):
        raise ValueError(f"only stride 1 is supported, got stride {conv.stride}")
    if conv.padding_mode not in ("circular", "zeros"):
        raise ValueError(f"padding_mode {conv.padding_mode!r}; supported: circular, zeros")
    spans = [(k - 1) * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    if any(span >= n for span, n in zip(spans, grid, strict=True)):
        sizes = tuple(span + 1 for span in spans)
        raise ValueError(f"filter larger than the grid: {sizes} (dilation counted) on {grid}")
    if conv.padding != "same" and [2 * int(p) for p in conv.padding] != spans:
        raise ValueError(
            f"padding {conv.padding} changes the size of the grid; for filter {conv.kernel_size} "
            "with this dilation use padding='same'"
        )
