"""Dense operators, built from their definitions: slow, explicit, independent of the FFT."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cbnlib import CircularConv

GRIDS: list[tuple[int, ...]] = [(1,), (5,), (6,), (3, 3), (4, 4), (3, 4), (4, 3), (5, 2), (1, 4)]
"""1-D and 2-D, odd and even, square and rectangular, degenerate."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int | Sequence[int], seed: int = 0) -> Tensor:
    """Normal numbers in double precision."""
    return torch.randn(*shape, dtype=torch.float64, generator=rng(seed))


def pixels(grid: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(n) for n in grid)))


def dense_matrix(layer: CircularConv) -> Tensor:
    """The block-circulant matrix of a layer, shape `[c_out * N, c_in * N]`.

    Entry (o, p), (i, q) is w(p - q) for the filter w that vanishes outside the window around 0.
    """
    number = {p: k for k, p in enumerate(pixels(layer.grid))}
    big = len(number)
    w = layer.weight.detach() / big**0.5
    matrix = w.new_zeros(layer.c_out, big, layer.c_in, big)
    centre = [0 if layer.window == layer.grid else k // 2 for k in layer.window]
    for tap in pixels(layer.window):
        for q, column in number.items():
            p = tuple(
                (a + t - k) % n for a, t, k, n in zip(q, tap, centre, layer.grid, strict=True)
            )
            matrix[:, number[p], :, column] += w[(..., *tap)]
    return matrix.reshape(layer.c_out * big, layer.c_in * big)


@torch.no_grad()
def dense_matrix_of(function: Callable[[Tensor], Tensor], c_in: int, grid: Sequence[int]) -> Tensor:
    """The matrix of a linear map of signals, one unit vector at a time; without a constant."""
    size = c_in * torch.Size(grid).numel()
    units = torch.eye(size, dtype=torch.float64).reshape(size, c_in, *grid)
    constant = function(torch.zeros_like(units[:1]))
    return (function(units) - constant).reshape(size, -1).T
