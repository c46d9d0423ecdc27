"""S1: the cost of a linear map against dense operators, and the network that attains it."""

import pytest
import torch
from model_cases import random_network
from oracles import GRIDS, dense_matrix, dense_matrix_of, randn, rng

from cbnlib import CircularConv
from cbnlib.spectra.convolutions import spectrum_of_blocks, weight_spectra
from cbnlib.theory.linear_cost import (
    balanced_factorisation,
    end_to_end_blocks,
    linear_cost,
    linear_cost_expansion,
)

DEPTHS = [1, 2, 5, 12]
NOISE = 1e-15


def values(*s):
    return torch.tensor(s, dtype=torch.float64)


def layer_of(a):
    """The layer that convolves with a filter, for the dense oracle."""
    layer = CircularConv(a.shape[1], a.shape[0], a.shape[2:], bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(a * torch.Size(layer.grid).numel() ** 0.5)
    return layer


def degenerate_filter(grid):
    """All singular values 1 or 0: a rotation of two channels on a third of the frequencies."""
    keep = torch.fft.fftn(randn(grid, seed=3)).abs()
    keep = (keep > keep.median()).to(torch.float64)
    a = torch.fft.ifftn(keep).real  # closed under negation, hence real
    noise = NOISE * randn(3, 2, *grid, seed=1)
    rotation = torch.linalg.qr(randn(3, 2, seed=2)).Q
    return rotation.reshape(3, 2, *(1 for _ in grid)) * a + noise


FILTERS = {"random": lambda grid: randn(2, 3, *grid), "degenerate": degenerate_filter}


@pytest.mark.parametrize("L", DEPTHS)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("kind", FILTERS)
def test_factorisation_is_the_map_at_its_exact_cost(kind, grid, L):
    a = FILTERS[kind](grid)
    matrix = dense_matrix(layer_of(a))
    model = balanced_factorisation(a, L)
    torch.testing.assert_close(dense_matrix_of(model, a.shape[1], grid), matrix, rtol=0, atol=1e-10)
    product = torch.eye(matrix.shape[1], dtype=torch.float64)
    for conv in model.convs:
        assert conv.weight.dtype == torch.float64  # real filters
        product = dense_matrix(conv) @ product
    torch.testing.assert_close(product, matrix, rtol=0, atol=1e-10)
    expected = linear_cost(torch.linalg.svdvals(matrix), L)
    torch.testing.assert_close(model.parameter_norm(), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("grid", [(6,), (4, 3), (4, 4)], ids=str)
def test_layers_are_balanced_and_no_wider_than_the_largest_rank(kind, grid):
    a = FILTERS[kind](grid)
    blocks = torch.fft.rfftn(a, dim=tuple(range(2, a.ndim)))
    s = spectrum_of_blocks(blocks, grid).values
    s = torch.where(s > 1e-12, s, 0)
    model = balanced_factorisation(a, 4)
    width = int((s > 0).sum(dim=1).max())
    assert model.config.width == width
    for spectrum in weight_spectra(model):
        torch.testing.assert_close(spectrum.values, s[:, :width] ** 0.25, rtol=0, atol=1e-7)


@pytest.mark.parametrize("L", [1, 3])
def test_the_zero_map_costs_nothing(L):
    model = balanced_factorisation(torch.zeros(2, 1, 4, 4), L)
    assert (model.parameter_norm(), model.config.width) == (0, 1)


def test_cost_of_a_known_spectrum():
    s = values(4.0, 1.0, 0.25, 0.0, 1e-17)
    torch.testing.assert_close(linear_cost(s, 4), values(4 * (2 + 1 + 0.5))[0])
    torch.testing.assert_close(linear_cost(s, 4, tolerance=0), values(14 + 4 * 1e-17**0.5)[0])
    log = torch.tensor(4.0, dtype=torch.float64).log()
    torch.testing.assert_close(linear_cost_expansion(s, 4), 12 + 0.5 * 2 * log**2)
    assert linear_cost(s[:0], 3) == linear_cost_expansion(s[:0], 3) == 0


def test_expansion_is_short_by_the_square_of_the_depth():
    s = torch.rand(20, dtype=torch.float64, generator=rng()) + 0.1
    gaps = [float(linear_cost(s, L) - linear_cost_expansion(s, L)) for L in (50, 100, 200)]
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)
    assert gaps[1] / gaps[2] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("grid", [(5,), (4, 3), (3, 4)], ids=str)
def test_no_random_network_is_cheaper_than_its_own_map(grid):
    for seed in range(20):
        model = random_network(seed, grid=grid, nonlinearity="none", bias=False, c_in=2, c_out=2)
        s = spectrum_of_blocks(end_to_end_blocks(model), grid).operator_values()
        assert model.parameter_norm() > linear_cost(s, 3, tolerance=0)


@pytest.mark.parametrize("grid", [(6,), (4, 5)], ids=str)
def test_end_to_end_blocks_are_the_composition(grid):
    model = random_network(grid=grid, nonlinearity="none", c_in=2, c_out=4)
    layer = CircularConv(2, 4, grid, bias=False).double()
    layer.set_blocks(end_to_end_blocks(model))
    x = randn(3, 2, *grid)
    torch.testing.assert_close(layer(x), model(x) - model(0 * x), rtol=1e-12, atol=1e-12)
