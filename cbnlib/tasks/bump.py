r"""A bump on a circle, the smallest task with a bottleneck."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_flag, check_grid, check_positive
from cbnlib.tasks.base import Task


def bump(n: int = 16, samples: int = 512, *, sharpness: float = 4.0, seed: int = 0) -> Task:
    r"""Autoencode a bump whose position on the circle is the only thing that varies.

    $x_t(p)=\exp(\kappa(\cos(2\pi(p-t)/n)-1))$ with $t$ uniform on $[0,n)$, not only on pixels. This
    is a smooth closed curve in $\mathbb R^n$. The target is the input. One complex Fourier
    coefficient of degree 1 tells the position, so 2 real dimensions hold all the information.

    Args:
        n: Pixels on the circle.
        samples: Number of bumps.
        sharpness: $\kappa>0$. A larger one makes a narrower bump.
        seed: Seed of the positions.

    Raises:
        ValueError: If a count is < 1 or the sharpness is not positive.

    Example:
        >>> task = bump(16, samples=3)
        >>> task.x.shape, task.loss
        (torch.Size([3, 1, 16]), 'square')
    """
    check_count("n", n)
    check_count("samples", samples)
    generator = torch.Generator().manual_seed(seed)
    position = n * torch.rand(samples, 1, generator=generator)
    x = bumps_at(position, n, sharpness=sharpness).unsqueeze(1)
    return Task("bump autoencoder", x, x)


def bumps_at(position: Tensor, grid: int | Sequence[int], *, sharpness: float) -> Tensor:
    r"""Bumps of one shape at given places of a circle or torus.

    $s_t(p)=\exp\big(\kappa\sum_i(\cos(2\pi(p_i-t_i)/n_i)-1)\big)$. A shift of $t$ by whole pixels
    shifts the picture, and a shift by a fraction of one puts it in between.

    Args:
        position: $t$ in pixels, any real numbers, shape `[samples, axes]`.
        grid: Pixels per axis.
        sharpness: $\kappa>0$.

    Returns:
        Shape `[samples, *grid]`, values in (0, 1].

    Raises:
        ValueError: If the grid has another number of axes, or the sharpness is not positive.

    Example:
        >>> bumps_at(torch.tensor([[1.0, 2.0]]), (4, 8), sharpness=2.0)[0, 1, 2]
        tensor(1.)
    """
    axes = check_grid(grid)
    check_positive("sharpness", sharpness)
    if position.ndim != 2 or position.shape[1] != len(axes):
        raise ValueError(f"position must have shape [samples, {len(axes)}] on grid {axes}")
    exponent = position.new_zeros(len(position), *axes)
    for axis, n in enumerate(axes):
        angle = 2 * math.pi * (torch.arange(n) - position[:, axis, None]) / n
        others = [n if i == axis else 1 for i in range(len(axes))]
        exponent = exponent + (torch.cos(angle) - 1).reshape(-1, *others)
    return torch.exp(sharpness * exponent)


def reshaped_bump(
    n: int = 16,
    samples: int = 512,
    *,
    sharpness: float = 4.0,
    target_sharpness: float = 4.0,
    scale: float = 1.0,
    unit_energy: bool = False,
    seed: int = 0,
) -> Task:
    r"""Map a bump to a bump of another shape at the same place.

    Args:
        n: Pixels on the circle.
        samples: Number of bumps.
        sharpness: $\kappa$ of the inputs, as in `bump`.
        target_sharpness: $\kappa$ of the targets.
        scale: Factor of the targets.
        unit_energy: Whether the targets are divided by the root of their mean energy around the
            mean over pixels, before the factor.
        seed: Seed of the positions.

    Raises:
        ValueError: As for `bump`, or if the scale is not positive.

    Example:
        >>> task = reshaped_bump(16, samples=3, target_sharpness=1.0, unit_energy=True)
        >>> energy = (task.y - task.y.mean(dim=2, keepdim=True)).square().sum(dim=2).mean()
        >>> round(float(energy), 4)
        1.0
    """
    check_positive("scale", scale)
    check_flag("unit_energy", unit_energy)
    x = bump(n, samples, sharpness=sharpness, seed=seed).x
    y = bump(n, samples, sharpness=target_sharpness, seed=seed).x
    if unit_energy:
        around_mean = y - y.mean(dim=2, keepdim=True)
        y = y / around_mean.square().sum(dim=(1, 2)).mean().sqrt()
    return Task("reshaped bump", x, scale * y)
