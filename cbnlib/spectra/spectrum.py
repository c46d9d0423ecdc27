"""The singular values of an equivariant map, mode by mode, and how to count them."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from cbnlib._checks import (
    check_choice,
    check_count,
    check_finite,
    check_grid,
    check_positive,
    check_type,
    hold,
)
from cbnlib.network.frequencies import frequencies

Kind = Literal["exact", "bound", "approximation"]

KEPT = 0.5
"""A mode is kept if its singular value exceeds this, midway between gone, 0, and passed on, 1."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Singular values of a translation-equivariant map (or of a data matrix), mode by mode.

    Each row is a *mode*, a self-conjugate frequency or one representative of a pair $\pm\omega$.

    A stride makes the frequencies of the finer grid equal in groups (S7). A mode then is the whole
    group, named by its frequency on the coarser grid.

    Attributes:
        grid: Pixels per axis. With a stride, those of the coarser grid.
        values: Singular values, largest first, shape `[modes, directions]`.
        kind: How the values belong to the layer. If `exact`, they are its singular values, and all
            others are 0. If `bound`, the i-th largest of `operator_values()` is at least its i-th
            singular value (S8). If `approximation`, neither is known.
        stride: Pixels of the finer grid per pixel of `grid`, per axis, empty for 1.
        shares: How much of a singular vector lies at each member of the group, squared, shape
            `[modes, directions, members]`. Sums to 1 over the last axis. The singular vector is the
            one on the finer grid, the right one, or the left one of a transposed convolution. None
            for a bound, whose modes are not those of the layer.

    Raises:
        ValueError: On construction, if the kind is unknown, values or shares have another shape,
            or one is NaN or infinite.
    """

    grid: tuple[int, ...]
    values: Tensor
    kind: Kind = "exact"
    stride: tuple[int, ...] = ()
    shares: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the values, and store grid and stride as tuples."""
        hold(self, grid=check_grid(self.grid, 3))
        check_choice("kind", self.kind, get_args(Kind))
        modes = len(frequencies(self.grid).modes)
        values = check_type("values", self.values, Tensor)
        if values.ndim != 2 or len(values) != modes or not values.is_floating_point():
            raise ValueError(
                f"values on the grid {self.grid} must be real, of shape [{modes}, directions], one "
                f"row per mode; got {values.dtype} of shape {tuple(values.shape)}"
            )
        check_finite("singular values", self.values)
        stride = check_grid(self.stride or [1] * len(self.grid), 3)
        hold(self, stride=stride)
        shape = (*values.shape, math.prod(stride))
        if self.shares is None and shape[-1] == 1 and self.kind != "bound":
            hold(self, shares=values.new_ones(1).expand(shape))
        if self.shares is not None and self.shares.shape != shape:
            raise ValueError(f"shares must have shape {shape}, got {tuple(self.shares.shape)}")

    @property
    def upper_bound(self) -> bool:
        """Whether the values are only upper bounds, as with zero padding."""
        return self.kind == "bound"

    @property
    def members(self) -> Tensor:
        """Frequency vectors of each mode's group on the finer grid, `[modes, members, axes]`."""
        return self._at_modes(frequencies(self.grid).aliases(self.stride))

    @property
    def omega(self) -> Tensor:
        """Frequency vectors, shape `[modes, axes]`."""
        return self._at_modes(frequencies(self.grid).omega)

    @property
    def degree(self) -> Tensor:
        r"""$\sum_i\lvert\omega_i\rvert$, shape `[modes]`."""
        return self._at_modes(frequencies(self.grid).degree)

    @property
    def multiplicity(self) -> Tensor:
        """Real dimensions of one singular direction, 1 or 2, shape `[modes]`."""
        return self._at_modes(frequencies(self.grid).multiplicity)

    def _at_modes(self, of_frequencies: Tensor) -> Tensor:
        return of_frequencies[frequencies(self.grid).modes].to(self.values.device)

    def real_dimensions(self, threshold: float = KEPT) -> int:
        """Real dimensions whose singular value exceeds `threshold`.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        return int(((self.values > threshold).sum(dim=1) * self.multiplicity).sum())

    def gap(self, threshold: float = KEPT) -> tuple[float, float]:
        """The smallest singular value above `threshold` and the largest one not above it.

        Returns:
            `(smallest kept, largest other)`. Infinity and 0 stand for "there is none".

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        kept = self.values > threshold
        smallest = self.values[kept].min() if kept.any() else float("inf")
        largest = self.values[~kept].max() if not kept.all() else 0.0
        return float(smallest), float(largest)

    def kept_by_degree(self, threshold: float = KEPT) -> dict[int, int]:
        r"""How many singular directions of each degree exceed `threshold`.

        A pair $\pm\omega$ counts once per direction, as in "3 constant frequencies, 4 of degree 1".

        Returns:
            Degree to count, lowest degree first, without zeros.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        per_mode = (self.values > threshold).sum(dim=1)
        counts = {int(d): int(per_mode[self.degree == d].sum()) for d in self.degree.unique()}
        return {d: count for d, count in counts.items() if count}

    def largest(self) -> Tensor:
        """The largest singular value at every frequency of the whole grid, in the order of `fftn`.

        Returns:
            Tensor of shape `grid`, symmetric under negation of the frequency.
        """
        full = self.values.new_zeros(self.grid)
        for omega in (self.omega, -self.omega):  # negative indices wrap around
            full[omega.unbind(dim=1)] = self.values[:, 0]
        return full

    def operator_values(self) -> Tensor:
        r"""$\sigma_i$ over all of $\hat G$, every value as often as its real dimensions.

        Returns:
            Singular values, largest first, shape `[N * directions]`.
        """
        return (
            self.values.repeat_interleave(self.multiplicity, dim=0)
            .flatten()
            .sort(descending=True)[0]
        )


def middle_half(depth: int) -> slice:
    """The middle half of the layers, as a slice of a list of them, first layer first.

    Args:
        depth: L, the number of layers.

    Raises:
        ValueError: If it is no integer >= 1.

    Example:
        >>> [1, 2, 3, 4, 5, 6, 7, 8][middle_half(8)]
        [3, 4, 5, 6]
    """
    check_count("depth", depth)
    return slice(depth // 4, 3 * depth // 4)


def middle_layer(depth: int) -> int:
    """The number of the middle layer, counted from 1. It is L/2, rounded down, at least 1.

    Raises:
        ValueError: If the depth is no integer >= 1.
    """
    return max(1, check_count("depth", depth) // 2)
