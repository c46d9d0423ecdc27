"""Angles in coefficients: reading, swapping and decoding them."""

import math

import numpy as np
import pytest
import torch

from cbnlib.interventions.coordinates import (
    Coordinate,
    coefficients,
    coherence,
    swap_modes,
    wrapped,
)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_coefficients_are_those_of_numpy() -> None:
    x = random(3, 2, 4, 6)
    expected = np.fft.fft2(x.numpy(), norm="ortho")[:, :, -1, 2]
    np.testing.assert_allclose(coefficients(x, (-1, 2)), expected)
    with pytest.raises(ValueError, match=r"frequency \(1,\) does not fit the grid"):
        coefficients(x, (1,))


def test_a_coordinate_reads_the_angle_that_it_was_built_from() -> None:
    """Two channels share a complex amplitude per sample; noise lies in the orthogonal direction."""
    angle = 2 * math.pi * torch.rand(50, generator=torch.Generator().manual_seed(2)).double()
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


def test_wrapped_is_a_half_open_turn() -> None:
    angle = torch.tensor([math.pi, -math.pi, 0.0, 7.0], dtype=torch.float64)
    expected = torch.tensor([math.pi, math.pi, 0.0, 7 - 2 * math.pi], dtype=torch.float64)
    torch.testing.assert_close(wrapped(angle), expected)


def test_coherence_is_one_only_for_its_own_angle() -> None:
    angle = 2 * math.pi * torch.arange(12) / 12
    z = torch.exp(-1j * angle)
    assert coherence(z, angle + 1) == pytest.approx(1)
    assert coherence(z, 2 * angle) == pytest.approx(0, abs=1e-6)


def test_swapping_modes_is_a_projection() -> None:
    x, donors = random(2, 3, 4, 6), random(3, 2, 6, 4).reshape(2, 3, 4, 6) + 1
    omegas = [(0, 0), (1, 2), (2, 0)]
    swapped = np.fft.fft2(x.numpy())
    for row, column in [(0, 0), (1, 2), (-1, -2), (2, 0)]:
        swapped[:, :, row, column] = np.fft.fft2(donors.numpy())[:, :, row, column]
    np.testing.assert_allclose(swap_modes(x, donors, omegas), np.fft.ifft2(swapped).real)
    torch.testing.assert_close(swap_modes(x, donors, []), x)
    with pytest.raises(ValueError, match=r"frequency \(1,\) does not fit the grid"):
        swap_modes(x, donors, [(1,)])
    with pytest.raises(ValueError, match="shapes differ"):
        swap_modes(x, donors[:1], omegas)
