"""The largest and the smallest singular value of a convolution, exact with any padding."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cbnlib._checks import check_grid
from cbnlib._extras import extra
from cbnlib.network.layers import CircularConv
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import check_supported, weight_of
from cbnlib.spectra.modules import conv_spectrum

Vector = NDArray[np.float64]

_DENSE = 256
"""Operators with at most this many rows or columns are written out."""

_VECTORS, _RESTARTS = 40, 100
"""Lanczos' method gives up after that many restarts, each with about as many products."""

_ZERO = 1e-7
"""Relative to the largest value, Lanczos' method on the squares does not tell this from 0."""


class Extremes(NamedTuple):
    """Singular values of a layer, as an operator on the whole grid.

    Attributes:
        largest: The largest one, the layer's operator norm.
        smallest: The smallest one that is not 0. None if the method did not converge to it, or
            all are 0.
    """

    largest: float
    smallest: float | None


def conv_extremes(conv: nn.Module, grid: int | Sequence[int]) -> Extremes:
    """The extremes of a convolution, also where `conv_spectrum` has only a bound.

    Lanczos' method on the layer's own forward pass and its adjoint, in double precision. The
    largest value takes some hundred passes, the smallest one up to several thousand.

    Args:
        conv: A convolution, as in `conv_spectrum`.
        grid: Pixels per axis of the signals that it acts on.

    Raises:
        TypeError: If it is another kind of module.
        ValueError: As in `conv_spectrum`.
        ModuleNotFoundError: If SciPy is not installed.

    Reference: ARPACK (Lehoucq, Sorensen and Yang 1998), as `scipy.sparse.linalg.svds` calls it.

    Example:
        >>> conv = nn.Conv1d(1, 1, 3, padding=1)
        >>> _ = nn.init.ones_(conv.weight)
        >>> extremes = conv_extremes(conv, 4)  # 2 cos(kπ/5) + 1 for k = 1, ..., 4
        >>> [round(value, 3) for value in extremes]
        [2.618, 0.382]
    """
    axes = check_grid(grid, 3)
    conv = check_supported(conv, axes)
    if isinstance(conv, CircularConv) or Geometry.of(conv).embed(axes, circular=True)[1] == "exact":
        return _of(conv_spectrum(conv, axes, dtype=torch.float64).operator_values().cpu().numpy())
    return extremes_of(weight_of(conv, torch.float64), Geometry.of(conv), axes)


def extremes_of(
    weight: Tensor, geometry: Geometry, grid: tuple[int, ...], *, only_largest: bool = False
) -> Extremes:
    """The extremes of a convolution with a weight, as in `conv_extremes`.

    Args:
        weight: In double precision.
        geometry: How it acts.
        grid: As in `conv_extremes`.
        only_largest: Whether to save the time for the smallest one, unless it takes little.

    Raises:
        ModuleNotFoundError: If SciPy is not installed.
        RuntimeError: If the method does not converge to the largest value.
    """
    if not weight.any():
        return Extremes(0.0, None)
    operator = _operator(weight, geometry, grid)
    if min(operator.shape) <= _DENSE:
        narrow = operator if operator.shape[1] <= operator.shape[0] else operator.H
        return _of(np.linalg.svd(narrow @ np.eye(narrow.shape[1]), compute_uv=False))
    largest = _lanczos(operator, "LM")
    if largest is None:
        shape = "×".join(map(str, weight.shape))
        raise RuntimeError(f"Lanczos' method did not converge to the norm of a filter {shape}")
    smallest = None if only_largest else _lanczos(operator, "SM")
    return Extremes(largest, smallest if smallest and smallest > _ZERO * largest else None)


def _of(values: Vector) -> Extremes:
    """All singular values, largest first."""
    others = values[values > np.finfo(np.float64).eps * len(values) * values[0]]
    return Extremes(float(values[0]), float(others[-1]) if len(others) else None)


def _operator(weight: Tensor, geometry: Geometry, grid: tuple[int, ...]) -> Any:  # noqa: ANN401
    """The convolution as a `scipy.sparse.linalg.LinearOperator`."""
    with extra("xray"):
        from scipy.sparse.linalg import LinearOperator  # type: ignore[import-untyped]

    def layer(x: Tensor) -> Tensor:
        return geometry.apply(x, weight)

    channels = weight.shape[0] if geometry.transposed else weight.shape[1] * geometry.groups
    x = weight.new_zeros(1, channels, *grid)
    y, adjoint = torch.func.vjp(layer, x)[:2]

    def on_vectors(f: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Vector], Vector]:
        return lambda v: f(torch.tensor(v).to(like).view_as(like)).flatten().cpu().numpy()

    return LinearOperator(
        (y.numel(), x.numel()),
        matvec=on_vectors(layer, x),
        rmatvec=on_vectors(lambda y: adjoint(y)[0], y),
        dtype=np.float64,
    )


def _lanczos(operator: Any, which: str) -> float | None:  # noqa: ANN401
    """The largest (`LM`) or smallest (`SM`) singular value, None without convergence."""
    from scipy.sparse.linalg import ArpackNoConvergence, svds

    start = np.random.default_rng(0).standard_normal(min(operator.shape))
    how = {"ncv": _VECTORS, "maxiter": _RESTARTS, "return_singular_vectors": False}
    try:
        (value,) = svds(operator, k=1, which=which, v0=start, **how)
    except ArpackNoConvergence:
        return None
    return float(value)
