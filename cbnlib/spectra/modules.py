"""Spectra of the convolutions of PyTorch, one by one or of a whole network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cbnlib._checks import check_grid, check_type
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import evaluating
from cbnlib.spectra._calls import Call
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import check_supported, weight_of
from cbnlib.spectra._watch import Watch
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

    * **exact** with circular padding that keeps the grid's size, or divides it by the stride. Also
      without padding, if the windows do not overlap.
    * else a **bound** (S8). The layer is $PWE$. $E$ embeds the image into a cyclic grid. At stride
      1 this has $n+k-1$ pixels per axis for padding that keeps the size, and $n$ for none. $W$ is
      the circular convolution there, and $P$ keeps some pixels. The result is the spectrum of $W$,
      on that grid, and $\sigma_i(PWE)\le\sigma_i(W)$ for every $i$. Where $E$ repeats pixels
      (`padding_mode` `reflect`, `replicate`, or `circular` with a stride that does not divide the
      grid) the values are multiplied by its norm. Small singular values can be far below.
    * with `circular=True` an **approximation** in place of the bound. It takes the padding as
      circular, on the layer's own grid (made larger where the stride does not divide it).

    With a stride a singular value belongs to an alias group of input frequencies (S7), and
    `Spectrum.shares` tells how much to each. A transposed convolution is the adjoint, so its groups
    are of output frequencies.

    PyTorch computes cross-correlations. Their Fourier blocks are $\overline{\hat W(\omega)}$, with
    the same singular values. A convolution with $g$ groups is block-diagonal over channels, and its
    spectrum is the union of the $g$ blocks'. In a dilated filter, $k$ counts the gaps, too. The
    bias has no part. A parametrised weight is taken as in evaluation mode.

    Args:
        conv: A `torch.nn.Conv1d`, `Conv2d`, `Conv3d`, a transposed one, or a `CircularConv`.
        grid: Pixels per axis of the signals that it acts on.
        circular: Whether to approximate where the spectrum is not exact.
        dtype: Precision of the computation, as in `filter_spectrum`, None for the layer's own.

    Returns:
        Spectrum with at most `min(c_out, c_in * s)` directions, where `s` is the product of the
        strides (of a transposed convolution `min(c_in, c_out * s)`). With `g` groups there are `g`
        times those of one.

    Raises:
        TypeError: If it is another kind of module (a quantised one, say).
        ValueError: If the grid does not fit the layer, or the weight is no real number, NaN or
            infinite. Also if the layer has hooks or a `forward` of its own, so that its weight is
            not all that acts.

    Source: statements S7 and S8 of the book, and Sedghi, Gupta and Long (ICLR 2019) for the use of
    the FFT.

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
    model: nn.Module, x: Tensor, *, circular: bool = False, dtype: torch.dtype | None = None
) -> tuple[dict[str, Spectrum], dict[str, str]]:
    """`conv_spectrum` of every convolution in a network, each on the grid where it acts.

    One pass of the input shows on which grid each convolution acts, with which weight (a
    subclass may standardise it), and how often. The network is in evaluation mode during that
    pass, and afterwards in the mode it was in before. Batch norm counts where it directly follows
    a convolution and alone takes the output of that call.

    Args:
        model: Any network with convolutions of PyTorch, or `CircularConv`.
        x: Inputs that the network takes, a batch of one is enough.
        circular: Whether to approximate where a spectrum is not exact, as in `conv_spectrum`.
        dtype: Precision of the computation, as in `conv_spectrum`.

    Returns:
        The spectra by the layers' names, in the order of the network's modules, and for each other
        convolution the reason why it was left out. A layer that does different things in several
        calls, because of the grid or of batch norm, has one entry for each, `name (call 2)`.
        Convolutions outside of these modules, such as those of `torch.nn.functional` or of a
        scripted or exported network, have the name of the parameter that is their weight. Else it
        is `convolution 1`, `convolution 2`, ... Their padding counts only if it is by zeros.

    Raises:
        TypeError: If it is no network.
        ValueError: If the network has no convolution, or a weight is no real number, NaN or
            infinite. The message names the layer.
        Exception: What the network raises on that input. A note names the convolution that was
            called last.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Conv1d(4, 4, 3, stride=2))
        >>> spectra, left_out = module_spectra(model, torch.zeros(1, 1, 16))
        >>> {name: (s.kind, s.grid, s.stride) for name, s in spectra.items()}, left_out
        ({'0': ('bound', (18,), (1,)), '1': ('bound', (8,), (2,))}, {})
    """
    calls, left_out = convolutions_of(model, x)
    spectra: dict[str, Spectrum] = {}
    for label, call in calls.items():
        try:
            spectra[label] = call.spectrum(circular=circular, dtype=dtype)
        except ValueError as error:
            raise ValueError(f"layer {label!r}: {error}") from error
    return spectra, left_out


@torch.no_grad()
def convolutions_of(model: nn.Module, x: Tensor) -> tuple[dict[str, Call], dict[str, str]]:
    """Record each convolution of a network in one pass, for `module_spectra` to analyse.

    Args:
        model: As in `module_spectra`.
        x: As in `module_spectra`.

    Returns:
        The calls by label, and what was left out, as in `module_spectra`.

    Raises:
        TypeError: If it is no network.
        ValueError: If the network has no convolution.
        Exception: What the network raises, as in `module_spectra`.
    """
    watch = Watch(check_type("model", model, nn.Module))
    with evaluating(model), watch.watching(x):
        without_replicas(model)(x)
    calls: dict[str, Call] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys([*watch.names.values(), *(call.name for call in watch.calls)]):
        different = watch.different_calls(name)
        if not different:
            left_out[name] = "not called in this pass"
        for number, call in different.items():
            label = name if len(different) == 1 else f"{name} (call {number})"
            if call.problem:
                left_out[label] = call.problem
            else:
                calls[label] = call
    if watch.unknown:
        names = ", ".join(f"{name} ({count}×)" for name, count in watch.unknown.items())
        left_out["other operations"] = (
            f"{names}: may be convolutions, of a kind that is not known, such as those of a "
            "quantised network or in inference mode"
        )
    if not calls and not left_out:
        raise ValueError(f"the pass through {type(model).__name__} met no convolution")
    return calls, left_out


def without_replicas(model: nn.Module) -> nn.Module:
    """The network itself, of one that `DataParallel` would run in copies."""
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner: nn.Module = model.module
        return inner
    return model
