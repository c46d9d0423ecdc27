r"""A convolution of PyTorch as $PWE$, with $W$ circular on a grid that the stride divides (S8).

$E$ pads the image and puts it into the cyclic grid, $P$ keeps those pixels of the output that no
window reaches around the end. Hence $\sigma_i(PWE)\le\lVert E\rVert\,\sigma_i(W)$ for every $i$.
A transposed convolution is the adjoint of one that reads its output.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from cbnlib.spectra._supported import TorchConv
from cbnlib.spectra.spectrum import Kind


@dataclass(frozen=True)
class Embedding:
    r"""Where the circular convolution of a layer acts, and what its spectrum is to the layer.

    Attributes:
        grid: Pixels per axis of its coarser grid; times the stride, those of the cyclic grid.
        kind: `exact` if $P$ and $E$ take away nothing that is not zero.
        norm: $\lVert E\rVert$: padding that repeats pixels makes it larger than 1.
    """

    grid: tuple[int, ...]
    kind: Kind
    norm: float


def embedding(conv: TorchConv, grid: tuple[int, ...], *, circular: bool) -> Embedding:
    """Embed a convolution.

    Args:
        conv: The convolution, transposed or not.
        grid: Pixels per axis of its input.
        circular: Whether to approximate where it is not exact: by the circular convolution on
            the layer's own grid, made larger where the stride does not divide it.

    Raises:
        ValueError: If the padded input is smaller than the filter, or padding does not fit it.
    """
    each = [_axis(conv, axis, n) for axis, n in enumerate(grid)]
    if all(exact for *_, exact in each):
        return Embedding(tuple(n for n, *_ in each), "exact", 1.0)
    if circular:
        coarse = [
            n if conv.transposed else -(-n // s) for n, s in zip(grid, conv.stride, strict=True)
        ]
        return Embedding(tuple(coarse), "approximation", 1.0)
    copies = math.prod(copies for _, copies, _ in each)
    return Embedding(tuple(n for n, *_ in each), "bound", copies**0.5)


def _axis(conv: TorchConv, axis: int, n: int) -> tuple[int, int, bool]:
    """Pixels of the coarser grid, how often $E$ repeats a pixel at most, and if that is exact."""
    stride, mode = conv.stride[axis], conv.padding_mode
    before, after = padding(conv, axis)
    span = (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1
    if conv.transposed:
        outputs, read = n, (n - 1) * stride + span + conv.output_padding[axis] - before - after
    else:
        outputs, read = (n + before + after - span) // stride + 1, n
    widest = {"circular": n, "reflect": n - 1}.get(mode, before + after)
    if min(outputs, read) < 1 or max(before, after) > widest:
        raise ValueError(
            f"a filter of {span} pixels (dilation counted) with padding {before}, {after} of mode "
            f"{mode!r} does not fit the grid's axis of {n}"
        )
    if mode == "circular" and n % stride == 0:
        coarse = n // stride
        return coarse, -(-outputs // coarse), outputs == coarse
    coarse = outputs - 1 + -(-span // stride)
    exact = before + after == 0 and outputs == coarse
    if mode == "zeros":
        return coarse, 1, exact
    pixels = torch.arange(n, dtype=torch.float64).reshape(1, 1, n)
    padded = functional.pad(pixels, (before, after), mode=mode)
    return coarse, int(padded.long().flatten().bincount().max()), exact


def padding(conv: TorchConv, axis: int) -> tuple[int, int]:
    """Pixels that a convolution adds before and after an axis."""
    if not isinstance(conv.padding, str):
        return conv.padding[axis], conv.padding[axis]
    both = (conv.kernel_size[axis] - 1) * conv.dilation[axis] if conv.padding == "same" else 0
    return both // 2, both - both // 2
