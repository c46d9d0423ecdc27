"""Spectra of convolutions that were not made here: any stride-1 `torch.nn.Conv1d` or `Conv2d`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cbnlib._checks import check_grid, check_type
from cbnlib.network.layers import CircularConv
from cbnlib.spectra.convolutions import check_weight, filter_spectrum, layer_spectrum
from cbnlib.spectra.spectrum import Spectrum

_READABLE = (nn.Conv1d, nn.Conv2d, CircularConv)
_CONVOLUTIONS = (
    *_READABLE,
    *(nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


@torch.no_grad()
def conv_spectrum(
    conv: nn.Conv1d | nn.Conv2d | CircularConv,
    grid: int | Sequence[int],
    *,
    dtype: torch.dtype | None = None,
) -> Spectrum:
    r"""Singular values per frequency of a convolution on a grid.

    With circular padding that keeps the grid's size, the layer is translation-equivariant and the
    spectrum is **exact**. With zero padding it is an **upper bound** (`Spectrum.upper_bound`). The
    layer then is $PWE$: $E$ embeds the image into a cyclic grid of $n+k-1$ pixels per axis, $W$ is
    the circular convolution there, and $P$ keeps $n$ pixels. The result is the spectrum of $W$, on
    that larger grid, and $\sigma_i(PWE)\le\sigma_i(W)$ for every $i$ (S8). Small singular values
    can be far below their bound. A filter of one pixel needs no padding, so its spectrum is exact.

    PyTorch computes cross-correlations: its Fourier blocks are $\overline{\hat W(\omega)}$, with
    the same singular values. A convolution with $g$ groups is block-diagonal over channels; its
    spectrum is the union of the $g$ blocks'. Of a dilated filter, $k$ counts the gaps, too. The
    bias has no part. A parametrised weight is taken as in evaluation mode.

    Args:
        conv: The layer.
        grid: Pixels per axis of the signals that it acts on.
        dtype: Precision of the computation, as in `filter_spectrum`; None for the layer's own.

    Returns:
        Spectrum with `g * min(c_out / g, c_in / g)` directions per frequency.

    Raises:
        TypeError: If it is another kind of module (a transposed one, say).
        ValueError: If the grid does not fit the layer, the stride is not 1, the padding changes the
            grid's size, its mode is neither circular nor zeros, or a circular (dilated) filter is
            larger than the grid; if the layer has hooks or a `forward` of its own, so that its
            weight is not all that acts; or if the weight is no real number, NaN or infinite.

    Source: statement S8 of the book; Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> conv = nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", groups=2)
        >>> conv_spectrum(conv, (8, 8)).values.shape  # 34 modes, 2 groups of min(3, 2)
        torch.Size([34, 4])
        >>> bound = conv_spectrum(nn.Conv2d(4, 6, 3, padding=1), (8, 8))  # zero padding
        >>> bound.upper_bound, bound.grid
        (True, (10, 10))
    """
    axes = check_grid(grid)
    _check_supported(conv, axes)
    if isinstance(conv, CircularConv):
        return layer_spectrum(conv, dtype=dtype)
    with _evaluating(conv):
        weight = conv.weight  # a parametrisation computes it, and may change its state in training
    check_weight("weight", weight, dtype)
    spans = [(k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    bound = conv.padding_mode == "zeros" and max(spans) > 1
    if bound:
        axes = tuple(n + span - 1 for n, span in zip(axes, spans, strict=True))
    w = weight.new_zeros(*weight.shape[:2], *spans)
    w[..., *(slice(None, None, d) for d in conv.dilation)] = weight  # type: ignore[index]  # torch declares no unpacked slices
    groups = [filter_spectrum(each, axes, dtype=dtype).values for each in w.chunk(conv.groups)]
    return Spectrum(axes, torch.cat(groups, dim=1).sort(dim=1, descending=True)[0], bound)


@torch.no_grad()
def module_spectra(
    model: nn.Module, x: Tensor, *, dtype: torch.dtype | None = None
) -> tuple[dict[str, Spectrum], dict[str, str]]:
    """`conv_spectrum` of every convolution in a network, each on the grid where it acts.

    One pass of the input finds the grids. The network is in evaluation mode during that pass, and
    afterwards in the mode it was in before. Convolutions are taken by themselves: fold batch norm
    into them first (`torch.fx.experimental.optimization.fuse`) if its scales are to count.

    Args:
        model: Any network with `nn.Conv1d`, `nn.Conv2d` or `CircularConv` inside.
        x: Inputs that the network takes, a batch of one is enough.
        dtype: Precision of the computation, as in `conv_spectrum`.

    Returns:
        The spectra by the layers' names, in the order of the network's modules, and what was left
        out: for each other convolution the reason, such as a stride (then the layer is no circular
        convolution but one followed by a sub-sampling) or that it acts on no grid or on several.
        Convolutions of no such module are counted under `other`.

    Raises:
        TypeError: If it is no network.
        ValueError: If the network has no convolution, or a weight is no real number, NaN or
            infinite; the message names the layer.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Conv1d(4, 4, 3, stride=2))
        >>> spectra, left_out = module_spectra(model, torch.zeros(1, 1, 16))
        >>> {name: spectrum.grid for name, spectrum in spectra.items()}, left_out
        ({'0': (18,)}, {'1': 'only stride 1 is supported, got stride (2,)'})
    """
    spectra, left_out = {}, {}
    found, others = _grids_of_convolutions(check_type("model", model, nn.Module), x)
    for name, (conv, grids) in found.items():
        try:
            if len(grids) != 1:
                raise ValueError(f"acts on {len(grids)} grids: {sorted(grids)}")
            _check_supported(conv, *grids)
        except (TypeError, ValueError) as error:
            left_out[name] = str(error)
            continue
        try:
            spectra[name] = conv_spectrum(conv, *grids, dtype=dtype)
        except ValueError as error:
            raise ValueError(f"layer {name!r}: {error}") from error
    if others:
        left_out["other"] = (
            f"{others} calls of convolutions that are no torch.nn module, such as those of "
            "torch.nn.functional, or of a scripted or traced network"
        )
    if not spectra and not left_out:
        raise ValueError(f"the pass through {type(model).__name__} met no convolution")
    return spectra, left_out


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """A network in evaluation mode; afterwards each module is in the mode it was in before."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


