"""Shape × texture and Newtonian motion: formulas, and what they promise in Fourier space."""

import math

import pytest
import torch

from cbnlib.tasks import (
    bump,
    bumps_at,
    motion,
    random_factors,
    shape_texture,
    shape_times_texture,
    trajectories,
)


def test_bumps_at_is_its_formula():
    position = torch.tensor([[0.25, 5.5], [-3.0, 9.0]], dtype=torch.float64)
    images = bumps_at(position, (4, 6), sharpness=1.5)
    for image, (t1, t2) in zip(images, position.tolist(), strict=True):
        for p1 in range(4):
            for p2 in range(6):
                a1, a2 = 2 * math.pi * (p1 - t1) / 4, 2 * math.pi * (p2 - t2) / 6
                expected = math.exp(1.5 * (math.cos(a1) + math.cos(a2) - 2))
                assert float(image[p1, p2]) == pytest.approx(expected, rel=1e-12)


def test_bumps_at_draws_the_bump_of_the_circle():
    position = 16 * torch.rand(5, 1, generator=torch.Generator().manual_seed(3))
    drawn = bumps_at(position, 16, sharpness=4.0)
    torch.testing.assert_close(drawn, bump(16, 5, seed=3).x[:, 0])


def test_trajectories_are_parabolas_along_the_first_axis():
    path = trajectories((16, 8), 50, frames=4, speeds=(0.5, 1.5), gravity=0.25, seed=2).double()
    velocity = path.diff(dim=1)
    acceleration = velocity.diff(dim=1)
    expected = torch.tensor([0.25, 0.0]).double().expand(50, 3, 2)
    torch.testing.assert_close(acceleration, expected, rtol=0, atol=1e-5)
    initial = velocity[:, 0] - expected[:, 0] / 2
    assert 0.5 - 1e-5 <= float(initial.abs().min()) <= float(initial.abs().max()) <= 1.5 + 1e-5
    assert (initial > 0).any(dim=0).all()
    assert (initial < 0).any(dim=0).all()
    start = path[:, 0] / torch.tensor([16, 8])
    assert 0 <= float(start.min()) < 0.1
    assert 0.9 < float(start.max()) < 1


def test_motion_shows_the_frames_of_its_trajectories():
    options = {"frames": 3, "speeds": (0.0, 1.0), "gravity": -0.5, "seed": 7}
    task = motion((6, 4), 5, sharpness=2.0, **options)
    path = trajectories((6, 4), 5, **options)
    assert (task.name, task.x.shape, task.y.shape) == ("motion in 2-D", (5, 3, 6, 4), (5, 1, 6, 4))
    for t in range(3):
        torch.testing.assert_close(task.x[:, t], bumps_at(path[:, t], (6, 4), sharpness=2.0))
    torch.testing.assert_close(task.y[:, 0], bumps_at(path[:, 3], (6, 4), sharpness=2.0))
    assert task.x.is_contiguous()


def test_shape_times_texture_is_its_formula():
    position = torch.tensor([[1.25, 3.0]], dtype=torch.float64)
    phase = torch.tensor([0.7], dtype=torch.float64)
    x = shape_times_texture(position, phase, (4, 6), carrier=(1, -2), sharpness=1.5)
    assert x.shape == (1, 1, 4, 6)
    shape = bumps_at(position, (4, 6), sharpness=1.5)[0]
    for p1 in range(4):
        for p2 in range(6):
            texture = (1 + math.cos(2 * math.pi * (p1 / 4 - 2 * p2 / 6) - 0.7)) / 2
            # pixel numbers over the grid are float32
            assert float(x[0, 0, p1, p2]) == pytest.approx(float(shape[p1, p2]) * texture, abs=1e-6)


def test_a_product_in_pixels_puts_the_shape_around_the_carrier():
    position, phase = random_factors(32, 10, seed=4)
    x_hat = torch.fft.fft(shape_times_texture(position, phase, 32, carrier=8, sharpness=0.5))[:, 0]
    shape_hat = torch.fft.fft(bumps_at(position, 32, sharpness=0.5))
    around = shape_hat.roll(8, dims=1) * torch.exp(-1j * phase)[:, None]
    below = shape_hat.roll(-8, dims=1) * torch.exp(1j * phase)[:, None]
    torch.testing.assert_close(x_hat, shape_hat / 2 + around / 4 + below / 4)


def test_factors_are_uniform_and_independent():
    position, phase = random_factors((4, 8), 4000, seed=1)
    angles = torch.cat([2 * math.pi * position / torch.tensor([4, 8]), phase[:, None]], dim=1)
    assert 0 <= float(angles.min()) < float(angles.max()) <= 2 * math.pi
    means = torch.exp(1j * angles).mean(dim=0).abs()
    products = [
        torch.exp(1j * (angles[:, i] - angles[:, j])).mean().abs() for i, j in ((0, 1), (1, 2))
    ]
    assert float(torch.stack([*means, *products]).max()) < 0.05


def test_shape_texture_autoencodes_its_factors():
    task = shape_texture(16, 6, carrier=4, sharpness=2.0, seed=5)
    position, phase = random_factors(16, 6, seed=5)
    expected = shape_times_texture(position, phase, 16, carrier=4, sharpness=2.0)
    assert torch.equal(task.x, expected)
    assert torch.equal(task.x, task.y)
    assert not torch.equal(task.x, shape_texture(16, 6, carrier=4, sharpness=2.0, seed=6).x)
