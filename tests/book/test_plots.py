"""Figures draw what they are given, where they are told, and can be read in grey."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from model_cases import random_network

from cbnlib import Spectrum, frequencies, weight_spectra
from cbnlib.book.plots import (
    DEGREE_MARKERS,
    degree_color,
    plot_frequency_map,
    plot_history,
    plot_images,
    plot_mode,
    plot_signals,
    plot_spectra,
    say_missing,
)


@pytest.fixture
def ax():
    fig, axes = plt.subplots()
    yield axes
    plt.close(fig)


def points(ax):
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])


def test_spectra_draw_every_singular_value_in_its_layer(ax):
    spectra = weight_spectra(random_network(grid=(4, 3), depth=4))
    assert plot_spectra(ax, spectra) is ax
    drawn = points(ax)
    for layer, spectrum in enumerate(spectra, start=1):
        here = drawn[np.abs(drawn[:, 0] - layer) < 0.5, 1]
        np.testing.assert_allclose(np.sort(here), np.sort(spectrum.values.detach().ravel()))
    assert ax.get_xlabel() == r"layer $\ell$"
    assert ax.get_ylabel() == "singular value"


def test_high_degrees_share_the_last_marker(ax):
    modes = len(frequencies(32).modes)
    plot_spectra(ax, [Spectrum((32,), torch.ones(modes, 1))], largest_degree=3)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["0", "1", "2", "3+"]
    assert len(points(ax)) == modes


def test_no_spectra_are_told(ax):
    plot_spectra(ax, [])
    assert [text.get_text() for text in ax.texts] == ["no network to draw"]


def test_degrees_differ_in_grey_and_without_colour():
    luminance = [np.dot(to_rgb(degree_color(d, 7)), (0.2126, 0.7152, 0.0722)) for d in range(8)]
    assert (np.diff(luminance) > 0.04).all()
    assert len(set(DEGREE_MARKERS)) == len(DEGREE_MARKERS) == 8


@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (4, 5)])
def test_frequency_map_is_centred_and_symmetric(ax, shape):
    values = np.zeros(shape)
    values[0, 0], values[1, 2], values[-1, -2] = 3, 2, 2  # the constant, and a pair
    image = np.asarray(plot_frequency_map(ax, values).get_array())
    assert image.shape == tuple(2 * (n // 2) + 1 for n in shape)
    np.testing.assert_array_equal(image, image[::-1, ::-1])
    assert image[shape[0] // 2, shape[1] // 2] == 3
    assert image[shape[0] // 2 + 1, shape[1] // 2 + 2] == 2


def test_images_signals_modes_and_histories(ax):
    fig, axes = plt.subplots(2, 3)
    images = np.random.default_rng(0).random((3, 4, 4))
    plot_images(axes, {"input": images, "network": images})
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), images[2])
    assert axes[1, 0].get_ylabel() == "network"
    with pytest.raises(ValueError, match="need 1 rows of axes, got 2"):
        plot_images(axes, {"input": images})
    plt.close(fig)
    plot_signals(ax, images[0], images[1])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), images[1, 0])
    ax.clear()
    plot_mode(ax, np.array([1 + 2j]), [0.0], "position", period=16)
    assert points(ax).tolist() == [[1.0, 2.0]]
    ax.clear()
    positions = np.arange(0.4, 16)  # the one next to 0 is at 15.4 or 0.4, across the end
    plot_mode(ax, np.exp(2j * np.pi * positions / 16), positions, "position", period=16)
    assert [text.get_text() for text in ax.texts] == ["0", "4", "8", "12"]
    rings = [complex(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]
    np.testing.assert_allclose(rings, np.exp(2j * np.pi * (np.arange(4) / 4 + 0.4 / 16)))
    ax.clear()
    plot_history(ax, [1, 2], [3.0, 4.0], "norm")
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "norm")


def test_axes_say_what_is_missing(ax):
    assert say_missing(ax, "no network learned").texts[0].get_text() == "no network learned"
    assert not len(ax.get_xticks())
