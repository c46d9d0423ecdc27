r"""How large a signal should be in each layer so that its network costs least (S3).

A signal that passes $L$ layers by factors $\rho_\ell=\varepsilon_\ell/\varepsilon_{\ell-1}$ costs
$\lVert W_\ell\rVert_F^2=r\rho_\ell^2$ in each. The constant that keeps it positive costs less at a
smaller scale. So it pays to shrink the signal early and to restore it late.
"""

import math

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_positive


def signal_scales(rank: int, energy: float, L: int) -> Tensor:
    r"""The scales of least norm for a signal whose constant travels inside it.

    $r\sum_\ell\rho_\ell^2+D^2\varepsilon_1^2$ with $\rho_\ell=\varepsilon_\ell/
    \varepsilon_{\ell-1}$ and $\varepsilon_0=\varepsilon_L=1$ is least for
    $\rho_2^2=\dots=\rho_L^2=(1+D^2/r)\,\varepsilon_1^2$.

    Args:
        rank: $r$, real dimensions of the signal.
        energy: $D^2$, squared norm of the constant at scale 1.
        L: Depth.

    Returns:
        $\varepsilon_0,\dots,\varepsilon_L$, shape `[L + 1]`.

    Raises:
        ValueError: If the rank or `L` is not an integer >= 1, or the energy is negative.
    """
    _check(rank, energy, L)
    log_first = -(L - 1) / L * math.log1p(energy / rank)  # of the square
    log_ratio = math.log1p(energy / rank) + log_first
    steps = torch.arange(L, dtype=torch.float64)
    squares = torch.exp(log_first + steps * log_ratio)
    return torch.cat([squares.new_ones(1), squares]).sqrt()


def bias_scales(rank: int, energy: float, L: int) -> Tensor:
    r"""The scales of least norm for a signal without a constant of its own.

    Let $e_\ell=\varepsilon_\ell^2$. The signal costs $r\sum_\ell e_\ell/e_{\ell-1}$. Each layer
    makes the constant from the one before and a bias, and the constant costs
    $D^2e_1+\sum_{\ell=2}^{L-1}D^2e_\ell/(1+D^2e_{\ell-1})$. Where the derivatives vanish, each
    scale follows from the two before it. Bisection finds the first one, such that $e_L=1$.

    For large $L$ the scales fall and rise like $1/\min(\ell,L-\ell)$. That rule alone makes the
    excess over $Lr$ bounded. As $\sum\log\rho_\ell=0$, the sum $\sum(\rho_\ell^2-1)$ converges,
    and so does $\sum e_\ell$.

    Args:
        rank: $r$, real dimensions of the signal.
        energy: $D^2$, squared norm of the constant at scale 1.
        L: Depth.

    Returns:
        $\varepsilon_0,\dots,\varepsilon_L$, shape `[L + 1]`.

    Raises:
        ValueError: As `signal_scales`.

    Example:
        >>> [round(e, 2) for e in bias_scales(2, 36.0, 8).tolist()]
        [1.0, 0.29, 0.32, 0.36, 0.42, 0.49, 0.58, 0.69, 1.0]
    """
    _check(rank, energy, L)
    low, high = -2 * math.log1p(energy / rank) - 1, 0.0
    for _ in range(100):
        middle = (low + high) / 2
        too_large = _shoot(math.exp(middle), rank, energy, L)[-1] > 1
        low, high = (low, middle) if too_large else (middle, high)
    squares = torch.tensor(_shoot(math.exp(low), rank, energy, L), dtype=torch.float64)
    squares[-1] = 1
    return squares.sqrt()


def _check(rank: int, energy: float, L: int) -> None:
    check_count("rank", rank)
    check_positive("energy", energy, zero=True)
    check_count("L", L)


def _shoot(first: float, rank: int, energy: float, L: int) -> list[float]:
    e = [1.0, first]
    for layer in range(1, L):
        before, here = e[-2:]
        pull = rank / before + energy / (1 + energy * before * (layer > 1))
        carried = (layer < L - 1) * here * (energy / (1 + energy * here)) ** 2
        e.append(min(max(here * pull / (rank / here + carried), 1e-100), 1e100))
    return e
