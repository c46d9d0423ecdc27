"""The bottleneck in the weights, S4, against dense matrices, float64."""

import math

import pytest
import torch
from bottleneck_cases import (
    CASES,
    dense_factors,
    dense_operator,
    inputs,
    network,
    projector_network,
)
from model_cases import LAYERS, random_layer
from oracles import dense_matrix, rng
from torch import nn

from cbnlib.theory.jacobian import jacobian
from cbnlib.theory.lower_bounds import rank
from cbnlib.theory.weight_bottleneck import (
    compressions,
    layers_of,
    mode_distance,
    operator_values,
    weight_bottleneck,
)

each_network = pytest.mark.parametrize(("name", "trained"), CASES)


def combinations(name, trained):
    """Singular values at every sample, with every k up to 5 and the full rank."""
    model = network(name, trained)
    values = torch.linalg.svdvals(jacobian(model, inputs(model)))
    return [(s, k) for s in values for k in {*range(1, min(6, int(rank(s)) + 1)), int(rank(s))}]


def test_there_are_enough_combinations():
    assert sum(len(combinations(*case)) for case in CASES) >= 200


@each_network
def test_left_is_at_most_right(name, trained):
    model = network(name, trained)
    matrices = [dense_operator(layer) for layer in layers_of(model)]
    for s, k in combinations(name, trained):
        result = weight_bottleneck(model, s, k)
        assert result.left <= result.right
        assert 0 < result.ratio <= 1
        assert len(result.distances) == model.config.depth
        within = (result.distances + result.bias_norms) <= result.radius(0.5) ** 2
        assert int(within.sum()) >= 0.5 * model.config.depth
        logs = float(s[:k].log().sum())
        named = model.named_parameters()
        biases = sum(float(p.detach().square().sum()) for name, p in named if "bias" in name)
        norm = sum(float(W.square().sum()) for W in matrices) + biases
        assert result.right == pytest.approx(norm - len(matrices) * k - 2 * logs)
        assert float(result.bias_norms.sum()) == pytest.approx(biases)


@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_distance_is_that_to_the_polar_factor(grid, window):
    layer = random_layer(grid, window)
    W = dense_matrix(layer)
    sigma = operator_values(layer)
    U, S, V = torch.linalg.svd(W, full_matrices=False)
    torch.testing.assert_close(sigma, S[: len(sigma)])
    for k in range(1, len(sigma) + 1):
        Q = U[:, :k] @ V[:k]
        torch.testing.assert_close(mode_distance(sigma, k), (W - Q).square().sum())
        torch.testing.assert_close(mode_distance(sigma.flip(0), k), (W - Q).square().sum())


def test_values_of_a_dense_layer():
    layer = nn.Linear(4, 3, dtype=torch.float64)
    torch.testing.assert_close(operator_values(layer), torch.linalg.svdvals(layer.weight.detach()))


@each_network
def test_compressions_multiply_to_the_jacobian(name, trained):
    model = network(name, trained)
    x = inputs(model)
    s = torch.linalg.svdvals(jacobian(model, x))
    sigma = [operator_values(layer) for layer in layers_of(model)]
    for k in {1, min(3, int(rank(s).min()))}:
        m = compressions(model, x, k)
        assert m.shape == (len(x), model.config.depth, k)
        torch.testing.assert_close(
            m.log().sum(dim=(1, 2)), s[:, :k].log().sum(dim=1), rtol=1e-8, atol=1e-8
        )
        for layer, values in enumerate(sigma):
            assert (m[:, layer] <= values[:k] * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["odd", "even image", "pooling", "stride", "coarse pooling"])
def test_compressions_are_those_between_the_dense_subspaces(name):
    model = network(name, True)
    x, k = inputs(model), 2
    for m, sample in zip(compressions(model, x, k), x, strict=True):
        weights, maps = dense_factors(model, sample)
        after = [*maps[1:], torch.eye(len(weights[-1]), dtype=torch.float64)]
        A = [T @ W for W, T in zip(weights, after, strict=True)]
        A[0] = A[0] @ maps[0]
        V = torch.linalg.svd(torch.linalg.multi_dot(A[::-1]))[2][:k].T
        for layer, factor in enumerate(A):
            P = V @ V.T
            V = torch.linalg.svd(factor @ P)[0][:, :k]
            values = torch.linalg.svdvals(V @ V.T @ factor @ P)[:k]
            torch.testing.assert_close(m[layer], values, rtol=1e-8, atol=1e-10)
            if name in ("odd", "even image") and layer < len(A) - 1:  # masks only
                same = torch.linalg.svdvals(V @ V.T @ weights[layer] @ P)[:k]
                torch.testing.assert_close(m[layer], same, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("nonlinearity", ["relu", "none"])
def test_a_projector_network_attains_the_bound(nonlinearity):
    model = projector_network([0, 1], 6, grid=7, nonlinearity=nonlinearity)
    x = 3 + torch.rand(1, 1, 7, dtype=torch.float64, generator=rng())
    result = weight_bottleneck(model, torch.linalg.svdvals(jacobian(model, x))[0], 3)
    assert result.left == pytest.approx(0, abs=1e-10)
    assert result.right == pytest.approx(0, abs=1e-10)
    assert result.radius() < 1e-4
    assert result.separates()
    torch.testing.assert_close(compressions(model, x, 3), torch.ones(1, 6, 3).double())
    zero = type(result)(3, result.distances * 0, result.bias_norms * 0, 0.0)
    assert math.isnan(zero.ratio)
    one_more = weight_bottleneck(model, torch.linalg.svdvals(jacobian(model, x))[0], 2)
    assert one_more.left == pytest.approx(6)  # one further value 1 in each layer
    assert one_more.right == pytest.approx(6)
    assert not one_more.separates()


def test_radius_by_hand():
    model = network("odd", False)
    s, k = combinations("odd", False)[0]
    result = weight_bottleneck(model, s, k)
    assert result.radius(0.25) == pytest.approx((result.right / (0.25 * 4)) ** 0.5)
    assert result.separates(1.0) == (result.radius(1.0) < 0.5)
