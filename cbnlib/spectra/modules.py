"""Spectra of the convolutions of PyTorch, one by one or of a whole network."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cbnlib._checks import check_grid, check_type
from cbnlib.network.layers import CircularConv
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import CONVOLUTIONS, check_supported, evaluating, weight_of
from cbnlib.spectra.convolutions import layer_spectrum
from cbnlib.spectra.spectrum import Spectrum


@torch.no_grad()
def conv_spectrum(
    conv: nn.Module,
    grid: int | Sequence[int],
    *,
    circular: bool = False,
    dtype: torch.dtype | None = None,
) -> Spectrum:
    r"""Singular values per frequency of a convolution on a grid.

    `Spectrum.kind` says what they are:

    * **exact** with circular padding that keeps the grid's size, or divides it by the stride; and
      without padding, if the windows do not overlap.
    * else a **bound** (S8). The layer is $PWE$: $E$ embeds the image into a cyclic grid of, at
      stride 1, $n+k-1$ pixels per axis for padding that keeps the size, and $n$ for none; $W$ is
      the circular convolution there, and $P$ keeps some pixels. The result is the spectrum of $W$,
      on that grid, and $\sigma_i(PWE)\le\sigma_i(W)$ for every $i$. Where $E$ repeats pixels
      (`padding_mode` `reflect`, `replicate`, or `circular` with a stride that does not divide the
      grid) the values are multiplied by its norm. Small singular values can be far below.
    * with `circular=True` an **approximation** in place of the bound: the layer as if its padding
      were circular, on its own grid (made larger where the stride does not divide it).

    With a stride a singular value belongs to an alias group of input frequencies (S7), and
    `Spectrum.shares` tells how much to each. A transposed convolution is the adjoint: its groups
    are of output frequencies.

    PyTorch computes cross-correlations: its Fourier blocks are $\overline{\hat W(\omega)}$, with
    the same singular values. A convolution with $g$ groups is block-diagonal over channels; its
    spectrum is the union of the $g$ blocks'. Of a dilated filter, $k$ counts the gaps, too. The
    bias has no part. A parametrised weight is taken as in evaluation mode.

    Args:
        conv: A `torch.nn.Conv1d`, `Conv2d`, `Conv3d`, a transposed one, or a `CircularConv`.
        grid: Pixels per axis of the signals that it acts on.
        circular: Whether to approximate where the spectrum is not exact.
        dtype: Precision of the computation, as in `filter_spectrum`; None for the layer's own.

    Returns:
        Spectrum with at most `min(c_out, c_in * s)` directions, where `s` is the product of the
        strides (of a transposed convolution `min(c_in, c_out * s)`). With `g` groups there are `g`
        times those of one.

    Raises:
        TypeError: If it is another kind of module (a quantised one, say).
        ValueError: If the grid does not fit the layer; if the layer has hooks or a `forward` of its
            own, so that its weight is not all that acts; or if the weight is no real number, NaN or
            infinite.

    Source: statements S7 and S8 of the book; Sedghi, Gupta and Long (ICLR 2019) for the use of the
    FFT.

    Example:
        >>> conv = nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", groups=2)
        >>> conv_spectrum(conv, (8, 8)).values.shape  # 34 modes, 2 groups of min(3, 2)
        torch.Size([34, 4])
        >>> strided = nn.Conv1d(1, 1, 3, stride=2, padding=1)  # zero padding
        >>> bound = conv_spectrum(strided, 8)
        >>> bound.kind, bound.grid  # of 10 pixels, every second
        ('bound', (5,))
        >>> spectrum = conv_spectrum(strided, 8, circular=True)
        >>> spectrum.kind, spectrum.members[1].flatten().tolist(), spectrum.shares.shape
        ('approximation', [1, -3], torch.Size([3, 1, 2]))
    """
    axes = check_grid(grid, 3)
    conv = check_supported(conv, axes)
    if isinstance(conv, CircularConv):
        return layer_spectrum(conv, dtype=dtype)
    return Geometry.of(conv).spectrum(weight_of(conv, dtype), axes, circular=circular)


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
            check_supported(conv, *grids)
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


class _Watch(TorchDispatchMode):
    """What a pass does: the grids on which modules act, and the convolutions outside of them."""

    def __init__(self, convs: Sequence[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch declares no types there
        self.grids: dict[nn.Module, set[tuple[int, ...]]] = {conv: set() for conv in convs}
        self.inside = self.others = 0

    def enter(self, conv: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        """Note the grid of the input that a module is called with, by position or by name."""
        x = args[0] if args else next(iter(kwargs.values()))
        axes = len(conv.grid if isinstance(conv, CircularConv) else conv.kernel_size)  # type: ignore[arg-type]  # one of CONVOLUTIONS
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
    named = [(name, m) for name, m in model.named_modules() if isinstance(m, CONVOLUTIONS)]
    watch = _Watch([conv for _, conv in named])
    hooks = []
    try:
        for conv in watch.grids:
            hooks.append(conv.register_forward_pre_hook(watch.enter, with_kwargs=True))
            hooks.append(conv.register_forward_hook(watch.leave))
        with evaluating(model), watch:
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (conv, watch.grids[conv]) for name, conv in named}, watch.others
