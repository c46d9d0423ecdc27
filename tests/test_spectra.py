"""Spectra against the SVD of dense operators and data matrices, float64."""

from typing import Any

import numpy as np
import pytest
import torch
from model_cases import LAYERS, random_layer, random_network
from oracles import dense_matrix, dense_matrix_of, rng
from torch import Tensor, nn

from cbnlib import (
    Spectrum,
    activation_spectra,
    conv_spectrum,
    frequencies,
    layer_spectrum,
    weight_spectra,
)

CHANNELS = [(1, 1), (2, 3), (4, 2)]


def assert_same_values(spectrum: Spectrum, matrix: Tensor) -> None:
    """All singular values agree to 1e-10 of the largest; the dense ones beyond are zero."""
    dense = torch.linalg.svdvals(matrix)
    ours = spectrum.operator_values()
    tolerance = 1e-10 * float(dense[0])
    torch.testing.assert_close(ours, dense[: len(ours)], rtol=0, atol=tolerance)
    assert (dense[len(ours) :] < tolerance).all()


@pytest.mark.parametrize(("c_in", "c_out"), CHANNELS)
@pytest.mark.parametrize(("grid", "window"), LAYERS, ids=str)
def test_layer_spectrum_is_the_dense_svd(grid: Any, window: Any, c_in: int, c_out: int) -> None:
    layer = random_layer(grid, window, c_in, c_out)
    assert_same_values(layer_spectrum(layer), dense_matrix(layer))


def conv(axes: int, c_in: int = 4, c_out: int = 2, **options: Any) -> nn.Conv1d | nn.Conv2d:
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    options = {"kernel_size": 3, "padding": "same", "padding_mode": "circular"} | options
    made = kind(c_in, c_out, dtype=torch.float64, **options)
    with torch.no_grad():
        nn.init.normal_(made.weight, generator=rng())
        nn.init.normal_(made.bias, generator=rng(1))  # type: ignore[arg-type]
    return made


@torch.no_grad()
def linear_part(layer: nn.Conv1d | nn.Conv2d, grid: tuple[int, ...]) -> Tensor:
    """The dense matrix of a layer without its bias."""
    bias = layer(torch.zeros(1, 4, *grid, dtype=torch.float64))
    return dense_matrix_of(lambda x: layer(x) - bias, 4, grid)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("grid", "options"),
    [
        ((7,), {}),
        ((8,), {"padding": 1}),
        ((8,), {"kernel_size": 4}),
        ((6, 5), {}),
        ((5, 6), {"kernel_size": (1, 3), "padding": (0, 1)}),
        ((7, 8), {"dilation": 2}),
        ((5, 5), {"kernel_size": 5}),
        ((4, 4), {"kernel_size": 1, "padding": 0, "padding_mode": "zeros"}),
    ],
    ids=str,
)
def test_conv_spectrum_with_circular_padding_is_exact(
    grid: tuple[int, ...], options: dict[str, Any], groups: int
) -> None:
    layer = conv(len(grid), groups=groups, **options)
    assert_same_values(conv_spectrum(layer, grid), linear_part(layer, grid))


def test_zero_padding_gives_the_circular_approximation() -> None:
    zeros, circular = conv(2, padding_mode="zeros"), conv(2)
    close = conv_spectrum(zeros, (16, 16))
    torch.testing.assert_close(close.values, conv_spectrum(circular, (16, 16)).values)
    exact = torch.linalg.svdvals(linear_part(zeros, (16, 16)))
    error = (close.operator_values() - exact[: 16 * 16 * 2]).abs().max() / exact[0]
    assert 1e-6 < error < 0.1  # an approximation, and no more than that


