"""Layers and networks against dense operators, float64."""

import pytest
import torch
from model_cases import LAYERS, random_layer, random_network
from oracles import dense_matrix, dense_matrix_of, pixels, randn, rng
from torch import nn

from cbnlib import CNN, CircularConv, CNNConfig, frequencies
from cbnlib.network.model import CoarseStage


@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_layer_is_its_dense_operator(grid, window):
    layer = random_layer(grid, window)
    x = randn(4, 2, *grid, seed=2)
    big = torch.Size(grid).numel()
    b = (layer.bias / big**0.5).repeat_interleave(big)
    expected = (x.flatten(1) @ dense_matrix(layer).T + b).reshape(4, 3, *grid)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_norm_from_parameters_blocks_and_dense_operator(grid, window):
    layer = random_layer(grid, window)
    from_parameters = layer.weight.square().sum()
    per_entry = layer.blocks().abs().square().sum(dim=(0, 1)).flatten()
    from_blocks = (frequencies(grid).weight * per_entry).sum()
    torch.testing.assert_close(from_parameters, from_blocks, rtol=1e-10, atol=0)
    from_dense = dense_matrix(layer).square().sum()
    torch.testing.assert_close(from_parameters, from_dense, rtol=1e-10, atol=0)


@pytest.mark.parametrize("head", ["equivariant", "pooling"])
@pytest.mark.parametrize(("grid", "window"), [((6,), None), ((4, 5), 3)], ids=str)
def test_parameter_norm_is_the_norm_of_all_operators(grid, window, head):
    model = random_network(grid=grid, window=window, head=head, c_out=2)
    big = torch.Size(grid).numel()
    total = torch.zeros((), dtype=torch.float64)
    for conv in model.convs:
        bias = (conv.bias / big**0.5)[:, None].expand(-1, big)
        total += dense_matrix(conv).square().sum() + bias.square().sum()
    if model.dense is not None:
        total += model.dense.weight.square().sum() + model.dense.bias.square().sum()
    torch.testing.assert_close(model.parameter_norm(), total, rtol=1e-10, atol=0)


@pytest.mark.parametrize("window", [None, 3], ids=["full", "window3"])
@pytest.mark.parametrize("grid", [(6,), (5,), (4, 3), (3, 4)], ids=str)
def test_network_commutes_with_every_translation(grid, window):
    model = random_network(grid=grid, window=window, c_in=2, c_out=2)
    x = randn(3, 2, *grid)
    y, axes = model(x), tuple(range(2, x.ndim))
    assert y.abs().max() > 1e-2
    for shift in pixels(grid):
        torch.testing.assert_close(
            model(x.roll(shift, axes)), y.roll(shift, axes), rtol=1e-10, atol=1e-10
        )


def test_pooling_head_is_invariant():
    model = random_network(grid=(4, 3), head="pooling", c_out=5)
    x = randn(3, 1, 4, 3)
    assert model(x).shape == (3, 5)
    for shift in pixels((4, 3)):
        torch.testing.assert_close(model(x.roll(shift, (2, 3))), model(x), rtol=1e-10, atol=1e-10)


def test_pooling_has_operator_norm_one():
    model = random_network(grid=(4, 3), head="pooling")
    assert model.pool is not None
    matrix = dense_matrix_of(model.pool, 2, (4, 3))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2, dtype=torch.float64))


def test_without_biases_the_network_is_homogeneous():
    model = random_network(grid=(6,), bias=False)
    x = randn(3, 1, 6)
    torch.testing.assert_close(model(2.5 * x), 2.5 * model(x))
    assert all(conv.bias is None for conv in model.convs)


@pytest.mark.parametrize("head", ["equivariant", "pooling"])
def test_depth_counts_every_linear_layer(head):
    model = random_network(grid=(6,), depth=5, head=head)
    assert len(model.pre_activations(torch.zeros(1, 1, 6, dtype=torch.float64))) == 5
    assert len([m for m in model.modules() if isinstance(m, CircularConv | nn.Linear)]) == 5


@pytest.mark.parametrize("window", [None, 3], ids=["full", "window3"])
def test_blocks_start_with_the_stated_variance(window):
    layer = CircularConv(40, 40, (8, 8), window=window, gain=2.0, generator=rng())
    mean_square = layer.blocks().abs().square().mean()
    torch.testing.assert_close(mean_square, torch.tensor(2.0 / 40), rtol=0.02, atol=0)


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize("coarse", [None, CoarseStage((4, 5), 2, 2)], ids=["one grid", "coarse"])
def test_a_network_works_on_the_device_of_its_weights(parametrization, coarse):
    """No tensor is on another device; the meta device stands for any that is not the CPU."""
    model = random_network(grid=(6, 7), parametrization=parametrization, coarse=coarse).to("meta")
    y = model(torch.zeros(2, 1, 6, 7, dtype=torch.float64, device="meta"))
    y.sum().backward()
    assert y.is_meta
    assert y.shape == (2, 1, 6, 7)
    assert all(p.grad is not None and p.grad.is_meta for p in model.parameters())


@pytest.mark.parametrize("head", ["equivariant", "pooling"])
@pytest.mark.parametrize("coarse", [None, CoarseStage(grid=4, first=2, last=3)])
def test_forward_from_goes_on_where_the_network_was(head, coarse):
    config = CNNConfig(grid=8, width=3, depth=5, c_out=2, coarse=coarse, head=head)
    model, x = CNN(config, seed=0), torch.randn(5, 1, 8, generator=torch.Generator().manual_seed(0))
    outputs, end = model.pre_activations(x), model(x)
    torch.testing.assert_close(model.forward_from(1, x), end)
    for layer in range(2, len(model.convs) + 1):
        signal = outputs[layer - 2].relu()
        torch.testing.assert_close(model.forward_from(layer, signal), end)
