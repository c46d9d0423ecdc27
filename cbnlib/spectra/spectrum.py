"""The singular values of an equivariant map, mode by mode, and how to count them."""

from dataclasses import dataclass

from torch import Tensor

from cbnlib._checks import check_count, check_finite, check_grid, check_positive, check_type
from cbnlib.network.frequencies import frequencies

KEPT = 0.5
"""A mode is kept if its singular value exceeds this: midway between gone, 0, and passed on, 1."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Singular values of a translation-equivariant map (or of a data matrix), mode by mode.

    One row per *mode*: a self-conjugate frequency, or one representative of a pair $\pm\omega$.

    Attributes:
        grid: Pixels per axis.
        values: Singular values, largest first, shape `[modes, directions]`.
        upper_bound: Whether the values are only upper bounds, as with zero padding (S8): the i-th
            largest of `operator_values()` is at least the i-th singular value of the layer.

    Raises:
        ValueError: On construction, if the values have another shape, or one is NaN or infinite.
    """

    grid: tuple[int, ...]
    values: Tensor
    upper_bound: bool = False

    def __post_init__(self) -> None:
        """Check the values, and store the grid as a tuple."""
        object.__setattr__(self, "grid", check_grid(self.grid))
        modes = len(frequencies(self.grid).modes)
        values = check_type("values", self.values, Tensor)
        if values.ndim != 2 or len(values) != modes or not values.is_floating_point():
            raise ValueError(
                f"values on the grid {self.grid} must be real, of shape [{modes}, directions], one "
                f"row per mode; got {values.dtype} of shape {tuple(values.shape)}"
            )
        check_finite("singular values", self.values)

    @property
    def omega(self) -> Tensor:
        """Frequency vectors, shape `[modes, axes]`."""
        return self._at_modes(frequencies(self.grid).omega)

    @property
    def degree(self) -> Tensor:
        r"""$\lvert\omega_1\rvert+\lvert\omega_2\rvert$, shape `[modes]`."""
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
            `(smallest kept, largest other)`; infinity and 0 stand for "there is none".

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
        r"""$\sigma_i$ over all of $\hat G$: every value as often as its real dimensions.

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
    """The number of the middle layer, counted from 1: L/2, rounded down, at least 1.

    Raises:
        ValueError: If the depth is no integer >= 1.
    """
    return max(1, check_count("depth", depth) // 2)