class _Watch(TorchDispatchMode):
    """What a pass does: the grids on which modules act, and the convolutions outside of them."""

    def __init__(self, convs: Sequence[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch declares no types there
        self.grids: dict[nn.Module, set[tuple[int, ...]]] = {conv: set() for conv in convs}
        self.inside = self.others = 0

    def enter(self, conv: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        """Note the grid of the input that a module is called with, by position or by name."""
        x = args[0] if args else next(iter(kwargs.values()))
        axes = len(conv.grid if isinstance(conv, CircularConv) else conv.kernel_size)  # type: ignore[arg-type]  # one of _CONVOLUTIONS
        self.grids[conv].add(tuple(x.shape[-axes:]))
        self.inside += 1

    def leave(self, *_: object) -> None:
        """Note that the module has returned."""
        self.inside -= 1

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if not self.inside and str(func).startswith(("aten.convolution.", "aten._convolution.")):
            self.others += 1
        return func(*args, **(kwargs or {}))


def _grids_of_convolutions(
    model: nn.Module, x: Tensor
) -> tuple[dict[str, tuple[Any, set[tuple[int, ...]]]], int]:
    """The convolutions by name, each with the grids of its inputs; and how many others ran."""
    named = [(name, m) for name, m in model.named_modules() if isinstance(m, _CONVOLUTIONS)]
    watch = _Watch([conv for _, conv in named])
    hooks = []
    try:
        for conv in watch.grids:
            hooks.append(conv.register_forward_pre_hook(watch.enter, with_kwargs=True))
            hooks.append(conv.register_forward_hook(watch.leave))
        with _evaluating(model), watch:
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (conv, watch.grids[conv]) for name, conv in named}, watch.others


def _check_supported(conv: nn.Module, grid: tuple[int, ...]) -> None:
    if not isinstance(conv, _READABLE):
        raise TypeError(f"need a torch.nn.Conv1d or Conv2d, got {type(conv).__name__}")
    _check_plain(conv)
    if isinstance(conv, CircularConv):
        if conv.grid != grid:
            raise ValueError(f"CircularConv acts on the grid {conv.grid}, got {grid}")
        return
    if len(conv.kernel_size) != len(grid):
        raise ValueError(f"{type(conv).__name__} acts on {len(conv.kernel_size)} axes, grid {grid}")
    if any(s != 1 for s in conv.stride):
        raise ValueError(f"only stride 1 is supported, got stride {conv.stride}")
    if conv.padding_mode not in ("circular", "zeros"):
        raise ValueError(f"padding_mode {conv.padding_mode!r}; supported: circular, zeros")
    spans = [(k - 1) * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    if conv.padding_mode == "circular" and any(
        span >= n for span, n in zip(spans, grid, strict=True)
    ):
        sizes = tuple(span + 1 for span in spans)
        raise ValueError(f"filter larger than the grid: {sizes} (dilation counted) on {grid}")
    padding = [0] * len(grid) if conv.padding == "valid" else conv.padding
    if padding != "same" and [2 * int(p) for p in padding] != spans:
        raise ValueError(
            f"padding {conv.padding!r} changes the size of the grid; for filter {conv.kernel_size} "
            "with this dilation use padding='same'"
        )


def _check_plain(conv: nn.Module) -> None:
    """Check that a convolution does with its weight what its class in `_READABLE` does."""
    plain = next(kind for kind in _READABLE if isinstance(conv, kind))
    for method in ("forward", "_conv_forward"):
        theirs = getattr(type(conv), method, None)
        if theirs is not getattr(plain, method, None) or method in vars(conv):
            raise ValueError(
                f"{type(conv).__name__} has a {method} of its own, so its weight is not all that "
                f"acts; only that of {plain.__name__} is supported"
            )
    hooks = [*conv._forward_pre_hooks.values(), *conv._forward_hooks.values()]
    if hooks:
        names = ", ".join(getattr(hook, "__name__", type(hook).__name__) for hook in hooks)
        raise ValueError(
            f"{type(conv).__name__} has hooks ({names}), which may change its weight, input or "
            "output; remove them first"
        )
