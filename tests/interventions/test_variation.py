"""Setting one kept direction of a layer, and nothing else."""

import pytest
import torch

from cbnlib import CNN, CNNConfig, layer_spectrum
from cbnlib.interventions.coordinates import (
    Coordinate,
    coefficients,
    kept_coordinates,
    with_coordinate,
)
from cbnlib.network.layers import CircularConv

GRID = (6, 5)


def layer() -> CircularConv:
    drawn = CircularConv(3, 4, GRID, generator=torch.Generator().manual_seed(0))
    return drawn.double()


@pytest.fixture
def signals() -> torch.Tensor:
    return torch.randn(7, 4, *GRID, generator=torch.Generator().manual_seed(1)).double()


def test_kept_coordinates_are_the_spectrums() -> None:
    spectrum, threshold = layer_spectrum(layer()), 1.2
    found = kept_coordinates(layer(), threshold)
    by_degree: dict[int, int] = {}
    for coordinate in found:
        degree = sum(map(abs, coordinate.omega))
        by_degree[degree] = by_degree.get(degree, 0) + 1
    assert by_degree == spectrum.kept_by_degree(threshold)
    assert list(by_degree) == sorted(by_degree)


def test_kept_coordinates_are_left_singular_vectors() -> None:
    blocks = layer().blocks()
    for coordinate in kept_coordinates(layer(), 0.0):
        i, j = coordinate.omega
        block = blocks[:, :, i, j]
        u = coordinate.direction
        torch.testing.assert_close(torch.linalg.vector_norm(u).item(), 1.0)
        squared = (u.conj() @ block @ block.mH @ u).real
        torch.testing.assert_close(block @ block.mH @ u, squared * u)


@pytest.mark.parametrize("i", range(8))
def test_one_coordinate_is_set_and_no_other(signals: torch.Tensor, i: int) -> None:
    coordinate = kept_coordinates(layer(), 0.0)[i]
    real = all(2 * k % n == 0 for k, n in zip(coordinate.omega, GRID, strict=True))
    z = torch.randn(7, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
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


def test_a_turned_phase_is_a_translation() -> None:
    model = CNN(CNNConfig((6, 6), 3, 3), seed=0).double()
    wave = torch.cos(2 * torch.pi * torch.arange(6).double() / 6).expand(1, 3, 6, 6)
    u = coefficients(wave, (0, 1))[0]
    coordinate = Coordinate((0, 1), u / torch.linalg.vector_norm(u))
    turned = coordinate(wave) * torch.exp(torch.tensor(-2j * torch.pi / 6, dtype=torch.complex128))
    moved = model.forward_from(3, with_coordinate(wave, coordinate, turned).relu())
    torch.testing.assert_close(moved, model.forward_from(3, wave.relu()).roll(1, dims=3))


def test_bad_values(signals: torch.Tensor) -> None:
    constant = Coordinate((0, 0), torch.tensor([1.0, 0, 0, 0], dtype=torch.complex128))
    with pytest.raises(ValueError, match=r"7 signals need as many values, got \(2,\)"):
        with_coordinate(signals, constant, torch.zeros(2))
    with pytest.raises(ValueError, match=r"coefficients at \(0, 0\) must be real"):
        with_coordinate(signals, constant, 1j * torch.ones(7))
    with pytest.raises(ValueError, match="threshold must be finite and >= 0"):
        kept_coordinates(layer(), -1.0)
