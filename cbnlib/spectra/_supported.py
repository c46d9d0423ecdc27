"""Which convolutions can be read off their weight, and that weight."""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cbnlib.network.layers import CircularConv
from cbnlib.network.model import evaluating
from cbnlib.spectra.convolutions import check_weight

_TRANSPOSED = nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d

TorchConv = _ConvNd
CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, CircularConv


def weight_of(conv: TorchConv, dtype: torch.dtype | None) -> Tensor:
    """The weight in the precision to compute in, as it is in evaluation mode.

    Raises:
        ValueError: If it cannot be computed with, see `check_weight`.
    """
    with evaluating(conv):
        weight = conv.weight  # a parametrisation computes it, and may change its state in training
    return in_precision(weight, dtype)


def in_precision(weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A weight in the precision to compute in.

    Raises:
        ValueError: If it cannot be computed with, see `check_weight`.
    """
    return weight.detach().to(check_weight("weight", weight, dtype))


def check_supported(conv: nn.Module, grid: tuple[int, ...]) -> TorchConv | CircularConv:
    """Return a module if it is a convolution on a grid with as many axes, and only that.

    Raises:
        TypeError: If it is no convolution.
        ValueError: If it does not act on such a grid, or has hooks or a `forward` of its own.
    """
    kind = type(conv)
    if not isinstance(conv, CONVOLUTIONS):
        raise TypeError(f"need a convolution of torch.nn, got {kind.__module__}.{kind.__name__}")
    if method := own_forward(conv):
        raise ValueError(
            f"{kind.__name__} has a {method} of its own, so its weight is not all that acts; "
            "module_spectra looks at what it does"
        )
    hooks = [*conv._forward_pre_hooks.values(), *conv._forward_hooks.values()]
    if hooks:
        names = ", ".join(getattr(hook, "__name__", type(hook).__name__) for hook in hooks)
        raise ValueError(
            f"{kind.__name__} has hooks ({names}), which may change its weight, input or output; "
            "remove them first, or use module_spectra, which looks at what it does"
        )
    if isinstance(conv, CircularConv):
        if conv.grid != grid:
            raise ValueError(f"CircularConv acts on the grid {conv.grid}, got {grid}")
    elif len(conv.kernel_size) != len(grid):
        raise ValueError(f"{kind.__name__} acts on {len(conv.kernel_size)} axes, grid {grid}")
    return conv


def own_forward(conv: nn.Module) -> str:
    """The method by which a convolution does something else than its class in `CONVOLUTIONS`."""
    plain = next(kind for kind in CONVOLUTIONS if isinstance(conv, kind))
    for method in ("forward", "_conv_forward"):
        theirs = getattr(type(conv), method, None)
        if theirs is not getattr(plain, method, None) or method in vars(conv):
            return method
    return ""
