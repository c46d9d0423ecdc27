r"""A linear target of known rank, which keeps some frequencies of noise and removes all others."""

from collections.abc import Sequence

import torch

from cbnlib._checks import check_count, check_flag, check_grid
from cbnlib.network.frequencies import check_supports
from cbnlib.tasks.base import Task


def low_pass(
    supports: Sequence[Sequence[int | Sequence[int]]],
    grid: int | Sequence[int],
    samples: int = 4096,
    *,
    relu: bool = False,
    seed: int = 0,
) -> Task:
    r"""Map Gaussian noise $x$ to $P_Ix$, or to $\mathrm{ReLU}(P_Ix)$.

    $P_I$ keeps the frequencies $I_j$ of channel $j$. Its CBN rank is `cbn_rank(supports, grid)`.

    Args:
        supports: $I_j$ per channel, each closed under negation mod $n$.
        grid: Pixels per axis.
        samples: Number of inputs.
        relu: Whether a ReLU follows.
        seed: Seed of the noise, which depends only on this seed and the shape.

    Raises:
        ValueError: If a count is < 1 or a frequency's negative is missing.

    Example:
        >>> task = low_pass([[-1, 1]], 8, samples=5)
        >>> torch.fft.rfft(task.y).abs().amax(dim=(0, 1)) > 1e-5
        tensor([False,  True, False, False, False])
    """
    axes = check_grid(grid)
    check_count("samples", samples)
    check_flag("relu", relu)
    rank = sum(map(len, check_supports(supports, axes)))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, len(supports), *axes, generator=generator)
    passes = torch.zeros(len(supports), *axes)
    for channel, support in enumerate(supports):
        for omega in support:
            vector = (omega,) if isinstance(omega, int) else tuple(omega)
            passes[(channel, *(k % n for k, n in zip(vector, axes, strict=True)))] = 1
    dims = tuple(range(2, x.ndim))
    y = torch.fft.ifftn(torch.fft.fftn(x, dim=dims) * passes, dim=dims).real
    return Task(f"low-pass of rank {rank}", x, torch.relu(y) if relu else y)
