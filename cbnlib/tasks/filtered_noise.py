r"""A linear target with given singular values, noise through a filter."""

from collections.abc import Sequence

import torch

from cbnlib._checks import check_count, check_finite
from cbnlib.tasks.base import Task


def filtered_noise(gains: Sequence[float], n: int, samples: int = 64, *, seed: int = 0) -> Task:
    r"""Multiply each frequency of noise on a circle by a number of its own.

    The inputs are Gaussian, then made exactly uncorrelated, $\frac1\#\sum_xxx^T=I$. So the
    square loss of a linear network is $\lVert A_\theta-A\rVert_F^2$.

    Args:
        gains: The factor of each frequency $0,1,\dots,\lfloor n/2\rfloor$. These are the
            filter's Fourier blocks, whose moduli are its singular values.
        n: Pixels on the circle.
        samples: Number of inputs, at least `n`.
        seed: Seed of the noise.

    Raises:
        ValueError: If there are fewer samples than pixels, not one gain per frequency, or one is
            not finite.

    Example:
        >>> task = filtered_noise([1.0, 0.5, 0.0], 4, samples=8)
        >>> torch.allclose(task.x[:, 0].T @ task.x[:, 0] / 8, torch.eye(4), atol=1e-6)
        True
    """
    check_count("n", n)
    check_count("samples", samples, minimum=n)
    if len(gains) != n // 2 + 1:
        raise ValueError(f"{n} pixels need {n // 2 + 1} gains, got {len(gains)}")
    factors = check_finite("gains", torch.tensor(gains))
    noise = torch.randn(samples, n, generator=torch.Generator().manual_seed(seed))
    x = torch.linalg.qr(noise).Q[:, None] * samples**0.5
    return Task("filtered noise", x, torch.fft.irfft(torch.fft.rfft(x) * factors, n=n))
