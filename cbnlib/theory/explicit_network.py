r"""The CBN rank of a set of frequencies, and the network that carries them at that price (S3).

The target is $x\mapsto P_Ix$, where channel $j$ keeps the frequencies $I_j$. Its
ReLU network of depth $L$ is exact on $\{\lVert P_{I_j}x_j\rVert_\infty\le M\}$ and has
$\lVert\theta\rVert^2=L\sum_j\lvert I_j\rvert+O(1)$.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_grid, check_positive
from cbnlib.network.frequencies import (
    Support,
    Vector,
    check_supports,
    frequencies,
    signed_frequency,
)
from cbnlib.network.model import CNN, CNNConfig
from cbnlib.theory.scales import bias_scales, signal_scales


def cbn_rank(supports: Sequence[Support], grid: int | Sequence[int]) -> int:
    r"""Inner size of a factorisation whose inner channel $j$ has the frequencies $I_j$.

    $\sum_j\lvert I_j\rvert$ over the full $\hat G$. These are real dimensions, because a pair
    $\pm\omega$ carries one complex number. The CBN rank of a function is the smallest one over all
    its factorisations.

    Args:
        supports: $I_j$ per inner channel, each closed under negation mod $n$.
        grid: Pixels per axis.

    Raises:
        ValueError: If there is no channel, a frequency has another number of axes than the grid,
            or its negative is missing.

    Source: the CBN rank in the book's statements chapter (S3).

    Example:
        >>> cbn_rank([[-1, 1], [0]], 16)
        3
        >>> cbn_rank([[(2, 1)]], (4, 4))
        Traceback (most recent call last):
        ...
        ValueError: channel 0 has the frequency (2, 1) without its negative (2, -1)
    """
    return sum(map(len, check_supports(supports, check_grid(grid))))


def bottleneck_network(
    supports: Sequence[Support],
    grid: int | Sequence[int],
    depth: int,
    bound: float,
    *,
    relu_output: bool = False,
) -> CNN:
    r"""A ReLU network that equals $x\mapsto P_Ix$ on a bounded domain.

    Between the ReLUs, channel $j$ carries $\varepsilon_\ell(P_{I_j}x_j+M)\ge0$, so they change
    nothing, and $\hat W_\ell=(\varepsilon_\ell/\varepsilon_{\ell-1})$ on $I_j$.

    * If $0\in I_j$, the first bias adds the constant. It travels inside the signal, and the last
      bias takes it off.
    * If $0\notin I_j$, let $v_\ell=\sqrt N\varepsilon_\ell M$ be the constant's coefficient, a
      vector over these channels. The block $v_\ell v_{\ell-1}^T/(1+\lVert v_{\ell-1}\rVert^2)$ and
      the bias $v_\ell/(1+\lVert v_{\ell-1}\rVert^2)$ make it at the least norm. The last layer
      does not let it pass.

    The scales go down from 1 and up again (`bias_scales`). Both at once keep the sum of
    $(\varepsilon_\ell/\varepsilon_{\ell-1})^2$ within $O(1)$ of $L$.

    Args:
        supports: $I_j$ per channel, each closed under negation mod $n$. Input and output have
            that many channels.
        grid: Pixels per axis.
        depth: $L$.
        bound: $M$. The network equals its target where $\lvert(P_{I_j}x_j)(p)\rvert\le M$.
        relu_output: Make the target $\mathrm{ReLU}(P_Ix)$ by one more layer, the identity, within
            the given depth.

    Returns:
        The network in float64.

    Raises:
        ValueError: As `cbn_rank`, and if the depth is < 1 (2 with `relu_output`) or the bound is
            not positive.

    Source: proof of the upper bound in the book's statements chapter (S3).

    Example:
        >>> model = bottleneck_network([[-1, 1]], 16, depth=64, bound=1.5)
        >>> print(f"{model.parameter_norm().detach() - 2 * 64:.2f}")
        21.62
    """
    grid = check_grid(grid)
    kept = check_supports(supports, grid)
    check_count("depth", depth, minimum=2 if relu_output else 1)
    check_positive("bound", bound)
    c, half = len(kept), (*grid[:-1], grid[-1] // 2 + 1)
    model = CNN(CNNConfig(grid, width=c, depth=depth, c_in=c, c_out=c), seed=0).double()
    with torch.no_grad():
        for conv, (blocks, beta) in zip(
            model.convs, _layers(kept, grid, depth - relu_output, bound), strict=False
        ):
            conv.set_blocks(blocks.unflatten(2, half).to(torch.complex128))
            conv.bias.copy_(beta)  # type: ignore[union-attr]
        if relu_output:
            identity = torch.eye(c, dtype=torch.complex128).reshape(c, c, *(1 for _ in grid))
            model.convs[-1].set_blocks(identity.expand(c, c, *half))
    return model


def _layers(
    kept: list[set[Vector]], grid: tuple[int, ...], L: int, bound: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks (all real) `[c, c, F]` and biases, in operator scale, of every layer."""
    inside = torch.tensor([(0,) * len(grid) in modes for modes in kept])
    outside = torch.tensor([len(modes) > 0 for modes in kept]) & ~inside
    constant = torch.Size(grid).numel() ** 0.5 * bound  # the coefficient of M at 0
    epsilon = torch.ones(L + 1, len(kept), dtype=torch.float64)
    for group, scales in [(inside, signal_scales), (outside, bias_scales)]:
        rank = sum(len(modes) for modes, member in zip(kept, group, strict=True) if member)
        if rank:
            epsilon[:, group] = scales(rank, constant**2 * int(group.sum()), L).unsqueeze(1)
    mask = _masks(kept, grid)
    v = constant * epsilon * outside  # shape [L + 1, c]
    v[0] = v[-1] = 0  # nothing is known of the input's constant, and the output has none
    for layer in range(1, L + 1):
        blocks = torch.diag_embed(mask * epsilon[layer] / epsilon[layer - 1], dim1=0, dim2=1)
        beta = v[layer] / (1 + v[layer - 1].square().sum())
        blocks[:, :, 0] += beta.unsqueeze(1) * v[layer - 1]
        if layer == 1:
            beta = beta + constant * epsilon[1] * inside
        if layer == L:
            beta = beta - constant * epsilon[L] * inside
        yield blocks, beta


def _masks(kept: list[set[Vector]], grid: tuple[int, ...]) -> Tensor:
    """1 where a stored frequency belongs to a channel, shape `[F, c]`."""
    stored = [signed_frequency(omega, grid) for omega in frequencies(grid).omega.tolist()]
    rows = [[float(omega in modes) for modes in kept] for omega in stored]
    return torch.tensor(rows, dtype=torch.float64)
