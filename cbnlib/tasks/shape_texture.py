r"""A smooth shape times a fine repeating pattern, two factors that vary independently."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_grid
from cbnlib.tasks.base import Task
from cbnlib.tasks.bump import bumps_at


def shape_times_texture(
    position: Tensor,
    phase: Tensor,
    grid: int | Sequence[int],
    *,
    carrier: int | Sequence[int],
    sharpness: float,
) -> Tensor:
    r"""The pixelwise product of given shapes and textures.

    $x(p)=s_t(p)\cdot\tfrac12\big(1+\cos(2\pi\,k\cdot p/n-\varphi)\big)$ is a bump $s_t$ at the
    place $t$ (`bumps_at`) times a pattern of the single frequency $k$, the carrier, with phase
    $\varphi$. In Fourier space it is the bump around 0 and two copies of it around $\pm k$.

    Args:
        position: $t$ in pixels, shape `[samples, axes]`.
        phase: $\varphi$, shape `[samples]`.
        grid: Pixels per axis.
        carrier: $k$, an integer per axis, or a plain number for a circle.
        sharpness: $\kappa$ of the bump. A small one keeps to few frequencies.

    Returns:
        Shape `[samples, 1, *grid]`, values in [0, 1].

    Raises:
        ValueError: As for `bumps_at`, and if the carrier has another number of axes than the grid,
            is constant, or exceeds half the grid.

    Example:
        >>> t, phi = torch.tensor([[2.0]]), torch.tensor([torch.pi])
        >>> shape_times_texture(t, phi, 8, carrier=2, sharpness=1.0)[0, 0, 2]
        tensor(1.)
    """
    axes = check_grid(grid)
    vector = _check_carrier(carrier, axes)
    shape = bumps_at(position, axes, sharpness=sharpness)
    turns = torch.zeros(axes)
    for axis, (k, n) in enumerate(zip(vector, axes, strict=True)):
        others = [n if i == axis else 1 for i in range(len(axes))]
        turns = turns + (k * torch.arange(n) / n).reshape(others)
    offset = phase.reshape(-1, *[1] * len(axes))
    return (shape * (1 + torch.cos(2 * math.pi * turns - offset)) / 2).unsqueeze(1)


def random_factors(
    grid: int | Sequence[int], samples: int, *, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Places and phases, all independent and uniform.

    Args:
        grid: Pixels per axis.
        samples: Number of pairs.
        seed: Seed of both.

    Returns:
        Positions in pixels, shape `[samples, axes]`, and phases in [0, 2π), shape `[samples]`.

    Raises:
        ValueError: If there is no sample.
    """
    axes = check_grid(grid)
    check_count("samples", samples)
    generator = torch.Generator().manual_seed(seed)
    position = torch.rand(samples, len(axes), generator=generator) * torch.tensor(axes)
    return position, 2 * math.pi * torch.rand(samples, generator=generator)


def shape_texture(
    grid: int | Sequence[int] = 32,
    samples: int = 512,
    *,
    carrier: int | Sequence[int] = 8,
    sharpness: float = 1.0,
    seed: int = 0,
) -> Task:
    r"""Autoencode the product of a smooth shape and a repeating pattern.

    The images are those of `shape_times_texture` for the factors of `random_factors`. The target is
    the input. The factors fill a torus, one angle per axis of the place and one for the phase.

    Args:
        grid: Pixels per axis.
        samples: Number of images.
        carrier: Frequency of the pattern.
        sharpness: $\kappa$ of the shape.
        seed: Seed of the factors.

    Raises:
        ValueError: As for `shape_times_texture` and `random_factors`.

    Example:
        >>> shape_texture((16, 16), samples=3, carrier=(0, 4)).x.shape
        torch.Size([3, 1, 16, 16])
    """
    axes = check_grid(grid)
    position, phase = random_factors(axes, samples, seed=seed)
    x = shape_times_texture(position, phase, axes, carrier=carrier, sharpness=sharpness)
    return Task(f"shape × texture in {len(axes)}-D", x, x)


def _check_carrier(carrier: int | Sequence[int], axes: tuple[int, ...]) -> tuple[int, ...]:
    vector = (carrier,) if isinstance(carrier, int) else tuple(carrier)
    fits = len(vector) == len(axes) and any(vector)
    if not fits or any(2 * abs(k) > n for k, n in zip(vector, axes, strict=True)):
        raise ValueError(f"carrier must be a frequency of the grid {axes} and not 0, got {carrier}")
    return vector