@pytest.mark.parametrize(
    ("layer", "grid", "error", "message"),
    [
        (conv(2, stride=2, padding=1), (8, 8), ValueError, "only stride 1"),
        (conv(2, padding=0), (8, 8), ValueError, "changes the size"),
        (conv(2, padding_mode="reflect"), (8, 8), ValueError, "'reflect'; supported: circular"),
        (conv(2, kernel_size=5), (4, 8), ValueError, "filter larger than the grid"),
        (conv(2, dilation=2), (4, 8), ValueError, "filter larger than the grid"),
        (conv(1), (8, 8), ValueError, "Conv1d acts on 1 axes"),
        (conv(2), (8,), ValueError, "Conv2d acts on 2 axes"),
        (nn.ConvTranspose2d(1, 1, 3), (8, 8), TypeError, "ConvTranspose2d"),
        (nn.Linear(2, 2), (8, 8), TypeError, "Linear"),
    ],
    ids=str,
)
def test_unsupported_convs(layer: Any, grid: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        conv_spectrum(layer, grid)


@pytest.mark.parametrize("grid", [(6,), (5,), (4, 3), (3, 4)], ids=str)
def test_activation_spectra_are_the_svd_of_the_data(grid: tuple[int, ...]) -> None:
    model = random_network(grid=grid)
    x = torch.randn(11, 1, *grid, dtype=torch.float64, generator=rng())
    freqs = frequencies(grid)
    spectra = activation_spectra(model, x, batch_size=4)
    assert len(spectra) == 3
    for spectrum, activation in zip(spectra, model.pre_activations(x), strict=True):
        a = np.fft.fftn(activation.detach().numpy(), axes=range(2, x.ndim), norm="ortho")
        for row, mode in enumerate(freqs.modes):
            matrix = a[(..., *freqs.omega[mode].tolist())]  # negative indices wrap, as they should
            expected = np.linalg.svd(matrix, compute_uv=False) / 11**0.5
            np.testing.assert_allclose(spectrum.values[row], expected, rtol=0, atol=1e-10)


def test_activation_spectra_hold_all_the_energy() -> None:
    model = random_network(grid=(4, 3), head="pooling")
    x = torch.randn(5, 1, 4, 3, dtype=torch.float64, generator=rng())
    spectra = activation_spectra(model, x)
    assert len(spectra) == 2
    for spectrum, activation in zip(spectra, model.pre_activations(x), strict=False):
        energy = activation.square().sum() / 5
        torch.testing.assert_close(spectrum.operator_values().square().sum(), energy)


def test_counts_on_a_known_spectrum() -> None:
    freqs = frequencies((4, 4))
    values = torch.zeros(len(freqs.modes), 2)
    values[(freqs.degree[freqs.modes] == 0).nonzero()[0]] = torch.tensor([1.0, 0.9])
    values[(freqs.degree[freqs.modes] == 1).nonzero()[0]] = torch.tensor([0.8, 0.2])
    spectrum = Spectrum((4, 4), values)
    assert spectrum.real_dimensions(0.5) == 1 + 1 + 2
    assert spectrum.real_dimensions(0.1) == 1 + 1 + 2 + 2
    assert spectrum.kept_by_degree(0.5) == {0: 2, 1: 1}
    assert spectrum.gap(0.5) == pytest.approx((0.8, 0.2))
    assert spectrum.gap(2.0) == pytest.approx((float("inf"), 1.0))
    assert len(spectrum.operator_values()) == 32


@pytest.mark.parametrize("grid", [(5,), (4, 3), (3, 4)], ids=str)
def test_largest_is_the_norm_of_every_block_of_the_whole_grid(grid: tuple[int, ...]) -> None:
    layer = random_layer(grid, None)
    blocks = torch.fft.fftn(layer.weight.detach(), dim=layer.axes, norm="ortho")
    expected = torch.linalg.matrix_norm(blocks.movedim((0, 1), (-2, -1)), ord=2)
    torch.testing.assert_close(layer_spectrum(layer).largest(), expected)


def test_bad_input() -> None:
    model = random_network(grid=(6,))
    x = torch.zeros(2, 1, 6, dtype=torch.float64)
    with pytest.raises(ValueError, match="threshold must be finite and >= 0, got -1"):
        weight_spectra(model)[0].real_dimensions(-1.0)
    with pytest.raises(ValueError, match="samples must be an integer >= 1, got 0"):
        activation_spectra(model, x[:0])
    x[0, 0, 3] = float("nan")
    with pytest.raises(ValueError, match="x: 1 of 12 entries are NaN"):
        activation_spectra(model, x)
    with torch.no_grad():
        model.convs[1].weight[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"Fourier blocks: .* NaN"):
        layer_spectrum(model.convs[1])
