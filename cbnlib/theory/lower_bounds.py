"""Lower bounds on the parameter norm from the singular values of a Jacobian (S2)."""

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_finite, check_positive


def schatten(s: Tensor, p: float) -> Tensor:
    r"""The Schatten quasi-norm $\lVert A\rVert_p=\big(\sum_is_i(A)^p\big)^{1/p}$.

    Args:
        s: Singular values $s_i\ge0$ in any order, shape `[..., r]`.
        p: Exponent $p>0$, finite. Below 1 it is only a quasi-norm.

    Returns:
        Tensor of shape `[...]`.

    Raises:
        ValueError: If `p` is not positive or a value is negative, NaN or infinite.

    Example:
        >>> schatten(torch.tensor([3.0, 4.0]), 2)
        tensor(5.)
    """
    check_positive("p", p)
    norm: Tensor = _check_values(s).pow(p).sum(dim=-1).pow(1 / p)
    return norm


def norm_of_values(s: Tensor, L: int) -> Tensor:
    r"""The cost $L\sum_is_i^{2/L}$ of singular values spread evenly over $L$ layers (S1, S2).

    Args:
        s: Non-negative, shape `[..., r]`. A zero costs nothing.
        L: Depth.

    Returns:
        Shape `[...]`.

    Raises:
        ValueError: If `L` is not an integer >= 1.
    """
    return check_count("L", L) * s.pow(2 / L).sum(dim=-1)


def norm_lower_bound(s: Tensor, L: int) -> Tensor:
    r"""The bound $L\,\lVert J\rVert_{2/L}^{2/L}=L\sum_is_i^{2/L}\le\lVert\theta\rVert^2$.

    It holds at every $x$ where $f_\theta$ is differentiable, for any network of $L$ linear layers
    with maps of norm at most 1 between them. Values within rounding error of 0 (see `rank`) are
    left out. At $L=16$, a zero computed as $10^{-17}$ would count $10^{-17/8}\approx0.008$.

    Args:
        s: Singular values of $J$, shape `[..., r]`.
        L: Depth.

    Returns:
        Tensor of shape `[...]`.

    Raises:
        ValueError: If `L` is not an integer >= 1 or a value is negative, NaN or infinite.

    Source: statement S2 of the book.

    Example:
        >>> norm_lower_bound(torch.tensor([1.0, 1.0, 0.0]), L=8)
        tensor(16.)
    """
    return norm_of_values(_check_values(s) * _nonzero(s), L)


def best_k_bound(s: Tensor, L: int, k: int | None = None) -> tuple[Tensor, Tensor]:
    r"""The bound $Lk+2\sum_{i\le k}\log s_i\le\lVert\theta\rVert^2$, at the best $k$ unless given.

    It is the sum over $i\le k$ of $L+2\log s_i$. So the best $k$ takes the positive terms,
    $k^*=\#\{s_i>e^{-L/2}\}$, a rank without a tolerance. But values within rounding error of 0
    (see `rank`) never count. This matters where $L$ is about 70 or more in float64.

    Args:
        s: Singular values of $J$ in any order, shape `[..., r]`.
        L: Depth.
        k: How many of the largest values, or None for $k^*$, which may be 0.

    Returns:
        The bound and the $k$ it is for, both of shape `[...]`.

    Raises:
        ValueError: If `L` is not an integer >= 1, a value is negative, NaN or infinite, or `k` is
            outside 1…rank (`rank`).

    Source: statement S2 of the book.

    Example:
        >>> best_k_bound(torch.tensor([1.0, 1.0, 1e-9]), L=8)
        (tensor(16.), tensor(2))
    """
    check_count("L", L)
    terms = L + 2 * _check_values(s).log()
    if k is None:
        gains = (terms > 0) & _nonzero(s)
        return torch.where(gains, terms, 0.0).sum(dim=-1), gains.sum(dim=-1)
    check_k(s, k)
    best = terms.sort(dim=-1, descending=True)[0][..., :k].sum(dim=-1)
    return best, torch.full(best.shape, k, device=best.device)


def rank(s: Tensor) -> Tensor:
    r"""How many singular values exceed $10\,r\,\epsilon\,s_1$, $\epsilon$ that of the dtype.

    Smaller values are rounding errors of a value that is exactly 0.

    Args:
        s: Singular values, shape `[..., r]`.

    Returns:
        Integer tensor of shape `[...]`.

    Raises:
        ValueError: If there is no value, or one is negative, NaN, infinite or of an integer type.

    Example:
        >>> rank(torch.tensor([2.0, 1e-3, 1e-9]))
        tensor(2)
    """
    return _nonzero(_check_values(s)).sum(dim=-1)


def _nonzero(s: Tensor) -> Tensor:
    largest = s.amax(dim=-1, keepdim=True)
    return s > 10 * s.shape[-1] * torch.finfo(s.dtype).eps * largest


def check_k(s: Tensor, k: int) -> int:
    """Return `k` if it is in 1…rank for all the singular values, shape `[..., r]`.

    Raises:
        ValueError: If it is not. The message names `k` and what is allowed.
    """
    allowed = int(rank(s).min())
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= allowed:
        range_ = f"in 1..{allowed} (the rank)" if allowed else "of which none fits rank 0"
        raise ValueError(f"k must be an integer {range_}, got {k!r}")
    return k


def _check_values(s: Tensor) -> Tensor:
    if not s.is_floating_point() or s.ndim == 0 or s.shape[-1] == 0:
        raise ValueError(
            "singular values must be floating-point numbers of shape [..., r] with r >= 1, got "
            f"{s.dtype} of shape {tuple(s.shape)}"
        )
    check_finite("singular values", s)
    if (s < 0).any():
        raise ValueError(f"singular values must be >= 0, got {float(s.min())!r}")
    return s
