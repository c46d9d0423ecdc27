r"""What a linear map costs a linear network, and a network that pays exactly that (S1).

$R_{lin}(A;L)=L\,\lVert A\rVert_{2/L}^{2/L}=L\sum_is_i(A)^{2/L}
=L\,\mathrm{Rank}A+2\log\lvert A\rvert_++\frac2L\sum_i\log^2s_i+O(L^{-2}).$
"""

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_finite, check_grid, check_positive
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN, CNNConfig
from cbnlib.theory.lower_bounds import norm_of_values


def linear_cost(s: Tensor, L: int, *, tolerance: float = 1e-12) -> Tensor:
    r"""The least parameter norm of a linear network of depth $L$ that computes a given map.

    $L\,\lVert A\rVert_{2/L}^{2/L}=L\sum_is_i^{2/L}$, attained by `balanced_factorisation`. A zero
    costs nothing, but rounding noise in its place would, because $s^{2/L}\to1$ with depth. This is
    why there is a tolerance.

    Args:
        s: Singular values of the operator, shape `[values]`, each as often as it occurs
            (`Spectrum.operator_values`).
        L: Depth.
        tolerance: Values not above `tolerance` times the largest count as zero. With 0, only
            exact zeros do.

    Returns:
        A scalar tensor, in units of the squared parameter norm.

    Raises:
        ValueError: If `s` is not 1-D, or negative or NaN somewhere, `L` < 1 or `tolerance` < 0.

    Source: the exact cost of a linear map in the book's statements chapter (S1).

    Example:
        >>> s = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)  # a projection of rank 2
        >>> float(linear_cost(s, 8))
        16.0
    """
    return norm_of_values(_non_zero(s, tolerance), L)


def linear_cost_expansion(s: Tensor, L: int, *, tolerance: float = 1e-12) -> Tensor:
    r"""The cost for great depth: rank, then size, then spread of the singular values.

    $L\,\mathrm{Rank}A+2\log\lvert A\rvert_++\frac2L\sum_i\log^2s_i$, short of `linear_cost` by
    $O(L^{-2})$. The sums run over the non-zero values.

    Args:
        s: Singular values of the operator, shape `[values]`.
        L: Depth.
        tolerance: Values not above `tolerance` times the largest count as zero.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: As `linear_cost`.

    Source: the exact cost of a linear map in the book's statements chapter (S1).

    Example:
        >>> s = torch.tensor([2.0, 0.5, 0.0], dtype=torch.float64)
        >>> print(f"{float(linear_cost_expansion(s, 8)):.4f} {float(linear_cost(s, 8)):.4f}")
        16.2402 16.2408
    """
    log_s = _non_zero(s, tolerance).log()
    return check_count("L", L) * len(log_s) + 2 * log_s.sum() + 2 / L * log_s.square().sum()


def _non_zero(s: Tensor, tolerance: float) -> Tensor:
    check_positive("tolerance", tolerance, zero=True)
    if s.ndim != 1:
        raise ValueError(f"singular values must have shape [values], got {tuple(s.shape)}")
    if (check_finite("singular values", s) < 0).any():
        raise ValueError(f"singular values must be >= 0, got {float(s.min())!r}")
    return s[s > tolerance * s.max()] if len(s) else s


