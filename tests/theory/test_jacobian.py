"""Jacobians against dense products and autograd, and the lower bounds S2, float64."""

import math

import pytest
import torch
from bottleneck_cases import CASES, dense_factors, inputs, network, projector_network
from model_cases import random_network
from oracles import randn, rng

from cbnlib import frequencies
from cbnlib.theory.jacobian import jacobian, tangent_jacobian
from cbnlib.theory.lower_bounds import best_k_bound, norm_lower_bound, rank, schatten

each_network = pytest.mark.parametrize(("name", "trained"), CASES)


@each_network
def test_jacobian_is_the_dense_product(name, trained):
    model = network(name, trained)
    x = inputs(model)
    assert not jacobian(model, x).requires_grad
    for J, sample in zip(jacobian(model, x), x, strict=True):
        product = torch.eye(sample.numel(), dtype=torch.float64)
        for W, T in zip(*dense_factors(model, sample), strict=True):
            product = W @ T @ product
        torch.testing.assert_close(J, product, rtol=1e-10, atol=1e-12)


@each_network
def test_bounds_hold_and_are_ordered(name, trained):
    model = network(name, trained)
    L = model.config.depth
    norm = float(model.parameter_norm().detach())
    s = torch.linalg.svdvals(jacobian(model, inputs(model)))
    bound, (best, k) = norm_lower_bound(s, L), best_k_bound(s, L)
    assert (norm > bound).all()
    assert (bound >= best).all()
    for row in range(len(s)):
        every = [float(best_k_bound(s[row], L, j)[0]) for j in range(1, int(rank(s[row])) + 1)]
        assert float(best[row]) == pytest.approx(max([0.0, *every]))
        assert int(k[row]) == sum(s[row] > math.exp(-L / 2))


@pytest.mark.parametrize("keep", [[1], [0, 1], [1, 3]])
def test_a_linear_projector_network_attains_the_bounds(keep):
    model = projector_network(keep, 5, grid=6, nonlinearity="none")
    s = torch.linalg.svdvals(jacobian(model, inputs(model)))[0]
    norm, (best, k) = model.parameter_norm().detach(), best_k_bound(s, 5)
    dimensions = int(frequencies(6).multiplicity[keep].sum())
    assert int(k) == int(rank(s)) == dimensions
    for bound in (norm_lower_bound(s, 5), best):
        assert float(norm - bound) == pytest.approx(0, abs=1e-10)
    scaled = projector_network(keep, 5, scale=1.3, grid=6, nonlinearity="none")
    s = torch.linalg.svdvals(jacobian(scaled, inputs(scaled)))[0]
    slack = float(scaled.parameter_norm().detach() - norm_lower_bound(s, 5))
    assert slack == pytest.approx(0, abs=1e-10)  # balanced: the first bound is still attained
    assert scaled.parameter_norm() > best_k_bound(s, 5)[0] + 0.1


def test_a_relu_network_attains_the_bounds():
    model = projector_network([0, 1], 6, grid=6)
    x = 3 + torch.rand(4, 1, 6, dtype=torch.float64, generator=rng())
    s = torch.linalg.svdvals(jacobian(model, x))
    for bound in (norm_lower_bound(s, 6), best_k_bound(s, 6)[0]):
        torch.testing.assert_close(bound, model.parameter_norm().detach().expand(4))


def test_tangent_jacobian_is_the_projected_one():
    model = network("even image", True)
    x = inputs(model)
    J = jacobian(model, x)
    tangent = randn(3, 4, 16, seed=2) * 1e-5
    values = torch.linalg.svdvals(tangent_jacobian(J, tangent))
    P = tangent.mT @ torch.linalg.inv(tangent @ tangent.mT) @ tangent
    torch.testing.assert_close(values, torch.linalg.svdvals(J @ P)[:, :4], atol=1e-8, rtol=1e-8)
    assert (values <= torch.linalg.svdvals(J)[:, :4] + 1e-12).all()


def test_schatten_by_hand():
    s = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(schatten(s, 0.5), torch.tensor([(2**0.5 + 1) ** 2, 0.0]))
    torch.testing.assert_close(norm_lower_bound(s, 4)[0], 4 * schatten(s, 0.5)[0] ** 0.5)
    assert rank(s).tolist() == [2, 0]


def test_a_kink_is_an_error():
    model = network("no bias", False)
    x = inputs(model)
    x[1] = 0
    message = "not defined at sample 1: a pre-activation of layer 1 is exactly 0"
    with pytest.raises(ValueError, match=message):
        jacobian(model, x)
    linear = random_network(grid=6, nonlinearity="none", bias=False)
    assert jacobian(linear, torch.zeros(1, 1, 6, dtype=torch.float64)).abs().sum() > 0
