"""Spectra of convolutions that were not made here: any stride-1 `torch.nn.Conv1d` or `Conv2d`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cbnlib.checks import check_grid
from cbnlib.spectra import Spectrum, filter_spectrum

_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


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


@torch.no_grad()
def module_spectra(
    model: nn.Module, x: Tensor, *, dtype: torch.dtype | None = None
) -> tuple[dict[str, Spectrum], dict[str, str]]:
    """`conv_spectrum` of every convolution in a network, each on the grid where it acts.

    One pass of the input finds the grids. The network is in evaluation mode during that pass, and
    afterwards in the mode it was in before. Convolutions are taken by themselves: fold batch norm
    into them first (`torch.fx.experimental.optimization.fuse`) if its scales are to count.

    Args:
        model: Any network with `nn.Conv1d` or `nn.Conv2d` inside.
        x: Inputs that the network takes, a batch of one is enough.
        dtype: Precision of the computation, as in `conv_spectrum`.

    Returns:
        The spectra by the layers' names, in the order of the network's modules, and what was left
        out: for each other convolution the reason, such as a stride (then the layer is no circular
        convolution but one followed by a sub-sampling) or that it acts on no grid or on several.

    Raises:
        ValueError: If weights hold NaN or infinity.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Conv1d(4, 4, 3, stride=2))
        >>> spectra, left_out = module_spectra(model, torch.zeros(1, 1, 16))
        >>> {name: spectrum.grid for name, spectrum in spectra.items()}, left_out
        ({'0': (16,)}, {'1': 'only stride 1 is supported, got stride (2,)'})
    """
    spectra, left_out = {}, {}
    for name, (conv, grids) in _grids_of_convolutions(model, x).items():
        try:
            if len(grids) != 1:
                raise ValueError(f"acts on {len(grids)} grids: {sorted(grids)}")
            _check_supported(conv, *grids)
        except (TypeError, ValueError) as error:
            left_out[name] = str(error)
        else:
            spectra[name] = conv_spectrum(conv, *grids, dtype=dtype)
    return spectra, left_out


def _grids_of_convolutions(
    model: nn.Module, x: Tensor
) -> dict[str, tuple[Any, set[tuple[int, ...]]]]:
    """The convolutions by name, each with the grids of its inputs."""
    named = [(name, m) for name, m in model.named_modules() if isinstance(m, _CONVOLUTIONS)]
    grids: dict[nn.Module, set[tuple[int, ...]]] = {conv: set() for _, conv in named}

    def note(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        axes = len(conv.kernel_size)  # type: ignore[arg-type]  # one of _CONVOLUTIONS
        grids[conv].add(tuple(inputs[0].shape[-axes:]))

    modes = [(module, module.training) for module in model.modules()]
    hooks = [conv.register_forward_pre_hook(note) for conv in grids]
    try:
        model.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return {name: (conv, grids[conv]) for name, conv in named}


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
