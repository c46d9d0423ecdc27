"""Tensors of another device go through, by PyTorch's meta device: shapes and devices, no numbers.

A tensor of the meta device mixes with one of the CPU as little as one of a GPU does.
"""

import functools

import pytest
import torch
from torch import nn

import cbnlib.interventions.coordinates
import cbnlib.spectra._passes
import cbnlib.spectra._supported
import cbnlib.spectra._svd
import cbnlib.spectra.activations
import cbnlib.spectra.convolutions
import cbnlib.spectra.response
import cbnlib.spectra.spectrum
import cbnlib.theory.activation_bottleneck
import cbnlib.theory.jacobian
from cbnlib import (
    CNN,
    CNNConfig,
    Spectrum,
    activation_spectra,
    alignment,
    conv_spectrum,
    frequency_response,
    pre_activation_spectra,
)
from cbnlib.interventions.coordinates import Coordinate, coefficients, swap_modes
from cbnlib.spectra.convolutions import filter_spectrum, layer_spectra
from cbnlib.spectra.modules import module_spectra
from cbnlib.theory.activation_bottleneck import ntk_trace
from cbnlib.theory.jacobian import jacobian

DEVICE = torch.device("meta")
SPECTRA = (
    cbnlib.spectra._passes,
    cbnlib.spectra._svd,
    cbnlib.spectra.activations,
    cbnlib.spectra.convolutions,
    cbnlib.spectra.response,
    cbnlib.spectra.spectrum,
)
THEORY = (cbnlib.theory.activation_bottleneck, cbnlib.theory.jacobian)


@pytest.fixture(autouse=True)
def no_look_at_numbers(monkeypatch):
    for module in (*SPECTRA, *THEORY):
        monkeypatch.setattr(module, "check_finite", lambda _, values: values)
    for module in (cbnlib.spectra.convolutions, cbnlib.spectra._supported):
        monkeypatch.setattr(module, "check_weight", lambda _, w, dtype: dtype or w.dtype)
    for module in THEORY:
        monkeypatch.setattr(module, "check_no_kink", lambda *_: None)
    monkeypatch.setattr(cbnlib.spectra._svd, "_values", torch.linalg.svdvals)
    plain = functools.partial(torch.linalg.svd, full_matrices=False)
    monkeypatch.setattr(cbnlib.interventions.coordinates, "singular_vectors", plain)


def signals(*shape):
    return torch.empty(shape, device=DEVICE)


def network(**config):
    return CNN(CNNConfig(**{"grid": 8, "width": 2, "depth": 3} | config), seed=0).to(DEVICE)


def conv(**options):
    return nn.Conv1d(1, 2, 3, padding=1, device=DEVICE, **options)


CALLS = {
    "sum over taps": lambda: filter_spectrum(signals(2, 2, 3), 8),
    "FFT": lambda: filter_spectrum(signals(1, 1, 6, 6), (7, 6)),
    "zero padding": lambda: conv_spectrum(conv(), 8),
    "circular": lambda: conv_spectrum(conv(padding_mode="circular"), 8),
    "strided": lambda: conv_spectrum(conv(stride=2, padding_mode="circular"), 8),
    "strided, transposed": lambda: conv_spectrum(
        nn.ConvTranspose1d(2, 4, 3, stride=2, groups=2, device=DEVICE), 8, circular=True
    ),
    "patches": lambda: conv_spectrum(nn.Conv1d(1, 2, 2, stride=2, device=DEVICE), 8),
    "reflect": lambda: conv_spectrum(conv(padding_mode="reflect"), 8),
    "module": lambda: [*module_spectra(conv(), signals(1, 1, 8))[0].values()],
    "our module": lambda: [*module_spectra(network(), signals(1, 1, 8))[0].values()],
    "layers": lambda: layer_spectra(network().convs),
    "window": lambda: layer_spectra(network(window=3).convs, dtype=torch.float64),
    "two devices": lambda: layer_spectra(
        [network().convs[1], CNN(CNNConfig(8, 2, 3), seed=0).convs[1]]
    )[:1],
    "activations": lambda: pre_activation_spectra(network(), signals(3, 1, 8)),
    "two batches": lambda: pre_activation_spectra(network(grid=(5, 4)), signals(70, 1, 5, 4)),
    "any network": lambda: [
        value
        for found in activation_spectra(conv(), signals(70, 1, 8), centred=True)
        for value in (found.spectrum, found.directions, found.triangle)
    ],
    "alignment": lambda: [
        value
        for layer in (conv(stride=2, padding_mode="circular"), conv(padding_mode="reflect"))
        for found in alignment(layer, [signals(3, 1, 8), signals(2, 1, 8)])
        for value in (found.spectrum, found.shares)
    ],
    "response": lambda: [
        value
        for probes in (8, 32)
        for found in [frequency_response(conv(), signals(3, 1, 8), probes=probes)]
        for value in (found.values, found.standard_error, found.spectrum)
    ],
    "response of a part": lambda: (
        frequency_response(nn.Sequential(conv(), nn.ReLU()), signals(3, 1, 8), layer="1").values
    ),
    "data of another device": lambda: [
        found.spectrum for found in activation_spectra(conv(), [torch.empty(3, 1, 8)])
    ],
    "jacobian": lambda: jacobian(network(), signals(2, 1, 8)),
    "tangent kernel": lambda: ntk_trace(network(), signals(2, 1, 8)),
    "coefficients": lambda: coefficients(signals(2, 2, 8), [1]),
    "coordinate": lambda: Coordinate.leading(signals(3, 2, 8), [1])(signals(3, 2, 8)),
    "swap": lambda: swap_modes(signals(2, 2, 8), signals(2, 2, 8), [[1]]),
}


@pytest.mark.parametrize("name", CALLS)
def test_results_are_where_the_inputs_are(name):
    results = CALLS[name]()
    for result in results if isinstance(results, list) else [results]:
        if isinstance(result, Spectrum):
            assert result.omega.device == result.degree.device == DEVICE
            assert result.multiplicity.device == result.largest().device == DEVICE
            assert result.members.device == DEVICE
            assert result.upper_bound or result.shares.device == DEVICE
        assert (result.values if isinstance(result, Spectrum) else result).device == DEVICE