@torch.no_grad()
def balanced_factorisation(a: Tensor, L: int, *, tolerance: float = 1e-12) -> CNN:
    r"""The linear network of depth $L$ that computes a circular convolution at the least norm.

    At one representative of each pair $\pm\omega$ let $\hat A=USV^*$. Then
    $\hat W_1=S^{1/L}V^*$, $\hat W_\ell=S^{1/L}$, $\hat W_L=US^{1/L}$, and the complex conjugates
    at the other member. Every layer has the singular values $s_i^{1/L}$. Where $\omega=-\omega$
    the decomposition is real, so all filters are. (Decomposing both members of a pair would not
    do, because the two bases are unrelated where singular values coincide.)

    Args:
        a: Real filter of $(Ax)(p)=\sum_qa(q)x(p-q)$, shape `[c_out, c_in, *grid]`.
        L: Depth.
        tolerance: Singular values not above `tolerance` times the largest count as zero.

    Returns:
        A float64 network without biases or ReLU, of width $\max_\omega\mathrm{Rank}\hat A(\omega)$
        (at least 1), whose `parameter_norm()` is `linear_cost` of the singular values of $A$.

    Raises:
        ValueError: If the filter is complex, has no such shape or holds NaN, or `L` < 1.

    Source: proof of the exact cost of a linear map in the book's statements chapter (S1).

    Example:
        >>> blur = torch.tensor([[[0.5, 0.25, 0.0, 0.0, 0.25]]])
        >>> print(f"{balanced_factorisation(blur, 3).parameter_norm().detach():.6f}")
        8.776526
    """
    grid = _check_filter(a)
    freqs = frequencies(grid)
    a_hat = torch.fft.rfftn(a.double(), dim=tuple(range(2, a.ndim)))
    factors = _factors(a_hat.flatten(2).permute(2, 0, 1)[freqs.modes], grid, L, tolerance)
    width = max([1, *(f.shape[1] for f in factors[:-1])])
    config = CNNConfig(
        grid, width, L, c_in=a.shape[1], c_out=a.shape[0], bias=False, nonlinearity="none"
    )
    model = CNN(config, seed=0).double()
    for conv, factor in zip(model.convs, factors, strict=True):
        conv.set_modes(factor)
    return model


def _check_filter(a: Tensor) -> tuple[int, ...]:
    if a.ndim not in (3, 4) or 0 in a.shape:
        raise ValueError(f"filter must have shape [c_out, c_in, *grid], got {tuple(a.shape)}")
    if not a.is_floating_point():
        raise ValueError(f"filter must be real (floating point), got {a.dtype}")
    check_finite("filter", a)
    return check_grid(a.shape[2:])


def _factors(a_hat: Tensor, grid: tuple[int, ...], L: int, tolerance: float) -> list[Tensor]:
    """The L factors of the blocks at the modes, each of shape `[modes, rows, columns]`."""
    check_count("L", L)
    check_positive("tolerance", tolerance, zero=True)
    u, s, vh = torch.linalg.svd(a_hat, full_matrices=False)
    freqs = frequencies(grid)
    real = freqs.multiplicity[freqs.modes] == 1
    # Written as complex numbers, a real decomposition stays one.
    u_real, s[real], vh_real = torch.linalg.svd(a_hat[real].real, full_matrices=False)
    u[real], vh[real] = u_real.to(u.dtype), vh_real.to(vh.dtype)
    s = torch.where(s > tolerance * s.max(), s, 0)
    if L == 1:
        return [u * s.unsqueeze(1) @ vh]
    width = max(1, int((s > 0).sum(dim=1).max()))
    root = s[:, :width].pow(1 / L).to(u.dtype)
    middle = torch.diag_embed(root)
    return [root.unsqueeze(2) * vh[:, :width], *[middle] * (L - 2), u[:, :, :width] * root[:, None]]


@torch.no_grad()
def end_to_end_blocks(model: CNN) -> Tensor:
    r"""Fourier blocks of the map that a linear network computes.

    $\hat A(\omega)=\hat W_L(\omega)\cdots\hat W_1(\omega)$, in double precision. Biases do not
    enter, as they add a constant to $Ax$.

    Args:
        model: A network with `nonlinearity="none"`, the equivariant head and one grid.

    Returns:
        Complex tensor of shape `[c_out, c_in, *half_grid]`, for `spectrum_of_blocks`.

    Raises:
        ValueError: If the network is not such a one.

    Example:
        >>> a = torch.randn(2, 3, 4, 5, dtype=torch.float64)
        >>> blocks = end_to_end_blocks(balanced_factorisation(a, 6))
        >>> torch.allclose(blocks, torch.fft.rfftn(a, dim=(2, 3)))
        True
    """
    config = model.config
    if config.nonlinearity != "none":
        raise ValueError(f"the network must be linear, got nonlinearity {config.nonlinearity!r}")
    if config.head != "equivariant" or config.coarse is not None:
        raise ValueError("the network must have the equivariant head and no coarse stage")
    first, *others = (conv.blocks().to(torch.complex128) for conv in model.convs)
    for blocks in others:
        first = torch.einsum("oh...,hi...->oi...", blocks, first)
    return first
