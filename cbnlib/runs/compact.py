r"""Convolutions in the form that takes less room.

A bottlenecked layer keeps few singular directions at few frequencies. Their factors take less room
than the filter, and what is left out is bounded and recorded.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from cbnlib._checks import check_positive
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv

BUDGET = 1e-5
r"""Share of $\lVert W\rVert_F^2$ that may be left out.

Much of it is noise at modes absent from the data. Outputs of trained networks agreed to 1e-5.
"""

LARGE = 2**16
"""Bytes from which a layer's weights are kept in 16 bits (about three digits) instead of 32."""

_AT_ONCE = 2**22  # entries of the outer products that are made at once


@dataclass(frozen=True, eq=False)
class CompactLayer:
    r"""A convolution's weight without its bias.

    Attributes:
        form: `factors` or `dense`.
        arrays: Float32, or float16 in a layer of `LARGE` bytes. For `dense`, `weight` is the
            parameter. For `factors`, with K kept singular directions $\sigma uv^*$, `mode` (int32,
            `[K]`) is their places among the stored frequencies. Real and imaginary parts are in
            `left`, $\sigma u$, of shape `[K, c_out, 2]`, and `right`, $\bar v$, `[K, c_in, 2]`.
        norm: $\lVert W\rVert_F^2$ of the layer that was compacted.
        discarded: The part of it that the kept directions lack. It is 0 for `dense`.
    """

    form: Literal["factors", "dense"]
    arrays: dict[str, Tensor]
    norm: float
    discarded: float


@torch.no_grad()
def compact(layer: CircularConv, *, budget: float = BUDGET) -> CompactLayer:
    r"""Take the smaller of a layer's two forms.

    For the factors, singular directions of the whole layer are left out, smallest first. Their
    squares, counted with multiplicity, sum to at most `budget` times $\lVert W\rVert_F^2$. Each is
    at most `budget ** 0.5` times the largest one. Layers with a window smaller than the grid stay
    dense.

    Args:
        layer: A convolution in either parametrisation.
        budget: The share that may be left out.

    Raises:
        ValueError: If the budget is negative or not finite.
    """
    check_positive("budget", budget, zero=True)
    weight = layer.weight.detach()
    norm = float(weight.double().square().sum())
    dense = CompactLayer("dense", {"weight": weight.float().clone()}, norm, 0.0)
    if layer.window != layer.grid:
        return _halved(dense)
    factors = _factors(layer, norm, budget)
    return _halved(factors if _size(factors) < _size(dense) else dense)


def expand(compacted: CompactLayer, layer: CircularConv) -> None:
    """Set the weight of a layer of the same config to the compacted one's."""
    arrays = compacted.arrays
    with torch.no_grad():
        if compacted.form == "dense":
            layer.weight.copy_(arrays["weight"])
            return
    left, right = (torch.complex(*arrays[k].double().unbind(-1)) for k in ("left", "right"))
    freqs = frequencies(layer.grid)
    stored = left.new_zeros(len(freqs.omega), layer.c_out, layer.c_in)
    mode, at_once = arrays["mode"].long(), max(1, _AT_ONCE // (layer.c_out * layer.c_in))
    for some in torch.arange(len(mode)).split(at_once):
        directions = torch.einsum("ko,ki->koi", left[some], right[some])
        stored.index_add_(0, mode[some], directions)
    layer.set_modes(stored[freqs.modes])


def _factors(layer: CircularConv, norm: float, budget: float) -> CompactLayer:
    freqs = frequencies(layer.grid)
    u, s, vh = torch.linalg.svd(layer.modes().to(torch.complex128), full_matrices=False)
    squares = s.square() * freqs.multiplicity[freqs.modes].unsqueeze(1)
    order = s.flatten().argsort()
    left_out = squares.flatten()[order].cumsum(0) <= budget * norm
    left_out &= s.flatten()[order] <= budget**0.5 * s.max()
    kept = torch.ones_like(squares, dtype=torch.bool)
    kept.view(-1)[order[left_out]] = False
    row, direction = kept.nonzero(as_tuple=True)
    left = (u * s.unsqueeze(1))[row, :, direction]
    arrays = {
        "mode": freqs.modes[row].to(torch.int32),
        "left": torch.view_as_real(left).float(),
        "right": torch.view_as_real(vh[row, direction].resolve_conj()).float(),
    }
    return CompactLayer("factors", arrays, norm, float(squares[~kept].sum()))


def _halved(compacted: CompactLayer) -> CompactLayer:
    """The same in 16 bits, if it is large and they can hold it."""
    sizes = [float(array.abs().max()) for array in compacted.arrays.values() if len(array)]
    largest = max(sizes, default=0.0)  # nothing is kept of a layer of zeros
    if _size(compacted) < LARGE or largest > torch.finfo(torch.float16).max / 2:
        return compacted
    arrays = {
        name: array.half() if array.is_floating_point() else array
        for name, array in compacted.arrays.items()
    }
    return replace(compacted, arrays=arrays)


def _size(compacted: CompactLayer) -> int:
    return sum(array.nbytes for array in compacted.arrays.values())
