"""Down-sampling against its definition: norms, adjoints, and what is left of equivariance."""

import numpy as np
import pytest
import torch
from model_cases import random_network
from oracles import dense_matrix_of, randn, rng

from cbnlib import CNN, CircularConv, CNNConfig, pre_activation_spectra
from cbnlib.network.model import CoarseStage
from cbnlib.network.resampling import Resample

METHODS = ["crop", "stride", "average"]
GRIDS = [((8,), (4,)), ((6,), (3,)), ((6, 4), (3, 2)), ((4, 6), (2, 2))]
CROPS = [((8,), (5,)), ((7,), (4,)), ((5, 6), (3, 4)), ((4, 4), (4, 4))]


def matrices(fine, coarse, method):
    down = dense_matrix_of(Resample(fine, coarse, method), 2, fine)
    up = dense_matrix_of(Resample(fine, coarse, method, adjoint=True), 2, coarse)
    return down, up


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("fine", "coarse"), GRIDS, ids=str)
def test_back_is_the_adjoint_and_norms_are_as_stated(fine, coarse, method):
    down, up = matrices(fine, coarse, method)
    torch.testing.assert_close(up, down.T)
    scale = torch.Size(fine).numel() / torch.Size(coarse).numel()
    norm = float(torch.linalg.matrix_norm(down, ord=2))
    assert norm == pytest.approx(scale**-0.5 if method == "average" else 1.0)


@pytest.mark.parametrize(("fine", "coarse"), GRIDS + CROPS, ids=str)
def test_crop_is_a_partial_isometry_on_the_low_frequencies(fine, coarse):
    down, up = matrices(fine, coarse, "crop")
    torch.testing.assert_close(up, down.T)
    projector = up @ down
    torch.testing.assert_close(projector @ projector, projector)
    x = randn(1, 2, *fine)
    x_hat = np.fft.fftn(x.numpy(), axes=range(2, x.ndim))
    for index in np.ndindex(*fine):
        signed = [k if k <= n // 2 else k - n for k, n in zip(index, fine, strict=True)]
        if any(2 * abs(s) >= m for s, m in zip(signed, coarse, strict=True)):
            x_hat[(slice(None), slice(None), *index)] = 0
    low_pass = torch.from_numpy(np.fft.ifftn(x_hat, axes=range(2, x.ndim)).real)
    torch.testing.assert_close(projector @ x.flatten(), low_pass.flatten())


def test_crop_scales_pixels_by_the_root_of_the_ratio():
    constant = torch.full((1, 1, 8), 3.0)
    torch.testing.assert_close(Resample((8,), (2,), "crop")(constant), torch.full((1, 1, 2), 6.0))


@pytest.mark.parametrize("method", METHODS)
def test_a_coarse_stage_commutes_with_coarse_translations_only(method):
    stage = CoarseStage(grid=(3, 2), first=2, last=3, method=method)
    model = random_network(grid=(6, 4), depth=4, coarse=stage)
    assert [conv.grid for conv in model.convs] == [(6, 4), (3, 2), (3, 2), (6, 4)]
    x = randn(2, 1, 6, 4)
    y = model(x)
    torch.testing.assert_close(model(x.roll((2, -2), (2, 3))), y.roll((2, -2), (2, 3)))
    assert (model(x.roll(1, 2)) - y.roll(1, 2)).abs().max() > 1e-3
    assert [s.grid for s in pre_activation_spectra(model, x)] == [conv.grid for conv in model.convs]


@pytest.mark.parametrize("method", METHODS)
def test_pooling_takes_a_coarse_end(method):
    stage = CoarseStage(grid=4, first=1, last=3, method=method)
    model = random_network(grid=8, depth=4, head="pooling", c_out=3, coarse=stage)
    x = randn(2, 1, 8)
    torch.testing.assert_close(model(x.roll(2, 2)), model(x))


STARTS = [
    ((16,), (8,)),
    ((16,), (5,)),
    ((15,), (6,)),
    ((6, 6), (4, 4)),
    ((6, 4), (6, 2)),
    ((5, 8), (3, 4)),
]


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize(("fine", "coarse"), STARTS, ids=str)
def test_a_coarse_layer_starts_with_the_blocks_of_the_fine_one(fine, coarse, parametrization):
    """At every frequency of the whole FFT below the coarse Nyquist, for both parametrisations."""
    options = {"parametrization": parametrization}
    whole = CircularConv(2, 3, fine, generator=rng(), **options)
    small = whole.start_on(coarse)
    on_fine, on_coarse = fft_of_filter(whole), fft_of_filter(small)
    for index in np.ndindex(*coarse):
        signed = [k if 2 * k <= n else k - n for k, n in zip(index, coarse, strict=True)]
        if all(2 * abs(s) < n for s, n in zip(signed, coarse, strict=True)):
            there = tuple(s % n for s, n in zip(signed, fine, strict=True))
            expected = on_fine[(..., *there)]
            np.testing.assert_allclose(on_coarse[(..., *index)], expected, atol=1e-6)


def fft_of_filter(layer):
    """All Fourier blocks of a layer, from those it stores."""
    axes = layer.axes
    v = torch.fft.irfftn(layer.blocks().detach(), s=layer.grid, dim=axes, norm="ortho")
    return np.fft.fftn(v.numpy(), axes=axes, norm="ortho")


@pytest.mark.parametrize(("fine", "coarse"), STARTS, ids=str)
def test_white_noise_stays_white(fine, coarse):
    """Every tap has variance gain / c_in, and no two taps are correlated: also at Nyquist."""
    layer = CircularConv(100, 200, fine, gain=3.0, generator=rng()).start_on(coarse)
    taps = layer.weight.detach().flatten(2).flatten(0, 1)
    covariance = taps.T @ taps / len(taps) * (100 / 3.0)
    torch.testing.assert_close(covariance, torch.eye(len(covariance)), rtol=0, atol=0.05)


def test_networks_that_differ_in_their_coarse_stage_start_alike():
    full = CNN(CNNConfig(16, 3, 4), seed=1)
    coarse = CNN(CNNConfig(16, 3, 4, coarse=CoarseStage(8, 2, 3)), seed=1)
    for layer in (0, 3):
        assert torch.equal(full.convs[layer].weight, coarse.convs[layer].weight)
    for layer in (1, 2):
        shared = full.convs[layer].blocks()[..., :4]
        torch.testing.assert_close(coarse.convs[layer].blocks()[..., :4], shared)


def test_without_a_coarse_stage_the_draws_are_those_of_the_plain_layers():
    model, draws = CNN(CNNConfig(6, 3, 3), seed=4), torch.Generator().manual_seed(4)
    for conv in model.convs:
        plain = torch.randn(conv.c_out, conv.c_in, 6, generator=draws) * (1 / conv.c_in) ** 0.5
        assert torch.equal(conv.weight, plain)


def test_filters_with_a_window_are_drawn_as_they_are():
    stage = CoarseStage(4, 2, 2)
    coarse, full = (CNN(CNNConfig(8, 3, 3, window=3, coarse=c), seed=0) for c in (stage, None))
    taps = [[conv.weight for conv in model.convs] for model in (coarse, full)]
    scale = torch.tensor([1.0, 0.5, 1.0]).sqrt()  # of the middle layer's, whose grid is half
    for small, large, factor in zip(*taps, scale, strict=True):
        torch.testing.assert_close(small, large * factor)
