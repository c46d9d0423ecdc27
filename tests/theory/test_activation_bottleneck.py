"""The bottleneck in the activations, S5, against dense projectors and autograd, float64."""

import pytest
import torch
from bottleneck_cases import CASES, CONFIGS, dense_operator, inputs, network, projector_network
from model_cases import random_network

from cbnlib.network.layers import CircularConv
from cbnlib.theory.activation_bottleneck import ntk_trace, off_mode_energy
from cbnlib.theory.weight_bottleneck import layers_of, operator_values

each_network = pytest.mark.parametrize(("name", "trained"), CASES)
FULL = [case for case in CASES if "window" not in CONFIGS[case[0]]]


def cuts(layer):
    """Every k at which the layer's singular values differ clearly, the number of them included."""
    sigma = operator_values(layer)
    after = torch.cat([sigma[1:], sigma.new_zeros(1)])
    return ((sigma - after) > 1e-6 * sigma[0]).nonzero().squeeze(1).add(1).tolist()


def per_layer(model, choice):
    options = [cuts(layer) for layer in layers_of(model)]
    return [ks[min(choice, len(ks) - 1)] for ks in options]


@each_network
@pytest.mark.parametrize("choice", [0, 2, 1000])
def test_off_mode_energy_is_within_its_bound(name, trained, choice):
    model = network(name, trained)
    x = inputs(model)
    ks = per_layer(model, choice)
    result = off_mode_energy(model, x, ks)
    assert result.energy.shape == result.bound.shape == (3, model.config.depth)
    assert (result.energy <= result.bound + 1e-12 * result.total).all()
    layer_inputs, layer_outputs = model.activations(x)
    for index, layer in enumerate(layers_of(model)):
        U, S, _ = torch.linalg.svd(dense_operator(layer))
        off = U[:, ks[index] :]  # I - Π, orthonormal columns
        a = layer_outputs[index].detach().flatten(1) @ off
        after = S[ks[index]] if ks[index] < len(S) else 0.0
        bound = after * layer_inputs[index].detach().flatten(1).norm(dim=1)
        bound = bound + (_bias(layer) @ off).norm()
        torch.testing.assert_close(result.energy[:, index], a.norm(dim=1), rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(result.bound[:, index], bound, rtol=1e-8, atol=1e-9)


def _bias(layer):
    """The bias as a flattened output."""
    if layer.bias is None:
        return torch.zeros(len(dense_operator(layer)), dtype=torch.float64)
    if not isinstance(layer, CircularConv):
        return layer.bias.detach()
    pixels = torch.Size(layer.grid).numel()
    return (layer.bias.detach() / pixels**0.5).repeat_interleave(pixels)


def test_one_k_for_all_layers():
    model = projector_network([0, 1], 4, grid=7)
    x = inputs(model)
    result = off_mode_energy(model, x, 3)
    assert float(result.energy.max()) < 1e-12
    assert (result.total[:, 0] > 0.1).all()
    torch.testing.assert_close(off_mode_energy(model, x, [3] * 4).total, result.total)


@pytest.mark.parametrize(("name", "trained"), FULL)
def test_ntk_trace_is_autograd(name, trained):
    model = network(name, trained)
    x = inputs(model)
    trace = ntk_trace(model, x)
    assert not trace.requires_grad
    for row, sample in zip(trace, x, strict=True):
        torch.testing.assert_close(row, _autograd_trace(model, sample), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("grid", [(1,), (2,), (5,), (2, 2), (3, 3), (3, 4), (4, 3)], ids=str)
def test_ntk_trace_on_every_kind_of_grid(grid):
    model = random_network(grid=grid, c_out=2)
    x = inputs(model, samples=1)
    torch.testing.assert_close(
        ntk_trace(model, x)[0], _autograd_trace(model, x[0]), rtol=1e-8, atol=0
    )


def _autograd_trace(model, sample):
    """Squared gradients of every output by every parameter, summed per layer."""
    traces = torch.zeros(model.config.depth, dtype=torch.float64)
    for output in model(sample.unsqueeze(0)).flatten():
        for index, layer in enumerate(layers_of(model)):
            gradients = torch.autograd.grad(output, list(layer.parameters()), retain_graph=True)
            traces[index] += sum(float(g.square().sum()) for g in gradients)
    return traces


def test_ntk_trace_of_a_frozen_network():
    model = random_network(grid=5)
    x = inputs(model)
    before = ntk_trace(model, x)
    torch.testing.assert_close(ntk_trace(model.requires_grad_(False), x), before)


def test_a_projector_that_is_not_determined():
    model = projector_network([0, 1, 2], 3, grid=7)
    x = inputs(model)
    with pytest.raises(ValueError, match=r"layer 1: .* σ_1 = 1 and σ_2 = 1 must differ"):
        off_mode_energy(model, x, 1)
    generic = network("odd", False)
    pair = next(k for k in range(1, 6) if k not in cuts(layers_of(generic)[1]))
    ks = per_layer(generic, 0)
    ks[1] = pair
    with pytest.raises(ValueError, match=rf"layer 2: the top {pair} modes .* cut a conjugate pair"):
        off_mode_energy(generic, inputs(generic), ks)


def test_nothing_kept():
    model = projector_network([0, 1], 3, grid=7)
    result = off_mode_energy(model, inputs(model), 0)
    torch.testing.assert_close(result.energy, result.total)
    assert (result.energy <= result.bound * (1 + 1e-9)).all()
