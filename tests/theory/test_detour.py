"""Detours: the same function, the norm that is promised, off-mode activations, sharpness."""

from copy import deepcopy

import pytest
import torch
from oracles import randn

from cbnlib import CNN, CNNConfig
from cbnlib.network.model import CoarseStage
from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.spectra.spectrum import middle_half
from cbnlib.tasks import bump
from cbnlib.theory.activation_bottleneck import off_mode_energy
from cbnlib.theory.detour import detour
from cbnlib.theory.sharpness import sharpness

CONFIGS = {
    6: CNNConfig(16, width=3, depth=6),
    10: CNNConfig(16, width=3, depth=10, gain=1.5),
    5: CNNConfig((4, 6), width=2, depth=5, parametrization="spectral"),
}


def network(depth):
    config = CONFIGS[depth]
    model = CNN(config, seed=3).double()
    with torch.no_grad():
        for conv in model.convs:
            conv.bias.copy_(randn(conv.c_out).abs())
    x = bump(16, samples=9).x.double() if config.grid == (16,) else randn(9, 1, *config.grid)
    return model, x


def shares(model, x):
    kept = [s.real_dimensions(0.5) for s in weight_spectra(model)]
    off = off_mode_energy(model, x, kept)
    assert (off.energy <= off.bound * (1 + 1e-9)).all()
    return (off.energy.square().mean(dim=0) / off.total.square().mean(dim=0)).sqrt()


@torch.no_grad()
def norm_of(model):
    return float(model.parameter_norm())


@pytest.mark.parametrize("depth", CONFIGS)
@pytest.mark.parametrize("excess", [0.0, 300.0])
def test_what_a_detour_is(depth, excess):
    model, x = network(depth)
    before, layers = deepcopy(model), list(range(1, depth + 1))[middle_half(depth)]
    found = detour(model, x, layers, share=0.6, excess=excess)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)
    )
    assert (found.model(x) - model(x)).abs().max() < 1e-10
    assert norm_of(found.model) - norm_of(model) == pytest.approx(found.excess, rel=1e-9)
    assert not excess or found.excess == pytest.approx(excess)
    reached = shares(found.model, x)[middle_half(depth)]
    expected = shares(model, x)[middle_half(depth)].clamp(min=0.6)
    assert torch.allclose(reached, expected, rtol=1e-9)
    spectra = [
        [s.values for s in weight_spectra(m)[middle_half(depth)]] for m in (model, found.model)
    ]
    for old, new in zip(*spectra, strict=True):
        assert torch.allclose(old, new[:, : old.shape[1]], atol=1e-10)
        assert new[:, old.shape[1] :].abs().max() < 1e-7
    y, ridge = model(x).detach() + 0.1, 0.01
    assert sharpness(found.model, x, y, ridge=ridge) >= found.curvature + 2 * ridge - 1e-6
    assert (found.constant > 1) == (excess > 0)


def test_the_constant_grows_as_stated():
    model, x = network(10)
    found = detour(model, x, [7], excess=200.0)
    inputs = [a.detach() for a in model.activations(x)[0]]
    c = [a.flatten(2).sum(dim=2).mean(dim=0).norm() / 4 for a in inputs]
    p = float(found.model.convs[6].bias[-1].detach())
    u, square = (200.0 - p**2) / 2, p**2
    for layer in (8, 9):
        square = u * (c[layer - 1] ** 2 + square + 1)
    assert found.constant**2 == pytest.approx(float(square), rel=1e-9)
    assert found.curvature == pytest.approx(
        2 * (1 + float(c[9]) ** 2 + found.constant**2), rel=1e-9
    )


@pytest.mark.parametrize(
    ("changes", "options", "told"),
    [
        ({"bias": False}, {}, "needs biases"),
        ({"head": "pooling"}, {}, "the equivariant head"),
        ({"coarse": CoarseStage(4, 2, 2)}, {}, "on one grid"),
        ({}, {"layers": [1]}, "in the middle half"),
        ({}, {"share": 1.0}, "share must be below 1"),
        ({}, {"excess": -1.0}, "excess must be"),
    ],
)
def test_bad_detours(changes, options, told):
    model = CNN(CNNConfig(**{"grid": 8, "width": 2, "depth": 6} | changes), seed=0)
    with pytest.raises(ValueError, match=told):
        detour(model, randn(4, 1, 8), **{"layers": [3], "share": 0.9} | options)
