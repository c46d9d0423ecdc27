"""Angles in coefficients: reading and swapping them; setting one direction and nothing else."""

import math

import numpy as np
import pytest
import torch
from oracles import randn, rng

from cbnlib import CNN, CircularConv, CNNConfig, layer_spectrum
from cbnlib.interventions.coordinates import (
    Coordinate,
    coefficients,
    coherence,
    kept_coordinates,
    swap_modes,
    with_coordinate,
    wrapped,
)

GRID = (6, 5)


def layer():
    return CircularConv(3, 4, GRID, generator=rng()).double()


def random(*shape):
    return randn(shape, seed=1)


def test_coefficients_are_those_of_numpy():
    x = random(3, 2, 4, 6)
    expected = np.fft.fft2(x.numpy(), norm="ortho")[:, :, -1, 2]
    np.testing.assert_allclose(coefficients(x, (-1, 2)), expected)


def test_a_coordinate_reads_the_angle_that_it_was_built_from():
    """Two channels share a complex amplitude per sample; noise lies in the orthogonal direction."""
    angle = 2 * math.pi * torch.rand(50, generator=rng(2)).double()
    direction = torch.tensor([0.6, 0.8j], dtype=torch.complex128)
    z = (2 + angle.sin()) * torch.exp(-1j * (angle - 0.5))
    other = torch.tensor([0.8, -0.6j], dtype=torch.complex128) * 0.01
    x_hat = torch.zeros(50, 2, 8, dtype=torch.complex128)
    x_hat[:, :, 3] = z[:, None] * direction + other * random(50, 1)
    signals = torch.fft.ifft(x_hat, norm="ortho").real * 2
    found = Coordinate.leading(signals, (3,))
    assert float((found.direction.conj() * direction).sum().abs()) == pytest.approx(1, abs=1e-4)
    offset = found.offset(signals, angle)
    read = found.read(signals, offset)
    torch.testing.assert_close(wrapped(read - angle), torch.zeros(50).double(), atol=0.01, rtol=0)


def test_wrapped_is_a_half_open_turn():
    angle = torch.tensor([math.pi, -math.pi, 0.0, 7.0], dtype=torch.float64)
    expected = torch.tensor([math.pi, math.pi, 0.0, 7 - 2 * math.pi], dtype=torch.float64)
    torch.testing.assert_close(wrapped(angle), expected)


def test_coherence_is_one_only_for_its_own_angle():
    angle = 2 * math.pi * torch.arange(12) / 12
    z = torch.exp(-1j * angle)
    assert coherence(z, angle + 1) == pytest.approx(1)
    assert coherence(z, 2 * angle) == pytest.approx(0, abs=1e-6)


def test_swapping_modes_is_a_projection():
    x, donors = random(2, 3, 4, 6), random(3, 2, 6, 4).reshape(2, 3, 4, 6) + 1
    omegas = [(0, 0), (1, 2), (2, 0)]
    swapped = np.fft.fft2(x.numpy())
    for row, column in [(0, 0), (1, 2), (-1, -2), (2, 0)]:
        swapped[:, :, row, column] = np.fft.fft2(donors.numpy())[:, :, row, column]
    np.testing.assert_allclose(swap_modes(x, donors, omegas), np.fft.ifft2(swapped).real)
    torch.testing.assert_close(swap_modes(x, donors, []), x)


def test_kept_coordinates_are_the_spectrums():
    spectrum, threshold = layer_spectrum(layer()), 1.2
    found = kept_coordinates(layer(), threshold)
    by_degree = {}
    for coordinate in found:
        degree = sum(map(abs, coordinate.omega))
        by_degree[degree] = by_degree.get(degree, 0) + 1
    assert by_degree == spectrum.kept_by_degree(threshold)
    assert list(by_degree) == sorted(by_degree)


def test_kept_coordinates_are_left_singular_vectors():
    blocks = layer().blocks()
    for coordinate in kept_coordinates(layer(), 0.0):
        i, j = coordinate.omega
        block = blocks[:, :, i, j]
        u = coordinate.direction
        torch.testing.assert_close(torch.linalg.vector_norm(u).item(), 1.0)
        squared = (u.conj() @ block @ block.mH @ u).real
        torch.testing.assert_close(block @ block.mH @ u, squared * u)


@pytest.mark.parametrize("i", range(8))
def test_one_coordinate_is_set_and_no_other(i):
    signals, coordinate = random(7, 4, *GRID), kept_coordinates(layer(), 0.0)[i]
    real = all(2 * k % n == 0 for k, n in zip(coordinate.omega, GRID, strict=True))
    z = torch.randn(7, dtype=torch.complex128, generator=rng(2))
    values = z.real if real else z
    changed = with_coordinate(signals, coordinate, values)
    torch.testing.assert_close(coordinate(changed), values.to(torch.complex128))
    difference = torch.fft.fft2(changed - signals, norm="ortho")
    at = (slice(None), slice(None), *coordinate.omega)
    rest = difference[at] - torch.outer(coordinate(changed - signals), coordinate.direction)
    assert float(rest.abs().max()) < 1e-12
    difference[at] = 0
    difference[(slice(None), slice(None), *(-k for k in coordinate.omega))] = 0
    assert float(difference.abs().max()) < 1e-12


def test_a_turned_phase_is_a_translation():
    model = CNN(CNNConfig((6, 6), 3, 3), seed=0).double()
    wave = torch.cos(2 * torch.pi * torch.arange(6).double() / 6).expand(1, 3, 6, 6)
    u = coefficients(wave, (0, 1))[0]
    coordinate = Coordinate((0, 1), u / torch.linalg.vector_norm(u))
    turned = coordinate(wave) * torch.exp(torch.tensor(-2j * torch.pi / 6, dtype=torch.complex128))
    moved = model.forward_from(3, with_coordinate(wave, coordinate, turned).relu())
    torch.testing.assert_close(moved, model.forward_from(3, wave.relu()).roll(1, dims=3))
