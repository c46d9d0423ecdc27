"""How a bottleneck forms: shares, times, rates and the picture of it."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from cbnlib import CNN, CNNConfig, Spectrum, TrainConfig, weight_spectra
from cbnlib.book.plots import plot_heat_map
from cbnlib.spectra.over_time import decay_rates, falls_below, kept_rows, overlap, unwanted_share
from cbnlib.training.schedule import make_optimizer, make_schedule, ridge_decay


def test_the_constant_is_never_kept():
    values = torch.tensor([[3.0, 1.0], [0.5, 0.0], [0.6, 0.1], [0.4, 0.4], [9.0, 9.0]])
    assert kept_rows(Spectrum((8,), values)).tolist() == [False, False, True, False, True]
    assert kept_rows(Spectrum((8,), values), 0.45).tolist() == [False, True, True, False, True]


def test_overlap_of_empty_and_disjoint_sets():
    none, some = torch.zeros(3, dtype=torch.bool), torch.tensor([True, False, False])
    assert (overlap(none, none), overlap(none, some), overlap(some, some)) == (1.0, 0.0, 1.0)


def test_shares_are_those_of_the_operator():
    spectrum = weight_spectra(CNN(CNNConfig((4, 6), 3, 2), seed=0))[1]
    wanted = torch.zeros(len(spectrum.values), dtype=torch.bool)
    assert unwanted_share(spectrum, wanted) == 1
    wanted[spectrum.degree == 1] = True
    everything = float(spectrum.operator_values().double().square().sum())
    constant = float(spectrum.values[0].double().square().sum())
    kept = spectrum.values.double().square().sum(dim=1)[wanted] * spectrum.multiplicity[wanted]
    expected = 1 - float(kept.sum()) / (everything - constant)
    assert unwanted_share(spectrum, wanted) == pytest.approx(expected, rel=1e-9)
    assert unwanted_share(spectrum, ~(wanted & ~wanted)) == 0
    assert unwanted_share(Spectrum((4,), torch.tensor([[1.0], [0.0], [0.0]])), wanted[:3]) == 0


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.01, 0.01, 0.01], 5.0),
        ([1.0, 1.0, 0.1], math.inf),
        ([10.0, 0.1, 0.001], 10.0),
        ([10.0, 1.0, 0.01], 15.0),
        ([1.0, 0.0, 0.0], 5.0),
        ([0.0, 0.0, 0.0], 5.0),
    ],
)
def test_falls_below(values, step):
    assert falls_below([5, 10, 20], values, 0.1) == pytest.approx(step, rel=0.01)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_ridge_alone_decays_as_predicted(schedule, momentum):
    """The optimiser itself, without a data term, in float64."""
    config = TrainConfig(0.02, 0.05, 40, optimizer="sgd", momentum=momentum, schedule=schedule)
    weight = torch.nn.Parameter(torch.tensor([2.0, -3.0], dtype=torch.float64))
    optimizer = make_optimizer([weight], config)
    rates = make_schedule(optimizer, config, config.steps)
    start, left = weight.detach().clone(), [1.0]
    for _ in range(config.steps):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        rates.step()
        ratio = weight.detach() / start
        left.append(float(ratio.mean()))
        assert ratio[0] == pytest.approx(ratio[1])
    np.testing.assert_allclose(np.exp(-ridge_decay(config)), left, rtol=1e-12)


def test_to_leading_order_it_is_the_integrated_rate():
    config = TrainConfig(1e-3, 1e-2, 4000, optimizer="sgd", momentum=0.9)
    integrated = 4000 * 1e-2 / 2 / (1 - 0.9)
    assert ridge_decay(config)[-1] == pytest.approx(2 * 1e-3 * integrated, rel=0.01)
    assert ridge_decay(TrainConfig(0.1, 0.1, 0, optimizer="sgd")).tolist() == [0]


def test_decay_rates_of_exponentials():
    time = np.array([0.0, 1.0, 3.0, 4.0])
    values = np.exp(-np.outer(time, [0.5, 2.0, 0.0]))
    np.testing.assert_allclose(decay_rates(values, time), [0.5, 2.0, 0.0], atol=1e-12)


def test_the_heat_map_has_low_degrees_below_and_first_layers_left():
    spectra = weight_spectra(CNN(CNNConfig((4, 4), 3, 3), seed=0))
    figure, ax = plt.subplots()
    image = plot_heat_map(ax, spectra)
    drawn = np.asarray(image.get_array())
    assert drawn.shape == (10, 3)
    order = np.argsort(spectra[0].degree.numpy(), kind="stable")
    np.testing.assert_allclose(drawn[:, 1], spectra[1].values[order, 0], rtol=1e-6)
    labels = [int(label.get_text()) for label in ax.get_yticklabels()]
    assert labels == sorted(labels)
    relative = np.asarray(plot_heat_map(ax, spectra, relative=True).get_array())
    np.testing.assert_allclose(relative[1:].max(axis=0), 1, rtol=1e-6)
    plt.close(figure)
