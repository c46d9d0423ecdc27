"""What is right for a network whose weights are all 0: nothing is kept, and nothing breaks."""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from model_cases import random_network
from oracles import randn
from torch import nn

from cbnlib import conv_spectrum, layer_spectrum, pre_activation_spectra, weight_spectra
from cbnlib.book.plots import plot_heat_map
from cbnlib.interventions.coordinates import (
    Coordinate,
    coefficients,
    coherence,
    kept_coordinates,
    swap_modes,
)
from cbnlib.interventions.regrid import compress, factored_multiplications, refine
from cbnlib.interventions.surgery import (
    keep_modes,
    mode_mask,
    random_mask,
    remove_modes,
    second_directions,
    unread_share,
)
from cbnlib.spectra.bottleneck import kept_modes
from cbnlib.spectra.modules import module_spectra
from cbnlib.spectra.over_time import decay_rates, kept_rows, overlap, unwanted_share
from cbnlib.tasks import bump
from cbnlib.theory.activation_bottleneck import ntk_trace, off_mode_energy
from cbnlib.theory.explicit_network import bottleneck_network, cbn_rank
from cbnlib.theory.jacobian import jacobian, tangent_jacobian
from cbnlib.theory.linear_cost import balanced_factorisation, linear_cost, linear_cost_expansion
from cbnlib.theory.lower_bounds import best_k_bound, norm_lower_bound, rank, schatten
from cbnlib.theory.sharpness import sharpness
from cbnlib.theory.weight_bottleneck import compressions, mode_distance, weight_bottleneck

ZEROS = torch.zeros(4, dtype=torch.float64)
SIGNAL = torch.zeros(2, 3, 8, dtype=torch.float64)


def zero_network(**config):
    model = random_network(**{"grid": 8} | config)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


MODEL = zero_network()
LAYER = MODEL.convs[1]
SPECTRUM = layer_spectrum(LAYER)
X = torch.ones(2, 1, 8, dtype=torch.float64)
NO_BIAS = zero_network(bias=False, nonlinearity="none")


def test_spectra_are_zero():
    conv = nn.Conv1d(1, 2, 3, padding=1)
    nn.init.zeros_(conv.weight)
    spectra = [*weight_spectra(MODEL), *pre_activation_spectra(MODEL, X), conv_spectrum(conv, 8)]
    spectra += module_spectra(MODEL, X)[0].values()
    for spectrum in spectra:
        assert not spectrum.values.any()
        assert not spectrum.largest().any()
        assert not spectrum.operator_values().any()
        assert spectrum.gap(0.5) == (math.inf, 0)
        assert spectrum.gap(0) == (math.inf, 0)
        assert spectrum.real_dimensions(0) == 0
        assert spectrum.kept_by_degree(0) == {}
        assert kept_modes(spectrum, 0) == ()
        assert unwanted_share(spectrum, kept_rows(spectrum)) == 0


def test_surgery_and_compression_leave_zeros():
    assert not mode_mask(SPECTRUM, []).any()
    assert not second_directions(SPECTRUM, []).any()
    none = torch.zeros_like(SPECTRUM.values, dtype=torch.bool)
    assert not random_mask(none, SPECTRUM.multiplicity, 0, torch.Generator()).any()
    small = compress(MODEL, (2, 2), 4)
    for model in (keep_modes(MODEL, [2], []), remove_modes(MODEL, [2], []), small, refine(small)):
        assert not any(parameter.any() for parameter in model.parameters())
    assert factored_multiplications(MODEL, [2], []) == 0
    assert unread_share(LAYER, [], SIGNAL + 1) == 1
    assert math.isnan(unread_share(LAYER, [], SIGNAL))
    assert kept_coordinates(LAYER, 0) == []


def test_signals_that_are_zero():
    assert not Coordinate.leading(SIGNAL, [1])(SIGNAL).any()
    assert not coefficients(SIGNAL, [1]).any()
    assert not swap_modes(SIGNAL, SIGNAL, []).any()
    assert not MODEL.forward_from(2, SIGNAL).any()
    assert math.isnan(coherence(torch.zeros(2) + 0j, torch.zeros(2)))


def test_formation():
    assert overlap(kept_rows(SPECTRUM), kept_rows(SPECTRUM)) == 1
    assert float(decay_rates([[0.0], [0.0]], [0.0, 1.0])[0]) == pytest.approx(0)
    for relative in (False, True):
        _, ax = plt.subplots()
        assert plot_heat_map(ax, weight_spectra(MODEL), relative=relative).get_array() is not None
    plt.close("all")


def test_bounds_of_the_zero_map():
    assert [float(f(ZEROS, 3)) for f in (schatten, norm_lower_bound, linear_cost)] == [0, 0, 0]
    assert float(linear_cost_expansion(ZEROS, 3)) == 0
    assert tuple(map(float, best_k_bound(ZEROS, 3))) == (0, 0)
    assert int(rank(ZEROS)) == 0
    assert float(mode_distance(ZEROS, 2)) == 2
    assert not balanced_factorisation(torch.zeros(1, 2, 4), 3).parameter_norm().any()
    assert cbn_rank([[]], 8) == 0
    assert not bottleneck_network([[]], 8, 3, 1.0).parameter_norm().any()
    assert not jacobian(NO_BIAS, X).any()
    assert not tangent_jacobian(jacobian(NO_BIAS, X), X).any()
    assert not ntk_trace(NO_BIAS, X).any()


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("depth", [1, 3])
def test_sharpness(ridge, depth):
    data = 2 * (depth == 1)  # at depth 3 the loss is flat up to its third derivative
    model = zero_network(bias=False, depth=depth, nonlinearity="none")
    impulse = torch.zeros(1, 1, 8, dtype=torch.float64)
    impulse[0, 0, 0] = 8**0.5  # its operator is the identity: the loss is |v - y|²
    assert sharpness(model, impulse, X[:1], ridge=ridge) == pytest.approx(data + 2 * ridge)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: weight_bottleneck(MODEL, ZEROS, 1), "none fits rank 0"),
        (lambda: compressions(NO_BIAS, X, 1), "none fits rank 0"),
        (lambda: off_mode_energy(MODEL, X, 1), r"in 0..0 \("),
    ],
)
def test_what_has_no_meaning_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("size", [1e-18, 1e-20, 1e-22])
def test_activations_too_small_to_be_squared(size):
    """Equal samples, so that rounding leaves dust whose squares are no numbers."""
    model, x = random_network(grid=8, width=4, depth=3).float(), bump(8, samples=20).x
    for parameter in model.parameters():
        parameter.data = size * randn(*parameter.shape).sign().float()
    found = pre_activation_spectra(model, x)
    exact = pre_activation_spectra(model.double(), x.double())
    for a, b in zip(found, exact, strict=True):
        assert (a.values - b.values).abs().max() < 1e-6 * b.values.max()
