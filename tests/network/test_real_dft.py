"""The orthogonal DFT by matrix products, against NumPy's FFT."""

import math

import numpy as np
import pytest
import torch
from oracles import randn, rng

from cbnlib import frequencies
from cbnlib.network.real_dft import (
    FOLDED_FROM,
    RealDFT,
    blocks_to_coordinates,
    coordinates_to_blocks,
)

SMALL = [(1,), (2,), (5,), (8,), (1, 1), (1, 6), (6, 1), (2, 2), (3, 4), (4, 3), (5, 7), (8, 6)]
F = FOLDED_FROM
JUST_SMALL = [(F - 1, F), (F, F - 1), (1, F + 1)]
FOLDED = [(F, F), (F + 1, F), (F, F + 1), (F + 1, F + 3)]
GRIDS = SMALL + JUST_SMALL + FOLDED


def transformed(grid, x):
    """All rows of the buffer, those beyond the coordinates too."""
    dft = RealDFT(grid, x.dtype)
    out = torch.full((dft.rows, x.shape[1]), float("nan"), dtype=x.dtype)
    ordered = in_order(dft, x)
    dft.transform(ordered, out, torch.full((out.numel() + 1,), float("nan"), dtype=x.dtype))()
    assert torch.equal(ordered, in_order(dft, x)), "the signals are still needed"
    return out


def in_order(dft, x):
    return x.clone() if dft.order is None else x[dft.order]


def signals(grid):
    return randn(math.prod(grid), 3)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_coordinates_are_those_of_the_fft(grid):
    x = signals(grid)
    coordinates = transformed(grid, x)
    spectrum = np.fft.fftn(x.T.numpy().reshape(3, *grid), axes=range(1, len(grid) + 1))
    spectrum /= math.prod(grid) ** 0.5
    dft = RealDFT(grid)
    for i, omega in enumerate(dft.omega.tolist()):
        value = torch.from_numpy(spectrum[(slice(None), *omega)])
        if i < dft.pairs:
            torch.testing.assert_close(coordinates[2 * i], 2**0.5 * value.real)
            torch.testing.assert_close(coordinates[2 * i + 1], 2**0.5 * value.imag)
        else:
            torch.testing.assert_close(coordinates[dft.pairs + i], value.real)
            assert value.imag.abs().max() < 1e-12
    assert not dft.omega[dft.pairs].any(), "the constant frequency comes first"


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_way_back_is_the_transpose(grid):
    dft, x = RealDFT(grid, torch.float64), signals(grid)
    coordinates, back = transformed(grid, x), torch.empty_like(x)
    dft.invert(coordinates, back, torch.empty(coordinates.numel(), dtype=x.dtype))()
    torch.testing.assert_close(back, in_order(dft, x))
    assert not coordinates[dft.pixels :].any()
    identity = torch.eye(dft.pixels, dtype=torch.float64)
    matrix = transformed(grid, identity)[: dft.pixels]
    torch.testing.assert_close(matrix @ matrix.T, identity)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_blocks_and_coordinates_are_the_same_thing(grid):
    x = signals(grid)
    axes = tuple(range(1, len(grid) + 1))
    blocks = torch.fft.rfftn(x.T.reshape(3, *grid), dim=axes, norm="ortho").flatten(1).T
    coordinates = transformed(grid, x)[: len(x)]
    torch.testing.assert_close(coordinates_to_blocks(coordinates, grid), blocks)
    torch.testing.assert_close(blocks_to_coordinates(blocks, grid), coordinates)
    weight = frequencies(grid).weight
    by_entry = (weight[:, None] * blocks.abs().square()).sum()
    torch.testing.assert_close(coordinates.square().sum(), by_entry)


def test_large_grids_and_no_others_are_folded():
    for grid in GRIDS:
        order = RealDFT(grid).order
        assert (order is not None) == (grid in FOLDED)
        if order is not None:
            assert sorted(order.tolist()) == list(range(math.prod(grid)))


@pytest.mark.parametrize("grid", [(16, 16), (28, 28)], ids=str)
def test_single_precision_loses_nothing_but_its_own(grid):
    x = torch.randn(math.prod(grid), 4, generator=rng())
    exact = transformed(grid, x.double())
    assert float((transformed(grid, x) - exact).abs().max()) < 1e-5
